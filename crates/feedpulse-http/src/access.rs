//! How a server is reached and who asks, resolved: files are paths, secrets are secrets.

use crate::secret::Secret;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::path::PathBuf;

/// How a server is reached and who asks.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// PEM file with the only authorities to trust; None = those of the system.
    pub ca_file: Option<PathBuf>,
    /// Certificate to show to the server.
    pub client_certificate: Option<ClientCertificate>,
    /// The HTTP proxy on the way; None = none, whatever the environment says.
    pub proxy: Option<ProxyConfig>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// User and password, sent as `Authorization: Basic …` (RFC 7617). Wins over `bearer`.
    pub basic: Option<(String, Secret)>,
    /// Further headers (gRPC: metadata); at most 32.
    pub headers: Vec<(String, Secret)>,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, own certificate first.
    pub certificate_file: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub key_file: PathBuf,
}

/// An HTTP proxy: it is asked to connect through (RFC 9110 §9.3.6), or, for `http` addresses, to
/// fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Its address, `http://host:port`.
    pub url: Secret,
    /// Who logs in there; None = nobody.
    pub user: Option<(String, Secret)>,
}

impl ProxyConfig {
    /// From an address that may hold who logs in: `http://user:password@host:port`, both
    /// percent-encoded where needed (RFC 3986 §3.2.1). For addresses that are secrets as a whole.
    #[must_use]
    pub fn from_secret(url: Secret) -> Self {
        let Ok(mut bare) = Url::parse(url.expose().trim()) else { return Self { url, user: None } };
        if bare.username().is_empty() {
            return Self { url, user: None };
        }
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = plain(bare.username());
        let password = Secret::new(plain(bare.password().unwrap_or_default()));
        if bare.set_username("").is_err() || bare.set_password(None).is_err() {
            return Self { url, user: None };
        }
        Self { url: Secret::new(bare), user: Some((user, password)) }
    }
}

/// A user or password as an address has it (RFC 3986 §3.2.1).
#[must_use]
pub fn percent_encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A setting that cannot work: what, and what to do. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// An address is not usable.
    #[error("the address {what}; write it like {example}")]
    Address {
        /// What is wrong with it. Never the address itself: its path may be a token.
        what: String,
        /// A good one.
        example: &'static str,
    },
    /// The address of a proxy is not usable.
    #[error("proxy: the address {0}; write it like http://proxy.example:3128")]
    Proxy(&'static str),
    /// A file cannot be read or holds something else.
    #[error("{path}: {what}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// TLS or the client cannot be set up.
    #[error("{0}")]
    Setup(String),
    /// A header's name or value cannot be sent.
    #[error("header {name}: {what}")]
    Header {
        /// The header's name.
        name: String,
        /// What is wrong; never its value.
        what: &'static str,
    },
}

impl AccessError {
    /// Whether it is about files and authorities of this machine, which another machine may have.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Setup(_))
    }
}
