//! A drill proves that the alert arrives: the real binary, a real webhook's server, and one that is not there.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::Inbox;
use feedpulse_tests::parts::{Alertmanager, free_address};
use feedpulse_tests::product::{Product, Setup, command};
use serde_json::Value;
use std::fs;

/// Lines of `/metrics` that count messages, outcomes or incidents.
fn statistics(product: &Product) -> Vec<String> {
    let counted = [
        "feedpulse_messages_total",
        "feedpulse_outcomes_total",
        "feedpulse_feed_messages_total",
        "feedpulse_feed_outcomes_total",
        "feedpulse_ack_events_total",
        "feedpulse_incidents",
    ];
    let metrics = product.metrics();
    let lines = metrics.lines().filter(|line| counted.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

fn drill(product: &Product, arguments: &[&str]) -> (Option<i32>, String) {
    let config = product.config();
    let base = ["drill", arguments[0], "--config", config.to_str().unwrap()];
    let done = command(&[&base[..], &arguments[1..]].concat());
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_drill_tells_the_real_notifiers_and_leaves_no_trace() {
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let inbox = elsewhere.block_on(Inbox::start()).unwrap();
    let spool = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: results-in, no_ack_after: 1s}".to_owned());
    setup.more = format!(
        "files:\n  - {{watch: {:?}, waypoint: results-in}}\nfeeds: [{{name: results, route: results-in}}]\n\
         webhooks:\n  - {{name: hook, url: \"http://{}/hook\"}}\n",
        spool.path(),
        inbox.address()
    );
    let mut product = Product::start(&setup);
    fs::write(
        spool.path().join("one.hl7"),
        "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|20260301120000+0000||ORU^R01|M1|P|2.5\rOBR|1||7^LAB|K\r",
    )
    .unwrap();
    product.wait("the message", |p| p.seen().filter(|seen| *seen == 1));
    // Nobody answers in a file: its outcome is known after a second.
    product.wait("its outcome", |p| {
        let unknown = p.metrics().contains("{waypoint=\"results-in\",outcome=\"unknown\"} 1");
        unknown.then_some(())
    });
    let before = statistics(&product);
    let incidents = product.incidents();

    let (code, said) = drill(&product, &["receiver-down"]);
    assert_eq!(code, Some(0), "{said}\n{}", product.said());
    assert!(said.contains("drill receiver-down: fault at ") && said.contains("(FP0104)"), "{said}");
    assert!(said.contains("hook: taken ") && said.contains("; its end was taken"), "{said}");
    let bodies = inbox.bodies("/hook");
    let notices: Vec<Value> =
        bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let events: Vec<&str> = notices.iter().map(|n| n["event"].as_str().unwrap()).collect();
    assert_eq!(events.first(), Some(&"open"), "{notices:#?}");
    assert_eq!(events.last(), Some(&"resolved"), "{notices:#?}");
    for notice in &notices {
        assert!(notice["summary"].as_str().unwrap().starts_with("DRILL: "), "{notice:#}");
        assert_eq!(notice["severity"], "page");
    }

    let (code, said) = drill(&product, &["nack-burst", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let answer: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!((answer["stage"].as_str(), answer["code"].as_str()), (Some("done"), Some("FP0103")));
    let micros = |name: &str| answer[name].as_i64().unwrap();
    let (fault, found, opened) = (micros("fault_at"), micros("found_at"), micros("opened_at"));
    let taken = answer["notifiers"][0]["taken_at"].as_i64().unwrap();
    assert!(fault <= found && found <= opened && opened <= taken, "{answer:#}");

    // Nothing is counted, listed or filed.
    assert_eq!(statistics(&product), before);
    assert_eq!(product.incidents(), incidents);
    assert_eq!(product.seen(), Some(1));
    assert!(product.stop().success(), "{}", product.said());
}

#[test]
fn a_real_alertmanager_takes_a_drill_and_its_end() {
    let Some(alertmanager) = Alertmanager::start() else { return };
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: results-in}".to_owned());
    setup.more = format!(
        "files:\n  - {{watch: /tmp/feedpulse-no-such-folder, waypoint: results-in}}\n\
         alertmanager: {{urls: [\"http://{}\"], min_severity: page}}\n",
        alertmanager.address()
    );
    let mut product = Product::start(&setup);
    let (code, said) = drill(&product, &["nack-burst", "--severity", "ticket"]);
    assert_eq!(code, Some(0), "{said}\n{}", product.said());
    assert!(
        said.contains("alertmanager: taken ") && said.contains("; its end was taken"),
        "{said}"
    );
    assert!(product.stop().success(), "{}", product.said());
}

#[test]
fn a_notifier_that_does_not_answer_fails_the_drill_and_so_does_none() {
    let gone = free_address().unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: results-in}".to_owned());
    let files = "files:\n  - {watch: /tmp/feedpulse-no-such-folder, waypoint: results-in}\n";
    setup.more = format!("{files}webhooks:\n  - {{name: hook, url: \"http://{gone}/hook\"}}\n");
    let mut product = Product::start(&setup);
    let (code, said) = drill(&product, &["no-ack", "--timeout", "8s"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("(FP0102)") && said.contains("hook: NOT TAKEN in time"), "{said}");
    assert!(said.contains("not taken by hook"), "{said}");
    assert!(product.stop().success(), "{}", product.said());

    // Nobody runs: that is said, and nothing happens later.
    let (code, said) = drill(&product, &["silence"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("is `feedpulse run` running with this configuration?"), "{said}");
}
