//! All TCP connections of a capture, found by their two addresses. Bounded: the oldest go first, and
//! are counted.

use super::connection::{Around, Connection, Told};
use super::facts::{Facts, Places};
use super::packet::Segment;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

/// Most connections that are followed at once.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Most bytes that all connections hold out of order.
pub const HELD_ALL_MAX: usize = 64 << 20;
/// Most addresses that are remembered as accepting connections.
const SERVERS_MAX: usize = 65_536;
/// So long (µs) the addresses of a connection that is over are remembered, for its echoes.
const ECHO_FOR: i64 = 120_000_000;

/// The two ends, the smaller first.
type Pair = [SocketAddr; 2];

/// How much of a capture is followed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections: [`CONNECTIONS_MAX`] unless said otherwise.
    pub connections: usize,
    /// Bytes out of order: [`HELD_ALL_MAX`] unless said otherwise.
    pub held: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, held: HELD_ALL_MAX }
    }
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    connections: HashMap<Pair, Connection>,
    by_number: BTreeMap<u64, Pair>,
    last_number: u64,
    /// By second of the last packet.
    recent: BTreeSet<(i64, u64)>,
    /// Those with bytes missing or attempts unanswered.
    waiting: BTreeSet<u64>,
    /// Those that are over, in order of time (µs).
    over: VecDeque<(i64, u64)>,
    servers: HashSet<SocketAddr>,
    held: usize,
    pub(crate) limits: Limits,
    /// Packets come in the order in which they passed: live, and not from a file.
    pub(crate) in_order: bool,
    pub(crate) places: Places,
    pub(crate) facts: Facts,
}

