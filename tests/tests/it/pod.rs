//! The example's pod as processes in one network, with the rendered arguments, configuration, users and
//! capabilities and nothing else: messages flow whatever becomes of Feedpulse's containers.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::manifests::{
    all_charts, chart, containers, find, parse, pod_of, rendered, target_port,
};
use feedpulse_tests::parts::wait_until;
use feedpulse_tests::pod::{ADDRESS, Container, Image, Pod};
use feedpulse_tests::product::{PATIENCE, binary, command};
use rustix::fs::{XattrFlags, setxattr};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// The legs of the example, with a portal that is there.
const LEGS: &str = "feedpulse:\n  fixedUser: false\n  proxy:\n    listeners:\n      \
    - {name: in, port: 12575, direct: 2575, waypoint: engine-in}\n      \
    - {name: portal, port: 12576, forward: \"portal.example:6661\", waypoint: portal-in, outbound: true}\n";

fn peer() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_peer"))
}

fn image(program: &Path, arguments: &[&str]) -> Image {
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Image { program: program.to_owned(), arguments }
}

/// The example's pod with its engine running, and what leads to it.
struct Stage {
    pod: Pod,
    objects: Vec<Value>,
    manifest: Value,
    engine: Container,
}

impl Stage {
    /// None where helm is absent or this process is not root.
    fn open(sets: &[&str]) -> Option<Self> {
        Self::of(Self::manifests(sets)?)
    }

    fn of(objects: Vec<Value>) -> Option<Self> {
        let manifest = pod_of(find(&objects, "Deployment", "engine"));
        let pod = Pod::start(&manifest, &objects)?;
        let clinic = image(peer(), &["clinic", "0.0.0.0:2575", "127.0.0.1:6661"]);
        let mut engine = pod.run("engine", &clinic);
        assert_eq!(engine.line(), "open", "{}", engine.said());
        Some(Self { pod, objects, manifest, engine })
    }

    fn manifests(sets: &[&str]) -> Option<Vec<Value>> {
        let charts = all_charts()?;
        let folder = tempfile::tempdir().unwrap();
        let values = folder.path().join("values.yaml");
        fs::write(&values, LEGS).unwrap();
        Some(parse(&chart(&charts, "engine").render(&values, sets).unwrap()))
    }

    fn wire(&self) -> Container {
        let mut wire = self.pod.run("feedpulse-wire", &image(binary(), &[]));
        for name in ["in", "portal"] {
            let line = wire.line();
            assert!(line.starts_with(&format!("listening {name} ")), "{line} {}", wire.said());
        }
        wire
    }

    fn analyser(&self) -> Container {
        self.pod.run("feedpulse-analyser", &image(binary(), &[]))
    }

    /// Where the engine's Service leads, as the manifests say.
    fn target(&self) -> u16 {
        target_port(find(&self.objects, "Service", "engine"), 2575, &self.manifest).unwrap()
    }

    /// Sends results over one connection to a port of the pod's own address.
    fn sender(&self, port: u16, count: u32) -> Child {
        let mut sender = self.pod.inside(peer());
        sender.args(["send", &format!("{ADDRESS}:{port}"), &count.to_string()]);
        sender.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn send(&self, port: u16, count: u32) -> bool {
        self.sender(port, count).wait_with_output().unwrap().status.success()
    }

    /// A page of the `ops` listener with its status.
    fn ops(&self, path: &str) -> String {
        let mut get = self.pod.inside(peer());
        get.args(["get", &format!("{ADDRESS}:9464"), path]).stderr(Stdio::null());
        String::from_utf8(get.output().unwrap().stdout).unwrap()
    }

    /// Waits until the analyser has seen so many messages, on both legs together.
    fn seen(&self, wanted: f64) {
        let seen = || {
            let page = self.ops("/metrics");
            let points = page.lines().filter_map(|l| l.strip_prefix("feedpulse_messages_total"));
            let sum: f64 = points.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            (sum >= wanted).then_some(sum)
        };
        let sum = wait_until(PATIENCE, seen);
        assert!(sum.is_some(), "the analyser sees {wanted} messages: {}", self.ops("/metrics"));
    }

    fn arrived(&mut self, wanted: usize) {
        let engine = &mut self.engine;
        let all = wait_until(PATIENCE, || {
            (engine.ask("how many").parse::<usize>().ok()? >= wanted).then_some(())
        });
        assert!(all.is_some(), "the portal gets {wanted} messages");
    }
}

/// What `/proc` says of a container that may do nothing.
fn assert_bare(container: &Container, user: u32, capabilities: u64) {
    let status = |field: &str| container.status(field).unwrap();
    assert_eq!(status("Uid"), [user; 4].map(|id| id.to_string()).join("\t"));
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(u64::from_str_radix(&status(field), 16).unwrap(), capabilities, "{field}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status(field), 16).unwrap(), 0, "{field}");
    }
    let mounts =
        fs::read_to_string(format!("/proc/{}/mountinfo", container.pid().unwrap())).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "the root can be written: {root}");
}

