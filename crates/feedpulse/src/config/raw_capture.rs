//! The part of the configuration file about passive capture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Passive capture: packets of this network namespace, read beside their way. Needs CAP_NET_RAW
/// (docs/capture.md).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCapture {
    /// Names of interfaces such as `[eth0]`, at most 64; they may come and go. Default: all, and `lo`
    /// once.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Where senders connect, 1 to 512; the first that fits counts.
    pub endpoints: Vec<RawEndpoint>,
    /// Size of the kernel's ring in MiB, 1 to 1024: what it holds may wait for this process. Default
    /// 16, which is 130 ms of a full gigabit.
    #[serde(default)]
    pub ring_mib: Option<u64>,
    /// Most MiB of bytes that wait for earlier ones of their connection, 1 to 4096. Default 64.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// Most connections that are followed at once, 16 to 65536 (default); the one that was quiet for
    /// longest goes first.
    #[serde(default)]
    pub connections: Option<u64>,
}

/// A receiving end, or several that are one waypoint.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEndpoint {
    /// Name of the waypoint that it is.
    pub waypoint: String,
    /// The port where it listens.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Its addresses, or blocks of them, such as `[10.0.0.7, 10.1.0.0/16]`, at most 64: to tell receivers
    /// with the same port apart. Names are not looked up. Default: any.
    #[serde(default)]
    pub addresses: Vec<String>,
}
