//! The rules: what Feedpulse must say of a world that the oracle knows, and what it must not.

use crate::plan::{Fault, FaultKind, Plan, SECOND, SILENCE};
use crate::run::{Report, moment};
use crate::text::Kind;
use crate::world::{Event, Fate, Passed, Truth, World};
use feedpulse_core::class::AckClass;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState, JourneyEnd, JourneyRecord};
use feedpulse_core::finding::Subject;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::sighting::Outcome;
use std::collections::HashMap;

type Verdict = Result<(), String>;

/// Judges what was said of a world.
///
/// # Errors
/// The first broken rule.
pub fn judge(plan: &Plan, world: &World, report: &Report) -> Verdict {
    sums(report)?;
    let told = by_message(world, report);
    for (number, truth) in world.messages.iter().enumerate() {
        let records = told.get(&number).map_or(&[][..], Vec::as_slice);
        message(plan, truth, records)
            .map_err(|broken| format!("{broken}\ntruth: {truth:#?}\nsaid: {records:#?}"))?;
    }
    calm(plan, world, report)?;
    for fault in &plan.faults {
        outage(plan, world, report, fault)?;
    }
    all_over(report)
}

/// Every message shown ends in exactly one outcome.
fn sums(report: &Report) -> Verdict {
    let totals = &report.view.totals;
    if !totals.adds_up() || totals.open != 0 || totals.seen != report.shown {
        return Err(format!("{} messages were shown, the sums say {totals:?}", report.shown));
    }
    Ok(())
}

/// The journeys of each message, by the ids under which it was sent.
fn by_message<'r>(world: &World, report: &'r Report) -> HashMap<usize, Vec<&'r JourneyRecord>> {
    let ids: HashMap<&str, usize> =
        world.messages.iter().enumerate().map(|(n, truth)| (truth.id.as_str(), n)).collect();
    let mut passed: HashMap<(usize, i64), usize> = HashMap::new();
    for (number, truth) in world.messages.iter().enumerate() {
        for (portal, times) in truth.passed.iter().enumerate() {
            passed.extend(times.iter().map(|at| ((portal + 1, *at), number)));
        }
    }
    let start = moment(0);
    let mut told: HashMap<usize, Vec<&JourneyRecord>> = HashMap::new();
    for record in &report.journeys {
        let by_id = ids.get(record.control_id.clear().as_str()).copied();
        let by_time = || {
            record.sends.iter().find_map(|send| {
                passed.get(&(usize::from(send.waypoint.0), send.at.micros_since(start))).copied()
            })
        };
        if let Some(number) = by_id.or_else(by_time) {
            told.entry(number).or_default().push(record);
        }
    }
    told
}

fn ends(records: &[&JourneyRecord], holds: impl Fn(&JourneyEnd) -> bool) -> bool {
    records.iter().any(|record| holds(&record.end))
}

/// Faults that hide or disturb what a portal's tap shows of a message.
fn is_hidden(plan: &Plan, truth: &Truth) -> bool {
    let near = |fault: &Fault| {
        // A blind interval within the message's life makes it unknown: nobody can say.
        let end = truth.passed.iter().flatten().copied().max().unwrap_or(truth.sent);
        fault.kind == FaultKind::Blind
            && truth.fates[fault.portal] != Fate::NotMeant
            && fault.from <= end.max(truth.sent) + 960 * SECOND
            && fault.to >= truth.sent
    };
    plan.faults.iter().any(near)
}

