//! The HTTP client of a probe: by its own DNS server, a new connection for each look, so that it sees
//! what a newcomer would.

use crate::config::{Access, ConfigError};
use crate::dns::Names;
use crate::reach::no_answer;
use core::pin::Pin;
use core::time::Duration;
use feedpulse_core::label::Label;
use feedpulse_http::{Answer, Lookup, Secret, Settings, Url, address};
use std::net::IpAddr;
use std::sync::Arc;

/// Most bytes of an answer that are read: a Prometheus page of some ten thousand lines.
pub const BODY_MAX: usize = 4 * 1024 * 1024;

/// A client for one address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: feedpulse_http::Client,
    url: Url,
}

impl Client {
    pub(crate) fn new(
        url: &Secret,
        access: &Access,
        names: Names,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let url = address(url, "https://portal.example/health")?;
        let settings = Settings { timeout, keeps: false, lookup: Some(Arc::new(names)) };
        Ok(Self { inner: feedpulse_http::Client::new(access, &url, settings)?, url })
    }

    /// One GET.
    ///
    /// # Errors
    /// The class of failure when no whole answer came in time.
    pub(crate) async fn get(&self) -> Result<Answer, Label> {
        self.inner.get(self.url.clone(), &[], BODY_MAX).await
    }
}

impl Lookup for Names {
    fn addresses(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, Label>> + Send>> {
        let names = self.clone();
        Box::pin(async move { Self::addresses(&names, &name).await.map_err(no_answer) })
    }
}
