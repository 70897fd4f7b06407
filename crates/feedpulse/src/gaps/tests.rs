//! Rows that open, close, and are counted; lists that are compared.

use super::against::List;
use super::gather::{Class, Gaps, Wanted};
use super::{ranges, report};
use crate::ledger::{Missing, Waypoints};
use feedpulse_codec::LedgerRow;
use feedpulse_core::class::AckClasses;
use feedpulse_core::effect::{Amendment, JourneyEnd, JourneyRecord, Sending};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::lag::Withheld;
use feedpulse_core::plan::FeedId;
use feedpulse_core::sighting::{AckCode, FindKeys, Outcome, ReasonClass, Urgency};
use feedpulse_core::time::Timestamp;
use std::io::Write as _;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + secs)
}

fn journey(key: u128, id: &str, secs: i64, end: JourneyEnd) -> JourneyRecord {
    let outcome = match end {
        JourneyEnd::Delivered(o) | JourneyEnd::Failed(o) | JourneyEnd::Partly(o) => o,
        _ => Outcome::Accepted,
    };
    let control_id = ControlId::from_bytes(id.as_bytes());
    JourneyRecord {
        key: MessageKey::from_u128(key),
        feed: FeedId(0),
        feed_name: "results".into(),
        code: Label::from("ORU"),
        trigger: Label::from("R01"),
        sender: Label::from("LAB"),
        facility: Label::from("NORTH"),
        control_id,
        find: FindKeys::default(),
        urgency: Urgency::Routine,
        event_time: None,
        source_age: Err(Withheld::NoTime),
        first_at: at(secs),
        sends: vec![Sending {
            waypoint: WaypointId(0),
            control_id,
            at: at(secs),
            ended_at: Some(at(secs + 1)),
            outcome: Some(outcome),
            ack: None,
            reason: ReasonClass::None,
            slow: false,
            size: 9,
        }],
        sends_total: 1,
        end,
        missing: if end == JourneyEnd::Expired { vec![WaypointId(1)] } else { Vec::new() },
        classes: AckClasses::default(),
        ended_at: at(secs + 1),
        late: false,
        found: Vec::new(),
        trace: None,
    }
}

fn gather(rows: Vec<LedgerRow>) -> Gaps {
    let wanted = Wanted { from: at(0), to: at(10_000), feed: None };
    let names: Waypoints =
        [(WaypointId(0), "portal-in".to_owned()), (WaypointId(1), "archive-in".to_owned())].into();
    let mut gaps = Gaps::default();
    for row in rows {
        gaps.take(&wanted, &names, row);
    }
    gaps.ordered(false);
    gaps
}

fn ended(key: u128, id: &str, secs: i64, end: JourneyEnd) -> LedgerRow {
    LedgerRow::Journey(Box::new(journey(key, id, secs, end)))
}

#[test]
fn each_end_has_its_class() {
    for (end, class) in [
        (JourneyEnd::Delivered(Outcome::Accepted), Class::Accepted),
        (JourneyEnd::Filtered, Class::Filtered),
        (JourneyEnd::Failed(Outcome::Errored), Class::Refused),
        (JourneyEnd::Failed(Outcome::Rejected), Class::Refused),
        (JourneyEnd::Failed(Outcome::NoAck), Class::NeverAnswered),
        (JourneyEnd::Failed(Outcome::ConnectionLost), Class::NeverAnswered),
        (JourneyEnd::Failed(Outcome::Refused), Class::NeverReached),
        (JourneyEnd::Partly(Outcome::NoAck), Class::PartlyDelivered),
        (JourneyEnd::Expired, Class::NeverSeenNext),
        (JourneyEnd::Unknown, Class::Unknown),
    ] {
        let gaps = gather(vec![ended(1, "A1", 5, end)]);
        let counted = gaps.counts.values().next().unwrap()[class as usize];
        assert_eq!((counted, gaps.rows.len()), (1, usize::from(class.is_gap())), "{end:?}");
    }
}

