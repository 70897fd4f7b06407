//! One TCP connection of a capture, as the wire would tell it: opened, data, half-closed, closed,
//! reset, refused, unreachable.

use super::facts::{Facts, Places};
use super::half::{Half, Piece};
use super::packet::Segment;
use super::quality::{self, Sent, Vitals};
use super::undecided::{Undecided, starts_mllp};
use feedpulse_wire::{Direction, Event, Payload, Record, RefusedBy, Side, Unreachable};
use std::net::SocketAddr;

/// So long (µs) a missing piece may still come after the other side acknowledged it: packets of two
/// queues or interfaces can be out of order in a file. Longer, and answers would be read before the
/// messages that are held behind the gap. Live, an answer of the other side ends the wait.
const MISSING_FOR: i64 = 20_000;
/// Two attempts to connect are two only when they are this far (µs) apart; closer ones are copies.
const ATTEMPTS_APART: i64 = 200_000;
/// So long (µs) an attempt must have gone unanswered, and have been repeated, to be told.
const UNANSWERED_FOR: i64 = 3_000_000;

/// What the connections of a capture tell.
pub(crate) enum Told<'a> {
    /// As the wire would.
    Record(Record<'a>),
    /// Bytes that went to (or came from) a listener were not captured.
    Lost { listener: u16, from_us: i64, to_us: i64, bytes: u64 },
    /// A connection is followed no longer.
    Forget { connection: u64 },
}

/// What a connection needs from outside.
pub(crate) struct Around<'a, 'b> {
    pub(crate) at_us: i64,
    /// Packets come in the order in which they passed.
    pub(crate) in_order: bool,
    pub(crate) places: &'a mut Places,
    pub(crate) facts: &'a mut Facts,
    pub(crate) out: &'a mut (dyn FnMut(Told<'_>) + 'b),
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// No answer to its SYN yet.
    Dialling { first_us: i64, last_us: i64, tries: u32, told: bool },
    /// Both sides are there.
    Open,
    /// What comes still is an echo.
    Over,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) ends: [SocketAddr; 2],
    /// Which end accepted it; None while only content can tell.
    server: Option<usize>,
    /// Sequence number of its SYN, if that was captured.
    isn: Option<u32>,
    stage: Stage,
    listener: Option<u16>,
    /// What each end sent.
    halves: [Half; 2],
    half_closed: [bool; 2],
    undecided: Undecided,
    vitals: [Vitals; 2],
    /// Bytes handed out.
    bytes: u64,
    data_us: i64,
    /// An MLLP frame went over it.
    pub(crate) spoke: bool,
    /// A message went to the receiver, and nothing behind it was missed.
    pub(crate) asked: bool,
    /// Bytes to the receiver were missed.
    missed: bool,
    /// Second of its last packet.
    pub(crate) last_s: i64,
}

impl Connection {
    /// From its first captured packet.
    pub(crate) fn new(number: u64, ends: [SocketAddr; 2], server: Option<usize>, at: i64) -> Self {
        Self {
            number,
            ends,
            server,
            isn: None,
            stage: Stage::Open,
            listener: None,
            halves: [Half::default(), Half::default()],
            half_closed: [false; 2],
            undecided: Undecided::default(),
            vitals: Default::default(),
            bytes: 0,
            data_us: at,
            spoke: false,
            asked: false,
            missed: false,
            last_s: at.div_euclid(1_000_000),
        }
    }

    /// An attempt to connect.
    pub(crate) fn dial(&mut self, isn: u32, at_us: i64) {
        self.isn = Some(isn);
        let side = self.client();
        self.halves[side].begin(isn.wrapping_add(1), 0);
        self.stage = Stage::Dialling { first_us: at_us, last_us: at_us, tries: 1, told: false };
    }

    /// The address that accepted it, and the one that connected.
    pub(crate) fn parties(&self) -> Option<(SocketAddr, SocketAddr)> {
        let server = self.server?;
        Some((self.ends[server], self.ends[1 - server]))
    }

    fn client(&self) -> usize {
        1 - self.server.unwrap_or(1)
    }

