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
        message(plan, report, truth, records)
            .map_err(|broken| format!("{broken}\ntruth: {truth:#?}\nsaid: {records:#?}"))?;
    }
    calm(plan, world, report)?;
    classes(plan, world, report)?;
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
    let mut told: HashMap<usize, Vec<&JourneyRecord>> = HashMap::new();
    for record in &report.journeys {
        if let Some(number) = world.ids.get(record.control_id.clear().as_str()) {
            told.entry(*number).or_default().push(record);
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
    let named_another = |fault: &Fault| {
        let mut passed = truth.passed[fault.portal].iter();
        // It names what was given up before; the first one behind meets what it left open.
        let (from, to) = (fault.from - 60 * SECOND, fault.to + 60 * SECOND);
        fault.kind == FaultKind::OffByOne && passed.any(|at| (from..to).contains(at))
    };
    plan.faults.iter().any(|fault| near(fault) || named_another(fault))
}

/// What must be said of one message.
fn message(plan: &Plan, report: &Report, truth: &Truth, records: &[&JourneyRecord]) -> Verdict {
    if records.is_empty() {
        return Err("a message of which nothing was said".into());
    }
    age(plan, truth, records)?;
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
    if truth.accepted_late {
        // A retry may have come before: then the ACK is the retry's, and in time.
        let sends = records.iter().flat_map(|record| &record.sends);
        let mut at_portals = sends.filter(|send| send.waypoint.0 > 0);
        let told = at_portals.any(|send| send.outcome.is_some_and(Outcome::is_success))
            || records.iter().any(|record| report.amended.contains(&record.key))
            // An answer without an exact id to what has ended names nobody; nor does an empty batch.
            || plan.has(FaultKind::EmptyIds)
            || plan.has(FaultKind::AlteredIds)
            || plan.portals.iter().any(|portal| portal.batches && portal.error_only);
        return if told { Ok(()) } else { Err("it was accepted, late, and nobody said so".into()) };
    }
    if accepted == meant.len() {
        return if delivered { Ok(()) } else { Err("it was delivered".into()) };
    }
    if delivered {
        return Err("it was not delivered everywhere".into());
    }
    if accepted > 0 {
        let partly = ends(records, |end| matches!(end, JourneyEnd::Partly(_)));
        return if partly { Ok(()) } else { Err("it reached some portals and not others".into()) };
    }
    nowhere(plan, &meant, records)
}

/// No portal has it: the reason must be one of those that are true.
fn nowhere(plan: &Plan, meant: &[Fate], records: &[&JourneyRecord]) -> Verdict {
    let told_apart = !(plan.has(FaultKind::EmptyIds) && plan.portals.iter().any(|p| p.batches));
    let said = |fate: &Fate| {
        ends(records, |end| match fate {
            Fate::Errored => *end == JourneyEnd::Failed(Outcome::Errored),
            Fate::Rejected => *end == JourneyEnd::Failed(Outcome::Rejected),
            Fate::Unanswered => {
                matches!(end, JourneyEnd::Failed(Outcome::NoAck | Outcome::ConnectionLost))
            }
            Fate::Lost | Fate::Queued => *end == JourneyEnd::Expired,
            Fate::Accepted | Fate::NotMeant => false,
        })
    };
    // Which of a batch an answer without an id refuses cannot be told.
    let unsaid = !told_apart && ends(records, |end| *end == JourneyEnd::Failed(Outcome::NoAck));
    if !meant.iter().any(said) && !unsaid {
        return Err(format!("no portal has it ({meant:?})"));
    }
    let lost = meant.iter().all(|fate| matches!(fate, Fate::Lost | Fate::Queued));
    if lost && records.iter().all(|record| record.missing.is_empty()) {
        return Err("where it is missing was not said".into());
    }
    Ok(())
}

/// A source age is right, or withheld.
fn age(plan: &Plan, truth: &Truth, records: &[&JourneyRecord]) -> Verdict {
    if truth.kind == Kind::Appointment {
        // Its age is MSH-7's, and its event is not in it.
        return Ok(());
    }
    // The estimate of a clock follows its drift by half its samples: 32 messages of up to 16 s.
    let most = if plan.has(FaultKind::Drift) { 8 } else { 3 } * SECOND;
    for record in records {
        // A journey that begins at a portal has the engine's clock, which is right as well.
        let Ok(told) = record.source_age else { continue };
        let seen = record.first_at.micros_since(moment(truth.event));
        let told = i64::try_from(told).unwrap_or(i64::MAX);
        if (told - seen).abs() > most {
            return Err(format!("a source age of {told} µs where {seen} µs is true"));
        }
    }
    Ok(())
}

/// Whether nobody sent a result for as long as the objective allows before a moment.
fn was_silent(world: &World, at: i64) -> bool {
    let mut results = world.messages.iter().filter(|truth| truth.kind == Kind::Result);
    !results.any(|truth| truth.sent <= at && truth.sent > at - SILENCE + SECOND)
}

/// Without a fault nothing is found.
fn calm(plan: &Plan, world: &World, report: &Report) -> Verdict {
    // What is wrong with Feedpulse itself is no reason to find something in the stream.
    let own = |fault: &Fault| matches!(fault.kind, FaultKind::Blind | FaultKind::TapLag);
    if !plan.faults.iter().all(own) {
        return Ok(());
    }
    let is_wrong = |incident: &&IncidentChange| {
        let found = incident.findings.iter().map(|f| f.since.micros_since(moment(0)));
        let silent = || found.clone().all(|since| was_silent(world, since + SILENCE));
        incident.severity > Severity::Note
            && incident.code != Code::Blind
            && !(incident.code == Code::Silence && silent())
    };
    if let Some(incident) = report.incidents.iter().find(is_wrong) {
        return Err(format!("nothing is wrong, and {} is said", incident.summary));
    }
    if !plan.faults.is_empty() {
        return Ok(());
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

/// Which faults bring forth a class. What no fault explains must not be counted.
const fn explain(class: AckClass) -> &'static [FaultKind] {
    use FaultKind::{
        AlteredIds, Blind, CommitOnly, Cut, Duplicate, EmptyIds, Garbage, Hang, LateAcks, OffByOne,
        Refuse, Reject,
    };
    match class {
        AckClass::Late => &[LateAcks, OffByOne, Blind],
        AckClass::Stray => &[Blind],
        AckClass::Duplicate => &[LateAcks, OffByOne],
        // A sender that gives up and sends on gets each answer one behind.
        AckClass::OffByOne => &[OffByOne, LateAcks],
        AckClass::WithoutId => &[EmptyIds],
        AckClass::AlteredId => &[AlteredIds],
        AckClass::Garbage => &[Garbage],
        AckClass::CommitOnly => &[CommitOnly, OffByOne],
        // A second copy is accepted where the first was refused.
        AckClass::NackThenAccepted => &[Reject, Duplicate],
        AckClass::Retry => &[Hang, Garbage, LateAcks, Cut, Reject, Refuse],
        AckClass::IdReuse => &[],
        AckClass::HeadOfLine => &[Reject, Cut, Hang, LateAcks, Garbage],
    }
}

/// The class that a fault must bring forth where it hits a few messages.
const fn class_of(kind: FaultKind) -> Option<AckClass> {
    match kind {
        FaultKind::Hang | FaultKind::LateAcks | FaultKind::Reject => Some(AckClass::Retry),
        FaultKind::Garbage => Some(AckClass::Garbage),
        FaultKind::AlteredIds => Some(AckClass::AlteredId),
        FaultKind::EmptyIds => Some(AckClass::WithoutId),
        FaultKind::CommitOnly => Some(AckClass::CommitOnly),
        _ => None,
    }
}

fn classes(plan: &Plan, world: &World, report: &Report) -> Verdict {
    for class in AckClass::ALL {
        let count = report.view.class(*class);
        let batches = plan.portals.iter().any(|portal| portal.batches);
        let altered = batches || plan.has(FaultKind::AlteredIds);
        if *class == AckClass::Stray && plan.has(FaultKind::LateAcks) && altered {
            // What ended is known by its exact id only, and not by its batch.
            continue;
        }
        if count > 0 && !explain(*class).iter().any(|kind| plan.has(*kind)) {
            return Err(format!("{} is counted {count} times for no reason", class.name()));
        }
    }
    let [fault] = &plan.faults[..] else { return Ok(()) };
    let Some(class) = class_of(fault.kind) else { return Ok(()) };
    let here = &plan.portals[fault.portal];
    let commits = fault.kind == FaultKind::CommitOnly;
    let applies = match fault.kind {
        // A batch may be answered without an id.
        FaultKind::AlteredIds | FaultKind::EmptyIds => !here.batches,
        // It must have been seen to tell more before.
        FaultKind::CommitOnly => here.enhanced && fault.from >= 400 * SECOND,
        FaultKind::Hang | FaultKind::LateAcks | FaultKind::Reject => here.tries > 1,
        _ => true,
    };
    let hit = |truth: &&Truth| {
        truth.passed[fault.portal].iter().any(|at| (fault.from..fault.to).contains(at))
    };
    let messages = world.messages.iter().filter(hit).count();
    if applies && messages >= if commits { 5 } else { 2 } && report.view.class(class) == 0 {
        return Err(format!("{} is not counted, in {fault:?} ({messages} messages)", class.name()));
    }
    Ok(())
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
        FaultKind::Delay => &[Code::TransitSlow],
        FaultKind::OffByOne => &[Code::OffByOneAcks],
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
        FaultKind::Delay => {
            let (from, to) = (fault.from + 151 * SECOND, fault.to + 150 * SECOND);
            truth.passed[fault.portal].iter().any(|at| (from..to).contains(at))
        }
        _ => truth.passed[fault.portal].iter().any(|at| (fault.from..fault.to).contains(at)),
    };
    let of =
        |kind: Kind| world.messages.iter().filter(hit).filter(|truth| truth.kind == kind).count();
    // Of the feed with the most: each is judged alone.
    let messages = of(Kind::Result).max(of(Kind::Update));
    let long = fault.to - fault.from;
    let enough = match fault.kind {
        // Somebody must have knocked, and have had the time to knock again.
        FaultKind::Refuse => knocks(world, fault).is_some_and(|at| fault.to - at >= 30 * SECOND),
        FaultKind::Silence => long >= 150 * SECOND,
        FaultKind::Drop => messages >= 8 && long < 250 * SECOND,
        FaultKind::Delay => messages >= 3,
        // A batch of ACKs names many; an enhanced portal's later words name the right ones.
        FaultKind::OffByOne => {
            let here = &plan.portals[fault.portal];
            messages >= 10 && !here.batches && !here.enhanced
        }
        FaultKind::Hang => long >= 60 * SECOND && messages >= 3,
        // Five refusals within a minute.
        _ => messages >= 20 && long / i64::try_from(messages).unwrap_or(1) < 8 * SECOND,
    };
    if !enough {
        return Ok(());
    }
    let slack = match fault.kind {
        FaultKind::Drop => 1_000,
        FaultKind::Delay => 90,
        _ => 30,
    };
    if is_told(report, fault, codes, fault.to + slack * SECOND) {
        return Ok(());
    }
    let secs = |i: &IncidentChange| i.since.micros_since(moment(0)) / SECOND;
    let said = report.incidents.iter();
    let said: Vec<String> =
        said.map(|i| format!("{} {} since {} s", i.state.name(), i.summary, secs(i))).collect();
    Err(format!("{fault:?} was not found ({messages} messages)\nsaid: {said:#?}"))
}

/// Whether an incident says one of the codes about a fault's portal, or about a feed, in time. What
/// was open when the fault began, about the same, says it already.
fn is_told(report: &Report, fault: &Fault, codes: &[Code], until: i64) -> bool {
    let (from, to) = (moment(fault.from), moment(until));
    let waypoint = WaypointId(u16::try_from(fault.portal + 1).expect("three at most"));
    let over = |id: u64| {
        report.incidents.iter().any(|i| i.id == id && i.resolved_at.is_some_and(|at| at < from))
    };
    // What a feed suffers from may be part of another link's incident, if that came before.
    let of_feed = matches!(fault.kind, FaultKind::Delay | FaultKind::Drop | FaultKind::Silence);
    report.incidents.iter().any(|incident| {
        let place = matches!(incident.subject, Subject::Feed(_))
            || incident.subject == Subject::Waypoint(waypoint)
            || (of_feed && incident.since <= from);
        let about = |code: &Code| incident.findings.iter().any(|f| f.code == *code);
        place
            && incident.state == IncidentState::Open
            && incident.since <= to
            && !over(incident.id)
            && codes.iter().any(about)
    })
}

/// Long after everything, every incident is over.
fn all_over(report: &Report) -> Verdict {
    let open = report.view.incidents.iter().find(|incident| {
        // Nobody sends any more: that is silence indeed, and may keep open what else it has joined.
        let mut holds = incident.findings.iter().filter(|finding| finding.cleared_at.is_none());
        let silent = incident.findings.iter().any(|f| f.code == Code::Silence);
        incident.state == IncidentState::Open
            && (!silent || holds.any(|finding| finding.code != Code::Silence))
    });
    match open {
        Some(incident) => Err(format!("this is never resolved: {}", incident.summary)),
        None => Ok(()),
    }
}
