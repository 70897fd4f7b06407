//! The ledger over crashes and under retention: each message once, gaps as if nothing had happened, and
//! no claim about what is no longer there.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::gaps::Watched;
use crate::identity::{Stage, assert_each_counted_once};
use feedpulse_codec::{LedgerRow, LedgerRows, decode};
use feedpulse_core::effect::JourneyRecord;
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_sim::AckCode::{Ae, Ar};
use feedpulse_sim::Rng;
use feedpulse_store::LedgerReader;
use feedpulse_tests::clinic::Answer::{Later, Refuse, Silence};
use feedpulse_tests::clinic::{Answer, Clinic, Fate, Lab};
use feedpulse_tests::product::command;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const CRASHES: u32 = 6;
/// Messages around each of them.
const ROUND: u32 = 60;
/// Findings that a restart of ours might cause: blindness, silence, failed parts, sums.
const OURS: [&str; 7] = ["FP0106", "FP0901", "FP0902", "FP0903", "FP0904", "FP0906", "FP0990"];

/// Every journey in a store's ledger, in order.
fn journeys(store: &Path) -> Vec<JourneyRecord> {
    let mut all = Vec::new();
    for block in LedgerReader::open(store).unwrap() {
        let rows: LedgerRows = decode(&block.unwrap().bytes, EVIDENCE_NAMES).unwrap();
        for (_, row) in rows.rows {
            match row {
                LedgerRow::Journey(record) => all.push(*record),
                LedgerRow::Amend(_) => {}
                LedgerRow::Dropped { .. } => unreachable!("no row was dropped"),
            }
        }
    }
    all
}

/// A fate, and the class that the gap report must have for it; None where there is no gap.
fn drawn(rng: &mut Rng) -> (Fate, Option<&'static str>) {
    let refused = |code| vec![Refuse(code, "ERR|||206^Locked^HL70357|E\r")];
    match rng.below(12) {
        0 => (Fate::at_portal(refused(Ae)), Some("refused")),
        1 => (Fate::at_portal(refused(Ar)), Some("refused")),
        2 => (Fate { engine: refused(Ae), ..Fate::default() }, Some("refused")),
        3 => (Fate::at_portal([Silence]), Some("never_answered")),
        4 => (Fate::at_portal([Later(Box::new(Answer::Accept))]), Some("accepted_late")),
        5 => (Fate { kept_back: true, ..Fate::default() }, Some("never_seen_next")),
        6 => (Fate { resends: 1, ..Fate::at_portal(refused(Ar)) }, None),
        _ => (Fate::default(), None),
    }
}

/// Sends a round of messages and says what must become of each.
fn send_round(
    clinic: &Clinic,
    engine: SocketAddr,
    round: u32,
    rng: &mut Rng,
    sent: &AtomicU32,
) -> BTreeMap<String, Option<&'static str>> {
    let mut truth = BTreeMap::new();
    for number in round * ROUND..(round + 1) * ROUND {
        let lab = Lab::new(&format!("LAB{number:06}"), number + 1);
        let (fate, class) = drawn(rng);
        clinic.decide(&lab, fate);
        clinic.send(&lab, engine).unwrap();
        truth.insert(lab.id, class);
        sent.fetch_add(1, Ordering::AcqRel);
    }
    truth
}

/// Kills and restarts in the middle of each round.
fn rounds(at: &mut Watched, seed: u64) -> BTreeMap<String, Option<&'static str>> {
    let mut rng = Rng::new(seed);
    let (mut truth, sent) = (BTreeMap::new(), AtomicU32::new(0));
    let engine = at.product.listener(0);
    for round in 0..CRASHES {
        let moment = round * ROUND + u32::try_from(rng.below(u64::from(ROUND))).unwrap();
        let mut fates = Rng::new(seed + u64::from(round) + 1);
        let Watched { clinic, product } = &mut *at;
        truth.append(&mut std::thread::scope(|scope| {
            let sender = scope.spawn(|| send_round(clinic, engine, round, &mut fates, &sent));
            product.wait("the moment of the crash", |_| {
                (sent.load(Ordering::Acquire) >= moment).then_some(())
            });
            product.kill9();
            product.start_run();
            sender.join().unwrap()
        }));
    }
    truth
}