    /// Its beginning was not captured.
    pub(crate) const fn was_picked_up(&self) -> bool {
        self.isn.is_none()
    }

    /// Whether what comes back now may answer a message that nobody saw.
    pub(crate) const fn may_answer_unseen(&self) -> bool {
        !self.asked && (self.missed || self.was_picked_up())
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(crate) const fn is_dialling(&self) -> bool {
        matches!(self.stage, Stage::Dialling { .. })
    }

    /// Whether a SYN is that of this very connection.
    pub(crate) fn began_with(&self, isn: u32, side: usize) -> bool {
        self.isn == Some(isn) && self.client() == side
    }

    /// Bytes that wait for earlier ones.
    pub(crate) fn held_bytes(&self) -> usize {
        self.halves.iter().map(Half::held_bytes).sum::<usize>() + self.undecided.bytes()
    }

    /// It carried bytes and not one frame.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.bytes > 0 && !self.spoke
    }

    /// Takes a segment that end `side` sent.
    pub(crate) fn take(&mut self, segment: &Segment<'_>, side: usize, around: &mut Around<'_, '_>) {
        match self.stage {
            Stage::Over => return,
            Stage::Dialling { .. } => {
                if !self.answered(segment, side, around) {
                    return;
                }
            }
            Stage::Open => {}
        }
        if segment.rst {
            self.reset(side, around);
            return;
        }
        if segment.syn && segment.ack.is_none() {
            return;
        }
        // Bytes before offset 1 of a connection that was picked up are those nobody saw.
        let start = u64::from(self.isn.is_none());
        let seq = segment.seq.wrapping_add(u32::from(segment.syn));
        if segment.syn {
            self.halves[side].begin(seq, 0);
        }
        if segment.length > 0 {
            self.halves[side].begin(seq, start);
        }
        self.note(seq, segment, side, around);
        if let Some(ack) = segment.ack {
            self.halves[1 - side].begin(ack, start);
            self.halves[1 - side].acknowledged(ack, around.at_us);
            self.time(side, around);
        }
        if segment.length > 0 {
            self.answered_what_is_missing(1 - side, around);
            self.feed(seq, segment, side, around);
        }
        if segment.fin && self.halves[side].has_begun() {
            let length = u32::try_from(segment.length).unwrap_or(u32::MAX);
            self.halves[side].ends_at(seq.wrapping_add(length));
        }
        self.look(around);
    }

    /// Who answers has what was sent before: what is missing of it is not under way any more, and what is
    /// held behind it comes before the answer.
    fn answered_what_is_missing(&mut self, side: usize, around: &mut Around<'_, '_>) {
        while around.in_order && self.halves[side].look(around.at_us).is_some() {
            self.give_up(side, around);
        }
    }

    /// A side ended it; without a word from the other one for long, that one was given up.
    fn reset(&mut self, side: usize, around: &mut Around<'_, '_>) {
        self.flush(around);
        let (by, other) = (self.side(side), self.side(1 - side));
        if let Some(quality) = around.places.quality(self.listener) {
            quality.resets[usize::from(by == Side::Receiver)] += 1;
        }
        let gone = self.vitals[1 - side].is_gone();
        let event = if gone { Event::TimedOut { side: other } } else { Event::Reset { by } };
        self.tell(event, around);
        self.stage = Stage::Over;
    }

    /// What the segment says of the connection itself.
    fn note(&mut self, seq: u32, segment: &Segment<'_>, side: usize, around: &mut Around<'_, '_>) {
        let window = (!segment.syn).then_some(segment.window);
        let (at_us, length) = (around.at_us, segment.length);
        let place = self.halves[side].place(seq, length);
        let sent = Sent { at_us, side, seq, length, place, window };
        let server = self.server.unwrap_or(1);
        let quality = around.places.quality(self.listener);
        let noted = quality::note(&mut self.vitals, &sent, server, quality);
        if let Some(for_us) = noted.other_gone.and_then(|us| u64::try_from(us).ok()) {
            self.tell(Event::HalfOpen { side: self.side(1 - side), for_us }, around);
        }
    }

