//! Planned downtimes: what is found in them is a note, and what outlasts them is told with their name.

use super::{Bench, plan};
use crate::codes::Severity;
use crate::effect::{Effect, IncidentChange, IncidentState, Overran};
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::plan::{DownTimes, Downtime, Plan};
use crate::sighting::{LinkEvent, Seen};
use crate::time::Timestamp;
use core::time::Duration;

const START: Timestamp = Timestamp::from_secs(1_000_000);
/// Length of the downtime.
const PLANNED: Duration = Duration::from_secs(60);

fn down(times: DownTimes) -> Bench {
    let planned = Downtime { name: "patch night".into(), waypoints: vec![WaypointId(1)], times };
    Bench::with(Plan { downtimes: vec![planned], ..plan() })
}

/// Refusals for so long, every other second.
fn refuse(bench: &mut Bench, seconds: u32) {
    for _ in 0..seconds / 2 {
        bench.see(1, 1, Seen::Link(LinkEvent::Refused));
        bench.pass(2);
    }
}

fn changes(bench: &Bench) -> Vec<&IncidentChange> {
    let all = bench.all.iter().filter_map(|(_, effect)| match effect {
        Effect::Incident(change) if change.subject == Subject::Waypoint(WaypointId(1)) => {
            Some(&**change)
        }
        _ => None,
    });
    all.collect()
}

#[test]
fn what_ends_with_the_downtime_stays_a_note() {
    let mut bench = down(DownTimes::Once { from: START, to: START.plus(PLANNED) });
    refuse(&mut bench, 50);
    bench.see(1, 1, Seen::Link(LinkEvent::Opened));
    bench.pass(300);
    let told = changes(&bench);
    assert!(told.iter().all(|change| change.severity == Severity::Note), "{told:#?}");
    assert!(told.iter().all(|change| change.story.overran.is_none()), "{told:#?}");
}

#[test]
fn what_outlasts_it_is_told_with_its_name_and_its_end() {
    let end = START.plus(PLANNED);
    for times in [
        DownTimes::Once { from: START, to: end },
        // The same as a weekly one: 1970-01-12, a Monday, from 13:46 for two minutes.
        DownTimes::Weekly { days: 1, start: 13 * 60 + 46, minutes: 2 },
    ] {
        let mut bench = down(times);
        refuse(&mut bench, 400);
        let told = changes(&bench);
        assert_eq!(told[0].severity, Severity::Note, "at first it is as planned");
        let last = told.last().unwrap();
        assert_eq!((last.severity, last.state), (Severity::Page, IncidentState::Open));
        let since = match times {
            DownTimes::Once { to, .. } => to,
            DownTimes::Weekly { .. } => Timestamp::from_secs(11 * 86_400 + 13 * 3_600 + 48 * 60),
        };
        let overran = Overran { name: "patch night".into(), since };
        assert_eq!(last.story.overran, Some(overran));
        let facts = last.facts();
        let fact = facts.iter().find(|(name, _)| *name == "overran").unwrap();
        assert_eq!(fact.1, "the planned downtime patch night should be over");
        // Told once: louder than the note, and not again with each refusal.
        let louder = told.iter().filter(|change| change.severity == Severity::Page).count();
        assert!(louder <= 2, "{louder}");
    }
}