#[test]
fn a_row_closes_when_its_key_is_accepted_under_whatever_id() {
    let refused = JourneyEnd::Failed(Outcome::Errored);
    let accepted = JourneyEnd::Delivered(Outcome::Accepted);
    let gaps = gather(vec![
        ended(1, "A1", 5, refused),
        ended(2, "A2", 6, refused),
        ended(1, "A1", 60, refused),
        // Beyond the interval that was asked for: it closes all the same.
        ended(1, "RESENT9", 20_000, accepted),
    ]);
    let rows: Vec<_> =
        gaps.rows.iter().map(|r| (r.control_id.as_str(), r.tries, r.closed.is_some())).collect();
    assert_eq!(rows, [("A1", 3, true), ("A2", 1, false)]);
    assert_eq!(gaps.open(), (1, 0));
    let counts = gaps.counts.values().next().unwrap();
    assert_eq!(counts[Class::Refused as usize], 2, "a message counts once");
}

fn amend(key: u128, ack: AckCode) -> LedgerRow {
    LedgerRow::Amend(Amendment {
        key: MessageKey::from_u128(key),
        control_id: ControlId::from_bytes(b"A9"),
        waypoint: WaypointId(0),
        at: at(90),
        ack,
        reason: ReasonClass::Locked,
    })
}

fn shown(gaps: &Gaps) -> Vec<(&str, Class, bool)> {
    gaps.rows.iter().map(|r| (r.control_id.as_str(), r.class, r.closed.is_some())).collect()
}

fn count(gaps: &Gaps, class: Class) -> u64 {
    gaps.counts.values().map(|counts| counts[class as usize]).sum()
}

#[test]
fn a_late_ack_closes_or_refuses_before_and_after_the_end() {
    let silent = JourneyEnd::Failed(Outcome::NoAck);
    let gaps = gather(vec![
        ended(1, "A1", 5, silent),
        ended(2, "A2", 6, silent),
        amend(1, AckCode::AA),
        amend(2, AckCode::AE),
        // While a retry is waited for, the journey has not ended.
        amend(3, AckCode::AA),
        amend(4, AckCode::AE),
        ended(3, "A3", 7, silent),
        ended(4, "A4", 8, silent),
    ]);
    let (late, refused) = (Class::AcceptedLate, Class::Refused);
    let expected =
        [("A1", late, true), ("A2", refused, false), ("A3", late, true), ("A4", refused, false)];
    assert_eq!(shown(&gaps), expected);
    assert!(gaps.rows[1].reason.as_deref() == Some("locked") && gaps.rows[3].feed == "results");
    let counted = [late, refused, Class::NeverAnswered].map(|class| count(&gaps, class));
    assert_eq!(counted, [2, 2, 0]);
}

#[test]
fn a_late_ack_closes_nothing_that_was_not_seen_further_on() {
    let mut stuck = journey(1, "A1", 5, JourneyEnd::Failed(Outcome::NoAck));
    stuck.missing = vec![WaypointId(1)];
    let gaps = gather(vec![
        LedgerRow::Journey(Box::new(stuck)),
        amend(1, AckCode::AA),
        amend(1, AckCode::AA),
    ]);
    assert_eq!(shown(&gaps), [("A1", Class::NeverSeenNext, false)]);
    assert_eq!(gaps.rows[0].waypoint, "archive-in");
}

#[test]
fn what_counted_as_accepted_and_was_refused_after_all_is_a_row() {
    let well = JourneyEnd::Delivered(Outcome::Accepted);
    let mut twice = journey(2, "A2", 6, well);
    twice.sends[0].ack = Some(AckCode::AA);
    let mut urgent = journey(1, "A1", 5, well);
    urgent.urgency = Urgency::Critical;
    let mut other = journey(3, "A3", 7, well);
    other.feed_name = "another".into();
    let rows = [urgent, twice, other].map(|record| LedgerRow::Journey(Box::new(record)));
    let late = [1, 2, 3].map(|key| amend(key, AckCode::AE));
    let all: Vec<LedgerRow> = rows.into_iter().chain(late).collect();
    let wanted = Wanted { from: at(0), to: at(10_000), feed: Some("results".into()) };
    let names: Waypoints = [(WaypointId(0), "portal-in".to_owned())].into();
    let mut gaps = Gaps::default();
    all.iter().for_each(|row| gaps.take(&wanted, &names, row.clone()));
    assert!(gaps.rows.is_empty() && gaps.wants_more());
    all.iter().for_each(|row| gaps.take_again(&wanted, &names, row));
    // Of A2 one sending was answered AA; A3 is of another feed.
    assert_eq!(shown(&gaps), [("A1", Class::Refused, false)]);
    assert_eq!((gaps.rows[0].urgency_name, &*gaps.rows[0].waypoint), ("critical", "portal-in"));
    assert_eq!((count(&gaps, Class::Accepted), count(&gaps, Class::Refused)), (1, 1));
    assert!(!gaps.wants_more());
    // One whose journey retention has removed: all that is known is the refusal.
    let everything = Wanted { feed: None, ..wanted };
    gaps.take(&everything, &names, amend(9, AckCode::AE));
    gaps.nameless(&everything);
    assert_eq!(shown(&gaps)[1], ("A9", Class::Refused, false));
    assert_eq!(gaps.rows[1].waypoint, "portal-in");
}

