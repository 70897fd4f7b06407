//! What checks are shown, where it happens on the engine's thread: messages and ACKs while their bytes
//! are at hand, connection events as they come, outcomes as the engine tells them. Everything is
//! bounded and nothing waits.

use super::pairs::Pairs;
use super::{About as Origin, CheckFeed, Job, ROWS, Work};
use feedpulse_core::effect::{JourneyRecord, Sending};
use feedpulse_core::frame::{Phi, WaypointId};
use feedpulse_core::plan::{Plan, Role};
use feedpulse_core::sighting::{LinkEvent, Seen, Sighting, Urgency};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::index::Message;
use feedpulse_hl7::path::TypeMatch;
use feedpulse_hl7::rows::{About as Told, RowMeta, Told as Outcome};
use feedpulse_wasm::{About, Row};
use std::sync::Arc;

/// The engine's ends of all checks.
pub(crate) struct CheckRows {
    feeds: Vec<CheckFeed>,
    pairs: Pairs,
    names: Arc<[String]>,
    /// For each waypoint the one whose messages its ACKs answer: itself, unless they come elsewhere.
    answered: Vec<WaypointId>,
    /// Messages and ACKs that were shown.
    shown: u64,
}

impl CheckRows {
    /// Of checks, in the plan's order.
    pub(crate) fn new(feeds: Vec<CheckFeed>, plan: &Plan) -> Self {
        let names: Vec<String> = plan.waypoints.iter().map(|w| w.name.clone()).collect();
        let answered = (0..).map(WaypointId).zip(&plan.waypoints).map(|(own, w)| match w.role {
            Role::AckOf(of) => of,
            _ => own,
        });
        let answered = answered.collect();
        Self { feeds, pairs: Pairs::default(), names: names.into(), answered, shown: 0 }
    }

    /// How many messages and ACKs were shown.
    pub(crate) const fn shown(&self) -> u64 {
        self.shown
    }

    /// Takes the row of a message or ACK, for each check that wants it.
    pub(crate) fn message(&mut self, message: &Message<'_>, sighting: &Sighting) {
        self.shown += 1;
        let Self { feeds, pairs, names, answered, shown } = self;
        for feed in feeds.iter_mut() {
            feed.number = *shown;
        }
        let place = usize::from(sighting.waypoint.0);
        let waypoint = names.get(place).map_or("", String::as_str);
        match &sighting.what {
            Seen::Message(seen) => {
                if feeds.iter().any(|feed| feed.reads(About::Ack)) {
                    pairs.sent(sighting.waypoint, seen.ack_key, seen.journey_key, sighting.at);
                }
                for feed in feeds {
                    feed.offer_at(message, sighting, waypoint);
                }
            }
            Seen::Ack(ack) => {
                let at = answered.get(place).copied().unwrap_or(sighting.waypoint);
                let pair = ack.ack_key.and_then(|key| pairs.of(at, key));
                let key = pair.and_then(|pair| pair.key);
                let after = pair.map(|pair| millis(pair.at, sighting.at));
                let meta = RowMeta::of_ack(sighting.at, ack, key, after);
                let meta = RowMeta { waypoint, ..meta };
                for feed in feeds {
                    feed.add(About::Ack, sighting.waypoint, sighting.at, Some(message), &meta);
                }
            }
            _ => {}
        }
    }

    /// Takes the row of what needs no bytes: something happened to a connection.
    pub(crate) fn sighting(&mut self, sighting: &Sighting) {
        let Seen::Link(event) = sighting.what else { return };
        // A check learns no address.
        if matches!(event, LinkEvent::Peer(_)) {
            return;
        }
        let place = usize::from(sighting.waypoint.0);
        let waypoint = self.names.get(place).map_or("", String::as_str);
        let meta = RowMeta { waypoint, ..RowMeta::at(sighting.at, Told::Connection(event)) };
        for feed in &mut self.feeds {
            feed.add(About::Connection, sighting.waypoint, sighting.at, None, &meta);
        }
    }

    /// Takes the row of what became of a message, at the first of its waypoints that a check watches.
    pub(crate) fn outcome(&mut self, record: &JourneyRecord) {
        for feed in &mut self.feeds {
            if !feed.reads(About::Outcome)
                || !feed.wants_type(record.code.as_str(), record.trigger.as_str())
            {
                continue;
            }
            let passed = record.sends.iter().map(|send| send.waypoint);
            let mut all = passed.chain(record.missing.iter().copied());
            let Some(place) = all.find(|waypoint| feed.waypoints.contains(waypoint)) else {
                continue;
            };
            let decided = decided(record);
            let at = decided.map_or(place, |send| send.waypoint);
            let waypoint = self.names.get(usize::from(at.0)).map_or("", String::as_str);
            let meta = RowMeta {
                key: Some(record.key),
                urgency: record.urgency,
                waypoint,
                ..RowMeta::at(record.ended_at, Told::Outcome(outcome(record, decided)))
            };
            feed.add(About::Outcome, place, record.ended_at, None, &meta);
        }
    }

