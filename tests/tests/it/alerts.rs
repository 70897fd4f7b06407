//! What people are told, over crashes and restarts of the real binary: each notice once, at each place.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::parts::{MailServer, PASSWORD, USER, free_address, require};
use feedpulse_tests::product::{PATIENCE, Product, Setup, Waypoint, command};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A webhook's server that takes notices, or refuses them all.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    takes: Arc<AtomicBool>,
    /// Takes, and says nothing.
    silent: Arc<AtomicBool>,
    /// Whether it was taken, and the notice; in order.
    pub(crate) got: Arc<Mutex<Vec<(bool, Value)>>>,
}

impl Hook {
    /// The configuration that tells it of everything.
    pub(crate) fn configured(&self) -> String {
        format!("webhooks:\n  - {{name: hook, url: \"http://{}/hook\"}}\n", self.address)
    }

    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (takes, silent, got) = Default::default();
        let hook = Self { address, takes, silent, got };
        let own = hook.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        hook
    }

    /// Answers the requests of one connection to its end.
    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let line = line.trim_end().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                length =
                    line.strip_prefix("content-length: ").map_or(length, |n| n.parse().unwrap());
            }
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let takes = self.takes.load(Ordering::Acquire);
            let notice = serde_json::from_slice(&body).unwrap();
            self.got.lock().unwrap().push((takes, notice));
            if self.silent.load(Ordering::Acquire) {
                // Until the other side is gone.
                let _ = stream.read(&mut [0]);
                return;
            }
            let status = if takes { "200 OK" } else { "503 Away" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn take(&self, takes: bool) {
        self.takes.store(takes, Ordering::Release);
    }

    /// Keys of notices about an incident that were taken, or refused, in order.
    fn keys(&self, incident: u64, taken: bool) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let about = got.iter().filter(|(t, n)| *t == taken && n["id"] == incident);
        about.map(|(_, notice)| notice["key"].as_str().unwrap().to_owned()).collect()
    }
}

/// A product that watches a receiver which is down at first.
struct Down {
    product: Product,
    receiver: SocketAddr,
}

impl Down {
    /// With further settings, and some of `alerts`.
    fn start(more: &str, alerts: &str) -> Self {
        let receiver = free_address().unwrap();
        let mut setup = Setup::new(vec![Waypoint::new("portal-in", receiver)]);
        setup.more = more.to_owned();
        let mut product = Product::start_wire(&setup);
        let config = fs::read_to_string(product.config()).unwrap();
        let config = config.replace("alerts: {", &format!("alerts: {{{alerts}"));
        fs::write(product.config(), config).unwrap();
        product.start_run();
        Self { product, receiver }
    }

    /// Dials; a receiver that is down resets.
    fn knock(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.product.listener(0)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        let _ = stream.read(&mut [0]);
        stream
    }

    fn incident(&mut self, state: &str) -> u64 {
        self.product.wait(&format!("the incident, {state}"), |product| {
            let found = product.incident("FP0104").filter(|i| i["state"] == state)?;
            found["id"].as_u64()
        })
    }

    /// The receiver comes back, and a sender finds it.
    fn mend(&self) {
        let listener = TcpListener::bind(self.receiver).unwrap();
        std::thread::spawn(move || {
            // Held until the test ends.
            let held: Vec<_> = listener.incoming().flatten().collect();
            drop(held);
        });
        let held = self.knock();
        std::thread::spawn(move || {
            let mut held = held;
            let _ = held.set_read_timeout(None);
            let _ = held.read(&mut [0]);
        });
    }

    /// Waits until what was taken is written down.
    fn settled(&mut self, notices: f64) {
        self.product.wait("what was told is durable", |product| {
            let told = product.metric("feedpulse_notices_total")? >= notices;
            (told && product.metric("feedpulse_outbox_pending") == Some(0.0)).then_some(())
        });
    }
}

#[test]
fn each_notice_is_delivered_once_whatever_dies() {
    let hook = Hook::start();
    let mut down = Down::start(&hook.configured(), "");
    down.knock();
    down.knock();
    let id = down.incident("open");
    down.product.wait("a refused notice", |_| (!hook.keys(id, false).is_empty()).then_some(()));
    // It is owed, and its process dies.
    down.product.kill9();
    hook.take(true);
    down.product.start_run();
    down.product.wait("the notice", |_| (!hook.keys(id, true).is_empty()).then_some(()));
    down.settled(1.0);
    // Told and written down: neither a crash nor a restart in order says it again.
    down.product.kill9();
    down.product.start_run();
    down.knock();
    assert_eq!(down.incident("open"), id);
    assert!(down.product.stop().success(), "{}", down.product.said());
    down.product.start_run();
    down.knock();
    assert_eq!(down.incident("open"), id);
    assert_eq!(hook.keys(id, true).len(), 1, "{:?}", hook.got.lock().unwrap());
    // Its end cannot be told, and the process dies again.
    hook.take(false);
    down.mend();
    assert_eq!(down.incident("resolved"), id);
    let open = hook.keys(id, true);
    let end = down.product.wait("its refused end", |_| {
        hook.keys(id, false).into_iter().find(|key| key.contains("resolved"))
    });
    down.product.kill9();
    hook.take(true);
    down.product.start_run();
    let keys =
        down.product.wait("its end", |_| Some(hook.keys(id, true)).filter(|keys| keys.len() >= 2));
    assert_eq!(keys, [open[0].clone(), end], "the same keys, each taken once");
    down.settled(1.0);
    assert!(down.product.stop().success(), "{}", down.product.said());
    down.product.start_run();
    down.incident("resolved");
    assert!(down.product.stop().success(), "{}", down.product.said());
    assert_eq!(hook.keys(id, true), keys, "and never again");
}