#[test]
fn what_the_ledger_lacks_is_told() {
    let gaps = gather(vec![LedgerRow::Dropped { from: at(50), to: at(60), rows: 7 }]);
    let missing = |before| Missing { damage: Vec::new(), before };
    let since = |from| Wanted { from: at(from), to: at(10_000), feed: None };
    let lacks = report::Lacks::of(&gaps, missing(Some(at(30))), &since(0));
    let mut text = Vec::new();
    report::text(&mut text, &since(0), &gaps, &lacks, None).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("INCOMPLETE: what was first seen before"), "{text}");
    assert!(text.contains("NOT RECORDED: 7 messages"), "{text}");
    let mut json = Vec::new();
    report::json(&mut json, &since(0), &gaps, &lacks, None).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["incomplete_before"], crate::clock::show(at(31)));
    assert!(!lacks.is_none());
    // Neither touches what was first seen later.
    assert!(report::Lacks::of(&gaps, missing(Some(at(30))), &since(61)).is_none());
}

#[test]
fn a_late_ack_that_comes_before_its_row_closes_it() {
    let amendment = Amendment {
        key: MessageKey::from_u128(1),
        control_id: ControlId::from_bytes(b"A1"),
        waypoint: WaypointId(0),
        at: at(40),
        ack: AckCode::AA,
        reason: ReasonClass::None,
    };
    let silent = JourneyEnd::Failed(Outcome::NoAck);
    let gaps = gather(vec![LedgerRow::Amend(amendment), ended(1, "A1", 5, silent)]);
    assert_eq!((gaps.rows.len(), gaps.open()), (1, (0, 0)));
}

#[test]
fn urgent_rows_come_first_and_runs_are_ranges() {
    let lost = JourneyEnd::Expired;
    let mut rows: Vec<LedgerRow> =
        (17..30_u32).map(|n| ended(n.into(), &format!("LAB{n:05}"), n.into(), lost)).collect();
    let mut urgent = journey(99, "LAB00099", 99, lost);
    urgent.urgency = Urgency::Critical;
    rows.push(LedgerRow::Journey(Box::new(urgent)));
    let gaps = gather(rows);
    assert_eq!(gaps.rows[0].control_id, "LAB00099");
    assert_eq!(gaps.rows[0].waypoint, "archive-in");
    let ranges = ranges::of(&gaps.rows);
    let shown: Vec<_> = ranges.iter().map(|r| (&*r.first, &*r.last, r.count)).collect();
    assert_eq!(shown, [("LAB00017", "LAB00029", 13)]);
    let wanted = Wanted { from: at(0), to: at(1_000), feed: None };
    let mut text = Vec::new();
    report::text(&mut text, &wanted, &gaps, &report::Lacks::default(), None).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("14 messages are not accounted for, 1 of them urgent"), "{text}");
    assert!(text.contains("LAB00017…LAB00029 (13)"), "{text}");
}

#[test]
fn a_list_shows_what_never_reached_a_tap() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "when,Message Control ID\n1,A1\n2,A2\n3,007\n3,A1\n").unwrap();
    for column in [None, Some("message control id"), Some("2")] {
        let mut list = List::read(file.path(), column).unwrap();
        list.take(&ended(1, "A1", 5, JourneyEnd::Delivered(Outcome::Accepted)));
        list.take(&ended(2, "7", 6, JourneyEnd::Failed(Outcome::Errored)));
        let fates: Vec<_> =
            list.ids.iter().map(|(id, f)| (id.as_str(), f.listed, f.seen, f.end)).collect();
        let expected =
            [("007", 1, 1, Some("errored")), ("A1", 2, 1, Some("accepted")), ("A2", 1, 0, None)];
        assert_eq!(fates, expected, "{column:?}");
        assert_eq!(list.ids["007"].seen_as.as_deref(), Some("7"));
    }
    assert!(List::read(file.path(), Some("nope")).unwrap_err().error.to_string().contains("nope"));
}
