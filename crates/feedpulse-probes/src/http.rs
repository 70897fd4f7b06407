//! The one HTTP/1.1 client of this crate: a time limit, no redirects (credentials would go along),
//! no proxy but the stated one, bounded answers, failures as classes.

use crate::config::{Access, ConfigError};
use crate::dns::Names;
use crate::reach::{self, NameError, Proxy};
use crate::secret::Secret;
use crate::tls;
use core::time::Duration;
use feedpulse_core::label::Label;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use std::net::SocketAddr;
use std::sync::Arc;

/// Most bytes of an answer that are read: a Prometheus page of some ten thousand lines.
pub const BODY_MAX: usize = 4 * 1024 * 1024;
/// Most headers that an access may name.
const HEADERS_MAX: usize = 32;

/// A client for one address.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: reqwest::Client,
    url: Url,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// There was more than [`BODY_MAX`].
    pub(crate) cut: bool,
}

/// Resolves by the probe's own DNS server.
#[derive(Debug)]
struct Own(Names);

impl Resolve for Own {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let failed =
                |class| Box::new(NameError(class)) as Box<dyn core::error::Error + Send + Sync>;
            match names.addresses(name.as_str()).await {
                Ok(found) if found.is_empty() => Err(failed(Label::from("dns"))),
                Ok(found) => {
                    let all = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
                    Ok(Box::new(all) as Addrs)
                }
                Err(error) => Err(failed(reach::no_answer(error))),
            }
        })
    }
}

impl Client {
    pub(crate) fn new(
        url: &Secret,
        access: &Access,
        names: Names,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let url = address(url)?;
        let tls = tls::client(access, url.scheme() == "https")?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Own(names)))
            .user_agent(concat!("feedpulse/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(access)?);
        if let Some(proxy) = &access.proxy {
            // Read here as well, so that its errors are ours.
            Proxy::parse(proxy)?;
            let failed = |_| ConfigError::Address("of the proxy cannot be read");
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose()).map_err(failed)?);
        }
        let inner = builder.build().map_err(|error| {
            ConfigError::Client(format!("the client cannot be made ({})", error.without_url()))
        })?;
        Ok(Self { inner, url })
    }

    /// One GET.
    ///
    /// # Errors
    /// The class of failure when no whole answer came in time.
    pub(crate) async fn get(&self) -> Result<Answer, Label> {
        let request = self.inner.get(self.url.clone());
        let mut response = request.send().await.map_err(|error| reach::class(&error))?;
        let status = response.status();
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(chunk) = response.chunk().await.map_err(|error| reach::class(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX {
                body.truncate(BODY_MAX);
                cut = true;
                break;
            }
        }
        Ok(Answer { status, body, cut })
    }
}

/// Checks an address. Errors never repeat it, since its path may be a token.
fn address(text: &Secret) -> Result<Url, ConfigError> {
    let url = Url::parse(text.expose().trim());
    let url = url.map_err(|_| {
        ConfigError::Address("is no URL; write it like https://portal.example/health")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigError::Address("has another scheme than http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::Address(
            "holds a user or password; use token, or user and password",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ConfigError::Address("has no host"));
    }
    Ok(url)
}

fn headers(access: &Access) -> Result<HeaderMap, ConfigError> {
    if access.headers.len() > HEADERS_MAX {
        return Err(ConfigError::Header("(more than 32)".to_owned()));
    }
    let mut map = HeaderMap::new();
    for (name, value) in &access.headers {
        let header = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.expose());
        let (Ok(header), Ok(mut value)) = (header, value) else {
            return Err(ConfigError::Header(name.clone()));
        };
        value.set_sensitive(true);
        map.append(header, value);
    }
    if let Some(token) = &access.bearer {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()));
        let mut value = value.map_err(|_| ConfigError::Header("authorization".to_owned()))?;
        value.set_sensitive(true);
        map.insert(AUTHORIZATION, value);
    }
    if let Some((user, password)) = &access.basic {
        map.insert(AUTHORIZATION, basic(user, password.expose())?);
    }
    Ok(map)
}

/// `Basic …` (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, ConfigError> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for three in format!("{user}:{password}").into_bytes().chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * n) & 63) as usize).copied().unwrap_or(b'=');
            text.push(char::from(if n <= three.len() { letter } else { b'=' }));
        }
    }
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ConfigError::Header("authorization".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `http-503`.
pub(crate) fn status_class(status: StatusCode) -> Label {
    Label::from(format!("http-{}", status.as_u16()).as_str())
}

#[cfg(test)]
mod tests {
    #[test]
    fn basic_is_base64() {
        for (user, password, expected) in [
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("a", "b", "Basic YTpi"),
            ("a", "bc", "Basic YTpiYw=="),
            ("a", "bcd", "Basic YTpiY2Q="),
        ] {
            assert_eq!(super::basic(user, password).unwrap().to_str().unwrap(), expected);
        }
    }
}