#[test]
fn what_was_in_flight_at_a_crash_comes_again_under_its_own_key() {
    let hook = Hook::start();
    hook.take(true);
    hook.silent.store(true, Ordering::Release);
    let mut down = Down::start(&hook.configured(), "");
    down.knock();
    down.knock();
    let id = down.incident("open");
    down.product.wait("a notice in flight", |_| (!hook.keys(id, true).is_empty()).then_some(()));
    down.product.kill9();
    hook.silent.store(false, Ordering::Release);
    down.product.start_run();
    down.product.wait("it again", |_| (hook.keys(id, true).len() >= 2).then_some(()));
    down.settled(1.0);
    assert!(down.product.stop().success(), "{}", down.product.said());
    let keys = hook.keys(id, true);
    assert!(keys.iter().filter(|key| **key == keys[0]).count() >= 2, "{keys:?}");
    let opens: Vec<&String> = keys.iter().filter(|key| key.contains("open")).collect();
    // It may have become a page meanwhile, which is another notice.
    assert!(opens.iter().all(|key| **key == keys[0] || key.ends_with("open-2")), "{keys:?}");
}

#[test]
fn a_route_leads_to_a_pager_and_nowhere_else() {
    let (pager, desk) = (Hook::start(), Hook::start());
    pager.take(true);
    desk.take(true);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let more = format!(
        "pagerduty:\n  - {{name: oncall, routing_key: {{file: {key:?}}}, min_severity: ticket, \
         url: \"http://{}/v2/enqueue\"}}\nwebhooks:\n  - {{name: desk, url: \"http://{}/\"}}\n",
        pager.address, desk.address
    );
    let routes = "routes: [{waypoints: [portal-in], codes: [FP01], notifiers: [oncall]}], ";
    let mut down = Down::start(&more, routes);
    down.knock();
    down.knock();
    let id = down.incident("open");
    let heard = |action: &str| {
        let got = pager.got.lock().unwrap();
        let event = got.iter().map(|(_, event)| event).find(|e| e["event_action"] == action);
        event.map(|event| event["dedup_key"].as_str().unwrap().to_owned())
    };
    let first = down.product.wait("the trigger", |_| heard("trigger"));
    down.mend();
    assert_eq!(down.incident("resolved"), id);
    assert_eq!(down.product.wait("the end", |_| heard("resolve")), first);
    assert!(down.product.stop().success(), "{}", down.product.said());
    let ends =
        pager.got.lock().unwrap().iter().filter(|(_, e)| e["event_action"] == "resolve").count();
    assert_eq!(ends, 1);
    assert_eq!(desk.keys(id, true), [""; 0], "the route leads elsewhere");
}

#[test]
fn a_claim_by_command_is_acknowledged_at_the_pager_and_the_page_lists_what_was_taken() {
    let pager = Hook::start();
    pager.take(true);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let more = format!(
        "pagerduty:\n  - {{name: oncall, routing_key: {{file: {key:?}}}, min_severity: ticket, \
         url: \"http://{}/v2/enqueue\"}}\n",
        pager.address
    );
    let mut down = Down::start(&more, "");
    down.knock();
    down.knock();
    let id = down.incident("open");
    let heard = |action: &str| {
        let got = pager.got.lock().unwrap();
        let event = got.iter().map(|(_, event)| event).find(|e| e["event_action"] == action);
        event.map(|event| event["dedup_key"].as_str().unwrap().to_owned())
    };
    let key = down.product.wait("the trigger", |_| heard("trigger"));
    assert_eq!(heard("acknowledge"), None, "nobody has taken it yet");
    let config = down.product.config();
    let claim = ["claim", &id.to_string(), "--by", "ann", "--config", config.to_str().unwrap()];
    let done = command(&claim);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(down.product.wait("the acknowledgement", |_| heard("acknowledge")), key);
    let listed = |product: &mut Product| {
        let story = product.json(&format!("/api/v1/incidents/{id}"))?;
        let notices = story["notices"].as_array()?.clone();
        notices.iter().any(|notice| notice["why"] == "claimed").then_some(notices)
    };
    let notices = down.product.wait("the notices", listed);
    assert_eq!((&notices[0]["notifier"], &notices[0]["why"]), (&"oncall".into(), &"open".into()));
    assert!(notices[0]["taken_at"].is_string(), "{notices:?}");
    down.settled(1.0);
    // A crash forgets none of them, and says none again.
    down.product.kill9();
    down.product.start_run();
    let after = down.product.wait("the notices after a crash", listed);
    assert_eq!(after[..notices.len()], notices);
    down.mend();
    assert_eq!(down.incident("resolved"), id);
    assert_eq!(down.product.wait("the end", |_| heard("resolve")), key);
    assert!(down.product.stop().success(), "{}", down.product.said());
    let got = pager.got.lock().unwrap();
    let acknowledged = got.iter().filter(|(_, event)| event["event_action"] == "acknowledge");
    assert_eq!(acknowledged.count(), 1);
}

