//! Three lags kept apart: source age (the sender's clock), transit and legs (ours), ACK time.

use super::Engine;
use super::journeys::Placed;
use super::jump::Step;
use super::series::SetKey;
use super::skew::{ClockNews, Stated};
use super::state::{Journey, Kind};
use crate::class::AckClass;
use crate::codes::Code;
use crate::effect::Effects;
use crate::finding::{Evidence, Finding, FindingState, Subject};
use crate::label::{LABEL_MAX, Label};
use crate::lag::Withheld;
use crate::plan::covers;
use crate::sighting::{MessageSeen, Sighting};
use core::time::Duration;

impl Engine {
    /// The source age of a message at its first sighting, or why it is withheld.
    pub(super) fn source_age(
        &mut self,
        placed: &Placed,
        at: &Sighting,
        message: &MessageSeen,
        fx: &mut Effects,
    ) {
        let Some(feed) = self.s.feeds.get_mut(placed.feed.0 as usize) else { return };
        let held = |e: &&crate::plan::Embargo| covers(&e.kind, message.code, message.trigger);
        let stated = Stated {
            sender: (message.sender, message.sender_facility),
            made: message.made,
            event: message.event_time,
            withheld: message.withheld,
            embargo: feed.objectives.embargoes.iter().find(held).map_or(Duration::ZERO, |e| e.by),
        };
        // Whoever sends it again has another clock than who wrote down its event.
        let (age, news) = match placed.again {
            true => (Err(Withheld::Repeat), ClockNews::default()),
            false => self.s.clocks.age(at.at, &stated),
        };
        match age {
            Ok(micros) => {
                feed.source_age.record(micros);
                feed.aged.take(at.at, micros, message.urgency, &feed.objectives);
            }
            Err(reason) => feed.withheld[reason as usize] += 1,
        }
        if let Some(journey) = placed.journey.and_then(|place| self.s.journeys.get_mut(place)) {
            journey.source_age = age;
        }
        if let Some(fault) = news.fault {
            let detail = Label::from(format!("{} {}", message.sender, fault.name()).as_str());
            self.happened(Subject::Feed(placed.feed), Code::SenderClock, at.at, detail, fx);
        }
        if let Some(step) = news.step {
            self.clock_stepped(placed, at, message.sender, step, fx);
        }
    }

    /// Says once that a sender's clock has jumped, how far and which way.
    fn clock_stepped(
        &mut self,
        placed: &Placed,
        at: &Sighting,
        sender: Label,
        step: Step,
        fx: &mut Effects,
    ) {
        // The name is cut rather than what happened.
        let name = sender.as_str().get(..LABEL_MAX - 20).unwrap_or(sender.as_str());
        let way = if step.by > 0 { "ahead" } else { "back" };
        let detail = match step.hours() {
            Some(hours) => format!("{name} {way} {} h, zone/DST", hours.abs()),
            None => format!("{name} {way}"),
        };
        let code = Code::ClockStep;
        #[expect(clippy::cast_precision_loss, reason = "seconds of at most a few years")]
        let by = (step.by / 1_000_000) as f64;
        let finding = Finding {
            code,
            subject: Subject::Feed(placed.feed),
            severity: code.text().severity,
            state: FindingState::Happened,
            since: at.at,
            evidence: vec![Evidence { name: "step_s", value: by }],
            detail: Label::from(detail.as_str()),
        };
        self.take(finding, fx);
    }

    /// Follows the order of results and merges at a waypoint.
    pub(super) fn follow_order(
        &mut self,
        placed: &Placed,
        at: &Sighting,
        message: &MessageSeen,
        class: Option<AckClass>,
        fx: &mut Effects,
    ) {
        let again = class == Some(AckClass::Retry);
        let here = self.primary(at.waypoint);
        let fault = self.s.sequence.see(&mut self.sequence, here, &message.order, again);
        let waypoint = self.s.waypoints.get_mut(usize::from(at.waypoint.0));
        if let Some(waypoint) = waypoint.filter(|_| !again) {
            waypoint.disorder.take(at.at, at.connection, message, fault.is_some());
        }
        if let Some(code) = fault {
            self.happened(Subject::Feed(placed.feed), code, at.at, message.code, fx);
        }
    }

    /// Counts the lags of a journey that ended, by feed, type and facility.
    pub(super) fn count_lags(&mut self, journey: &Journey, kind: &Kind, transit: Option<u64>) {
        let plan = &self.s.plan;
        let key = SetKey { feed: journey.feed, code: kind.code, facility: kind.facility };
        let Some(set) = self.s.series.set(&mut self.series, key, plan.series_max) else { return };
        if let Ok(micros) = journey.source_age {
            set.source_age.record(micros);
        }
        if let Some(micros) = transit {
            set.transit.record(micros);
        }
        let mut before: Option<(crate::frame::WaypointId, crate::time::Timestamp)> = None;
        for (place, send) in journey.sends.iter().enumerate() {
            if let (Some(ended), Some(_)) = (send.ended_at, send.ack) {
                let took = ended.micros_since(send.at);
                set.ack(send.waypoint, u64::try_from(took).unwrap_or(0));
            }
            let here = plan.primary(send.waypoint);
            let again = journey.sends.iter().take(place).any(|s| plan.primary(s.waypoint) == here);
            if again {
                continue;
            }
            if let Some((from, left)) = before {
                let took = u64::try_from(send.at.micros_since(left));
                // Two taps that were read out of order: the leg is not known.
                if let Ok(micros) = took {
                    set.leg(from, here, micros);
                }
            }
            before = Some((here, send.at));
        }
    }
}
