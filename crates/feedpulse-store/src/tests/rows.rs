//! The tables: what is written is read, replaced and, when old, removed.

use super::crash_disk::CrashDisk;
use super::work::{SMALL, position};
use crate::{OutboxChange, Rows, Store, StoreError};
use feedpulse_codec::{OutboxRow, OwedNotice, Why};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentFinding, IncidentState, Rollup};
use feedpulse_core::finding::{Evidence, Subject};
use feedpulse_core::label::Label;
use feedpulse_core::plan::FeedId;
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;

const DAY: i64 = 86_400;

fn incident(id: u64, resolved_day: Option<i64>) -> IncidentChange {
    let since = Timestamp::from_secs(10);
    let state = if resolved_day.is_some() { IncidentState::Resolved } else { IncidentState::Open };
    IncidentChange {
        id,
        subject: Subject::Feed(FeedId(3)),
        subject_name: "feed lab-results".into(),
        state,
        severity: Severity::Page,
        code: Code::NoAck,
        summary: "3 messages unanswered".into(),
        since,
        resolved_at: resolved_day.map(|day| Timestamp::from_secs(day * DAY)),
        findings: vec![IncidentFinding {
            code: Code::NoAck,
            severity: Severity::Page,
            since,
            cleared_at: None,
            evidence: vec![Evidence { name: "open_total", value: 3.0 }],
            detail: Label::EMPTY,
            times: 4,
        }],
        urgent: 1,
        claimed_by: Label::from("nurse.joy"),
        muted_until: None,
        story: feedpulse_core::effect::Story::default(),
    }
}

fn rollup(feed: &str, minute: i64) -> Rollup {
    Rollup {
        feed: FeedId(1),
        feed_name: feed.into(),
        minute: Timestamp::from_secs(minute * 60),
        seen: 7,
        outcomes: [1, 2, 3, 0, 0, 0, 0, 0, 1],
        ack_p50: Some(1200),
        ack_p99: None,
        transit_max: Some(9),
        backlog: 2,
        lag: 55,
    }
}

fn store() -> (CrashDisk, Store<CrashDisk>) {
    let disk = CrashDisk::new();
    let (store, _) = Store::open_on(disk.clone(), SMALL).unwrap();
    (disk, store)
}

fn minutes(store: &Store<CrashDisk>, feed: &str, from: i64, to: i64) -> Vec<i64> {
    let at = |minute: i64| Timestamp::from_secs(minute * 60);
    let rows = store.rollups(feed, at(from), at(to)).unwrap();
    rows.iter().map(|row| row.minute.as_secs() / 60).collect()
}

#[test]
fn rows_come_back_after_a_restart() {
    let (disk, mut store) = store();
    let incidents: Vec<_> = (1..=5).map(|id| incident(id, None)).collect();
    let rollups: Vec<_> = (0..10).flat_map(|m| [rollup("a", m), rollup("ab", m)]).collect();
    store.commit(&Rows { incidents: &incidents, rollups: &rollups, ..Rows::default() }).unwrap();
    let changed = incident(4, Some(1));
    store
        .commit(&Rows {
            incidents: std::slice::from_ref(&changed),
            positions: &[position(5)],
            ..Rows::default()
        })
        .unwrap();
    drop(store);
    let (store, recovered) = Store::open_on(disk.image(0), SMALL).unwrap();
    assert_eq!(recovered.positions, [position(5)]);
    let newest = store.incidents(3).unwrap();
    assert_eq!(newest, [incident(5, None), changed, incident(3, None)]);
    assert_eq!(minutes(&store, "a", 3, 6), [3, 4, 5], "from is in, to is not");
    assert_eq!(minutes(&store, "a", 6, 3), [0; 0]);
    assert_eq!(minutes(&store, "b", 0, 100), [0; 0]);
    assert_eq!(store.rollups("ab", Timestamp::EPOCH, Timestamp::from_secs(1)).unwrap().len(), 1);
}

#[test]
fn positions_are_kept_by_tap_and_lane() {
    let (_, mut store) = store();
    let at = |tap: &str, lane: &str, offset| Position {
        tap: tap.into(),
        lane: lane.into(),
        epoch: 1,
        offset,
    };
    let all = [at("k", "t/0", 1), at("k", "t/1", 2), at("kk", "", 3), at("a", "z", 4)];
    store.commit(&Rows { positions: &all, ..Rows::default() }).unwrap();
    store.commit(&Rows { positions: &[at("k", "t/0", 9)], ..Rows::default() }).unwrap();
    assert_eq!(store.positions("k").unwrap(), [at("k", "t/0", 9), at("k", "t/1", 2)]);
    assert_eq!(store.positions("nobody").unwrap(), []);
}

