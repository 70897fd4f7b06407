//! The demo as a stranger runs it: all trouble is found, all sums hold, and no patient data is
//! anywhere outside the frames.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests, which fail that way"
)]

use feedpulse_sim::{Generator, Inbox, Kind, Profile, Variation};
use feedpulse_tests::parts::{get, wait_until};
use feedpulse_tests::product::{PATIENCE, binary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Woven into names, numbers, addresses, telephone numbers, results and notes.
const CANARIES: [&str; 6] = [
    "CANARYNAME7Q1",
    "CANARYNUMBER7Q2",
    "CANARYSTREET7Q3",
    "CANARYPHONE7Q4",
    "CANARYRESULT7Q5",
    "CANARYNOTE7Q6",
];

/// Counts the canaries in some bytes, whatever their case.
fn canaries(bytes: &[u8]) -> BTreeMap<&'static str, usize> {
    let lower = bytes.to_ascii_lowercase();
    let count = |token: &&'static str| {
        (*token, memchr::memmem::find_iter(&lower, token.to_ascii_lowercase().as_bytes()).count())
    };
    CANARIES.iter().map(count).filter(|(_, n)| *n > 0).collect()
}

/// A running demo, killed when dropped.
struct Demo {
    child: Child,
    folder: PathBuf,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    /// Starts it with everything that it says in files of `folder`, its alerts and telemetry
    /// going to `inbox` as well.
    fn start(folder: &Path, inbox: SocketAddr) -> Self {
        let with = folder.join("with.yaml");
        let sinks = format!(
            "otlp: {{endpoint: \"http://{inbox}\", protocol: http, metrics_every: 5s}}\n\
             webhooks:\n  - {{name: test, url: \"http://{inbox}/test\"}}\n"
        );
        fs::write(&with, sinks).unwrap();
        let mut demo = Command::new(binary());
        demo.args(["demo", "--headless", "--for", "60s", "--json", "--seed", "11", "--with"]);
        demo.arg(&with).arg("--folder").arg(folder.join("kept"));
        for canary in CANARIES {
            demo.args(["--canary", canary]);
        }
        // Everything that can be logged, is.
        demo.env("FEEDPULSE_LOG", "debug").stdin(Stdio::null());
        demo.stdout(File::create(folder.join("out")).unwrap());
        demo.stderr(File::create(folder.join("err")).unwrap());
        Self { child: demo.spawn().unwrap(), folder: folder.to_owned() }
    }

    fn said(&self) -> String {
        let read = |name| fs::read(self.folder.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("out"), read("err")].concat()).into_owned()
    }

    /// The addresses of its pages and of its metrics, from the first lines that it prints.
    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let found = wait_until(PATIENCE, || {
            let said = self.said();
            let urls = said.split("http://").skip(1).filter_map(|rest| {
                let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
                Some((
                    rest[..end?].parse::<SocketAddr>().ok()?,
                    rest[end?..].starts_with("/metrics"),
                ))
            });
            let urls: Vec<_> = urls.collect();
            let ui = urls.iter().find(|(_, ops)| !ops)?.0;
            Some((ui, urls.iter().find(|(_, ops)| *ops)?.0))
        });
        found.unwrap_or_else(|| panic!("no addresses in: {}", self.said()))
    }

    /// The bytes that were forwarded last: the memory that the wire, a child of the demo, shares.
    fn ring(&self) -> Vec<u8> {
        let folder = PathBuf::from(format!("/proc/{}/task", self.child.id()));
        let children =
            paths(&folder).into_iter().map(|task| fs::read_to_string(task.join("children")));
        let children = children.map(Result::unwrap_or_default).collect::<String>();
        let opened = children
            .split_whitespace()
            .flat_map(|pid| paths(&Path::new("/proc").join(pid).join("fd")));
        let shared = opened.filter(|link| {
            fs::read_link(link)
                .is_ok_and(|target| target.starts_with("/memfd:feedpulse-wire (deleted)"))
        });
        shared.flat_map(|link| fs::read(link).unwrap_or_default()).collect()
    }
}

