//! The part of the configuration file about the MLLP proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The MLLP proxy.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMllp {
    /// Unix socket over which the wire hands over its ring. Default: `wire.sock` in the store's folder.
    #[serde(default)]
    pub socket: Option<String>,
    /// Whether `run` starts the wire when nobody answers on the socket. Default true; false where the
    /// wire is a container of its own.
    #[serde(default)]
    pub start_wire: Option<bool>,
    /// Size of the ring between the wire and the analysing process in KiB, a power of two. Default 16384.
    #[serde(default)]
    pub ring_kib: Option<u64>,
    /// How many connections may be open at once at all listeners together; more are reset. Default 4096.
    #[serde(default)]
    pub max_connections: Option<usize>,
    /// KiB that the wire may hold, of all connections together, for peers that do not take them. Default 16384.
    #[serde(default)]
    pub buffers_kib: Option<u64>,
    /// How long open connections may go on when the wire is told to end, such as `25s` (default).
    #[serde(default)]
    pub drain: Option<String>,
    /// Where senders connect.
    pub listeners: Vec<RawMllpListener>,
}

/// One listener of the MLLP proxy.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMllpListener {
    /// Name of the waypoint that it is.
    pub waypoint: String,
    /// Address and port where senders connect, such as `0.0.0.0:6661`.
    pub listen: String,
    /// Host and port of the receiver.
    pub forward: String,
    /// What a sender sees while the receiver cannot be reached. Default `reset`.
    #[serde(default)]
    pub on_upstream_down: RawUpstreamDown,
    /// How many connections may be open at once; more are reset. Default 1024.
    #[serde(default)]
    pub max_connections: Option<usize>,
    /// How long reaching the receiver may take. Default `900ms`.
    #[serde(default)]
    pub connect_timeout: Option<String>,
    /// After how long without a byte a connection is told as idle. Default `5m`.
    #[serde(default)]
    pub idle_after: Option<String>,
    /// Each connection starts with a PROXY protocol header, which says who the sender is. Only where a
    /// balancer writes one: whoever connects is believed. Default false.
    #[serde(default)]
    pub accept_proxy: bool,
    /// The receiver is sent a PROXY protocol header, so that it knows who the sender is. Default: none.
    #[serde(default)]
    pub send_proxy: Option<RawProxyVersion>,
    /// TLS with senders, ended here. Without it TLS passes through, and nothing in it is seen.
    #[serde(default)]
    pub tls: Option<RawSenderTls>,
    /// TLS with the receiver, begun here.
    #[serde(default)]
    pub forward_tls: Option<RawReceiverTls>,
    /// Said on purpose where only one of `tls` and `forward_tls` is stated: the other side is plain
    /// text. Default false.
    #[serde(default)]
    pub plain: bool,
}

/// What a sender sees while the receiver cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawUpstreamDown {
    /// Its connection is accepted and reset within a second.
    #[default]
    Reset,
    /// As `reset`, then the listener closes so that later attempts are refused.
    CloseListener,
}

/// Which form of the PROXY protocol is written; both are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// TLS with senders. Files are PEM, and read anew when they change.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSenderTls {
    /// File with the certificate chain, the server's own first.
    pub cert: String,
    /// File with its private key.
    pub key: String,
    /// File with the authorities of client certificates; with it each sender must show one.
    #[serde(default)]
    pub client_ca: Option<String>,
}

/// TLS with the receiver. Files are PEM, and read anew when they change.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawReceiverTls {
    /// File with the authorities that may name the receiver; no others are trusted.
    pub ca: String,
    /// File with the client certificate chain, where the receiver wants one.
    #[serde(default)]
    pub cert: Option<String>,
    /// File with its private key.
    #[serde(default)]
    pub key: Option<String>,
    /// The name that the receiver's certificate must have. Default: the host of `forward`.
    #[serde(default)]
    pub server_name: Option<String>,
}
