//! Links: a sender to the engine, or the engine to a portal. One message or batch is under way at a
//! time; what is not answered is sent again.

use super::{Fate, Passed, Play, Reply, Step};
use crate::plan::{Fault, FaultKind, SECOND};
use crate::text::{self, Letter};
use feedpulse_core::frame::Direction;
use std::collections::VecDeque;

/// A sender or the engine waits this long for an answer before it sends again.
const TIME_OUT: i64 = 8 * SECOND;
/// A refused connection, or a refused message, is tried again after this.
pub(super) const RECONNECT: i64 = 5 * SECOND;
/// Messages in a batch, at most.
const BATCH_MAX: usize = 8;

/// What a link sends at once: a message, or a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) numbers: Vec<usize>,
    /// The ids of the messages on this link.
    pub(super) ids: Vec<String>,
    pub(super) tries: u32,
    /// Names its time-out.
    pub(super) ticket: u64,
    /// BHS-11, where it is a batch.
    pub(super) batch: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) connection: Option<u64>,
    pub(super) queue: VecDeque<usize>,
    /// What waits for an answer.
    pub(super) open: Option<Sent>,
    /// What is sent again.
    pub(super) again: Option<Sent>,
    /// Nothing is sent before.
    pub(super) not_before: i64,
    /// The id sent last, of those that were answered.
    pub(super) answered: String,
}

impl Play<'_> {
    /// Sends the head of a link's queue, if nothing waits.
    pub(super) fn pump(&mut self, now: i64, link: usize) {
        let here = &self.links[link];
        if here.open.is_some() || now < here.not_before || here.queue.is_empty() {
            return;
        }
        if !self.connect(now, link) {
            return;
        }
        let connection = self.links[link].connection.unwrap_or(0);
        let mut sent = self.links[link].again.take().unwrap_or_else(|| self.next(link));
        self.tickets += 1;
        (sent.tries, sent.ticket) = (sent.tries + 1, self.tickets);
        let bytes = self.write(link, &sent, now);
        self.pass(now, link, connection, Passed::Frame(Direction::ToReceiver, bytes));
        self.at(now + TIME_OUT, Step::TimeOut(link, self.tickets));
        self.links[link].open = Some(sent.clone());
        let Some(portal) = self.portal_of(link) else {
            let when = now + self.rng.range(5, 60) * 1_000;
            let reply = Reply::new(connection, "AA", &sent);
            self.at(when, Step::Answer(link, reply));
            return;
        };
        for number in &sent.numbers {
            self.world.messages[*number].passed[portal].push(now);
        }
        self.receive(now, link, portal, connection, &sent);
    }

    /// What is at the head of a link's queue, under ids of its own.
    fn next(&mut self, link: usize) -> Sent {
        let portal = self.portal_of(link);
        let batches = portal.is_some_and(|p| self.plan.portals[p].batches);
        let most = if batches { BATCH_MAX } else { 1 };
        let numbers: Vec<usize> = self.links[link].queue.iter().copied().take(most).collect();
        let mut ids = Vec::new();
        for (place, number) in numbers.iter().enumerate() {
            let id = match portal {
                Some(portal) => format!("E{portal}N{:06}P{place}", self.tickets),
                None => self.world.messages[*number].id.clone(),
            };
            self.world.ids.insert(id.clone(), *number);
            ids.push(id);
        }
        let batch = batches.then(|| format!("B{}", self.tickets));
        Sent { numbers, ids, tries: 0, ticket: 0, batch }
    }

    fn write(&self, link: usize, sent: &Sent, now: i64) -> Vec<u8> {
        let texts: Vec<Vec<u8>> = sent
            .numbers
            .iter()
            .zip(&sent.ids)
            .map(|(number, id)| self.letter(link, *number, id, now))
            .collect();
        match &sent.batch {
            Some(batch) => text::batch(batch, "", now, &texts),
            None => texts.concat(),
        }
    }

    fn letter(&self, link: usize, number: usize, id: &str, now: i64) -> Vec<u8> {
        let made = self.made[number];
        let truth = &self.world.messages[number];
        let ahead = self.ahead(made.at);
        let name = format!("SEND{}", made.sender);
        let portal = self.portal_of(link);
        let mode = match portal {
            Some(portal) if self.plan.portals[portal].enhanced => "|||AL|AL",
            None if self.plan.senders[made.sender].enhanced => "|||AL|NE",
            _ => "",
        };
        text::message(&Letter {
            from: if portal.is_some() { "ENGINE" } else { &name },
            id,
            kind: truth.kind,
            number,
            made: if portal.is_some() { now } else { made.at + ahead },
            event: truth.event + ahead,
            mode,
            critical: made.critical,
        })
    }

    /// How far the senders' clocks are ahead.
    fn ahead(&self, at: i64) -> i64 {
        let held = |kind| {
            let mut faults = self.plan.faults.iter();
            faults.find(move |f| f.kind == kind && f.from <= at && at < f.to)
        };
        let large = |fault: &Fault| (fault.from / SECOND) % 2 == 0;
        let step = held(FaultKind::ClockStep);
        let step = step.map_or(0, |f| if large(f) { 3_600 * SECOND } else { 45 * SECOND });
        step + held(FaultKind::Drift).map_or(0, |fault| (at - fault.from) / 100)
    }

    fn connect(&mut self, now: i64, link: usize) -> bool {
        let portal = self.portal_of(link);
        let refused = portal.is_some_and(|p| self.plan.holds(FaultKind::Refuse, p, now).is_some());
        if refused {
            if let Some(old) = self.links[link].connection.take() {
                self.pass(now, link, old, Passed::Reset);
            }
            self.connections += 1;
            let attempt = self.connections;
            self.pass(now, link, attempt, Passed::Refused);
            self.links[link].not_before = now + RECONNECT;
            self.at(now + RECONNECT, Step::Pump(link));
            return false;
        }
        if self.links[link].connection.is_none() {
            self.connections += 1;
            self.links[link].connection = Some(self.connections);
            self.pass(now, link, self.connections, Passed::Opened);
        }
        true
    }

    /// No answer in time, or the connection was lost: the same again, or given up.
    pub(super) fn unanswered(&mut self, now: i64, link: usize) {
        let Some(sent) = self.links[link].open.take() else { return };
        self.fate(link, &sent, Fate::Unanswered);
        let portal = self.portal_of(link);
        if sent.tries < portal.map_or(3, |p| self.plan.portals[p].tries) {
            self.links[link].again = Some(sent);
            self.pump(now, link);
            return;
        }
        self.done(now, link, &sent, false);
    }

    /// A link is through with its head.
    pub(super) fn done(&mut self, now: i64, link: usize, sent: &Sent, accepted: bool) {
        self.links[link].queue.drain(..sent.numbers.len());
        self.links[link].again = None;
        if self.portal_of(link).is_none() && accepted {
            for number in &sent.numbers {
                self.route(now, *number);
            }
        }
        self.pump(now, link);
    }
}