/// What is in a folder; nothing when it is gone.
fn paths(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Fetches every page, every object of the API and the metrics; fails on a canary.
fn assert_pages_clean(ui: SocketAddr, ops: SocketAddr) {
    let mut paths: Vec<String> =
        ["/", "/incidents", "/api/v1/status", "/api/v1/waypoints"].map(str::to_owned).to_vec();
    for kind in ["feeds", "incidents"] {
        let list =
            get(ui, &format!("/api/v1/{kind}")).map(|answer| answer.body).unwrap_or_default();
        assert_eq!(canaries(list.as_bytes()), BTreeMap::new(), "/api/v1/{kind}");
        let list: Vec<Value> = serde_json::from_str(&list).unwrap_or_default();
        for id in list.iter().filter_map(|one| one["id"].as_u64()) {
            paths.extend([format!("/{kind}/{id}"), format!("/api/v1/{kind}/{id}")]);
        }
    }
    for (address, path) in
        paths.iter().map(|path| (ui, path.as_str())).chain([(ops, "/metrics"), (ops, "/readyz")])
    {
        // The demo may end between two requests.
        let Ok(answer) = get(address, path) else { continue };
        assert_eq!(canaries(answer.body.as_bytes()), BTreeMap::new(), "{path}");
    }
}

/// Every file under a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in paths(folder) {
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

fn assert_files_clean(folder: &Path) {
    let mut all = Vec::new();
    files(folder, &mut all);
    let bytes: u64 = all.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(all.len() > 3 && bytes > 10_000, "{} files, {bytes} bytes: {all:?}", all.len());
    for file in all {
        assert_eq!(canaries(&fs::read(&file).unwrap()), BTreeMap::new(), "{}", file.display());
    }
}

/// The search finds what it is to find: the generator puts the canaries in plain bytes.
fn assert_search_works() {
    let profile = Profile {
        canaries: CANARIES.iter().map(|c| (*c).to_owned()).collect(),
        ..Profile::default()
    };
    let mut generator = Generator::new(1, profile).unwrap();
    let mut bytes = Vec::new();
    for n in 0..400 {
        let kind = Kind::ALL[n % Kind::ALL.len()];
        bytes.extend(generator.message(kind, 0, 0, Variation::default()).bytes);
    }
    assert_eq!(canaries(&bytes).len(), CANARIES.len());
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    assert_eq!(canaries(&fs::read(file.path()).unwrap()), canaries(&bytes));
}

fn assert_report(report: &Value) {
    let list =
        |name: &str| report[name].as_array().unwrap_or_else(|| panic!("{name}: {report}")).clone();
    let (injected, detected) = (list("injected"), list("detected"));
    assert!(injected.len() >= 6, "{injected:?}");
    for fault in injected.iter().map(|fault| &fault["fault"]) {
        let found = detected.iter().any(|finding| finding["fault"] == *fault);
        assert!(found, "{fault} was not detected: {detected:#?}");
    }
    let first = detected.iter().filter_map(|finding| finding["at_s"].as_f64()).reduce(f64::min);
    assert!(first.is_some_and(|at_s| at_s < 60.0), "{first:?}");
    let messages = report["messages"].as_object().unwrap();
    let number = |name: &str| messages[name].as_u64().unwrap();
    let ended: u64 = messages.keys().filter(|name| *name != "seen").map(|name| number(name)).sum();
    assert_eq!(number("seen"), ended, "{messages:?}");
    assert!(number("accepted") > 100 && number("errored") > 0, "{messages:?}");
    assert_eq!(report["bytes"]["identical"], true, "{report}");
    assert!(report["bytes"]["in"].as_u64().unwrap() > 100_000, "{report}");
    assert_eq!(report["shed"], 0, "{report}");
    assert!(report["notices"].as_u64().unwrap() > 0, "{report}");
    assert!(report["spans_exported"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn the_demo_finds_all_trouble_and_leaks_nothing() {
    assert_search_works();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inbox = runtime.block_on(Inbox::start()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), inbox.address());
    let (ui, ops) = demo.addresses();
    let mut flowed = BTreeMap::new();
    let ended = wait_until(PATIENCE * 2, || {
        if flowed.len() < CANARIES.len() {
            flowed.extend(canaries(&demo.ring()));
        }
        assert_pages_clean(ui, ops);
        demo.child.try_wait().unwrap()
    });
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", demo.said());
    assert_eq!(flowed.len(), CANARIES.len(), "not all canaries were in the stream: {flowed:?}");
    let out = fs::read_to_string(folder.path().join("out")).unwrap();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_report(&report);
    // The kept store, what was printed and logged, and what was exported.
    assert_files_clean(folder.path());
    for (path, least) in [("/v1/traces", 1), ("/v1/metrics", 3), ("/v1/logs", 1), ("/test", 3)] {
        let bodies = inbox.bodies(path);
        assert!(bodies.len() >= least, "{} bodies at {path}", bodies.len());
        for body in bodies {
            assert_eq!(canaries(&body), BTreeMap::new(), "{path}");
        }
    }
}

/// A check of one's own on the simulated stream, with settings beside it: stopped as soon as it has found
/// something.
#[test]
fn a_check_of_ones_own_finds_something_in_the_demo() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("own-rules");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("rules.wasm");
    let pulled = Command::new(binary())
        .args(["check", "pull", "builtin:rules", "--output"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(pulled.status.success(), "{pulled:?}");
    let rule = "{name: has-a-sender, title: A sender, remedy: None., path: MSH-3, is: absent}";
    fs::write(folder.join("settings.yaml"), format!("rules: [{rule}]\n")).unwrap();
    let said = home.path().join("said");
    let out = File::create(&said).unwrap();
    let mut demo = Command::new(binary());
    demo.args(["demo", "--headless", "--for", "60s", "--check"]).arg(&folder);
    demo.arg("--folder").arg(home.path().join("kept")).stdin(Stdio::null());
    demo.stdout(out.try_clone().unwrap()).stderr(out);
    let _demo = Demo { child: demo.spawn().unwrap(), folder: home.path().to_owned() };
    let text = || fs::read_to_string(&said).unwrap_or_default();
    let found = wait_until(PATIENCE, || {
        let text = text();
        (text.contains("(check own-rules)") && text.contains("has-a-sender")).then_some(())
    });
    assert!(found.is_some(), "{}", text());
}
