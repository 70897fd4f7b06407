//! Portals: what they answer, and what the engine makes of it.

use super::links::{RECONNECT, Sent};
use super::{Fate, Passed, Play, Step};
use crate::plan::{FaultKind, SECOND};
use crate::text;
use feedpulse_core::frame::Direction;

/// An answer that is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reply {
    connection: u64,
    /// MSA-1; "garbage" for what is no ACK; empty for an empty batch.
    code: String,
    /// The messages that it is for.
    ids: Vec<String>,
    /// MSA-2 of each.
    said: Vec<String>,
    batch: Option<String>,
    /// It comes behind a commit: nobody waits for it any more.
    behind: bool,
}

impl Reply {
    pub(super) fn new(connection: u64, code: &str, sent: &Sent) -> Self {
        Self {
            connection,
            code: code.to_owned(),
            ids: sent.ids.clone(),
            said: sent.ids.clone(),
            batch: sent.batch.clone(),
            behind: false,
        }
    }

    fn is_success(&self) -> bool {
        matches!(self.code.as_str(), "AA" | "CA" | "")
    }

    fn write(&self, order: u64, now: i64) -> Vec<u8> {
        if self.code == "garbage" {
            return b"MSH|^~\\&|PORTAL|WEB|||20260301||XYZ^Z99|G1|P|2.5\r".to_vec();
        }
        let acks: Vec<Vec<u8>> = match self.code.as_str() {
            "" => Vec::new(),
            code => self.said.iter().map(|id| text::ack(code, id, order, now)).collect(),
        };
        match &self.batch {
            Some(batch) => text::batch("R1", batch, now, &acks),
            None => acks.concat(),
        }
    }
}

/// Return connections have numbers of their own.
const RETURN: u64 = 1_000_000;

impl Play<'_> {
    /// A portal gets something: what it answers, and when.
    pub(super) fn receive(
        &mut self,
        now: i64,
        link: usize,
        portal: usize,
        connection: u64,
        sent: &Sent,
    ) {
        let holds = |kind| self.plan.holds(kind, portal, now).is_some();
        if holds(FaultKind::Cut) && self.tickets.is_multiple_of(4) {
            let when = now + 3_000;
            self.pass(when, link, connection, Passed::Reset);
            self.links[link].connection = None;
            // The engine sees it at once.
            self.at(when, Step::TimeOut(link, sent.ticket));
            return;
        }
        if holds(FaultKind::Hang) {
            return;
        }
        let here = self.plan.portals[portal];
        let (now_code, then) = match () {
            () if holds(FaultKind::Garbage) => ("garbage", None),
            () if holds(FaultKind::Error) && here.enhanced => ("CA", Some("AE")),
            () if holds(FaultKind::Error) => ("AE", None),
            () if holds(FaultKind::Reject) && here.enhanced => ("CR", None),
            () if holds(FaultKind::Reject) => ("AR", None),
            () if here.enhanced && holds(FaultKind::CommitOnly) => ("CA", None),
            () if here.enhanced => ("CA", Some("AA")),
            () if here.batches && here.error_only => ("", None),
            () => ("AA", None),
        };
        let mut reply = Reply::new(connection, now_code, sent);
        for id in &mut reply.said {
            if holds(FaultKind::AlteredIds) {
                *id = id.to_lowercase();
            }
            if holds(FaultKind::EmptyIds) {
                id.clear();
            }
        }
        if holds(FaultKind::OffByOne) && !self.links[link].answered.is_empty() {
            reply.said = vec![self.links[link].answered.clone()];
        }
        self.links[link].answered = sent.ids.last().cloned().unwrap_or_default();
        let late = holds(FaultKind::LateAcks);
        let takes = if late { 14 * SECOND } else { self.rng.range(10, 120) * 1_000 };
        self.at(now + takes, Step::Answer(link, reply));
        if let Some(code) = then {
            let connection = if here.returns { RETURN + portal as u64 } else { connection };
            let behind = Reply { behind: true, ..Reply::new(connection, code, sent) };
            let more = self.rng.range(300, 3_000) * 1_000;
            self.at(now + takes + more, Step::Answer(link, behind));
        }
    }

    pub(super) fn answer(&mut self, now: i64, link: usize, reply: &Reply) {
        let bytes = reply.write(self.order, now);
        self.pass(now, link, reply.connection, Passed::Frame(Direction::ToSender, bytes));
        if reply.behind {
            self.applied(link, reply);
            return;
        }
        let awaited =
            self.links[link].open.take_if(|sent| sent.ids == reply.ids && reply.code != "garbage");
        let Some(mut sent) = awaited else {
            if reply.is_success() {
                self.late(&reply.ids);
            }
            return;
        };
        let rejected = matches!(reply.code.as_str(), "AR" | "CR");
        let tries = self.portal_of(link).map_or(1, |portal| self.plan.portals[portal].tries);
        if rejected && sent.tries < tries {
            // Perhaps the moment: the same again under the same ids, a little later.
            self.fate(link, &sent, Fate::Rejected);
            self.links[link].not_before = now + RECONNECT;
            sent.ticket = 0;
            self.links[link].again = Some(sent);
            self.at(now + RECONNECT, Step::Pump(link));
            return;
        }
        let fate = match reply.code.as_str() {
            _ if rejected => Fate::Rejected,
            _ if reply.is_success() => Fate::Accepted,
            _ => Fate::Errored,
        };
        self.fate(link, &sent, fate);
        self.done(now, link, &sent, reply.is_success());
    }

    /// An application ACK says what came of what was committed.
    fn applied(&mut self, link: usize, reply: &Reply) {
        let Some(portal) = self.portal_of(link) else { return };
        for id in &reply.ids {
            let Some(number) = self.world.ids.get(id) else { continue };
            let truth = &mut self.world.messages[*number];
            truth.applied[portal] |= reply.is_success();
            let applied = truth.applied[portal];
            truth.fates[portal] = if applied { Fate::Accepted } else { Fate::Errored };
        }
    }

    /// An ACK for what was given up.
    fn late(&mut self, ids: &[String]) {
        for id in ids {
            if let Some(number) = self.world.ids.get(id) {
                self.world.messages[*number].accepted_late = true;
            }
        }
    }
}
