//! Getting there: names, connections, HTTP proxies; and why it failed, as a class.

use crate::config::ConfigError;
use crate::dns::{Names, NoAnswer};
use crate::secret::Secret;
use core::error::Error;
use feedpulse_core::label::Label;
use reqwest::Url;
use reqwest::header::HeaderValue;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of a proxy's answer to CONNECT.
const ANSWER_MAX: usize = 8 * 1024;
/// Most addresses of one name that are tried.
const TRIED_MAX: usize = 8;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Place {
    /// From `host:port` or `[v6]:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        const WRONG: ConfigError =
            ConfigError::Address("is no host and port, such as portal.example:443");
        let (host, port) = text.rsplit_once(':').ok_or(WRONG)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let port = port.parse().map_err(|_| WRONG)?;
        if host.is_empty() || (bare.is_none() && host.contains(':')) {
            return Err(WRONG);
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// An HTTP proxy that connects (RFC 9110 §9.3.6).
#[derive(Clone)]
pub(crate) struct Proxy {
    place: Place,
    authorization: Option<HeaderValue>,
}

impl core::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Proxy(…)")
    }
}

impl Proxy {
    pub(crate) fn parse(proxy: &Secret) -> Result<Self, ConfigError> {
        const WRONG: ConfigError =
            ConfigError::Address("of the proxy is not like http://proxy.example:3128");
        let url = Url::parse(proxy.expose().trim()).map_err(|_| WRONG)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(WRONG)?;
        if url.scheme() != "http" {
            return Err(WRONG);
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let place = Place { host, port: url.port().unwrap_or(80) };
        let authorization = (!url.username().is_empty())
            .then(|| crate::http::basic(url.username(), url.password().unwrap_or_default()));
        Ok(Self { place, authorization: authorization.transpose()? })
    }
}

/// How a probe's connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) names: Names,
    pub(crate) proxy: Option<Proxy>,
}

impl Reach {
    /// A connection to a place.
    ///
    /// # Errors
    /// The class of failure: `refused`, `unreachable`, `dns`, …; of a proxy `proxy-407`.
    pub(crate) async fn connect(&self, place: &Place) -> Result<TcpStream, Label> {
        let Some(proxy) = &self.proxy else { return self.direct(place).await };
        let mut stream = self.direct(&proxy.place).await.map_err(of_proxy)?;
        let v6 = place.host.contains(':');
        let host = if v6 { format!("[{}]", place.host) } else { place.host.clone() };
        let mut request =
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n", port = place.port)
                .into_bytes();
        if let Some(value) = &proxy.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await.map_err(|e| of_proxy(class(&e)))?;
        // Byte by byte: what follows the head belongs to the connection.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await.map_err(|e| of_proxy(class(&e)))?;
            head.push(byte);
            if head.len() > ANSWER_MAX {
                return Err(Label::from("proxy"));
            }
        }
        let status = head.get(9..12).and_then(|s| core::str::from_utf8(s).ok());
        match status.and_then(|s| s.parse::<u16>().ok()) {
            Some(200..=299) => Ok(stream),
            Some(status) => Err(Label::from(format!("proxy-{status}").as_str())),
            None => Err(Label::from("proxy")),
        }
    }

    async fn direct(&self, place: &Place) -> Result<TcpStream, Label> {
        let addresses = self.names.addresses(&place.host).await.map_err(no_answer)?;
        let mut failed = Label::from("dns");
        for address in addresses.into_iter().take(TRIED_MAX) {
            match TcpStream::connect(SocketAddr::new(address, place.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = class(&error),
            }
        }
        Err(failed)
    }
}

fn of_proxy(class: Label) -> Label {
    Label::from(format!("proxy {class}").as_str())
}

/// A name that could not be asked for.
pub(crate) fn no_answer(NoAnswer(class): NoAnswer) -> Label {
    Label::from(format!("dns {class}").as_str())
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
        if let Some(NameError(class)) = error.downcast_ref::<NameError>() {
            return *class;
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return crate::tls::class(error);
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(tls) =
                error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                return crate::tls::class(tls);
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
                _ => {}
            }
            // What it wraps, which `source` passes over.
            if let Some(inner) = error.get_ref() {
                cause = Some(inner);
                continue;
            }
        }
        cause = error.source();
    }
    Label::from(name)
}

/// A name could not be resolved, on its way through the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("the name cannot be resolved")]
pub(crate) struct NameError(pub(crate) Label);

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn places_are_read() {
        let place = |host: &str, port| Some(Place { host: host.to_owned(), port });
        for (text, expected) in [
            ("portal.example:443", place("portal.example", 443)),
            ("[2001:db8::1]:25", place("2001:db8::1", 25)),
            ("2001:db8::1", None),
            ("portal.example", None),
            (":443", None),
            ("portal.example:x", None),
        ] {
            assert_eq!(Place::parse(text).ok(), expected, "{text}");
        }
    }
}
