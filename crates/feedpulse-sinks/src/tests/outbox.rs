//! What is owed over a crash: the boards with an outbox that the test answers for.

use super::servers::{http, ok};
use super::{Running, T0, at, incident, resolved};
use crate::config::{NotifierConfig, SinksConfig, Target};
use crate::notify::Counts;
use crate::notify::notices::{Board, Rules};
use crate::notify::outbox::{Keep, Kept, Outbox};
use crate::notify::routes::Terms;
use core::time::Duration;
use feedpulse_codec::{OutboxRow, Why};
use feedpulse_core::codes::Severity;
use feedpulse_core::finding::Subject;
use feedpulse_core::metrics::Registry;
use feedpulse_core::plan::FeedId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const NOW: Option<Terms> = Some(Terms { from: T0, updates: None, escalated: false });

/// A disk that the test answers for.
#[derive(Clone, Default)]
struct Disk {
    asked: Arc<Mutex<Vec<Keep>>>,
    rows: Arc<Mutex<BTreeMap<(String, u64), OutboxRow>>>,
}

impl Disk {
    fn outbox(&self) -> Outbox {
        let asked = Arc::clone(&self.asked);
        Outbox::new(Some(Arc::new(move |keep| asked.lock().unwrap().push(keep))))
    }

    /// Makes durable what was asked for.
    fn sync(&self) {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        for keep in asked {
            match keep.what {
                Kept::Row(row) => {
                    let key = (row.place.clone(), row.change.id);
                    self.rows.lock().unwrap().insert(key, *row);
                }
                Kept::Gone { place, incident } => {
                    self.rows.lock().unwrap().remove(&(place, incident));
                }
            }
            keep.done.durable();
        }
    }

    /// What a restart finds.
    fn rows(&self) -> Vec<OutboxRow> {
        self.rows.lock().unwrap().values().cloned().collect()
    }

    fn board(&self) -> Arc<Board> {
        let rules = Rules {
            place: "hook".to_owned(),
            repeat: Duration::from_secs(4 * 3600),
            min_severity: Severity::Ticket,
            tells_claims: false,
        };
        let board = Board::new(rules, self.outbox(), Counts::new(&Registry::default(), "test"));
        self.rows().into_iter().for_each(|row| board.restore(row));
        board
    }
}

/// Why and under which key, of all that may be sent.
fn due(board: &Board, millis: u64) -> Vec<(Why, String)> {
    board.due(at(millis)).iter().map(|notice| (notice.why, notice.key("north"))).collect()
}

fn deliver(board: &Board, millis: u64) -> Vec<Why> {
    let due = board.due(at(millis));
    due.iter().for_each(|notice| board.delivered(notice, at(millis)));
    due.iter().map(|notice| notice.why).collect()
}

#[test]
fn a_notice_waits_until_it_is_durable_but_not_for_a_disk_that_fails() {
    let disk = Disk::default();
    let board = disk.board();
    board.offer(&incident(1), NOW, at(0));
    assert!(board.due(at(0)).is_empty() && board.waits(), "not before it is written down");
    disk.sync();
    assert_eq!(deliver(&board, 10), [Why::Open]);
    // The disk says nothing for five seconds.
    board.offer(&incident(2), NOW, at(1_000));
    assert!(board.due(at(5_900)).is_empty());
    assert_eq!(due(&board, 6_000).len(), 1, "alerts depend on no disk");
    // The disk refuses: at once.
    board.offer(&incident(3), NOW, at(6_000));
    disk.asked.lock().unwrap().clear();
    assert_eq!(deliver(&board, 6_001).len(), 2);
    // It works again: what it missed is offered anew.
    disk.asked.lock().unwrap().clear();
    board.due(at(30_000));
    disk.sync();
    assert_eq!(disk.rows().len(), 3);
    assert!(disk.board().due(at(60_000)).is_empty(), "all of it was told");
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let disk = Disk::default();
    let first = disk.board();
    for number in 1..=4 {
        first.offer(&incident(number), NOW, at(0));
    }
    disk.sync();
    let sent = first.due(at(1));
    // 1 and 2 were taken, 3 as well, but that was not written down; 4 was not sent.
    first.delivered(&sent[0], at(1));
    first.delivered(&sent[1], at(1));
    disk.sync();
    first.delivered(&sent[2], at(2));
    let keys: Vec<String> = sent.iter().map(|notice| notice.key("north")).collect();
    let second = disk.board();
    second.offer(&incident(1), NOW, at(10_000));
    // Over while nobody ran.
    second.offer(&resolved(&incident(2), at(5_000)), NOW, at(10_000));
    second.offer(&incident(3), NOW, at(10_000));
    second.offer(&incident(4), NOW, at(10_000));
    second.recovered(at(10_000));
    disk.sync();
    let again = due(&second, 10_001);
    let expected = [
        (Why::Open, keys[2].clone()),
        (Why::Open, keys[3].clone()),
        (Why::Over, format!("north-2-{}-resolved-0", T0.as_secs())),
    ];
    assert_eq!(again, expected, "what was in flight comes again under its own key");
    assert_eq!(deliver(&second, 10_001).len(), 3);
    disk.sync();
    let third = disk.board();
    for number in [1, 3, 4] {
        third.offer(&incident(number), NOW, at(20_000));
    }
    third.offer(&resolved(&incident(2), at(5_000)), NOW, at(20_000));
    third.recovered(at(20_000));
    disk.sync();
    assert!(due(&third, 30_000).is_empty(), "a restart with open incidents says nothing");
}

