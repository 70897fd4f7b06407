//! Active and standby: the senders move from one listener to the other, and that is an event, no outage.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::clinic::{Clinic, Lab};
use feedpulse_tests::product::{Product, Setup, Waypoint};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// So long the active one is idle before the standby takes over; both within less are both active.
const IDLE: Duration = Duration::from_secs(6);
/// Silence of the feed; the active one alone is silent for longer in the end.
const SILENCE: Duration = Duration::from_secs(12);

/// A clinic behind two listeners that are one stream.
struct Pair {
    clinic: Clinic,
    product: Product,
    sent: u32,
}

impl Pair {
    fn start() -> Self {
        let clinic = Clinic::open().unwrap();
        let key = || "key: preset".to_owned();
        let mut setup = Setup::new(vec![
            Waypoint { settings: key(), ..Waypoint::new("engine-a", clinic.engine()) },
            Waypoint {
                settings: format!("{}, standby_of: engine-a", key()),
                ..Waypoint::new("engine-b", clinic.engine())
            },
            Waypoint { settings: key(), ..Waypoint::new("portal-in", clinic.portal()) },
        ]);
        let silence = SILENCE.as_secs();
        setup.more = format!(
            "routes:\n  - {{name: to-portal, waypoints: [engine-a, portal-in]}}\n\
             feeds:\n  - {{name: lab-results, route: to-portal, senders: [LAB], types: [ORU], \
             objectives: {{silence: {silence}s}}}}\n"
        );
        let product = Product::start(&setup);
        clinic.send_on_to(product.listener(2));
        Self { clinic, product, sent: 0 }
    }

    /// Sends a message and waits until it is seen at both waypoints of the route.
    fn send(&mut self, to: SocketAddr) {
        self.sent += 1;
        self.clinic.send(&Lab::new(&format!("S{}", self.sent), self.sent), to).unwrap();
        let sightings = u64::from(self.sent) * 2;
        self.product.wait("the message", |p| p.seen().filter(|seen| *seen == sightings));
    }

    fn feed(&self) -> Value {
        let feeds = self.product.json("/api/v1/feeds").unwrap();
        assert_eq!(feeds.as_array().unwrap().len(), 1, "one feed: {feeds:#}");
        feeds[0].clone()
    }
}

#[test]
fn a_failover_is_an_event_and_no_outage() {
    let mut pair = Pair::start();
    let (active, standby) = (pair.product.listener(0), pair.product.listener(1));
    for _ in 0..5 {
        pair.send(active);
    }
    let moved = Instant::now();
    pair.product.wait("a quiet while", |_| (moved.elapsed() > IDLE).then_some(()));
    pair.send(standby);
    pair.product.wait("the event", |product| product.incident("FP0505"));
    while moved.elapsed() < SILENCE + IDLE {
        pair.send(standby);
    }
    let feed = pair.feed();
    assert_eq!(
        (feed["name"].as_str(), feed["seen"].as_u64()),
        (Some("lab-results"), Some(pair.sent.into()))
    );
    assert_eq!(feed["totals"]["outcomes"]["accepted"], pair.sent * 2, "{feed:#}");
    assert_eq!(feed["backlog"], 0, "{feed:#}");
    for incident in pair.product.incidents() {
        let findings = incident["findings"].as_array().unwrap();
        assert!(findings.iter().all(|f| f["code"] == "FP0505"), "{incident:#}");
        assert_eq!(incident["severity"], "note", "{incident:#}");
    }
    assert!(pair.product.stop().success(), "{}", pair.product.said());
}
