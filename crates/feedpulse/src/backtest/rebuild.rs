//! The recorded rows as a stream of events, in order of time: what entered the engine, as far as the ledger
//! and the table of incidents tell.
//!
//! A row is written when its message ended, and tells of what came before: events wait until no later
//! row can tell of something earlier. How long that is was found by a first reading.

use crate::cli::Failure;
use crate::ledger::{self, Missing, Waypoints};
use feedpulse_codec::LedgerRow;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::{Amendment, IncidentChange, JourneyRecord, Sending};
use feedpulse_core::finding::Subject;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::plan::Plan;
use feedpulse_core::sighting::Outcome;
use feedpulse_core::time::Timestamp;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Events wait for earlier ones at most so long; what comes later is played late.
const HOLD_MAX: Duration = Duration::from_secs(6 * 3_600);
/// An attempt to reach a receiver that was recorded as down, each so often.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Attempts of one recorded failure at most.
const ATTEMPTS_MAX: usize = 20_000;
/// Minutes without any roll-up from which on nobody watched.
const UNWATCHED: i64 = 180_000_000;

/// Something that entered the engine.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A message, and its sending.
    Sent(Rc<JourneyRecord>, Sending),
    /// What became of it.
    Ended(Rc<JourneyRecord>, Sending),
    /// An ACK that came after its journey's end.
    Late(Amendment),
    /// A receiver was not reached.
    Down,
    /// It was reached again.
    Up,
    /// Nobody saw what passed, from then until now; everywhere, or at the event's waypoint.
    Blind(Timestamp, bool),
}

/// An event with its time and its place in the plan.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    pub(super) waypoint: WaypointId,
    pub(super) what: What,
    order: u64,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What a first reading of the ledger found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Messages.
    pub(super) journeys: u64,
    /// The first and the latest time.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    /// What is not in the ledger.
    pub(super) missing: Missing,
    /// Rows that the store dropped.
    pub(super) dropped: u64,
    /// Waypoints of rows that the configuration does not name, with how many sendings.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Sendings beyond the sixteen that a row keeps.
    pub(super) unkept: u64,
    /// How long events wait.
    hold: Duration,
    /// Some row tells of something earlier than that.
    pub(super) late: u64,
}

fn place(plan: &Plan, names: &Waypoints, waypoint: WaypointId) -> Option<WaypointId> {
    let name = names.get(&waypoint)?;
    plan.waypoints.iter().position(|w| w.name == *name).map(crate::run::waypoint)
}

/// The latest time of a row.
const fn end_of(row: &LedgerRow) -> Timestamp {
    match row {
        LedgerRow::Journey(record) => record.ended_at,
        LedgerRow::Amend(amendment) => amendment.at,
        LedgerRow::Dropped { to, .. } => *to,
    }
}

/// Reads the ledger once.
///
/// # Errors
/// It cannot be read.
pub(super) fn scan(folder: &Path, plan: &Plan) -> Result<Scan, Failure> {
    let mut scan = Scan::default();
    let mut latest = Timestamp::EPOCH;
    let missing = ledger::each(folder, |names, row| {
        let mut first = end_of(&row);
        match &row {
            LedgerRow::Journey(record) => {
                scan.journeys += 1;
                first = record.sends.iter().map(|s| s.at).fold(record.first_at, Timestamp::min);
                let kept = u32::try_from(record.sends.len()).unwrap_or(u32::MAX);
                scan.unkept += u64::from(record.sends_total.saturating_sub(kept));
                for send in &record.sends {
                    if place(plan, names, send.waypoint).is_none() {
                        *scan.unknown.entry(ledger::name(names, send.waypoint)).or_default() += 1;
                    }
                }
            }
            LedgerRow::Amend(_) => {}
            LedgerRow::Dropped { rows, .. } => scan.dropped += rows,
        }
        if latest > Timestamp::EPOCH {
            let behind = latest.since(first);
            scan.late += u64::from(behind > HOLD_MAX);
            scan.hold = scan.hold.max(behind.min(HOLD_MAX));
        }
        latest = latest.max(end_of(&row));
        let (from, to) = scan.times.unwrap_or((first, latest));
        scan.times = Some((from.min(first), to.max(latest)));
    })?;
    scan.missing = missing;
    Ok(scan)
}

