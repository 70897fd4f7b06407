//! The one HTTP/1.1 client: a time limit on every attempt, no redirects, no proxy but the stated one,
//! bounded answers, failures as classes.

use crate::access::{Access, AccessError};
use crate::class::{Unresolved, class};
use crate::proxy::Proxy;
use crate::secret::Secret;
use crate::tls;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::error::Error;
use core::fmt::Debug;
use core::pin::Pin;
use core::time::Duration;
use feedpulse_core::label::Label;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use reqwest::{Method, StatusCode, Url};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

/// Most bytes of an answer to [`Client::send`] that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Most headers that an access may name.
const HEADERS_MAX: usize = 32;

/// Checks an address. Errors never repeat it, since its path may be a token.
///
/// # Errors
/// [`AccessError::Address`], with this example.
pub fn address(text: &Secret, example: &'static str) -> Result<Url, AccessError> {
    let fail = |what: &str| AccessError::Address { what: what.to_owned(), example };
    let text = text.expose().trim();
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
        return Err(fail("holds a user or password; state them, or a token, beside it"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(fail("has no host"));
    }
    Ok(url)
}

/// The headers that an access sends, login included, marked so that nothing prints their values.
///
/// # Errors
/// [`AccessError::Header`].
pub fn headers(access: &Access) -> Result<HeaderMap, AccessError> {
    let fail = |name: &str, what| AccessError::Header { name: name.to_owned(), what };
    if access.headers.len() > HEADERS_MAX {
        return Err(fail("(all)", "there are more than 32"));
    }
    let secret = |name: &str, value: Result<HeaderValue, InvalidHeaderValue>| {
        let mut value =
            value.map_err(|_| fail(name, "its value has bytes that no header can carry"))?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut map = HeaderMap::new();
    for (name, value) in &access.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| fail(name, "is not a header name"))?;
        map.append(header, secret(name, HeaderValue::from_str(value.expose()))?);
    }
    if let Some(bearer) = &access.bearer {
        let value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose().trim()));
        map.insert(AUTHORIZATION, secret("authorization", value)?);
    }
    if let Some((user, password)) = &access.basic {
        map.insert(AUTHORIZATION, secret("authorization", basic(user, password.expose()))?);
    }
    Ok(map)
}

/// `Basic …` (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// Finds the addresses of names in another way than the system's.
pub trait Lookup: Debug + Send + Sync {
    /// The addresses of a name, none where it has none; else the class of failure.
    fn addresses(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, Label>> + Send>>;
}

/// What a client does beside its [`Access`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest time for one attempt, connecting included.
    pub timeout: Duration,
    /// Whether a connection is kept for the next attempt.
    pub keeps: bool,
    /// Who finds names; None = the system.
    pub lookup: Option<Arc<dyn Lookup>>,
}

/// A client for one server.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
}

/// An answer of any status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// How long `Retry-After` asks to be left alone (RFC 9110 §10.2.3); of a date, from now on.
    pub retry_after: Option<Duration>,
    /// Its body, up to the limit.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

impl Client {
    /// A client for addresses like `url`.
    ///
    /// # Errors
    /// Any [`AccessError`] but that of an address.
    pub fn new(access: &Access, url: &Url, settings: Settings) -> Result<Self, AccessError> {
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = &access.proxy {
            builder = builder.proxy(Proxy::new(proxy)?.for_client()?);
        }
        if let Some(lookup) = settings.lookup {
            builder = builder.dns_resolver(Arc::new(Names(lookup)));
        }
        let inner = builder
            .tls_backend_preconfigured(tls::client(access, url.scheme() == "https")?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .pool_max_idle_per_host(usize::from(settings.keeps))
            .pool_idle_timeout(Duration::from_secs(90))
            .user_agent(concat!("feedpulse/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(access)?)
            .build()
            .map_err(|error| {
                let error = error.without_url();
                AccessError::Setup(format!("the client cannot be made ({error})"))
            })?;
        Ok(Self { inner })
    }

    /// One attempt, with headers of its own; up to 64 KiB of the answer are read, the rest is left
    /// unread and the connection dropped.
    ///
    /// # Errors
    /// The class of failure when no whole answer came in time.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        own: &[(HeaderName, String)],
        body: Vec<u8>,
    ) -> Result<Answer, Label> {
        self.answer(self.inner.request(method, url).body(body), own, ANSWER_MAX).await
    }

    /// A GET of which up to `most` bytes are read, otherwise as [`Client::send`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(
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
        #[expect(
            clippy::disallowed_methods,
            reason = "a date in an answer is held against the clock"
        )]
        let now = SystemTime::now();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| pause(value.to_str().ok()?.trim(), now));
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(chunk) = response.chunk().await.map_err(|error| class(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                body.truncate(most);
                cut = true;
                break;
            }
        }
        Ok(Answer { status, retry_after, body, cut })
    }
}

/// What `Retry-After` means: seconds, or the time until a date; a date in the past is no pause.
fn pause(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(now).ok()
}

/// `http-503`.
#[must_use]
pub fn status_class(status: StatusCode) -> Label {
    Label::from(format!("http-{}", status.as_u16()).as_str())
}

/// A [`Lookup`] as the library wants it.
#[derive(Debug)]
struct Names(Arc<dyn Lookup>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let asked = self.0.addresses(name.as_str().to_owned());
        Box::pin(async move {
            let found = match asked.await {
                Ok(found) if found.is_empty() => Err(Label::from("dns")),
                other => other,
            };
            match found {
                Ok(found) => {
                    let all = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
                    Ok(Box::new(all) as Addrs)
                }
                Err(class) => Err(Box::new(Unresolved(class)) as Box<dyn Error + Send + Sync>),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::pause;
    use core::time::Duration;
    use std::time::SystemTime;

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, secs) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(pause(value, now), secs.map(Duration::from_secs), "{value}");
        }
    }
}