#[test]
fn an_end_that_was_not_delivered_is_delivered_after_the_crash() {
    let disk = Disk::default();
    let first = disk.board();
    first.offer(&incident(1), NOW, at(0));
    disk.sync();
    assert_eq!(deliver(&first, 1), [Why::Open]);
    first.offer(&resolved(&incident(1), at(2)), NOW, at(2));
    disk.sync();
    // The engine may have forgotten it by then.
    let second = disk.board();
    second.recovered(at(60_000));
    let end = due(&second, 60_000);
    assert_eq!(end, [(Why::Over, format!("north-1-{}-resolved-0", T0.as_secs()))]);
    deliver(&second, 60_000);
    disk.sync();
    assert!(disk.rows().is_empty());
}

#[test]
fn what_nobody_knows_any_more_is_ended_and_a_number_that_was_reused_is_another() {
    let disk = Disk::default();
    let first = disk.board();
    first.offer(&incident(1), NOW, at(0));
    first.offer(&incident(2), NOW, at(0));
    disk.sync();
    assert_eq!(deliver(&first, 1).len(), 2);
    disk.sync();
    let second = disk.board();
    let mut other = incident(1);
    other.subject = Subject::Feed(FeedId(7));
    second.offer(&other, NOW, at(10));
    second.recovered(at(10));
    disk.sync();
    let told: Vec<(Why, u64)> =
        second.due(at(20)).iter().map(|notice| (notice.why, notice.change.id)).collect();
    assert_eq!(told, [(Why::Open, 1), (Why::Over, 2)]);
}

#[test]
fn a_notice_that_nobody_takes_for_a_week_is_given_up() {
    let disk = Disk::default();
    let board = disk.board();
    board.offer(&incident(1), NOW, at(0));
    disk.sync();
    let week = 7 * 86_400_000;
    assert_eq!(due(&board, week - 1)[0].0, Why::Open);
    let late = due(&board, week);
    assert!(late.iter().all(|(why, _)| *why != Why::Open), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_goes_on_sends_only_what_was_not_taken() {
    let (address, mut seen) = http(ok()).await;
    let hook = NotifierConfig::webhook("webhook", Target::new(format!("{address}/hook")));
    let config = SinksConfig { notifiers: vec![hook], ..SinksConfig::default() };
    let disk = Disk::default();
    let keep = disk.clone();
    // A keeper that is as fast as a call, yet answers after it.
    let keeper = move |running: &mut crate::Deps| {
        let disk = keep.clone();
        running.outbox = Some(Arc::new(move |one| disk.asked.lock().unwrap().push(one)));
    };
    let mut first = Running::with(&config, keeper.clone());
    first.incident(&incident(3));
    disk.sync();
    let open = seen.recv().await.unwrap();
    assert_eq!(open.json()["event"], "open");
    first.stop().await;
    disk.sync();
    let mut second = Running::with(&config, keeper);
    second.sinks.restore(disk.rows());
    second.sinks.reoffer(&incident(3));
    second.sinks.recovered();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(seen.try_recv().is_err(), "it was told");
    second.incident(&resolved(&incident(3), at(700_000)));
    disk.sync();
    assert_eq!(seen.recv().await.unwrap().json()["event"], "resolved");
    second.stop().await;
}