    /// How long the ACK took, if it was timed.
    fn time(&mut self, side: usize, around: &mut Around<'_, '_>) {
        let acked = self.halves[1 - side].acked();
        let took = quality::acknowledged(&mut self.vitals, side, acked, around.at_us);
        let by = usize::from(self.side(side) == Side::Receiver);
        if let (Some(took), Some(quality)) = (took, around.places.quality(self.listener)) {
            quality.round_trips[by].record(took);
        }
    }

    /// While no answer was seen: whether the segment is one, so that the connection is open.
    fn answered(
        &mut self,
        segment: &Segment<'_>,
        side: usize,
        around: &mut Around<'_, '_>,
    ) -> bool {
        let from_client = side == self.client();
        if segment.rst {
            if !from_client {
                let (server, peer) = self.parties().unwrap_or((segment.from, segment.to));
                around.facts.refuse(server, true);
                self.tell(Event::Refused { peer, by: RefusedBy::Receiver }, around);
                if let Some(quality) = around.places.quality(self.listener) {
                    quality.refused += 1;
                }
            }
            self.stage = Stage::Over;
            return false;
        }
        if segment.syn && segment.ack.is_none() {
            if let Stage::Dialling { last_us, tries, .. } = &mut self.stage
                && from_client
                && around.at_us - *last_us >= ATTEMPTS_APART
            {
                *last_us = around.at_us;
                *tries += 1;
            }
            self.unanswered(around);
            return false;
        }
        // Its SYN and ACK may have been lost to the capture.
        if !from_client || segment.ack.is_some() {
            self.open(around);
            return true;
        }
        false
    }

    /// Both sides are there.
    pub(crate) fn open(&mut self, around: &mut Around<'_, '_>) {
        self.stage = Stage::Open;
        around.facts.connections += 1;
        around.facts.picked_up += u64::from(self.isn.is_none());
        if let Some((upstream, peer)) = self.parties().filter(|_| self.isn.is_some()) {
            self.tell(Event::Opened { peer, upstream }, around);
            if let Some(quality) = around.places.quality(self.listener) {
                quality.connections += 1;
            }
        }
    }

    /// Tells once that nobody answers.
    pub(crate) fn unanswered(&mut self, around: &mut Around<'_, '_>) {
        let Stage::Dialling { first_us, tries, told, .. } = &mut self.stage else { return };
        if *told || *tries < 2 || around.at_us - *first_us < UNANSWERED_FOR {
            return;
        }
        *told = true;
        if let Some((server, peer)) = self.parties() {
            around.facts.refuse(server, false);
            self.tell(Event::Unreachable { peer, why: Unreachable::Timeout }, around);
            if let Some(quality) = around.places.quality(self.listener) {
                quality.unanswered += 1;
            }
        }
    }

    fn feed(&mut self, seq: u32, segment: &Segment<'_>, side: usize, around: &mut Around<'_, '_>) {
        let mut half = core::mem::take(&mut self.halves[side]);
        let new = half.take(seq, segment.payload, segment.length, &mut |piece| {
            self.piece(side, &piece, around);
        });
        self.halves[side] = half;
        around.facts.repeated += u64::from(!new);
        around.facts.cut_packets += u64::from(segment.payload.len() < segment.length);
    }

    fn piece(&mut self, side: usize, piece: &Piece<'_>, around: &mut Around<'_, '_>) {
        match *piece {
            Piece::Bytes(offset, bytes) => {
                self.bytes += bytes.len() as u64;
                self.data_us = around.at_us;
                if self.server.is_some() {
                    self.data(side, offset, bytes, around);
                } else if self.undecided.hold(side, offset, bytes, around.at_us) {
                    self.decide(false, around);
                }
            }
            Piece::Lost(bytes) => {
                around.facts.gaps += 1;
                around.facts.gap_bytes += bytes;
                if self.server != Some(side) {
                    (self.asked, self.missed) = (false, true);
                }
                if let Some(listener) = self.listener {
                    let (from_us, to_us) = (self.data_us, around.at_us);
                    (around.out)(Told::Lost { listener, from_us, to_us, bytes });
                }
            }
        }
    }