    /// A second has passed: checks that notice silence are told.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        for feed in &mut self.feeds {
            feed.tick(now);
        }
    }

    /// Hands over what was gathered in this step.
    pub(crate) fn flush(&mut self) {
        for feed in &mut self.feeds {
            feed.flush();
        }
    }
}

/// The try that decided: the last that failed, else the last.
fn decided(record: &JourneyRecord) -> Option<&Sending> {
    let failed = |s: &&Sending| s.outcome.is_some_and(|o| !o.is_success());
    let failed = if record.end.is_well() { None } else { record.sends.iter().rev().find(failed) };
    failed.or_else(|| record.sends.last())
}

fn outcome(record: &JourneyRecord, decided: Option<&Sending>) -> Outcome {
    Outcome {
        kind: (record.code, record.trigger),
        end: record.end,
        ack: decided.and_then(|send| send.ack),
        ack_ms: decided
            .filter(|send| send.ack.is_some())
            .and_then(|send| send.ended_at.map(|at| millis(send.at, at))),
        reason: decided.map(|send| send.reason).unwrap_or_default(),
        classes: record.classes,
        tries: record.sends_total,
        elapsed_ms: millis(record.first_at, record.ended_at),
    }
}

/// Whole milliseconds from one moment to a later one, at least 0.
fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.micros_since(from) / 1000).unwrap_or(0)
}

impl CheckFeed {
    /// Whether the version that runs wants rows of a kind.
    fn reads(&self, about: About) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.about.contains(&about))
    }

    /// Whether it wants what concerns messages of a type.
    fn wants_type(&self, code: &str, trigger: &str) -> bool {
        let wants = |t: &TypeMatch| t.matches(code.as_bytes(), trigger.as_bytes());
        self.reading.as_ref().is_some_and(|r| r.types.is_empty() || r.types.iter().any(wants))
    }

    /// Takes a message's row, if the check wants it.
    #[cfg(test)]
    pub(crate) fn offer(&mut self, message: &Message<'_>, sighting: &Sighting) {
        self.offer_at(message, sighting, "");
    }

    fn offer_at(&mut self, message: &Message<'_>, sighting: &Sighting, waypoint: &str) {
        let Seen::Message(seen) = &sighting.what else { return };
        if !self.waypoints.contains(&sighting.waypoint) {
            return;
        }
        if (self.held.is_some() || self.reading.is_none()) && self.pending.is_empty() {
            self.change();
        }
        if self.reading.is_none() {
            return self.skipped.add(1);
        }
        if self.wants_type(seen.code.as_str(), seen.trigger.as_str()) {
            let meta = RowMeta { waypoint, ..RowMeta::of(sighting.at, seen) };
            self.add(About::Message, sighting.waypoint, sighting.at, Some(message), &meta);
        }
    }

    /// Adds a row, if rows of its kind at its waypoint are wanted.
    fn add(
        &mut self,
        about: About,
        waypoint: WaypointId,
        at: Timestamp,
        message: Option<&Message<'_>>,
        meta: &RowMeta<'_>,
    ) {
        if !self.reads(about) || !self.waypoints.contains(&waypoint) {
            return;
        }
        let Some(reading) = &mut self.reading else { return };
        let fits = |job: &Job| job.waypoint == waypoint && job.rows.len() < ROWS;
        if !self.pending.last().is_some_and(fits) {
            self.pending.push(Job::new(waypoint));
        }
        let Some(job) = self.pending.last_mut() else { return };
        let mut fields = String::with_capacity(128);
        match message {
            Some(message) => reading.spec.join(message, meta, &mut fields),
            None => reading.spec.join_told(meta, &mut fields),
        }
        if reading.keeps_messages {
            let bytes = message.map(|message| message.bytes().to_vec());
            job.messages.push(Phi::new(bytes.unwrap_or_default()));
        }
        job.rows.push(Row { id: job.rows.len() as u64, fields });
        let urgency = if about == About::Ack { Urgency::Routine } else { meta.urgency };
        let number = if message.is_some() { self.number } else { 0 };
        job.about.push(Origin { at, key: meta.key, urgency, kind: about, number });
    }

    /// Tells a check that a second has passed, at each of its waypoints. A full queue has no room for
    /// it: the next second comes soon.
    fn tick(&mut self, now: Timestamp) {
        if self.reading.as_ref().is_some_and(|reading| reading.ticks) {
            let _ = self.jobs.try_send(Work::Tick(now, self.waypoints.clone()));
        }
    }
}
