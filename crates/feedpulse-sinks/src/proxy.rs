//! An HTTP proxy on the way out: named in the configuration, never taken from the environment.

use crate::config::{ConfigError, Target};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of a proxy's answer to CONNECT.
const HEAD_MAX: usize = 8 * 1024;

/// A checked proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    user: Option<(String, Secret)>,
}

impl Proxy {
    /// The proxy of a target, if it names one.
    pub(crate) fn new(place: &str, target: &Target) -> Result<Option<Self>, ConfigError> {
        let Some(config) = &target.proxy else { return Ok(None) };
        let fail = |what: &str| ConfigError::Address {
            place: format!("{place}: proxy"),
            what: what.to_owned(),
            example: "http://proxy.example:3128",
        };
        let url = Url::parse(config.url.expose().trim()).map_err(|_| fail("cannot be read"))?;
        if url.scheme() != "http" {
            return Err(fail("has another scheme than http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail("holds a user or password; state them beside it"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| fail("has no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| fail("has no port"))?;
        Ok(Some(Self { host, port, user: config.user.clone() }))
    }

    /// The same for the HTTP client.
    pub(crate) fn for_client(&self, place: &str) -> Result<reqwest::Proxy, ConfigError> {
        let address = format!("http://{}:{}", self.host, self.port);
        let proxy = reqwest::Proxy::all(address).map_err(|_| ConfigError::Address {
            place: format!("{place}: proxy"),
            what: "cannot be used".to_owned(),
            example: "http://proxy.example:3128",
        })?;
        Ok(match &self.user {
            Some((user, password)) => proxy.basic_auth(user, password.expose()),
            None => proxy,
        })
    }

    /// A connection through the proxy (RFC 9110 §9.3.6).
    ///
    /// # Errors
    /// `PermissionDenied` when the proxy wants a login or forbids it; `HostUnreachable` for another
    /// refusal of its own.
    async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let own = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((own, self.port)).await?;
        stream.set_nodelay(true)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.user {
            let login = STANDARD.encode(format!("{user}:{}", password.expose()));
            request.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the tunnel.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == HEAD_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            head.push(stream.read_u8().await?);
        }
        let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        match status {
            [b'2', ..] => Ok(stream),
            b"401" | b"403" | b"407" => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::HostUnreachable.into()),
        }
    }
}

/// A connection to a host, through a proxy or not.
pub(crate) async fn connect(proxy: Option<&Proxy>, host: &str, port: u16) -> io::Result<TcpStream> {
    if let Some(proxy) = proxy {
        return proxy.connect(host, port).await;
    }
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
