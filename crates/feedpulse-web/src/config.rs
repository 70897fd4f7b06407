//! Settings of the three listeners, checked when they are made: what is held is allowed.

use feedpulse_core::key::SiteKey;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// Shortest token. 16 characters of a random alphabet are out of reach of guessing over a network.
const TOKEN_MIN: usize = 16;
/// Longest token.
const TOKEN_MAX: usize = 512;

/// Why a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Open to the network without a credential.
    #[error(
        "{listener} would listen on {bind}, which other machines can reach, without a token; \
         set {listener}.token, or bind it to 127.0.0.1"
    )]
    TokenNeeded {
        /// Which listener.
        listener: &'static str,
        /// The address.
        bind: SocketAddr,
    },
    /// A token that could be guessed, or not be sent in a header.
    #[error(
        "a token must have {TOKEN_MIN} to {TOKEN_MAX} visible ASCII characters without spaces, \
         this one has {length}; make one with `openssl rand -hex 24`"
    )]
    WeakToken {
        /// Its length in characters; the token itself is never shown.
        length: usize,
    },
    /// Two waypoints of one name, or none at all.
    #[error("ingest needs at least one waypoint or heartbeat, and each name once; check `{name}`")]
    Waypoints {
        /// The name that is there twice; empty when there is none.
        name: String,
    },
}

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{listener} cannot listen on {bind}: {source}; {hint}")]
pub struct BindError {
    /// Which listener.
    pub listener: &'static str,
    /// The address.
    pub bind: SocketAddr,
    /// What to do.
    pub hint: &'static str,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Binds a listener.
///
/// # Errors
/// [`BindError`] names the listener, the address and what to do.
pub async fn bind(listener: &'static str, bind: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(bind).await.map_err(|source| {
        let hint = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process holds this port (see `ss -ltnp`): stop it or configure another port"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address: use 127.0.0.1, 0.0.0.0 or one that `ip addr` shows"
            }
            _ => "check the address in the configuration",
        };
        BindError { listener, bind, hint, source }
    })
}

/// A bearer token. Its Debug shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// From its text; white space at the end (a file's newline) is dropped.
    ///
    /// # Errors
    /// [`ConfigError::WeakToken`] when shorter than 16 or longer than 512 characters, or when it
    /// holds anything but visible ASCII.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim_end();
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if !visible || !(TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) {
            return Err(ConfigError::WeakToken { length: text.chars().count() });
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Whether only this machine can reach an address (IPv4-mapped loopback counts).
fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Settings of `ops`. Default: `127.0.0.1:9464`. Any address is allowed: it shows counts only.
#[derive(Clone, Debug)]
pub struct OpsConfig {
    /// Where to listen.
    pub bind: SocketAddr,
}

impl Default for OpsConfig {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)) }
    }
}

/// Settings of `ui`.
#[derive(Clone, Debug)]
pub struct UiConfig {
    bind: SocketAddr,
    pub(crate) token: Option<Token>,
    pub(crate) key: SiteKey,
    pub(crate) hosts: Vec<String>,
}

impl UiConfig {
    /// Where it listens unless told otherwise: `127.0.0.1:8088`.
    pub const DEFAULT_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8088);

    /// Checked settings. `key` signs the session cookies of the login form: the site key, or any
    /// 16 secret bytes; a new key ends every session.
    ///
    /// # Errors
    /// [`ConfigError::TokenNeeded`] when `bind` is not loopback and there is no token.
    pub fn new(bind: SocketAddr, token: Option<Token>, key: SiteKey) -> Result<Self, ConfigError> {
        if token.is_none() && !is_local(bind.ip()) {
            return Err(ConfigError::TokenNeeded { listener: "ui", bind });
        }
        Ok(Self { bind, token, key, hosts: Vec::new() })
    }

    /// Further `Host` values (`localhost:9000`) that are answered without a token, for port
    /// forwarding. Default: none. Compared without case.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts = hosts;
        self
    }

    /// Where to listen.
    #[must_use]
    pub const fn bind(&self) -> SocketAddr {
        self.bind
    }
}

/// Settings of `ingest`, the `http` tap.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    bind: SocketAddr,
    pub(crate) token: Option<Token>,
    pub(crate) key: SiteKey,
    pub(crate) waypoints: Vec<(String, feedpulse_core::frame::WaypointId)>,
    pub(crate) heartbeats: Vec<(String, Option<Token>)>,
}

impl IngestConfig {
    /// Checked settings: the waypoints that may be posted to, by name, and the heartbeats that jobs
    /// may send, some with a token of their own. `key` is used to compare tokens without leaking
    /// them by timing.
    ///
    /// # Errors
    /// [`ConfigError::TokenNeeded`] when `bind` is not loopback and there is no token;
    /// [`ConfigError::Waypoints`] when there is none or a name comes twice.
    pub fn new(
        bind: SocketAddr,
        token: Option<Token>,
        key: SiteKey,
        waypoints: Vec<(String, feedpulse_core::frame::WaypointId)>,
        heartbeats: Vec<(String, Option<Token>)>,
    ) -> Result<Self, ConfigError> {
        if token.is_none() && !is_local(bind.ip()) {
            return Err(ConfigError::TokenNeeded { listener: "ingest", bind });
        }
        let twice = waypoints
            .iter()
            .enumerate()
            .find(|(i, (name, _))| waypoints.iter().take(*i).any(|(other, _)| other == name));
        if let Some((_, (name, _))) = twice {
            return Err(ConfigError::Waypoints { name: name.clone() });
        }
        if waypoints.is_empty() && heartbeats.is_empty() {
            return Err(ConfigError::Waypoints { name: String::new() });
        }
        Ok(Self { bind, token, key, waypoints, heartbeats })
    }

    /// Where to listen.
    #[must_use]
    pub const fn bind(&self) -> SocketAddr {
        self.bind
    }
}