#[test]
fn each_message_is_in_the_ledger_once_over_crashes_and_gaps_are_as_without_them() {
    let seed = std::env::var("FEEDPULSE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    eprintln!("FEEDPULSE_SEED={seed}");
    let mut at = Watched::start("defaults: {silence: 20s}\n");
    let truth = rounds(&mut at, seed);
    let of = |class| truth.values().filter(|c| **c == Some(class)).count();
    at.wait_unanswered((of("never_answered") + of("accepted_late")) as u64);
    at.clinic.release().unwrap();
    // Nothing that a restart of ours could have caused, while the traffic went on.
    for code in OURS {
        assert!(at.product.incident(code).is_none(), "{code}: {:#?}", at.product.incidents());
    }
    at.wait_ended();
    let gaps = truth.values().flatten().count();
    let report = at.report(gaps);
    let mut wanted: BTreeMap<&str, &str> =
        truth.iter().filter_map(|(id, class)| Some((id.as_str(), (*class)?))).collect();
    for row in report["rows"].as_array().unwrap() {
        let (id, class) = (row["control_id"].as_str().unwrap(), row["class"].as_str());
        assert_eq!(class, wanted.remove(id), "{row}");
    }
    assert!(wanted.is_empty(), "not reported: {wanted:?}");
    let counted =
        report["counts"].as_array().unwrap().iter().map(|c| c["messages"].as_u64().unwrap());
    assert_eq!(counted.sum::<u64>(), truth.len() as u64, "{report:#}");
    // In the ledger itself: each once, and nothing that was never sent.
    let ended = journeys(&at.product.store());
    let ids: Vec<String> = ended.iter().map(|j| j.control_id.clear().to_string()).collect();
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), once.len(), "a row is there twice");
    assert_eq!(once, truth.keys().collect());
    assert_eq!(at.product.metric("feedpulse_blind_intervals_total"), Some(0.0));
    assert!(at.product.stop().success(), "{}", at.product.said());
}

#[test]
fn what_retention_removed_is_told_and_not_taken_for_complete() {
    const STREAMS: u64 = 5;
    const SENT: u64 = STREAMS * 8_000;
    let mut stage = Stage::with(|setup| setup.store_settings = "ledger_mib: 1".to_owned());
    for stream in 1..=STREAMS {
        stage.end(stage.stream(SENT / STREAMS, stream));
        // One after the other, so that no block holds them all.
        assert_each_counted_once(&mut stage.product, SENT / STREAMS * stream);
    }
    assert!(stage.product.stop().success(), "{}", stage.product.said());
    let store = stage.product.store();
    let mut kept = Vec::new();
    crate::gaps::files(&store.join("ledger"), &mut kept);
    let sizes = || kept.iter().map(|(_, file)| file.len());
    // What is being written comes on top, as large as one block may be.
    let most = (1 << 20) + sizes().max().unwrap();
    assert!(sizes().sum::<usize>() <= most, "{:?}", sizes().collect::<Vec<_>>());
    let left = journeys(&store);
    assert!(!left.is_empty() && left.len() < SENT as usize, "{} left", left.len());
    let gaps = crate::gaps::gaps(&store, &["--format", "json"]);
    let report: Value = serde_json::from_slice(&gaps.stdout).unwrap();
    let before = report["incomplete_before"].as_str().unwrap().to_owned();
    assert_eq!((gaps.status.code(), report["open"].as_u64()), (Some(1), Some(0)), "{report:#}");
    let text = crate::gaps::gaps(&store, &[]);
    let said = String::from_utf8_lossy(&text.stdout);
    assert!(said.contains(&format!("INCOMPLETE: what was first seen before {before}")), "{said}");
    assert!(String::from_utf8_lossy(&text.stderr).contains("does not cover"));
    // What is asked for from then on is complete, and the report says nothing else.
    let store = store.to_str().unwrap();
    let end = "2100-01-01T00:00:00Z";
    let after = command(&["gaps", "--store", store, "--from", &before, "--to", end]);
    let said = String::from_utf8_lossy(&after.stdout);
    assert!(after.status.success() && !said.contains("INCOMPLETE"), "{said}");
}
