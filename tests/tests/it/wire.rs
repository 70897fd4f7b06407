//! The wire is upgraded under load: nobody is cut, and the analysis goes on as if nothing were.

use crate::identity::{Stage, assert_each_counted_once, assert_identical};
use feedpulse_tests::product::{Setup, Waypoint};

#[test]
fn upgrades_of_the_wire_cut_nobody_and_hide_no_message() {
    const ROUNDS: u64 = 5;
    let mut kept: Option<Setup> = None;
    let mut stage = Stage::with(|setup| kept = Some(setup.clone()));
    let setup = kept.unwrap();
    assert!(matches!(&setup.waypoints[..], [Waypoint { name: "engine-in", .. }]));
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        let stream = stage.stream(4_000, 50 + round);
        let mark = stage.product.wire("to_receiver_out").unwrap();
        stage.product.wait("the stream has begun", |p| {
            p.wire("to_receiver_out").filter(|out| *out > mark + 500_000)
        });
        stage.product.upgrade_wire(&setup);
        sent.push(stage.end(stream));
    }
    assert_identical(&sent, &stage.arrived(sent.len()));
    assert_each_counted_once(&mut stage.product, ROUNDS * 4_000);
    assert_eq!(stage.product.wire("refused"), Some(0));
}