#[test]
fn old_rows_are_removed() {
    let (_, mut store) = store();
    let now = 1000 * DAY;
    let day_of_minutes = 1440;
    let young = (now - 29 * DAY) / 60;
    let old = young - 2 * day_of_minutes;
    let rollups = [
        rollup("a", old),
        rollup("a", young),
        rollup("b", old),
        rollup("b", 0),
        rollup("c", young),
    ];
    let incidents =
        [incident(1, Some(1)), incident(2, None), incident(3, Some(599)), incident(4, Some(601))];
    store.commit(&Rows { incidents: &incidents, rollups: &rollups, ..Rows::default() }).unwrap();
    assert_eq!(store.prune(Timestamp::from_secs(now)).unwrap(), 5);
    assert_eq!(minutes(&store, "a", 0, i64::MAX / 60_000_000), [young]);
    assert_eq!(minutes(&store, "b", 0, i64::MAX / 60_000_000), [0; 0]);
    assert_eq!(minutes(&store, "c", 0, i64::MAX / 60_000_000), [young]);
    let left: Vec<u64> = store.incidents(9).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(left, [4, 2], "open ones stay, however old");
    assert_eq!(store.prune(Timestamp::from_secs(now)).unwrap(), 0);
}

#[test]
fn limits_and_order_are_kept() {
    let (_, mut store) = store();
    let empty = store.append(1, 1, b"");
    assert!(matches!(empty, Err(StoreError::Size { bytes: 0, .. })), "{empty:?}");
    assert!(store.append(1, 0, b"x").is_err(), "no inputs");
    let huge = vec![0; crate::BLOCK_MAX + 1];
    assert!(matches!(store.append(1, 1, &huge), Err(StoreError::Size { .. })));
    store.append(1, 3, b"x").unwrap();
    let again = store.append(3, 1, b"x");
    assert!(matches!(again, Err(StoreError::Sequence { expected: 4, got: 3 })), "{again:?}");
    assert!(matches!(store.write_snapshot(3, b""), Err(StoreError::Size { .. })));
    assert_eq!(store.failing(), None, "a wrong call is no failure of the disk");
    assert_eq!(store.durable_seq(), 0);
    assert_eq!(store.sync().unwrap(), 3);
    store.append(4, 1, &huge[1..]).unwrap();
    assert_eq!(store.sync().unwrap(), 4);
}

#[test]
fn the_log_stays_under_its_size() {
    let disk = CrashDisk::new();
    let options = crate::Options { log_bytes_max: 20_000, ..SMALL };
    let (mut store, _) = Store::open_on(disk.clone(), options).unwrap();
    for seq in 1..200 {
        store.append(seq, 1, &[7; 900]).unwrap();
        store.sync().unwrap();
        assert!(store.usage().log_bytes <= 20_000 + 4096, "{:?}", store.usage());
    }
    let files = disk.names().iter().filter(|name| name.starts_with("log/")).count();
    assert_eq!(files, store.usage().segments);
    drop(store);
    let (_, recovered) = Store::open_on(disk, options).unwrap();
    assert_eq!(recovered.next_seq, 200);
    let items: Vec<_> = recovered.tail.collect();
    let lost = items[0].as_ref().unwrap_err().lost.unwrap();
    assert_eq!(lost.0, 1, "what was removed is named");
    assert_eq!(items[1].as_ref().unwrap().first_seq, lost.1 + 1);
}

fn owed(place: &str, id: u64, day: i64) -> OutboxRow {
    let change = incident(id, None);
    OutboxRow {
        place: place.into(),
        kept_at: Timestamp::from_secs(day * DAY),
        began: change.since,
        first: Code::NoAck,
        said: Some(Severity::Page),
        told_at: change.since,
        updates: 3,
        claimed: false,
        waiting: vec![OwedNotice {
            why: Why::Still(3),
            made_at: change.since,
            change: change.clone(),
        }],
        change,
    }
}

#[test]
fn the_outbox_comes_back_after_a_restart_and_forgets_after_a_week() {
    let (disk, mut store) = store();
    let put = |row: OutboxRow| OutboxChange::Put(Box::new(row));
    let gone = |place: &str, incident| OutboxChange::Remove { place: place.to_owned(), incident };
    let changes = [put(owed("hook", 1, 100)), put(owed("mail", 1, 100)), put(owed("hook", 2, 93))];
    store.commit(&Rows { outbox: &changes, ..Rows::default() }).unwrap();
    let changes = [put(owed("hook", 3, 100)), gone("hook", 3), gone("nobody", 9)];
    store.commit(&Rows { outbox: &changes, ..Rows::default() }).unwrap();
    drop(store);
    let (mut store, _) = Store::open_on(disk.image(0), SMALL).unwrap();
    let rows = [owed("hook", 1, 100), owed("hook", 2, 93), owed("mail", 1, 100)];
    assert_eq!(store.outbox().unwrap(), rows);
    store.prune(Timestamp::from_secs(100 * DAY + 1)).unwrap();
    assert_eq!(store.outbox().unwrap().len(), 2, "eight days old is too old");
}