/// What must be said of one message.
fn message(plan: &Plan, truth: &Truth, records: &[&JourneyRecord]) -> Verdict {
    if records.is_empty() {
        return Err("a message of which nothing was said".into());
    }
    age(truth, records)?;
    if truth.kind == Kind::Appointment {
        let filtered = records.iter().all(|r| r.end == JourneyEnd::Filtered);
        return if filtered { Ok(()) } else { Err("not sent on, as stated".into()) };
    }
    let meant: Vec<Fate> =
        truth.fates.iter().copied().filter(|fate| *fate != Fate::NotMeant).collect();
    let accepted = meant.iter().filter(|fate| **fate == Fate::Accepted).count();
    let delivered = ends(records, |end| matches!(end, JourneyEnd::Delivered(_)));
    if is_hidden(plan, truth) {
        return if ends(records, |end| *end == JourneyEnd::Expired) {
            Err("what passed while nobody looked is unknown, never lost".into())
        } else {
            Ok(())
        };
    }
    if accepted == meant.len() {
        return if delivered { Ok(()) } else { Err("it was delivered".into()) };
    }
    if delivered && !truth.accepted_late {
        return Err("it was not delivered everywhere".into());
    }
    if truth.accepted_late {
        return Ok(());
    }
    if accepted > 0 {
        let partly = ends(records, |end| matches!(end, JourneyEnd::Partly(_)));
        return if partly { Ok(()) } else { Err("it reached some portals and not others".into()) };
    }
    nowhere(&meant, records)
}

/// No portal has it: the reason must be one of those that are true.
fn nowhere(meant: &[Fate], records: &[&JourneyRecord]) -> Verdict {
    let said = |fate: &Fate| {
        ends(records, |end| match fate {
            Fate::Errored => *end == JourneyEnd::Failed(Outcome::Errored),
            Fate::Rejected => *end == JourneyEnd::Failed(Outcome::Rejected),
            Fate::Unanswered => matches!(
                end,
                JourneyEnd::Failed(Outcome::NoAck | Outcome::ConnectionLost)
            ),
            Fate::Lost | Fate::Queued => *end == JourneyEnd::Expired,
            Fate::Accepted | Fate::NotMeant => false,
        })
    };
    if !meant.iter().any(said) {
        return Err(format!("no portal has it ({meant:?})"));
    }
    let lost = meant.iter().all(|fate| matches!(fate, Fate::Lost | Fate::Queued));
    if lost && records.iter().all(|record| record.missing.is_empty()) {
        return Err("where it is missing was not said".into());
    }
    Ok(())
}

/// A source age is right, or withheld.
fn age(truth: &Truth, records: &[&JourneyRecord]) -> Verdict {
    if truth.kind == Kind::Appointment {
        // Its age is MSH-7's, and its event is not in it.
        return Ok(());
    }
    for record in records {
        // A journey that begins at a portal has the engine's clock, which is right as well.
        let Ok(told) = record.source_age else { continue };
        let seen = record.first_at.micros_since(moment(truth.event));
        let told = i64::try_from(told).unwrap_or(i64::MAX);
        if (told - seen).abs() > 3 * SECOND {
            return Err(format!("a source age of {told} µs where {seen} µs is true"));
        }
    }
    Ok(())
}

/// Whether nobody sent a result for as long as the objective allows before a moment.
fn was_silent(world: &World, at: i64) -> bool {
    let results = world.messages.iter().filter(|truth| truth.kind == Kind::Result);
    let mut times = results.flat_map(|truth| truth.passed.iter().flatten().copied().chain([truth.sent]));
    !times.any(|time| time <= at && time > at - SILENCE + SECOND)
}

/// Without a fault nothing is found.
fn calm(plan: &Plan, world: &World, report: &Report) -> Verdict {
    if !plan.faults.is_empty() {
        return Ok(());
    }
    let is_wrong = |incident: &&IncidentChange| {
        let found = incident.findings.iter().map(|f| f.since.micros_since(moment(0)));
        let silent = || found.clone().all(|since| was_silent(world, since + SILENCE));
        incident.severity > Severity::Note && !(incident.code == Code::Silence && silent())
    };
    if let Some(incident) = report.incidents.iter().find(is_wrong) {
        return Err(format!("nothing is wrong, and {} is said", incident.summary));
    }
    let classes = AckClass::ALL.iter().find(|class| report.view.class(**class) > 0);
    if let Some(class) = classes {
        return Err(format!("nothing is wrong, and {} is counted", class.name()));
    }
    match report.journeys.iter().find(|journey| !journey.end.is_well()) {
        Some(journey) => Err(format!("nothing is wrong, and this is said: {journey:#?}")),
        None => Ok(()),
    }
}