#[test]
fn the_pod_works_with_what_its_manifest_gives_and_nothing_else() {
    let Some(mut stage) = Stage::open(&[]) else { return };
    let (wire, analyser) = (stage.wire(), stage.analyser());
    assert_eq!(stage.target(), 12575);
    assert!(stage.send(stage.target(), 50));
    stage.arrived(50);
    stage.seen(100.0);
    assert!(stage.ops("/healthz").starts_with("200"), "{}", stage.ops("/healthz"));
    for container in [&wire, &analyser] {
        assert_bare(container, stage.pod.platform_user(), 0);
        assert_eq!(container.status("NoNewPrivs").unwrap(), "1");
    }
    // The leg that the engine sends on is nobody else's.
    assert!(!stage.send(12576, 1), "the outbound leg listens at the pod's own address");
    assert!(!wire.said().contains("panicked") && !analyser.said().contains("panicked"));
}

#[test]
fn told_to_end_the_analyser_ends_and_the_wire_after_the_last_connection() {
    let Some(mut stage) = Stage::open(&["portal=127.0.0.1:6661"]) else { return };
    let (mut wire, mut analyser) = (stage.wire(), stage.analyser());
    let ready = || stage.ops("/readyz").starts_with("200").then_some(());
    wait_until(PATIENCE, ready).unwrap();
    let mut sender = stage.sender(12575, 400);
    let mut lines = BufReader::new(sender.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    analyser.signal(Signal::TERM);
    wire.signal(Signal::TERM);
    assert_eq!(lines.map_while(Result::ok).count(), 399, "a connection was cut");
    assert!(sender.wait().unwrap().success());
    assert!(analyser.ended().unwrap().success(), "{}", analyser.said());
    assert!(wire.ended().unwrap().success(), "{}", wire.said());
    assert!(!stage.send(12575, 1), "it still listens");
    stage.arrived(400);
}

#[test]
fn messages_flow_while_the_analyser_is_missing_or_crashes_again_and_again() {
    let Some(mut stage) = Stage::open(&["feedpulse.fixedUser=true"]) else { return };
    let wire = stage.wire();
    let process = wire.pid();
    // Its image cannot be pulled.
    assert!(stage.send(stage.target(), 20));
    stage.arrived(20);
    // It starts and ends at once, as with a configuration that nothing can be made of.
    let config = stage.pod.volume("feedpulse-config").join("..now/feedpulse.yaml");
    let good = fs::read(&config).unwrap();
    fs::write(&config, "nonsense: [").unwrap();
    for _ in 0..3 {
        let mut analyser = stage.analyser();
        assert_eq!(analyser.ended().unwrap().code(), Some(78), "{}", analyser.said());
        assert!(stage.send(stage.target(), 5));
    }
    fs::write(&config, good).unwrap();
    // It is killed in the middle of a stream, ten times; the stream is one connection.
    let mut sender = stage.sender(stage.target(), 600);
    let mut lines = BufReader::new(sender.stdout.take().unwrap()).lines();
    for _ in 0..10 {
        let mut analyser = stage.analyser();
        assert_eq!(lines.by_ref().take(50).map_while(Result::ok).count(), 50);
        analyser.signal(Signal::KILL);
        assert!(!analyser.ended().unwrap().success());
    }
    assert_eq!(lines.map_while(Result::ok).count(), 100, "the stream was cut");
    assert!(sender.wait().unwrap().success());
    stage.arrived(635);
    assert_eq!(wire.pid(), process, "the wire is another process");
    let analyser = stage.analyser();
    wait_until(PATIENCE, || stage.ops("/readyz").starts_with("200").then_some(())).unwrap();
    assert!(stage.send(stage.target(), 10));
    stage.arrived(645);
    assert_bare(&analyser, 65532, 0);
}

#[test]
fn without_the_wire_the_other_target_port_leads_straight_to_the_engine() {
    let Some(mut stage) = Stage::open(&["portal=127.0.0.1:6661"]) else { return };
    assert!(!stage.send(stage.target(), 1), "nobody forwards");
    let Some(direct) = Stage::manifests(&["portal=127.0.0.1:6661", "feedpulse.proxy.path=direct"])
    else {
        return;
    };
    assert_eq!(pod_of(find(&direct, "Deployment", "engine")), stage.manifest, "a restart");
    stage.objects = direct;
    assert_eq!(stage.target(), 2575);
    assert!(stage.send(stage.target(), 20));
    stage.arrived(20);
    // Feedpulse comes back, and so does the traffic.
    let (_wire, _analyser) = (stage.wire(), stage.analyser());
    assert!(stage.send(12575, 5));
    stage.seen(5.0);
}

/// A file capability as capability.h has it: revision 2, effective; NET_RAW is number 13.
const NET_RAW: u64 = 1 << 13;

fn with_file_capability(program: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join("program");
    fs::copy(program, &copy).unwrap();
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    value[4..8].copy_from_slice(&u32::try_from(NET_RAW).unwrap().to_le_bytes());
    setxattr(&copy, "security.capability", &value, XattrFlags::empty()).unwrap();
    copy
}

#[test]
fn only_capture_may_read_packets_and_with_one_capability() {
    let Some(charts) = all_charts() else { return };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let packets = |name: &str, values: &str, sets: &[&str], program: &Path| {
        let objects = parse(&rendered(chart(&charts, "engine"), values, sets));
        let mut manifest = pod_of(find(&objects, "Deployment", "engine"));
        // Its own arguments are Feedpulse's.
        for container in manifest["spec"]["containers"].as_array_mut().unwrap() {
            container["args"] = json!([]);
        }
        assert!(containers(&manifest).any(|c| c["name"] == name));
        let pod = Pod::start(&manifest, &objects)?;
        let mut container = pod.run(name, &image(program, &["packets"]));
        let said = container.line();
        assert!(!said.is_empty(), "{name}: {}", container.said());
        let privileges = container.status("NoNewPrivs").unwrap();
        let effective = u64::from_str_radix(&container.status("CapEff").unwrap(), 16).unwrap();
        Some((said, privileges, effective))
    };
    let root = "feedpulse.capture.user=root";
    let Some((said, privileges, effective)) =
        packets("feedpulse-capture", "capture", &[root], peer())
    else {
        return;
    };
    assert_eq!((said.as_str(), privileges.as_str(), effective), ("open", "1", NET_RAW));
    // The image variant, and the plain image in its place.
    let nonroot = ["feedpulse.capture.user=nonroot"];
    let variant = with_file_capability(peer(), folder.path());
    let found = packets("feedpulse-capture", "capture", &nonroot, &variant).unwrap();
    assert_eq!((found.0.as_str(), found.1.as_str(), found.2), ("open", "0", NET_RAW));
    let found = packets("feedpulse-capture", "capture", &nonroot, peer()).unwrap();
    assert_eq!((found.0.as_str(), found.2), ("refused", 0));
    for name in ["feedpulse-wire", "feedpulse-analyser"] {
        let found = packets(name, "classic", &[], peer()).unwrap();
        assert_eq!((found.0.as_str(), found.2), ("refused", 0), "{name}");
    }
}

#[test]
fn capture_sees_what_reaches_the_engine_and_forwards_nothing() {
    let schema = String::from_utf8(command(&["validate", "--schema"]).stdout).unwrap();
    if !schema.contains("\"capture\"") {
        return; // A binary of before that tap.
    }
    let Some(charts) = all_charts() else { return };
    let sets = ["portal=127.0.0.1:6661", "feedpulse.config.capture.endpoints[1].port=6661"];
    let objects = parse(&rendered(chart(&charts, "engine"), "capture", &sets));
    let Some(stage) = Stage::of(objects) else { return };
    assert_eq!(stage.target(), 2575, "a leg leads to a container that is not there");
    let analyser = stage.pod.run("feedpulse-capture", &image(binary(), &[]));
    // What passed before it looked is not seen; so until both legs are.
    let seen = wait_until(PATIENCE, || {
        assert!(stage.send(2575, 5));
        let page = stage.ops("/metrics");
        let some = |waypoint: &str| {
            let point = format!("feedpulse_messages_total{{waypoint=\"{waypoint}\"}} ");
            page.lines().any(|l| l.strip_prefix(&point).is_some_and(|n| n != "0"))
        };
        (some("engine-in") && some("portal-in")).then_some(())
    });
    assert!(seen.is_some(), "{}", analyser.said());
    assert_bare(&analyser, 0, NET_RAW);
    assert_eq!(analyser.status("NoNewPrivs").unwrap(), "1");
}
