//! An HTTP proxy on the way out: named in the configuration, never taken from the environment.

use crate::access::{AccessError, ProxyConfig};
use crate::client::basic;
use crate::secret::Secret;
use reqwest::Url;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of a proxy's answer to CONNECT.
const HEAD_MAX: usize = 8 * 1024;

/// A checked proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    user: Option<(String, Secret)>,
}

/// Why a proxy did not connect.
#[derive(Debug, thiserror::Error)]
pub enum NoTunnel {
    /// The connection to it broke.
    #[error("the connection to the proxy broke")]
    Broken(#[from] io::Error),
    /// It refused, with this status.
    #[error("the proxy refused with {0}")]
    Status(u16),
    /// It does not speak HTTP, or too much of it.
    #[error("this is no proxy")]
    NoProxy,
}

/// The proxy wants a login or forbids it; inside of an [`io::Error`], for [`class`](crate::class).
#[derive(Debug, thiserror::Error)]
#[error("the proxy does not let us")]
pub(crate) struct Forbidden;

impl Proxy {
    /// Checks one.
    ///
    /// # Errors
    /// [`AccessError::Proxy`].
    pub fn new(config: &ProxyConfig) -> Result<Self, AccessError> {
        let fail = AccessError::Proxy;
        let url = Url::parse(config.url.expose().trim()).map_err(|_| fail("cannot be read"))?;
        if url.scheme() != "http" {
            return Err(fail("has another scheme than http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("holds a user or password; state them beside it"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| fail("has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or_else(|| fail("has no port"))?;
        if let Some((user, password)) = &config.user {
            basic(user, password.expose()).map_err(|_| fail("has a login that cannot be sent"))?;
        }
        Ok(Self { host, port, user: config.user.clone() })
    }

    /// Its host: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same for the HTTP client.
    pub(crate) fn for_client(&self) -> Result<reqwest::Proxy, AccessError> {
        let address = format!("http://{}:{}", bracketed(&self.host), self.port);
        let proxy =
            reqwest::Proxy::all(address).map_err(|_| AccessError::Proxy("cannot be used"))?;
        Ok(match &self.user {
            Some((user, password)) => proxy.basic_auth(user, password.expose()),
            None => proxy,
        })
    }

    /// Has a connection to the proxy connected through (RFC 9110 §9.3.6).
    ///
    /// # Errors
    /// [`NoTunnel`].
    pub async fn tunnel(
        &self,
        mut stream: TcpStream,
        host: &str,
        port: u16,
    ) -> Result<TcpStream, NoTunnel> {
        let host = bracketed(host);
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.user {
            let login = basic(user, password.expose()).map_err(|_| NoTunnel::NoProxy)?;
            let login = String::from_utf8_lossy(login.as_bytes());
            request.push_str(&format!("Proxy-Authorization: {login}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the tunnel.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_MAX {
                return Err(NoTunnel::NoProxy);
            }
            head.push(stream.read_u8().await?);
        }
        let status = head.split(|byte| *byte == b' ').nth(1).and_then(|s| str::from_utf8(s).ok());
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(200..=299) => Ok(stream),
            Some(status) => Err(NoTunnel::Status(status)),
            None => Err(NoTunnel::NoProxy),
        }
    }
}

/// A host as addresses have it.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A connection to a host, through a proxy or not; names by the system.
///
/// # Errors
/// Those of the connection; `PermissionDenied` when the proxy wants a login or forbids it,
/// `HostUnreachable` for another refusal of its own.
pub async fn connect(proxy: Option<&Proxy>, host: &str, port: u16) -> io::Result<TcpStream> {
    let (to, at) = proxy.map_or((host, port), |proxy| (proxy.host.as_str(), proxy.port));
    let stream = TcpStream::connect((to, at)).await?;
    stream.set_nodelay(true)?;
    let Some(proxy) = proxy else { return Ok(stream) };
    proxy.tunnel(stream, host, port).await.map_err(|refused| match refused {
        NoTunnel::Broken(error) => error,
        NoTunnel::Status(401 | 403 | 407) => {
            io::Error::new(io::ErrorKind::PermissionDenied, Forbidden)
        }
        NoTunnel::Status(_) | NoTunnel::NoProxy => io::ErrorKind::HostUnreachable.into(),
    })
}
