//! What a capture itself has to tell: counts, times, places. No content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

/// Most endpoints that are kept apart; connections to further ones are counted only.
pub const ENDPOINTS_MAX: usize = 4_096;
/// Most addresses of clients that are kept for one endpoint.
const CLIENTS_MAX: usize = 64;
/// Most endpoints whose refusals are kept apart.
const REFUSED_MAX: usize = 1_000;

/// Counts over all that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Packets in the files.
    pub packets: u64,
    /// Of these, TCP segments.
    pub segments: u64,
    /// Packets of something other than TCP over IP.
    pub not_tcp: u64,
    /// IP fragments; they are not joined, so their bytes are gaps.
    pub fragments: u64,
    /// Packets whose headers are cut or make no sense.
    pub undecodable: u64,
    /// Packets of a link layer that is not known, by its number (tcpdump.org/linktypes.html).
    pub unknown_links: BTreeMap<i32, u64>,
    /// Packets of which the file holds the head only (a snap length was set).
    pub cut_packets: u64,
    /// Packets whose time lies before that of an earlier one; they count at that one's time.
    pub time_went_back: u64,
    /// First and last time, in µs since the epoch.
    pub times: Option<(i64, i64)>,
    /// Connections that were open at some time.
    pub connections: u64,
    /// Of these, those that began before the capture.
    pub picked_up: u64,
    /// Connections that carried bytes and no MLLP frame.
    pub not_mllp: u64,
    /// Connections dropped because too many were open.
    pub shed: u64,
    /// Stretches of a connection that were not captured.
    pub gaps: u64,
    /// Their bytes.
    pub gap_bytes: u64,
    /// Segments that held nothing new: retransmissions, keep-alives, copies.
    pub repeated: u64,
    /// By endpoint: connections refused, and attempts that were never answered.
    pub refused: BTreeMap<SocketAddr, (u64, u64)>,
}

impl Facts {
    pub(crate) fn refuse(&mut self, endpoint: SocketAddr, answered: bool) {
        if self.refused.len() >= REFUSED_MAX && !self.refused.contains_key(&endpoint) {
            return;
        }
        let (refused, unanswered) = self.refused.entry(endpoint).or_default();
        *(if answered { refused } else { unanswered }) += 1;
    }
}

/// A receiving end.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where connections to it came from.
    pub clients: BTreeSet<IpAddr>,
}

/// Which endpoints are looked at; listeners are numbered as in the wire.
#[derive(Debug, Default)]
pub(crate) struct Places {
    numbers: HashMap<SocketAddr, u16>,
    pub(crate) list: Vec<Endpoint>,
    pub(crate) learning: bool,
}

impl Places {
    pub(crate) fn add(&mut self, address: SocketAddr) -> Option<u16> {
        let number = u16::try_from(self.list.len()).ok()?;
        if self.list.len() >= ENDPOINTS_MAX {
            return None;
        }
        self.list.push(Endpoint { address, clients: BTreeSet::new() });
        self.numbers.insert(address, number);
        Some(number)
    }

    /// The listener of an endpoint; `speaks` says that what goes there looks like MLLP.
    pub(crate) fn listener(
        &mut self,
        server: SocketAddr,
        client: SocketAddr,
        speaks: bool,
    ) -> Option<u16> {
        let known = self.numbers.get(&server).copied();
        let number = known.or_else(|| (self.learning && speaks).then(|| self.add(server))?)?;
        let endpoint = self.list.get_mut(usize::from(number))?;
        if endpoint.clients.len() < CLIENTS_MAX {
            endpoint.clients.insert(client.ip());
        }
        Some(number)
    }
}
