//! What a wire is told when it starts. How that is written as arguments is `args`' matter.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::ring::DEFAULT_CAPACITY;

/// The longest time that any option accepts: one day.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// All that a wire needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireConfig {
    /// Path of the Unix socket for hand-over and statistics. Its folder is made with mode 0700,
    /// or must have it.
    pub socket: PathBuf,
    /// Size of the ring in bytes: a power of two from 64 KiB to 1 GiB; 16 MiB by default.
    pub ring_bytes: usize,
    /// How long open connections may go on after the wire was told to end; 25 s by default.
    pub drain: Duration,
    /// How many connections may be open at once at all listeners together; 4096 by default. More
    /// are reset. Half of the process's limit of open files, less some for itself, is a limit too.
    pub max_connections: usize,
    /// The most bytes that are held, of all connections together, for peers that do not take them;
    /// 16 MiB by default. Beyond it nothing more is held: what a peer does not take then stays in
    /// the other peer's socket.
    pub buffer_bytes: u64,
    /// Take over from the wire that runs at this socket: its listening sockets, its ring, and its
    /// connections.
    pub take_over: bool,
    /// Where to listen and where to forward to; 1 to 250 of them.
    pub listeners: Vec<ListenerConfig>,
}

/// One listener and its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name: 1 to 64 letters, digits, `-`, `_` or `.`.
    pub name: String,
    /// Where it listens; port 0 lets the system choose. `[::]` takes IPv4 too.
    pub listen: SocketAddr,
    /// The receiver as `HOST:PORT`, looked up at each dial.
    pub forward: String,
    /// What to do when the receiver cannot be reached.
    pub on_upstream_down: OnUpstreamDown,
    /// How long a dial may take, the name's look-up included; 900 ms by default, so that the
    /// sender sees the reset within a second.
    pub connect_timeout: Duration,
    /// After how long without a byte a connection is reported idle; 5 min by default.
    pub idle_after: Duration,
    /// How many connections may be open at once; 1024 by default. More are reset.
    pub max_connections: usize,
    /// Each connection starts with a PROXY protocol header (version 1 or 2), which says who the
    /// sender is; one that does not is reset.
    pub accept_proxy: bool,
    /// Each connection to the receiver is started with a PROXY protocol header.
    pub send_proxy: Option<ProxyVersion>,
    /// TLS with the sender, ended here. Without it whatever the sender speaks passes through.
    pub tls: Option<SenderTls>,
    /// TLS with the receiver, begun here.
    pub forward_tls: Option<ReceiverTls>,
    /// Said on purpose: one side speaks TLS with the wire and the other plain text.
    pub plain: bool,
}

/// Which form of the PROXY protocol is written; both are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// How TLS with senders is spoken. All files are PEM, and read anew when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderTls {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of client certificates; with it each sender must show one.
    pub client_ca: Option<PathBuf>,
}

/// How TLS with the receiver is spoken. All files are PEM, and read anew when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverTls {
    /// The authorities that are trusted to name the receiver; no others are.
    pub ca: PathBuf,
    /// The client certificate chain and its private key, where the receiver wants one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name (or address) that the receiver's certificate must have; the host of `forward` by
    /// default.
    pub server_name: Option<String>,
}

/// What to do when the receiver cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUpstreamDown {
    /// Go on accepting, and reset each sender.
    #[default]
    Reset,
    /// Reset this sender, and stop listening until the receiver can be reached again, so that
    /// later attempts are refused.
    CloseListener,
}

impl WireConfig {
    /// A wire with the default limits.
    pub fn new(socket: impl Into<PathBuf>, listeners: Vec<ListenerConfig>) -> Self {
        Self {
            socket: socket.into(),
            ring_bytes: DEFAULT_CAPACITY,
            drain: Duration::from_secs(25),
            max_connections: 4096,
            buffer_bytes: 16 << 20,
            take_over: false,
            listeners,
        }
    }
}

impl ListenerConfig {
    /// A listener with the default limits.
    pub fn new(name: &str, listen: SocketAddr, forward: &str) -> Self {
        Self {
            name: name.to_owned(),
            listen,
            forward: forward.to_owned(),
            on_upstream_down: OnUpstreamDown::Reset,
            connect_timeout: Duration::from_millis(900),
            idle_after: Duration::from_secs(300),
            max_connections: 1024,
            accept_proxy: false,
            send_proxy: None,
            tls: None,
            forward_tls: None,
            plain: false,
        }
    }

    /// Whether the wire speaks TLS on either side.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.tls.is_some() || self.forward_tls.is_some()
    }

    /// What in this listener cannot be or must be said on purpose, and what would be right.
    ///
    /// # Errors
    /// The first of them, as a text for people.
    pub fn check(&self) -> Result<(), &'static str> {
        let (host, port) = self.forward.rsplit_once(':').unwrap_or(("", ""));
        if host.is_empty() || !port.parse::<u16>().is_ok_and(|port| port != 0) {
            return Err("needs forward=HOST:PORT, like forward=engine:2575");
        }
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(
                "an IPv6 address before a port stands in brackets, like [2001:db8::1]:2575",
            );
        }
        if self.connect_timeout.max(self.idle_after) > MAX_TIME {
            return Err("a time longer than 24h");
        }
        let files = [
            self.tls.as_ref().map(|tls| &tls.cert),
            self.tls.as_ref().map(|tls| &tls.key),
            self.tls.as_ref().and_then(|tls| tls.client_ca.as_ref()),
            self.forward_tls.as_ref().map(|tls| &tls.ca),
            self.forward_tls.as_ref().and_then(|tls| Some(&tls.identity.as_ref()?.0)),
            self.forward_tls.as_ref().and_then(|tls| Some(&tls.identity.as_ref()?.1)),
        ];
        if files.into_iter().flatten().any(|file| file.to_str().is_none_or(|f| f.contains(','))) {
            return Err("the path of a file for TLS is UTF-8 and has no comma");
        }
        match (&self.tls, &self.forward_tls, self.plain) {
            (Some(_), None, false) => Err(
                "the sender's side speaks TLS and the receiver's would be plain text: give the \
                 receiver's TLS too, or say plain on purpose",
            ),
            (None, Some(_), false) => Err(
                "the receiver's side speaks TLS and the sender's would be plain text: give the \
                 sender's TLS too, or say plain on purpose",
            ),
            (None, None, true) | (Some(_), Some(_), true) => {
                Err("plain is for a listener with TLS on one side only")
            }
            _ => Ok(()),
        }
    }

    /// The name that the receiver's certificate must have.
    pub(crate) fn receiver_name(&self) -> &str {
        let stated = self.forward_tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        let host = self.forward.rsplit_once(':').map_or("", |(host, _)| host);
        stated.unwrap_or(host.trim_start_matches('[').trim_end_matches(']'))
    }
}
