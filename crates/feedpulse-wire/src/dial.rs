//! Reaching the receiver.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{ListenerConfig, OnUpstreamDown};
use crate::forward::{Open, refused};
use crate::record::{Event, RefusedBy, Unreachable};
use crate::state::count;

/// Why a dial failed.
pub(crate) enum DialError {
    Refused,
    Unreachable(Unreachable),
    /// Says nothing about the receiver.
    FileLimit,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::MFILE | Errno::NFILE) => Self::FileLimit,
            Some(Errno::HOSTUNREACH | Errno::NETUNREACH) => Self::Unreachable(Unreachable::NoRoute),
            Some(Errno::TIMEDOUT) => Self::Unreachable(Unreachable::Timeout),
            errno => Self::Unreachable(Unreachable::Other(errno.map_or(0, Errno::raw_os_error))),
        }
    }
}

/// Looks the receiver up and connects to the first of its addresses that answers, all within the
/// connect timeout; each address gets an equal part of the time that is left.
pub(crate) async fn dial(config: &ListenerConfig) -> Result<TcpStream, DialError> {
    let deadline = Instant::now() + config.connect_timeout;
    let too_late = |_| DialError::Unreachable(Unreachable::Timeout);
    let found = timeout_at(deadline, tokio::net::lookup_host(&config.forward)).await;
    let addresses: Vec<_> = match found.map_err(too_late)? {
        Ok(addresses) => addresses.collect(),
        Err(error) if Errno::from_io_error(&error).is_some() => return Err(error.into()),
        Err(_) => Vec::new(),
    };
    let mut failure = DialError::Unreachable(Unreachable::NoName);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(receiver)) => return Ok(receiver),
            Ok(Err(error)) => failure = error.into(),
            Err(late) => failure = too_late(late),
        }
    }
    Err(failure)
}

/// Tells of a failed dial, and has the listener closed if that is wanted.
pub(crate) fn failed(open: &Open, id: u64, peer: SocketAddr, failure: DialError) {
    let Open { wire, lane, generation } = open;
    match failure {
        DialError::FileLimit => return refused(wire, lane, id, peer, RefusedBy::FileLimit),
        DialError::Refused => refused(wire, lane, id, peer, RefusedBy::Receiver),
        DialError::Unreachable(why) => {
            count(&wire.counters.unreachable, 1);
            wire.offer(lane.index, id, Event::Unreachable { peer, why });
        }
    }
    let wanted = lane.config.on_upstream_down == OnUpstreamDown::CloseListener;
    if wanted && lane.generation.get() == *generation {
        lane.generation.set(generation + 1);
        lane.upstream_down.notify_one();
    }
}