/// Gives every event in order of time: those of the ledger, and those of `beside`, which are in order.
///
/// # Errors
/// The ledger cannot be read.
pub(super) fn play(
    folder: &Path,
    plan: &Plan,
    scan: &Scan,
    beside: &[Event],
    each: &mut dyn FnMut(&Event),
) -> Result<(), Failure> {
    let mut heap: BinaryHeap<Reverse<Event>> = BinaryHeap::new();
    // Incidents are kept for longer than the ledger.
    let (start, end) = scan.times.unwrap_or_default();
    let mut beside = beside.iter().skip_while(|event| event.at < start).peekable();
    let (mut order, mut latest) = (0, Timestamp::EPOCH);
    let hold = scan.hold + Duration::from_secs(1);
    ledger::each(folder, |names, row| {
        latest = latest.max(end_of(&row));
        events(plan, names, row, &mut |mut event| {
            order += 1;
            event.order = order;
            heap.push(Reverse(event));
        });
        let sure = latest.minus(hold);
        while heap.peek().is_some_and(|Reverse(event)| event.at <= sure) {
            let Some(Reverse(event)) = heap.pop() else { break };
            while let Some(other) = beside.next_if(|other| other.at <= event.at) {
                each(other);
            }
            each(&event);
        }
    })?;
    while let Some(Reverse(event)) = heap.pop() {
        while let Some(other) = beside.next_if(|other| other.at <= event.at) {
            each(other);
        }
        each(&event);
    }
    beside.take_while(|other| other.at <= end).for_each(each);
    Ok(())
}

fn events(plan: &Plan, names: &Waypoints, row: LedgerRow, put: &mut dyn FnMut(Event)) {
    match row {
        LedgerRow::Journey(record) => {
            let record = Rc::new(*record);
            for send in &record.sends {
                let Some(waypoint) = place(plan, names, send.waypoint) else { continue };
                let what = What::Sent(Rc::clone(&record), *send);
                put(Event { at: send.at, waypoint, what, order: 0 });
                // Its end says something only where somebody answered, or hung up.
                if let Some(at) = send.ended_at
                    && (send.ack.is_some() || send.outcome == Some(Outcome::ConnectionLost))
                {
                    let what = What::Ended(Rc::clone(&record), *send);
                    put(Event { at, waypoint, what, order: 0 });
                }
            }
        }
        LedgerRow::Amend(amendment) => {
            if let Some(waypoint) = place(plan, names, amendment.waypoint) {
                let what = What::Late(amendment);
                put(Event { at: amendment.at, waypoint, what, order: 0 });
            }
        }
        LedgerRow::Dropped { from, to, .. } => {
            let (waypoint, what) = (WaypointId(0), What::Blind(from, true));
            put(Event { at: to, waypoint, what, order: 0 });
        }
    }
}

/// What the tables tell beside the ledger: receivers that were not reached, blind intervals, and times in
/// which nobody watched. In order of time.
pub(super) fn beside(
    plan: &Plan,
    incidents: &[IncidentChange],
    minutes: &[Timestamp],
) -> Vec<Event> {
    let mut all = Vec::new();
    let mut put = |at, waypoint, what| all.push(Event { at, waypoint, what, order: 0 });
    for incident in incidents {
        let end = incident.resolved_at;
        for finding in &incident.findings {
            let over = finding.cleared_at.or(end).unwrap_or(finding.since);
            match finding.code {
                Code::ReceiverDown => {
                    let name = incident.subject_name.strip_prefix("waypoint ");
                    let named = plan.waypoints.iter().position(|w| Some(w.name.as_str()) == name);
                    let (Some(n), Subject::Waypoint(_)) = (named, incident.subject) else {
                        continue;
                    };
                    let waypoint = crate::run::waypoint(n);
                    let mut at = finding.since;
                    for _ in 0..ATTEMPTS_MAX {
                        put(at, waypoint, What::Down);
                        at = at.plus(ATTEMPT);
                        if at >= over {
                            break;
                        }
                    }
                    put(over.max(at), waypoint, What::Up);
                }
                Code::Blind => {
                    let length = finding.evidence.iter().find(|e| e.name == "blind_s");
                    let seconds = length.map_or(0.0, |e| e.value.clamp(0.0, 86_400.0 * 30.0));
                    let to = finding.since.plus(Duration::from_secs_f64(seconds));
                    put(to, WaypointId(0), What::Blind(finding.since, true));
                }
                _ => {}
            }
        }
    }
    for pair in minutes.windows(2) {
        let [before, after] = pair else { continue };
        if after.micros_since(*before) >= UNWATCHED {
            let from = before.plus(Duration::from_secs(60));
            put(*after, WaypointId(0), What::Blind(from, true));
        }
    }
    all.sort_by_key(|event| event.at);
    all
}
