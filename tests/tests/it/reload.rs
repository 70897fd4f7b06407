//! Checks that change while messages flow: new versions by file, by a swapped ConfigMap link and by
//! settings; versions that are kept out; what is approved; and every message judged exactly once.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::checks::{component, with_manifest};
use feedpulse_tests::parts::{free_address, post};
use feedpulse_tests::product::{Product, Setup, command};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Its fields.
const FIELDS: &str = "[OBR-3, ORC-3, OBR-25, OBX-3.1, OBX-4, OBX-11, \"@shape\"]";

struct Site {
    product: Product,
    http: SocketAddr,
    folder: tempfile::TempDir,
}

impl Site {
    /// One HTTP waypoint and one check, whose plugin is this name in the folder.
    fn start(folder: tempfile::TempDir, plugin: &str, more: &str) -> Self {
        let http = free_address().unwrap();
        let mut setup = Setup::new(Vec::new());
        setup.others = vec!["{name: in}".to_owned()];
        let plugin = folder.path().join(plugin);
        setup.more = format!(
            "http: {{listen: \"{http}\", waypoints: [in]}}\n\
             checks:\n  - {{name: results, plugin: {plugin:?}, {more}}}\n"
        );
        let mut site = Self { product: Product::start(&setup), http, folder };
        site.product.wait("the tap", |_| std::net::TcpStream::connect(http).ok());
        site
    }

    fn place(&self, name: &str, bytes: &[u8]) {
        place(&self.folder.path().join(name), bytes);
    }

    fn standing(&self) -> Option<Value> {
        self.product.json("/api/v1/checks/versions")?.as_array()?.first().cloned()
    }

    /// Waits until this version runs.
    fn wait_version(&mut self, version: &str) -> Value {
        let path = "/api/v1/checks/versions";
        self.product.wait(&format!("version {version}"), |p| {
            let one = p.json(path)?.as_array()?.first()?.clone();
            (one["version"] == version).then_some(one)
        })
    }

    /// Waits until something is kept out for this reason, and gives its words.
    fn wait_kept_out(&mut self, class: &str) -> String {
        let path = "/api/v1/checks/versions";
        self.product.wait(&format!("a version kept out: {class}"), |p| {
            let one = p.json(path)?.as_array()?.first()?.clone();
            let kept = &one["kept_out"];
            (kept["class"] == class).then(|| kept["why"].as_str().unwrap().to_owned())
        })
    }

    fn wait_incident(&mut self, code: &str, state: &str) {
        self.product
            .wait(&format!("{code} {state}"), |p| p.incident(code).filter(|i| i["state"] == state));
    }

    /// Posts a result of an order with a status.
    fn result(&self, id: u32, order: &str, status: &str) {
        let text = format!(
            "MSH|^~\\&|LAB|H|P|C|20260101||ORU^R01|M{id}|P|2.5\rPID|1\rOBR|1|A|{order}||||||||||||||||||||||{status}\r\
             OBX|1|NM|718-7||1|||||{status}\r"
        );
        let answer = post(self.http, "/hl7/in", "text/plain", text.as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    fn metric(&mut self, family: &str, at_least: f64) {
        self.product.wait(&format!("{family} of {at_least}"), |p| {
            p.metric(family).filter(|value| *value >= at_least)
        });
    }
}

/// Puts a file in place at once, as a deployment does.
fn place(path: &Path, bytes: &[u8]) {
    let scratch = path.with_extension("new");
    fs::write(&scratch, bytes).unwrap();
    fs::rename(scratch, path).unwrap();
}

/// The check that comes with Feedpulse, at this version.
fn version(version: &str) -> Vec<u8> {
    with_manifest(component("result-status-regression"), |m| m["version"] = version.into())
}

fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

#[test]
fn a_new_version_takes_over_with_its_state_and_a_bad_one_is_kept_out() {
    let folder = folder_with("check.wasm", &version("1.0.0"));
    let mut site = Site::start(folder, "check.wasm", &format!("fields: {FIELDS}"));
    let first = site.wait_version("1.0.0");
    assert_eq!((&first["cases"], &first["state"]), (&3.into(), &Value::Null));
    site.result(1, "F1", "F");
    site.metric("feedpulse_check_rows_total", 1.0);

    site.place("check.wasm", &version("1.1.0"));
    let second = site.wait_version("1.1.0");
    assert_eq!((&second["state"], &second["reloads"]), (&"kept".into(), &1.into()));
    // What the first version was told, the second one knows.
    site.result(2, "F1", "P");
    site.product.wait("the finding", |p| p.incident("FP0301"));

    // Damaged, then one that fails its own cases: each leaves 1.1.0 where it is.
    site.place("check.wasm", b"\0asm\x0d\0\x01\0damaged");
    site.wait_kept_out("invalid");
    site.wait_incident("FP0306", "open");
    let failing = feedpulse_tests::checks::with_cases(
        component("troublemaker"),
        r#"[{"name": "never",
        "messages": "MSH|^~\\&|A|B|C|D|1||ADT^A01|1|P|2.5\rPID|1\r",
        "expected": [{"row": 0, "code": "deed-done", "level": "info"}]}]"#,
    );
    let fields = serde_json::json!(["OBR-3", "ORC-3"]);
    let narrow = |m: &mut Value| {
        m["fields"] = fields;
        m["grants"] = serde_json::json!([]);
    };
    site.place("check.wasm", &with_manifest(&failing, narrow));
    let why = site.wait_kept_out("cases");
    assert!(why.contains("its case never fails"), "{why}");
    assert_eq!(site.standing().unwrap()["version"], "1.1.0");
    site.result(3, "F2", "F");
    site.metric("feedpulse_check_rows_total", 3.0);