/// When a connection to a portal was first refused in a fault.
fn knocks(world: &World, fault: &Fault) -> Option<i64> {
    let refused = |event: &&Event| {
        event.waypoint == fault.portal + 1
            && matches!(event.what, Passed::Refused)
            && (fault.from..fault.to).contains(&event.at)
    };
    world.events.iter().find(refused).map(|event| event.at)
}

/// An outage at a portal with enough messages in it is found in time.
fn outage(plan: &Plan, world: &World, report: &Report, fault: &Fault) -> Verdict {
    let codes: &[Code] = match fault.kind {
        FaultKind::Error | FaultKind::Reject => {
            &[Code::RejectedShare, Code::HeadOfLine, Code::NackThenAccepted]
        }
        FaultKind::Hang => &[Code::NoAck, Code::AckSlow],
        FaultKind::Refuse => &[Code::ReceiverDown],
        FaultKind::Drop => &[Code::Missing, Code::PartlyDelivered],
        FaultKind::Silence => &[Code::Silence],
        _ => return Ok(()),
    };
    // Two faults at once may hide each other; a lost message is judged when its journey expires.
    let until = fault.to + if fault.kind == FaultKind::Drop { 960 } else { 60 } * SECOND;
    let mut others = plan.faults.iter().filter(|other| *other != fault);
    if others.any(|o| o.from < until && o.to + 60 * SECOND > fault.from) {
        return Ok(());
    }
    let hit = |truth: &&Truth| match fault.kind {
        FaultKind::Silence => true,
        FaultKind::Drop => truth.fates[fault.portal] == Fate::Lost,
        _ => truth.passed[fault.portal].iter().any(|at| (fault.from..fault.to).contains(at)),
    };
    let messages = world.messages.iter().filter(hit).count();
    let long = fault.to - fault.from;
    let enough = match fault.kind {
        // Somebody must have knocked, and have had the time to knock again.
        FaultKind::Refuse => knocks(world, fault).is_some_and(|at| fault.to - at >= 30 * SECOND),
        FaultKind::Silence => long >= 150 * SECOND,
        FaultKind::Drop => messages >= 8 && long < 250 * SECOND,
        FaultKind::Hang => long >= 60 * SECOND && messages >= 3,
        // Five refusals within a minute.
        _ => messages >= 20 && long / i64::try_from(messages).unwrap_or(1) < 8 * SECOND,
    };
    if !enough {
        return Ok(());
    }
    let slack = if fault.kind == FaultKind::Drop { 1_000 } else { 30 };
    let (from, to) = (moment(fault.from), moment(fault.to + slack * SECOND));
    let waypoint = WaypointId(u16::try_from(fault.portal + 1).expect("three at most"));
    let found = report.incidents.iter().any(|incident| {
        let place = matches!(incident.subject, Subject::Feed(_))
            || incident.subject == Subject::Waypoint(waypoint);
        let about = |code: &Code| incident.findings.iter().any(|f| f.code == *code);
        place
            && incident.state == IncidentState::Open
            && incident.since <= to
            && incident.findings.iter().any(|f| f.since.plus(core::time::Duration::from_secs(300)) >= from)
            && codes.iter().any(about)
    });
    if found { Ok(()) } else { Err(format!("{fault:?} was not found ({messages} messages)")) }
}

/// Long after everything, every incident is over.
fn all_over(report: &Report) -> Verdict {
    let open = report.view.incidents.iter().find(|incident| {
        // Nobody sends any more: that is silence indeed.
        incident.state == IncidentState::Open && incident.code != Code::Silence
    });
    match open {
        Some(incident) => Err(format!("this is never resolved: {}", incident.summary)),
        None => Ok(()),
    }
}
