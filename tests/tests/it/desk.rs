//! An operator's day: a new feed in shadow, its would-be notices, verdicts and notes by command over
//! the admin socket, what a restart keeps, and that nobody else reads a note.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::Inbox;
use feedpulse_tests::parts::{free_address, post};
use feedpulse_tests::product::{Product, Setup, command};
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

/// What nobody but the operators may read.
const CANARY: &str = "Jane-Doe-4711";

struct Day {
    product: Product,
    http: SocketAddr,
    inbox: Inbox,
    _elsewhere: tokio::runtime::Runtime,
}

impl Day {
    /// A site whose only feed is posted over HTTP, and is told of as `notify` says.
    fn start(notify: &str) -> Self {
        let elsewhere = tokio::runtime::Runtime::new().unwrap();
        let inbox = elsewhere.block_on(Inbox::start()).unwrap();
        let http = free_address().unwrap();
        let mut setup = Setup::new(Vec::new());
        setup.others = vec!["{name: in}".to_owned()];
        setup.more = format!(
            "http: {{listen: \"{http}\", waypoints: [in]}}\n\
             feeds:\n  - {{name: lab, route: in, senders: [LAB], notify: {notify}}}\n\
             webhooks:\n  - {{name: hook, url: \"http://{}/hook\"}}\n",
            inbox.address()
        );
        Self { product: Product::start(&setup), http, inbox, _elsewhere: elsewhere }
    }

    fn send(&self, body: &str) {
        let answer = post(self.http, "/hl7/in", "text/plain", body.as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    /// The feed is seen, then frames come that nobody can read.
    fn trouble(&mut self) -> u64 {
        let http = self.http;
        self.product.wait("the tap", |_| std::net::TcpStream::connect(http).ok());
        self.send("MSH|^~\\&|LAB|H|P|C|20260101||ORU^R01|1|P|2.5\rSFT|V|7.1|LIS\rPID|1\r");
        for _ in 0..8 {
            self.send("MSH|\r");
        }
        let open = |p: &mut Product| p.incident("FP0201").filter(|i| i["state"] == "open");
        self.product.wait("the incident", open)["id"].as_u64().unwrap()
    }

    /// Runs a command as an operator; what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        let config = self.product.config();
        let all = [arguments, &["--config", config.to_str().unwrap()]].concat();
        let done = command(&all);
        let (said, wrong) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{arguments:?}: {said}{wrong}");
        said.into_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn wait_verdict(&mut self, id: u64, right: bool) {
        let path = format!("/api/v1/incidents/{id}");
        self.product.wait("the verdict", |p| {
            p.json(&path).filter(|incident| incident["verdict"]["right"] == right)
        });
    }

    fn notices(&self) -> String {
        let bodies = self.inbox.bodies("/hook");
        bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

#[test]
fn a_new_feed_is_judged_by_command_and_a_restart_keeps_all_of_it() {
    let mut day = Day::start("shadow");
    let id = day.trouble();
    let number = id.to_string();
    let socket = day.product.store().join("admin.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let list = day.json(&["incidents", "--open"]);
    let shown = list.as_array().unwrap().iter().find(|i| i["id"] == id).unwrap();
    assert_eq!(shown["shadow"], true, "{shown}");
    assert!(day.run(&["incidents"]).contains("in shadow"));
    day.run(&["claim", &number, "--by", "ann"]);
    day.run(&["mute", &number, "--for", "2h"]);
    day.run(&["unmute", &number]);
    day.run(&["note", &number, &format!("asked {CANARY} about it")]);
    day.run(&["change", "deploy", "LIS 7.2"]);
    day.run(&["dismiss", &number, "--why", "a test of the lab", "--by", "bob"]);
    day.wait_verdict(id, false);
    let told = day.run(&["incident", &number]);
    for part in [
        "taken by ann",
        CANARY,
        "bob: a test of the lab",
        "bob says: not worth a notice",
        "notices were muted for 2 h",
        "change: deploy LIS 7.2",
        "people would have been told, but for the shadow",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let shadow = day.run(&["shadow"]);
    assert!(
        shadow.contains("lab: in shadow since ") && shadow.contains("precision 0 %"),
        "{shadow}"
    );
    let before = day.json(&["shadow"]);
    day.product.kill9();
    let nobody = command(&["incidents", "--config", day.product.config().to_str().unwrap()]);
    assert_eq!(nobody.status.code(), Some(69));
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("is `feedpulse run` running"), "{said}");
    day.product.start_run();
    let after = day.json(&["shadow"]);
    assert_eq!(before["feeds"][0]["since"], after["feeds"][0]["since"]);
    assert_eq!(after["total"]["dismissed"], 1, "{after}");
    day.run(&["release", &number]);
    day.run(&["confirm", &number]);
    day.wait_verdict(id, true);
    // Nobody has heard of it, and nobody but the operators has read the note.
    assert!(day.run(&["incident", &number]).contains(CANARY), "also after a restart");
    assert_eq!(day.notices(), "", "no notice");
    assert!(!day.product.metrics().contains(CANARY));
    assert!(day.product.stop().success());
    assert!(!day.product.said().contains(CANARY), "no log");
    assert!(!socket.exists(), "an end in order takes the socket away");
}

#[test]
fn a_live_feed_is_told_of_and_a_note_stays_out_of_the_notices() {
    let mut day = Day::start("live");
    let number = day.trouble().to_string();
    day.run(&["note", &number, CANARY]);
    day.run(&["claim", &number]);
    day.product.wait("the notice", |_| day.inbox.bodies("/hook").first().map(|_| ()));
    let taken = |p: &mut Product| p.incident("FP0201").filter(|i| i["claimed_by"].is_string());
    day.product.wait("the claim", taken);
    let notices = day.notices();
    assert!(notices.contains("FP0201") && !notices.contains(CANARY), "{notices}");
    let story = day.json(&["incident", &number]);
    assert_eq!((&story["shadow"], &story["notes"][0]["text"]), (&false.into(), &CANARY.into()));
    let kinds: Vec<&str> =
        story["timeline"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    for kind in ["began", "found", "told", "noted", "claimed"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
}
