//! The tables are read beside a store that writes them.

use crate::{Options, Rows, Store, peek};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState, Rollup, Story};
use feedpulse_core::finding::Subject;
use feedpulse_core::label::Label;
use feedpulse_core::plan::FeedId;
use feedpulse_core::time::Timestamp;

fn incident(id: u64) -> IncidentChange {
    IncidentChange {
        id,
        subject: Subject::Feed(FeedId(1)),
        subject_name: "feed results".into(),
        state: IncidentState::Open,
        severity: Severity::Ticket,
        code: Code::Silence,
        summary: "silent".into(),
        since: Timestamp::from_secs(1_800_000_000),
        resolved_at: None,
        findings: Vec::new(),
        urgent: 0,
        claimed_by: Label::EMPTY,
        muted_until: None,
        story: Story::default(),
    }
}

fn rollup(feed: &str, minute: i64) -> Rollup {
    Rollup {
        feed: FeedId(0),
        feed_name: feed.into(),
        minute: Timestamp::from_secs(1_800_000_000 + minute * 60),
        seen: 1,
        outcomes: [0; 9],
        ack_p50: None,
        ack_p99: None,
        transit_max: None,
        backlog: 0,
        lag: 0,
    }
}

#[test]
fn tables_are_read_while_another_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), Options::default()).unwrap();
    let mut expected = Vec::new();
    for round in 0..30_u64 {
        let incidents = [incident(round + 1)];
        let minutes: Vec<Rollup> = (0..20)
            .filter(|n| *n != 7)
            .map(|n| rollup("results", i64::try_from(round).unwrap() * 20 + n))
            .collect();
        let rows = Rows { incidents: &incidents, rollups: &minutes, ..Rows::default() };
        store.commit(&rows).unwrap();
        expected.insert(0, incident(round + 1));
        let before = std::fs::read(folder.path().join("feedpulse.redb")).unwrap();
        let found = peek(folder.path(), &Options::default()).unwrap();
        assert_eq!(found.incidents, expected);
        assert_eq!(found.minutes.len(), 19 * (usize::try_from(round).unwrap() + 1));
        assert!(found.minutes.is_sorted());
        let after = std::fs::read(folder.path().join("feedpulse.redb")).unwrap();
        assert!(before == after, "nothing is written");
    }
    // While another commits without a pause every reading is of one moment, or says that there was none.
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for id in (31..131).step_by(2) {
                // Two at a time: never one without the other.
                let pair = [incident(id), incident(id + 1)];
                store.commit(&Rows { incidents: &pair, ..Rows::default() }).unwrap();
            }
        });
        while !writer.is_finished() {
            if let Ok(found) = peek(folder.path(), &Options::default()) {
                assert_eq!(found.incidents.len() % 2, 0);
            }
        }
    });
    drop(store);
    assert!(peek(folder.path(), &Options::default()).unwrap().incidents.len() >= 130);
    assert!(peek(&folder.path().join("none"), &Options::default()).is_err());
}
