//! The one HTTP/1.1 client of this crate: a time limit on every attempt, no redirects, no proxy from
//! the environment, bounded answers, failures as classes.

use crate::config::{ConfigError, Target};
use crate::proxy::Proxy;
use crate::tls;
use core::error::Error;
use core::time::Duration;
use feedpulse_core::label::Label;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use std::io;

/// Most bytes of an answer that are read; the rest is left unread and the connection dropped.
const ANSWER_MAX: usize = 64 * 1024;
/// Most headers a target may name.
const HEADERS_MAX: usize = 32;

/// Checks an address. Errors never repeat it, since its path may be a token.
pub(crate) fn address(
    place: &str,
    target: &Target,
    example: &'static str,
) -> Result<Url, ConfigError> {
    let fail = |what: &str| ConfigError::Address {
        place: place.to_owned(),
        what: what.to_owned(),
        example,
    };
    let text = target.url.expose().trim();
    if text.is_empty() {
        return Err(fail("is empty"));
    }
    if !text.contains("://") {
        return Err(fail("has no scheme; put http:// or https:// before it"));
    }
    let url = Url::parse(text).map_err(|error| fail(&format!("cannot be read ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fail("has another scheme than http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fail("holds a user or password; use bearer or headers for them"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(fail("has no host"));
    }
    check_timeout(place, target)?;
    Ok(url)
}

/// Checks the time limit of a target.
pub(crate) fn check_timeout(place: &str, target: &Target) -> Result<(), ConfigError> {
    let limits = Duration::from_millis(100)..=Duration::from_secs(30);
    if limits.contains(&target.timeout) {
        return Ok(());
    }
    Err(ConfigError::Range {
        place: place.to_owned(),
        what: "timeout",
        got: format!("{:?}", target.timeout),
        allowed: "100 ms to 30 s",
    })
}

/// Headers of a target, marked so that nothing prints their values.
pub(crate) fn headers(place: &str, target: &Target) -> Result<HeaderMap, ConfigError> {
    let fail = |name: &str, what| ConfigError::Header {
        place: place.to_owned(),
        name: name.to_owned(),
        what,
    };
    if target.headers.len() > HEADERS_MAX {
        return Err(fail("(all)", "there are more than 32"));
    }
    let secret = |name: &str, text: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| fail(name, "its value has bytes that no header can carry"))?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut map = HeaderMap::new();
    for (name, value) in &target.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| fail(name, "is not a header name"))?;
        map.append(header, secret(name, value.expose())?);
    }
    if let Some(bearer) = &target.bearer {
        map.insert(
            AUTHORIZATION,
            secret("authorization", &format!("Bearer {}", bearer.expose().trim()))?,
        );
    }
    Ok(map)
}

/// A client for one target.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: reqwest::Client,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Seconds of `Retry-After`, where stated as such.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(place: &str, target: &Target, url: &Url) -> Result<Self, ConfigError> {
        let tls = tls::client_config(place, target, url.scheme() == "https")?;
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = Proxy::new(place, target)? {
            builder = builder.proxy(proxy.for_client(place)?);
        }
        let inner = builder
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(target.timeout)
            .connect_timeout(target.timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(90))
            .user_agent(concat!("feedpulse/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(place, target)?)
            .build()
            .map_err(|error| ConfigError::Tls {
                place: place.to_owned(),
                what: format!("the client cannot be made ({})", error.without_url()),
            })?;
        Ok(Self { inner })
    }

    /// One attempt.
    ///
    /// # Errors
    /// The class of failure when no whole answer came in time.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        own: &[(HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<Answer, Label> {
        self.answer(self.inner.request(method, url).body(body), own, ANSWER_MAX).await
    }

    /// A GET of which up to `most` bytes are read.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn get(
        &self,
        url: Url,
        own: &[(HeaderName, String)],
        most: usize,
    ) -> Result<Answer, Label> {
        self.answer(self.inner.get(url), own, most).await
    }

    async fn answer(
        &self,
        mut request: reqwest::RequestBuilder,
        own: &[(HeaderName, String)],
        most: usize,
    ) -> Result<Answer, Label> {
        for (name, value) in own {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|error| class(&error))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| class(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                body.truncate(most);
                break;
            }
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// `http-503`.
pub(crate) fn status_class(status: StatusCode) -> Label {
    Label::from(format!("http-{}", status.as_u16()).as_str())
}

/// The class of a failure, found along its causes: `refused`, `reset`, `timeout`, `dns`, `tls`,
/// `unreachable`, else `transport`. Never its text, which may quote an address.
pub(crate) fn class(error: &(dyn Error + 'static)) -> Label {
    let mut name = "transport";
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            if error.is_timeout() {
                return Label::from("timeout");
            }
            if error.is_connect() {
                name = "unreachable";
            }
        }
        if error.is::<tokio::time::error::Elapsed>() {
            return Label::from("timeout");
        }
        if error.is::<rustls::Error>() {
            return Label::from("tls");
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                return Label::from("tls");
            }
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Label::from("refused"),
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof => return Label::from("reset"),
                io::ErrorKind::TimedOut => return Label::from("timeout"),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    return Label::from("unreachable");
                }
                io::ErrorKind::PermissionDenied => return Label::from("proxy"),
                _ => {}
            }
        }
        // The resolver's own error type is private in every HTTP stack; its words are fixed.
        if error.to_string().contains("dns error")
            || error.to_string().contains("failed to lookup address")
        {
            return Label::from("dns");
        }
        cause = error.source();
    }
    Label::from(name)
}
