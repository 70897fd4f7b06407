//! What a capture itself has to tell: counts, times, places. No content.

use super::quality::Quality;
use feedpulse_core::plan::PeerNet;
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
    /// Segments whose checksum is wrong, of live packets only; nobody takes them.
    pub bad_checksums: u64,
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
    /// Answers to messages that began before the capture, or fell into a gap; of live packets only.
    pub to_unseen: u64,
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
    /// Where it listens; of one that stands for many, where the first connection went.
    pub address: SocketAddr,
    /// Where connections to it came from.
    pub clients: BTreeSet<IpAddr>,
    /// What TCP tells of its connections.
    pub quality: Quality,
}

/// Receiving ends by port, and by address where that is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where they listen.
    pub port: u16,
    /// Their addresses; empty = any.
    pub nets: Vec<PeerNet>,
}

impl Endpoints {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contain(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let is_inside = self.nets.is_empty() || self.nets.iter().any(|net| net.contains(ip));
        self.port == address.port() && is_inside
    }
}

/// Which endpoints are looked at; listeners are numbered as in the wire.
#[derive(Debug, Default)]
pub(crate) struct Places {
    numbers: HashMap<SocketAddr, u16>,
    pub(crate) list: Vec<Endpoint>,
    pub(crate) learning: bool,
    /// Those that stand for many, with their numbers.
    rules: Vec<(Endpoints, u16)>,
}

impl Places {
    pub(crate) fn add(&mut self, address: SocketAddr) -> Option<u16> {
        let number = u16::try_from(self.list.len()).ok()?;
        if self.list.len() >= ENDPOINTS_MAX {
            return None;
        }
        self.list.push(Endpoint { address, clients: BTreeSet::new(), quality: Quality::default() });
        self.numbers.insert(address, number);
        Some(number)
    }

    /// Looks at all of these as at one; those that were added first win.
    pub(crate) fn add_all(&mut self, endpoints: Endpoints) -> Option<u16> {
        let number = u16::try_from(self.list.len()).ok()?;
        if self.list.len() >= ENDPOINTS_MAX {
            return None;
        }
        let address = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), endpoints.port);
        self.list.push(Endpoint { address, clients: BTreeSet::new(), quality: Quality::default() });
        self.rules.push((endpoints, number));
        Some(number)
    }

    /// The number of an address that is looked at.
    fn number(&self, address: SocketAddr) -> Option<u16> {
        let rule = || self.rules.iter().find(|(endpoints, _)| endpoints.contain(address));
        self.numbers.get(&address).copied().or_else(|| rule().map(|(_, number)| *number))
    }

    /// Whether an address is one that is looked at.
    pub(crate) fn know(&self, address: SocketAddr) -> bool {
        self.number(address).is_some()
    }

    /// Where what TCP tells of a listener's connections is counted.
    pub(crate) fn quality(&mut self, listener: Option<u16>) -> Option<&mut Quality> {
        Some(&mut self.list.get_mut(usize::from(listener?))?.quality)
    }

    /// The listener of an endpoint; `speaks` says that what goes there looks like MLLP.
    pub(crate) fn listener(
        &mut self,
        server: SocketAddr,
        client: SocketAddr,
        speaks: bool,
    ) -> Option<u16> {
        let number = self
            .number(server)
            .or_else(|| (self.learning && speaks).then(|| self.add(server))?)?;
        let endpoint = self.list.get_mut(usize::from(number))?;
        if endpoint.clients.is_empty() {
            endpoint.address = server;
        }
        if endpoint.clients.len() < CLIENTS_MAX {
            endpoint.clients.insert(client.ip());
        }
        Some(number)
    }
}
