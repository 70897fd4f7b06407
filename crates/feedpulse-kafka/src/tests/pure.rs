//! Lanes, health, reasons, commits and traces without a broker.

use crate::commit::{Commits, Mark};
use crate::health::{Health, PATIENCE};
use crate::lanes::{Lag, Lane, Step};
use crate::read::{connection, trace_parent};
use crate::reason::of_text;
use crate::stats::{Fetching, Stats};
use feedpulse_core::codes::Code;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::sighting::ReasonClass;
use feedpulse_core::time::Timestamp;
use std::time::{Duration, Instant};

const W: WaypointId = WaypointId(3);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn fetching(low: i64, high: i64, end: Option<i64>) -> Option<Fetching> {
    Some(Fetching { low: Some(low), high: Some(high), end, idle: true })
}

#[test]
fn deleted_records_become_a_blind_interval_and_compacted_ones_do_not() {
    let mut out = Vec::new();
    let mut lane = Lane::new(1, 0, Some(10));
    assert_eq!(lane.record(10, at(100)), Step::Next);
    assert_eq!(lane.record(20, at(200)), Step::Next, "later jumps are judged by statistics");
    lane.look(at(300), fetching(5, 21, None), true, W, &mut out);
    assert!(out.is_empty(), "the log starts before the jump, so nothing was deleted: {out:?}");
    assert_eq!(lane.record(40, at(400)), Step::Next);
    lane.look(at(500), fetching(35, 41, None), true, W, &mut out);
    let [blind] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!((blind.from, blind.to, blind.records), (at(200), at(400), 14));
    assert_eq!(blind.waypoint, Some(W));
}

#[test]
fn a_start_at_deleted_records_asks_and_an_emptied_log_is_noticed_without_a_record() {
    let mut out = Vec::new();
    let mut lane = Lane::new(1, 0, Some(10));
    assert_eq!(lane.record(15, at(100)), Step::Ask);
    lane.starts_at(15, W, &mut out);
    assert_eq!(out.pop().map(|blind| blind.records), Some(5));
    lane.look(at(110), fetching(30, 30, None), true, W, &mut out);
    assert_eq!(out.pop().map(|blind| (blind.from, blind.records)), Some((at(100), 14)));
    assert_eq!(lane.next, Some(30));
    lane.look(at(120), fetching(30, 30, None), true, W, &mut out);
    assert!(out.is_empty(), "it is told once");
}

#[test]
fn offsets_that_begin_anew_are_another_epoch() {
    let mut lane = Lane::new(1, 7, Some(100));
    assert_eq!(lane.record(0, at(1)), Step::Restarted);
    assert_eq!((lane.epoch, lane.next), (8, Some(1)));
    assert_eq!(lane.record(1, at(2)), Step::Next);
    assert_eq!(lane.epoch, 8);
}

#[test]
fn lag_is_absent_then_exact_then_zero() {
    let mut out = Vec::new();
    let mut lane = Lane::new(1, 0, Some(0));
    assert_eq!(lane.lag(at(50)), Lag::default(), "nothing is known yet");
    lane.look(at(50), fetching(0, 4, None), false, W, &mut out);
    assert_eq!(lane.lag(at(50)), Lag { messages: Some(4), micros: None });
    lane.record(0, at(40));
    assert_eq!(lane.lag(at(50)), Lag { messages: Some(3), micros: Some(10_000_000) });
    lane.record(2, at(45));
    // The transaction's end stands at 3 and is no record.
    lane.look(at(50), fetching(0, 4, Some(4)), true, W, &mut out);
    assert_eq!(lane.lag(at(99)), Lag { messages: Some(0), micros: Some(0) });
    assert!(lane.is_caught_up());
    assert_eq!(lane.next, Some(4));
    // Something arrived after all had been read, and it does not come: at most this old.
    lane.look(at(60), fetching(0, 5, Some(4)), true, W, &mut out);
    assert_eq!(lane.lag(at(60)), Lag { messages: Some(1), micros: Some(10_000_000) });
    assert!(!lane.is_caught_up());
    lane.look(at(61), None, true, W, &mut out);
    assert_eq!(lane.lag(at(61)), Lag::default(), "not fetched: nobody knows");
}