#[test]
fn mails_arrive_at_a_real_server_secured_and_threaded() {
    let Some(server) = MailServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let (address, ca) = (server.address(), server.ca_file());
    let more = format!(
        "email:\n  - {{name: mail, server: \"{address}\", user: {USER}, password: {{file: {password:?}}}, \
         from: \"Feedpulse <feedpulse@north.example>\", to: [\"ana@north.example\"], ca_file: {ca:?}}}\n"
    );
    let mut down = Down::start(&more, "page_base: \"https://pulse.example\", ");
    down.knock();
    down.knock();
    let id = down.incident("open");
    let first = server.wait(1, PATIENCE).unwrap();
    down.mend();
    assert_eq!(down.incident("resolved"), id);
    let resolved = |mails: &[String]| mails.iter().any(|mail| mail.contains("RESOLVED"));
    let mails = down.product.wait("the end", |_| server.mails().ok().filter(|m| resolved(m)));
    assert!(first[0].starts_with("To: ana@north.example"), "{}", first[0]);
    let header = |mail: &str, name: &str| {
        let unfolded = mail.replace("\r\n ", " ");
        let line = unfolded.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.map(|value| value.trim().to_owned())
    };
    let thread = header(&mails[0], "Message-ID:").unwrap();
    for mail in &mails[1..] {
        assert_eq!(header(mail, "References:").as_ref(), Some(&thread), "{mail}");
        assert_eq!(header(mail, "In-Reply-To:").as_ref(), Some(&thread), "{mail}");
    }
    assert!(mails[0].contains("incidents/"), "the link of its page: {}", mails[0]);
    // What a mail client would do: read each mail with its own parser.
    let read = "import email, email.policy, sys; m = email.message_from_binary_file(sys.stdin.buffer, \
                policy=email.policy.default); assert not m.defects, m.defects; \
                print(m.get_body(('plain',)).get_content()); print(m.get_body(('html',)).get_content())";
    let mut python = Command::new("python3");
    let path = folder.path().join("mail");
    fs::write(&path, mails[0].split_once('\n').unwrap().1).unwrap();
    let shown = python.args(["-c", read]).stdin(fs::File::open(path).unwrap()).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for part in
        ["What: ", "Since: ", "Messages: ", "Affected: ", "Next step: ", "More: ", "<table>"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(down.product.stop().success(), "{}", down.product.said());
}

#[test]
fn the_rules_for_prometheus_are_sound_and_over_metrics_that_exist() {
    let Some(promtool) = require("promtool") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    for (verb, file) in [("check", "feedpulse-rules.yaml"), ("test", "feedpulse-rules-test.yaml")] {
        let run = Command::new(&promtool).args([verb, "rules", file]).current_dir(&folder).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    // With the path that they are for, an incident is on the page of metrics and nobody is told.
    let mut down = Down::start("", "path: prometheus, ");
    down.knock();
    down.knock();
    down.incident("open");
    let metrics = down.product.wait("the incident's metric", |product| {
        Some(product.metrics()).filter(|page| page.contains("feedpulse_incident_open{"))
    });
    let rules = fs::read_to_string(folder.join("feedpulse-rules.yaml")).unwrap();
    let exprs = rules.lines().filter(|line| line.trim_start().starts_with("expr:"));
    let words = exprs.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let names: Vec<&str> = words.filter(|word| word.starts_with("feedpulse_")).collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name}");
    }
    // What the rules tell is told apart from what is muted.
    let shown = |notify: &str| {
        let label = format!("notify=\"{notify}\"");
        move |page: &str| {
            let mut lines = page.lines();
            let open = |line: &str| {
                line.starts_with("feedpulse_incident_open{") && line.contains("FP0104")
            };
            lines.any(|line| open(line) && line.contains(&label))
        }
    };
    assert!(shown("live")(&metrics), "{metrics}");
    let id = down.incident("open").to_string();
    let config = down.product.config();
    let mute = ["mute", &id, "--for", "2h", "--config", config.to_str().unwrap()];
    assert!(command(&mute).status.success());
    let muted = |product: &mut Product| shown("muted")(&product.metrics()).then_some(());
    down.product.wait("the muted incident's metric", muted);
    assert!(!shown("live")(&down.product.metrics()));
}
