//! What is to be looked at, resolved: addresses are texts, files are paths, secrets are secrets.

use core::time::Duration;
use feedpulse_http::{AccessError, Secret};
use std::net::{IpAddr, SocketAddr};

pub use feedpulse_http::{Access, ProxyConfig};

/// A setting that cannot work: what, and what to do. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A server cannot be reached as stated.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A host and port are none.
    #[error("the address {0}")]
    Address(&'static str),
    /// There is no resolver.
    #[error("no resolver: {0}")]
    Resolver(String),
    /// A JSON pointer is none.
    #[error("{0:?} is no JSON pointer (RFC 6901): it is empty or begins with /")]
    Pointer(String),
    /// A name is none.
    #[error("{0:?} is no host or domain name")]
    Name(String),
}

/// One probe.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// Its name, at most 31 bytes; unique.
    pub name: String,
    /// How often. At least 10 s.
    pub every: Duration,
    /// Longest time for one look. At most 60 s.
    pub timeout: Duration,
    /// The DNS server that is asked; None = those of the system.
    pub resolver: Option<SocketAddr>,
    /// What is looked at.
    pub what: What,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub enum What {
    /// Whether a port takes connections.
    Tcp(Tcp),
    /// A TLS handshake and its certificates.
    Tls(Tls),
    /// A web page.
    Web(Box<Web>),
    /// A number, or a word, that a server tells over HTTP.
    Numeric(Box<Numeric>),
    /// The addresses that mail leaves from, as DNS tells of them.
    Mail(Mail),
    /// A receiver of HL7.
    Mllp(Mllp),
    /// A mail server's greeting.
    Smtp(Smtp),
}

/// A port.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Host and port.
    pub address: String,
    /// HTTP proxy that connects (CONNECT).
    pub proxy: Option<ProxyConfig>,
}

/// A TLS handshake.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Host and port.
    pub address: String,
    /// The name that the certificate must have; None = the host.
    pub server_name: Option<String>,
    /// Trust, own certificate, proxy.
    pub access: Access,
}

/// A web page.
#[derive(Clone, Debug)]
pub struct Web {
    /// Address with scheme.
    pub url: Secret,
    /// How to get there.
    pub access: Access,
    /// Statuses that are right, from and to. Default 200 to 299.
    pub status: (u16, u16),
    /// Text that its body must hold.
    pub contains: Option<String>,
    /// JSON pointer (RFC 6901) into its body, and what must be there; None = anything but null.
    pub pointer: Option<(String, Option<String>)>,
}

/// A number or a word.
#[derive(Clone, Debug)]
pub struct Numeric {
    /// Address with scheme.
    pub url: Secret,
    /// How to get there.
    pub access: Access,
    /// Where it is in the answer.
    pub source: Source,
    /// What is done with it.
    pub expected: Expected,
}

/// Where a value is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A metric in Prometheus' text format.
    Metric {
        /// Its name.
        name: String,
        /// Labels that its points must have.
        labels: Vec<(String, String)>,
        /// Label that tells parts apart; None = the sum of all points.
        part: Option<String>,
    },
    /// A value in a JSON document.
    Json {
        /// JSON pointer of a list or an object whose values are parts; None = one value.
        each: Option<String>,
        /// JSON pointer of a part's name, from the part; None = its place or key.
        part: Option<String>,
        /// JSON pointer of the value, from the part or from the document.
        pointer: String,
    },
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A number, judged by the plan's limits.
    Number,
    /// It must be one of these words.
    OneOf(Vec<String>),
}

/// Addresses that mail leaves from.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// Those that are known.
    pub addresses: Vec<IpAddr>,
    /// A name that leads to them, followed as it changes.
    pub host: Option<String>,
    /// Zones of DNS block lists.
    pub block_lists: Vec<String>,
    /// Domains whose SPF policy must let the addresses send.
    pub domains: Vec<String>,
    /// Whether each address must have a PTR entry that leads back to it. Default true.
    pub ptr: bool,
}

/// A receiver of HL7.
#[derive(Clone, Debug)]
pub struct Mllp {
    /// Host and port.
    pub address: String,
    /// A test message; None = connect only.
    pub message: Option<Vec<u8>>,
    /// MSA-1 codes that are right. Default AA and CA.
    pub accept: Vec<String>,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Host and port.
    pub address: String,
    /// What we call ourselves in EHLO.
    pub helo: String,
    /// Whether STARTTLS must be offered, and its certificate be good.
    pub starttls: bool,
    /// The name that the certificate must have; None = the host.
    pub server_name: Option<String>,
    /// Trust, own certificate, proxy.
    pub access: Access,
}