#[test]
fn undrained_statistics_do_not_claim_the_end() {
    let mut lane = Lane::new(1, 0, Some(0));
    lane.look(at(1), fetching(0, 9, Some(9)), false, W, &mut Vec::new());
    assert!(!lane.is_caught_up());
    assert_eq!(lane.next, Some(0));
}

#[test]
fn trouble_is_told_after_five_seconds_and_once() {
    let mut health = Health::default();
    let start = Instant::now();
    assert_eq!(health.bad(start, "unreachable"), None);
    assert_eq!(health.good(), None, "a short break is nobody's business");
    assert_eq!(health.bad(start, "unreachable"), None);
    let raised = health.bad(start + PATIENCE, "auth").unwrap();
    assert_eq!(
        (raised.code, raised.failing, raised.detail.as_str()),
        (Code::KafkaDown, true, "auth")
    );
    assert_eq!(health.bad(start + 2 * PATIENCE, "auth"), None);
    let cleared = health.good().unwrap();
    assert!(!cleared.failing && cleared.part.as_str() == "kafka");
    assert_eq!(health.good(), None);
}

#[test]
fn record_lag_is_told_over_a_minute_and_cleared_under_half_of_it() {
    let mut health = Health::default();
    let mut lag = |secs| health.lag(Duration::from_secs(secs)).map(|s| (s.code, s.failing));
    assert_eq!(lag(60), None);
    assert_eq!(lag(61), Some((Code::RecordLag, true)));
    assert_eq!(lag(99), None);
    assert_eq!(lag(30), None);
    assert_eq!(lag(29), Some((Code::RecordLag, false)));
}

#[test]
fn reasons_are_classes() {
    for (text, class) in [
        ("org.apache.kafka.connect.errors.DataException", ReasonClass::Structure),
        ("java.net.ConnectException: Connection refused", ReasonClass::Unavailable),
        ("org.apache.kafka.connect.errors.ConnectException", ReasonClass::Other),
        ("patient 4711 not found", ReasonClass::UnknownKey),
        ("Duplicate key 12", ReasonClass::DuplicateKey),
        ("row is locked by ANNA", ReasonClass::Locked),
        ("java.sql.SQLException", ReasonClass::Internal),
        ("version 2.9 is not supported", ReasonClass::Unsupported),
        ("who knows", ReasonClass::Other),
    ] {
        assert_eq!(of_text(text.as_bytes()), Some(class), "{text}");
    }
    assert_eq!(of_text(b"  "), None);
    assert_eq!(of_text(&[0xff; 10_000]), Some(ReasonClass::Other));
}

#[test]
fn trace_parents_are_valid_or_absent() {
    let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = trace_parent(good).unwrap();
    assert_eq!(trace.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert!(trace.span_id == 0xb7ad_6b71_6920_3331 && trace.sampled);
    let later = b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
    assert_eq!(trace_parent(later).map(|trace| trace.sampled), Some(false));
    for bad in [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "",
    ] {
        assert_eq!(trace_parent(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn a_later_assignments_mark_wins_and_taking_empties() {
    let commits = Commits::default();
    let mark = |assignment, next| Mark { key: (0, 1), assignment, next };
    commits.done(&[mark(1, 50)]);
    commits.done(&[mark(2, 20), Mark { key: (0, 2), assignment: 1, next: 9 }]);
    commits.done(&[mark(1, 60)]);
    let taken = commits.take();
    assert_eq!(taken, [mark(2, 20), Mark { key: (0, 2), assignment: 1, next: 9 }]);
    assert!(commits.take().is_empty());
}

#[test]
fn connections_tell_partitions_apart_and_stay() {
    assert_ne!(connection("a", 1), connection("a", 2));
    assert_ne!(connection("a", 1), connection("b", 1));
    assert_eq!(connection("", 0).0, 0x07d6_9607_b49d_290a);
}

#[test]
fn statistics_that_are_none_say_nothing() {
    assert!(Stats::read(b"{").is_none());
    let stats = Stats::read(b"{}").unwrap();
    assert!(!stats.any_broker_up() && !stats.group_up());
    assert_eq!(stats.fetching("adt", 0), None);
}
