//! Getting there: names, connections, HTTP proxies.

use crate::config::{ConfigError, ProxyConfig};
use crate::dns::{Names, NoAnswer};
use feedpulse_core::label::Label;
use feedpulse_http::{NoTunnel, Proxy, class};
use std::net::SocketAddr;
use tokio::net::TcpStream;

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

/// How a probe's connections are made.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) names: Names,
    pub(crate) proxy: Option<Proxy>,
}

impl Reach {
    pub(crate) fn new(names: Names, proxy: Option<&ProxyConfig>) -> Result<Self, ConfigError> {
        Ok(Self { names, proxy: proxy.map(Proxy::new).transpose()? })
    }

    /// A connection to a place.
    ///
    /// # Errors
    /// The class of failure: `refused`, `unreachable`, `dns`, …; of a proxy `proxy-407`.
    pub(crate) async fn connect(&self, place: &Place) -> Result<TcpStream, Label> {
        let Some(proxy) = &self.proxy else { return self.direct(&place.host, place.port).await };
        let stream = self.direct(proxy.host(), proxy.port()).await.map_err(of_proxy)?;
        proxy.tunnel(stream, &place.host, place.port).await.map_err(|refused| match refused {
            NoTunnel::Broken(error) => of_proxy(class(&error)),
            NoTunnel::Status(status) => Label::from(format!("proxy-{status}").as_str()),
            NoTunnel::NoProxy => Label::from("proxy"),
        })
    }

    async fn direct(&self, host: &str, port: u16) -> Result<TcpStream, Label> {
        let addresses = self.names.addresses(host).await.map_err(no_answer)?;
        let mut failed = Label::from("dns");
        for address in addresses.into_iter().take(TRIED_MAX) {
            match TcpStream::connect(SocketAddr::new(address, port)).await {
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
