//! Where a server is and how it is reached, for everything that is sent over HTTP or gRPC.

use crate::config::ConfigError;
use core::time::Duration;
use feedpulse_http::header::HeaderMap;
use feedpulse_http::tls::Secure;
use feedpulse_http::{Access, AccessError, Client, Proxy, Secret, Settings, Url};

/// Where and how to reach a server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address with scheme (`http` or `https`). Redacted in output since webhook addresses often
    /// hold a token.
    pub url: Secret,
    /// Longest time for one attempt, connecting included. Default 10 s; 100 ms to 30 s.
    pub timeout: Duration,
    /// Trust, own certificate, proxy, login, headers.
    pub access: Access,
}

impl Target {
    /// A target with defaults.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: Secret::new(url), timeout: Duration::from_secs(10), access: Access::default() }
    }

    /// Checks address and time limit.
    pub(crate) fn address(&self, place: &str, example: &'static str) -> Result<Url, ConfigError> {
        let url = feedpulse_http::address(&self.url, example).map_err(at(place))?;
        self.check_timeout(place)?;
        Ok(url)
    }

    /// Checks the time limit.
    pub(crate) fn check_timeout(&self, place: &str) -> Result<(), ConfigError> {
        let limits = Duration::from_millis(100)..=Duration::from_secs(30);
        if limits.contains(&self.timeout) {
            return Ok(());
        }
        Err(ConfigError::Range {
            place: place.to_owned(),
            what: "timeout",
            got: format!("{:?}", self.timeout),
            allowed: "100 ms to 30 s",
        })
    }

    /// An HTTP client for addresses like `url`.
    pub(crate) fn client(&self, place: &str, url: &Url) -> Result<Client, ConfigError> {
        let settings = Settings { timeout: self.timeout, keeps: true, lookup: None };
        Client::new(&self.access, url, settings).map_err(at(place))
    }

    pub(crate) fn headers(&self, place: &str) -> Result<HeaderMap, ConfigError> {
        feedpulse_http::headers(&self.access).map_err(at(place))
    }

    pub(crate) fn proxy(&self, place: &str) -> Result<Option<Proxy>, ConfigError> {
        self.access.proxy.as_ref().map(Proxy::new).transpose().map_err(at(place))
    }

    /// TLS towards a host, as [`Secure::new`]; None where it is no name.
    pub(crate) fn secure(
        &self,
        place: &str,
        host: &str,
        protocols: &[&[u8]],
        needed: bool,
    ) -> Result<Option<Secure>, ConfigError> {
        Secure::new(&self.access, host, protocols, needed).map_err(at(place))
    }
}

fn at(place: &str) -> impl Fn(AccessError) -> ConfigError {
    move |error| ConfigError::Access { place: place.to_owned(), error }
}
