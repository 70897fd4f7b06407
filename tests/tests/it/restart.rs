//! Twenty crashes in the middle of a stream: counts and incidents go on as if there had been none.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::identity::{Stage, assert_each_counted_once, assert_identical};
use feedpulse_sim::{Inbox, Rng};
use feedpulse_tests::parts::free_address;
use feedpulse_tests::product::{Product, Waypoint};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpStream;

const CRASHES: u64 = 20;
/// Messages around each of them.
const ROUND: u64 = 800;
/// Bytes that surely pass within such a round.
const WITHIN: u64 = 400_000;

/// Dials the waypoint whose receiver is down; waits for the reset.
fn knock(product: &Product) {
    let mut stream = TcpStream::connect(product.listener(1)).unwrap();
    let ended = stream.read(&mut [0]);
    assert!(!matches!(ended, Ok(1..)), "nobody is there to answer");
}

/// The incident about the receiver that is down; there is never more than one.
fn down(product: &Product) -> Option<(u64, String)> {
    let all = product.incidents();
    let about: Vec<&Value> = all.iter().filter(|i| i["subject"] == "waypoint portal-in").collect();
    assert!(about.len() <= 1, "{about:#?}");
    let one = about.first()?;
    Some((one["id"].as_u64()?, one["state"].as_str()?.to_owned()))
}

#[test]
fn counts_and_incidents_go_on_over_twenty_crashes() {
    let seed = std::env::var("FEEDPULSE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(6);
    eprintln!("FEEDPULSE_SEED={seed}");
    let mut rng = Rng::new(seed);
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let inbox = elsewhere.block_on(Inbox::start()).unwrap();
    let hook = inbox.address();
    let mut stage = Stage::with(|setup| {
        setup.waypoints.push(Waypoint::new("portal-in", free_address().unwrap()));
        setup.more = format!("webhooks:\n  - {{name: hook, url: \"http://{hook}/hook\"}}\n");
    });
    knock(&stage.product);
    knock(&stage.product);
    let (id, _) = stage.product.wait("FP0104", |p| down(p).filter(|(_, state)| state == "open"));
    let mut sent = Vec::new();
    for crash in 0..CRASHES {
        let stream = stage.stream(ROUND, seed + crash);
        let moment = stage.product.wire("to_receiver_out").unwrap() + rng.below(WITHIN);
        stage.product.wait("the moment of the crash", |p| {
            p.wire("to_receiver_out").filter(|out| *out >= moment)
        });
        stage.product.kill9();
        stage.product.start_run();
        knock(&stage.product);
        let found = stage.product.wait("the incident", |p| down(p));
        assert_eq!(found, (id, "open".to_owned()), "crash {crash}");
        sent.push(stage.end(stream));
    }
    assert_identical(&sent, &stage.arrived(sent.len()));
    assert_each_counted_once(&mut stage.product, CRASHES * ROUND);
    assert_eq!(stage.product.metric("feedpulse_blind_intervals_total"), Some(0.0));
    assert_notices(&inbox, id);
    assert!(stage.product.stop().success(), "{}", stage.product.said());
}

/// The opening was told, and however often it was: always under one key.
fn assert_notices(inbox: &Inbox, id: u64) {
    let mut keys: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for body in inbox.bodies("/hook") {
        let notice: Value = serde_json::from_slice(&body).unwrap();
        if notice["event"] == "open" {
            let key = notice["key"].as_str().unwrap().to_owned();
            keys.entry(notice["id"].as_u64().unwrap()).or_default().insert(key);
        }
    }
    assert!(keys.contains_key(&id), "{keys:?}");
    assert!(keys.values().all(|keys| keys.len() == 1), "{keys:?}");
    let all: BTreeSet<&String> = keys.values().flatten().collect();
    assert_eq!(all.len(), keys.len(), "two incidents share a key: {keys:?}");
}