    /// Settles who accepted the connection, by content; by port when it must be.
    fn decide(&mut self, must: bool, around: &mut Around<'_, '_>) {
        let ports = self.ends.map(|end| end.port());
        let by_port = must.then_some(usize::from(ports[1] < ports[0]));
        let Some(server) = self.undecided.receiver().or(by_port) else { return };
        self.server = Some(server);
        let (now, held) = (around.at_us, core::mem::take(&mut self.undecided));
        for (at_us, side, offset, bytes) in held.into_pieces() {
            around.at_us = at_us;
            self.data(side, offset, &bytes, around);
        }
        around.at_us = now;
    }

    fn data(&mut self, side: usize, offset: u64, bytes: &[u8], around: &mut Around<'_, '_>) {
        if self.listener.is_none()
            && let Some((server, client)) = self.parties()
        {
            self.listener = around.places.listener(server, client, starts_mllp(bytes));
            if let Some(quality) = around.places.quality(self.listener) {
                quality.connections += 1;
            }
        }
        let direction = self.direction(side);
        self.tell(Event::Data { direction, offset, bytes: Payload(bytes) }, around);
    }

    fn direction(&self, side: usize) -> Direction {
        if self.server == Some(side) { Direction::ToSender } else { Direction::ToReceiver }
    }

    fn side(&self, side: usize) -> Side {
        if self.server == Some(side) { Side::Receiver } else { Side::Sender }
    }

    fn tell(&mut self, event: Event<'_>, around: &mut Around<'_, '_>) {
        if self.listener.is_none()
            && let Some((server, client)) = self.parties()
        {
            self.listener = around.places.listener(server, client, false);
        }
        if let Some(listener) = self.listener {
            let (connection, at_us) = (self.number, around.at_us);
            (around.out)(Told::Record(Record { listener, connection, at_us, event }));
        }
    }

    /// Gives up what is missing for too long, and tells the ends.
    pub(crate) fn look(&mut self, around: &mut Around<'_, '_>) {
        for side in 0..2 {
            let missing = self.halves[side].look(around.at_us);
            if missing.is_some_and(|since| around.at_us - since >= MISSING_FOR) {
                self.give_up(side, around);
            }
        }
        for side in 0..2 {
            if self.halves[side].is_over() && !self.half_closed[side] && !self.is_over() {
                self.half_closed[side] = true;
                if self.server.is_none() {
                    self.decide(true, around);
                }
                let (direction, offset) = (self.direction(side), self.halves[side].next());
                self.tell(Event::HalfClosed { direction, offset }, around);
            }
        }
        if self.half_closed == [true; 2] && !self.is_over() {
            self.close(around);
        }
    }

    /// Whether something is awaited that may never come.
    pub(crate) fn is_waiting(&mut self, at_us: i64) -> bool {
        self.held_bytes() > 0 || self.halves.iter_mut().any(|half| half.look(at_us).is_some())
    }

    fn give_up(&mut self, side: usize, around: &mut Around<'_, '_>) {
        let mut half = core::mem::take(&mut self.halves[side]);
        half.give_up(&mut |piece| self.piece(side, &piece, around));
        self.halves[side] = half;
    }

    /// Makes room: what is missing is lost.
    pub(crate) fn make_room(&mut self, around: &mut Around<'_, '_>) {
        for side in 0..2 {
            while self.halves[side].held_bytes() > 0 {
                self.give_up(side, around);
            }
        }
        if self.server.is_none() {
            self.decide(true, around);
        }
    }

    /// Hands out all that is held: nothing more will come.
    pub(crate) fn flush(&mut self, around: &mut Around<'_, '_>) {
        for side in 0..2 {
            let mut half = core::mem::take(&mut self.halves[side]);
            half.finish(&mut |piece| self.piece(side, &piece, around));
            self.halves[side] = half;
        }
        if self.server.is_none() {
            self.decide(true, around);
        }
    }

    /// Over in order, or its addresses were taken by a new one.
    pub(crate) fn close(&mut self, around: &mut Around<'_, '_>) {
        if matches!(self.stage, Stage::Open) {
            self.flush(around);
            self.tell(Event::Closed, around);
        }
        self.stage = Stage::Over;
    }
}