    // The kept out one does not come back by a restart either: the last good one does.
    assert!(site.product.stop().success());
    site.product.start_run();
    assert_eq!(site.wait_version("1.1.0")["kept_out"]["class"], "cases");
    site.place("check.wasm", &version("2.0.0"));
    assert_eq!(site.wait_version("2.0.0")["state"], "dropped");
    site.wait_incident("FP0306", "resolved");
    assert_eq!(site.product.metric("feedpulse_check_shed_total"), Some(0.0));
}

#[test]
fn a_configmap_swaps_its_link_and_settings_change_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("checks");
    let publish = |name: &str, version_of: &str, settings: &str| {
        let data = volume.join(name);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("check.wasm"), version(version_of)).unwrap();
        fs::write(data.join("settings.yaml"), settings).unwrap();
        symlink(name, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    publish("..2026_1", "1.0.0", "{}");
    for file in ["check.wasm", "settings.yaml"] {
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
    let mut site = Site::start(folder, "checks", &format!("fields: {FIELDS}"));
    site.wait_version("1.0.0");
    publish("..2026_2", "1.0.1", "{}");
    site.wait_version("1.0.1");
    // This check has no settings, so any are wrong.
    publish("..2026_3", "1.0.1", "unheard-of: 1");
    let why = site.wait_kept_out("settings");
    assert!(why.contains("settings"), "{why}");
    publish("..2026_4", "1.0.2", "{}");
    site.wait_version("1.0.2");
}

#[test]
fn more_than_approved_is_not_run_and_the_change_that_approves_it_is_printed() {
    let folder = folder_with("check.wasm", &version("1.0.0"));
    let mut site = Site::start(folder, "check.wasm", &format!("fields: {FIELDS}"));
    site.wait_version("1.0.0");
    let greedy = with_manifest(&version("1.1.0"), |m| {
        m["fields"].as_array_mut().unwrap().push("PID-5".into());
        m["grants"] = serde_json::json!(["get"]);
    });
    site.place("check.wasm", &greedy);
    let why = site.wait_kept_out("not-approved");
    for line in ["+      - PID-5", "+    grants:", "+      - get", "@@ checks: results @@"] {
        assert!(why.contains(line), "{line}: {why}");
    }
    let told = command(&["checks", "--config", site.product.config().to_str().unwrap()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("runs result-status-regression 1.0.0") && told.contains("+      - PID-5"),
        "{told}"
    );

    // The operator takes the change over: no restart.
    let config = site.product.config();
    let before = fs::read_to_string(&config).unwrap();
    let more = format!("fields: {}, grants: [get]", FIELDS.replace(']', ", PID-5]"));
    let approved = before.replace(&format!("fields: {FIELDS}"), &more);
    assert_ne!(before, approved);
    place(&config, approved.as_bytes());
    site.wait_version("1.1.0");
    // And back: what runs is approved no longer, so it stops.
    place(&config, before.as_bytes());
    site.wait_incident("FP0307", "open");
    site.product.wait("the check to rest", |p| {
        let one = p.json("/api/v1/checks/versions")?.as_array()?.first()?.clone();
        one["version"].is_null().then_some(())
    });
    site.result(1, "F1", "F");
    site.metric("feedpulse_check_skipped_total", 1.0);
    site.place("check.wasm", &version("1.2.0"));
    site.wait_version("1.2.0");
}

#[test]
fn without_a_stated_approval_it_does_not_start_and_says_what_to_paste() {
    let folder = folder_with("check.wasm", &version("1.0.0"));
    let file = folder.path().join("check.wasm");
    let config = folder.path().join("feedpulse.yaml");
    let write = |checks: &str| {
        let text = format!(
            "store: {{folder: {:?}}}\nwaypoints: [{{name: in}}]\n\
             http: {{listen: \"127.0.0.1:0\", waypoints: [in]}}\n{checks}",
            folder.path().join("store")
        );
        fs::write(&config, text).unwrap();
    };
    write(&format!("checks: [{{name: results, plugin: {file:?}}}]\n"));
    let config: PathBuf = config.clone();
    let refused = command(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("+    fields:\n+      - OBR-3"), "{said}");
    let printed = command(&["check", "approve", file.to_str().unwrap()]);
    assert!(printed.status.success());
    write(&String::from_utf8_lossy(&printed.stdout));
    let valid = command(&["validate", config.to_str().unwrap()]);
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
}