impl Table {
    /// Takes a segment.
    pub(crate) fn take(
        &mut self,
        at_us: i64,
        segment: &Segment<'_>,
        out: &mut dyn FnMut(Told<'_>),
    ) {
        let side = usize::from(segment.from > segment.to);
        let mut pair = [segment.from, segment.to];
        pair.sort_unstable();
        let dials = segment.syn && segment.ack.is_none() && !segment.rst;
        let known = self.connections.get(&pair);
        let reuses =
            dials && known.is_some_and(|c| !c.is_dialling() && !c.began_with(segment.seq, side));
        if reuses && let Some(number) = known.map(|c| c.number) {
            self.with(number, at_us, out, |connection, around| connection.close(around));
            self.remove(number, out);
        }
        let known = self.connections.get(&pair).map(|c| c.number);
        let Some(number) = known.or_else(|| self.add(at_us, segment, pair, side, out)) else {
            return;
        };
        self.with(number, at_us, out, |connection, around| connection.take(segment, side, around));
        self.touch(number, &pair, at_us);
        self.make_room(at_us, out);
    }

    /// A connection from its first packet; none from an echo.
    fn add(
        &mut self,
        at_us: i64,
        segment: &Segment<'_>,
        pair: Pair,
        side: usize,
        out: &mut dyn FnMut(Told<'_>),
    ) -> Option<u64> {
        let dials = segment.syn && segment.ack.is_none() && !segment.rst;
        let answers = segment.syn && segment.ack.is_some();
        if !dials && !answers && segment.length == 0 {
            return None;
        }
        let known = pair.map(|end| self.servers.contains(&end) || self.places.know(end));
        let server = match (dials, answers, known) {
            (true, ..) => Some(1 - side),
            (_, true, _) => Some(side),
            (.., [true, false]) => Some(0),
            (.., [false, true]) => Some(1),
            _ => None,
        };
        while self.connections.len() >= self.limits.connections
            && let Some((_, oldest)) = self.recent.first().copied()
        {
            self.facts.shed += 1;
            self.remove(oldest, out);
        }
        self.last_number += 1;
        let number = self.last_number;
        let mut connection = Connection::new(number, pair, server, at_us);
        if dials {
            connection.dial(segment.seq, at_us);
        } else if let (Some(ack), true) = (segment.ack, answers) {
            connection.dial(ack.wrapping_sub(1), at_us);
        }
        if let Some(server) = server.filter(|_| dials || answers)
            && self.servers.len() < SERVERS_MAX
        {
            self.servers.insert(pair[server]);
        }
        self.recent.insert((connection.last_s, number));
        self.by_number.insert(number, pair);
        self.connections.insert(pair, connection);
        if !dials && !answers {
            self.with(number, at_us, out, |connection, around| connection.open(around));
        }
        Some(number)
    }

    /// Works on one connection, and notes what has become of it.
    fn with(
        &mut self,
        number: u64,
        at_us: i64,
        out: &mut dyn FnMut(Told<'_>),
        work: impl FnOnce(&mut Connection, &mut Around<'_, '_>),
    ) {
        let Some(pair) = self.by_number.get(&number) else { return };
        let Some(connection) = self.connections.get_mut(pair) else { return };
        let (held, was_over) = (connection.held_bytes(), connection.is_over());
        let (places, facts, in_order) = (&mut self.places, &mut self.facts, self.in_order);
        work(connection, &mut Around { at_us, in_order, places, facts, out });
        self.held = self.held + connection.held_bytes() - held;
        if connection.is_waiting(at_us) || connection.is_dialling() {
            self.waiting.insert(number);
        } else {
            self.waiting.remove(&number);
        }
        if connection.is_over() && !was_over {
            self.over.push_back((at_us, number));
        }
    }

    /// Notes when a packet of a connection was seen.
    fn touch(&mut self, number: u64, pair: &Pair, at_us: i64) {
        let Some(connection) = self.connections.get_mut(pair) else { return };
        let second = at_us.div_euclid(1_000_000);
        if second != connection.last_s {
            self.recent.remove(&(connection.last_s, number));
            self.recent.insert((second, number));
            connection.last_s = second;
        }
    }

    /// All connections together hold too much: the oldest that holds something gives up.
    fn make_room(&mut self, at_us: i64, out: &mut dyn FnMut(Told<'_>)) {
        while self.held > self.limits.held {
            let holds = |number: &&u64| self.find(**number).is_some_and(|c| c.held_bytes() > 0);
            let Some(number) = self.waiting.iter().find(holds).copied() else { return };
            self.with(number, at_us, out, |connection, around| connection.make_room(around));
        }
    }

    /// Once a second: what is missing for too long, attempts that nobody answers, old echoes.
    pub(crate) fn second(&mut self, at_us: i64, out: &mut dyn FnMut(Told<'_>)) {
        let waiting: Vec<u64> = self.waiting.iter().copied().collect();
        for number in waiting {
            self.with(number, at_us, out, |connection, around| {
                connection.unanswered(around);
                connection.look(around);
            });
        }
        while let Some((_, number)) =
            self.over.front().copied().filter(|(since, _)| at_us - since >= ECHO_FOR)
        {
            self.over.pop_front();
            self.remove(number, out);
        }
    }

    fn remove(&mut self, number: u64, out: &mut dyn FnMut(Told<'_>)) {
        let Some(pair) = self.by_number.remove(&number) else { return };
        let Some(connection) = self.connections.remove(&pair) else { return };
        self.recent.remove(&(connection.last_s, number));
        self.waiting.remove(&number);
        self.held -= connection.held_bytes();
        self.facts.not_mllp += u64::from(connection.is_foreign());
        if !connection.is_over() {
            out(Told::Forget { connection: number });
        }
    }

    /// Notes that a frame went over a connection; whether it answers one that nobody saw: on a connection
    /// that was open before, or that has a gap, nothing has gone to the receiver since.
    pub(crate) fn spoke(&mut self, number: u64, to_receiver: bool) -> bool {
        let connection = self.by_number.get(&number).and_then(|p| self.connections.get_mut(p));
        let Some(connection) = connection else { return false };
        connection.spoke = true;
        connection.asked |= to_receiver;
        !to_receiver && connection.may_answer_unseen()
    }

    /// Connections that are followed, and bytes that they hold out of order.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.connections.len(), self.held)
    }

    fn find(&self, number: u64) -> Option<&Connection> {
        self.connections.get(self.by_number.get(&number)?)
    }

    /// The receiving and the sending address of a connection.
    pub(crate) fn parties(&self, number: u64) -> Option<(SocketAddr, SocketAddr)> {
        self.find(number)?.parties()
    }

    /// Whether the beginning of a connection was not captured.
    pub(crate) fn was_picked_up(&self, number: u64) -> bool {
        self.find(number).is_some_and(Connection::was_picked_up)
    }

    /// The capture has ended: what is held is handed out.
    pub(crate) fn flush(&mut self, at_us: i64, out: &mut dyn FnMut(Told<'_>)) {
        let numbers: Vec<u64> = self.by_number.keys().copied().collect();
        for number in numbers {
            self.with(number, at_us, out, |connection, around| {
                connection.unanswered(around);
                connection.flush(around);
            });
        }
    }

    /// Counts what is still in the table as if it were over.
    pub(crate) fn settled(&self) -> Facts {
        let mut facts = self.facts.clone();
        facts.not_mllp += self.connections.values().filter(|c| c.is_foreign()).count() as u64;
        facts
    }
}
