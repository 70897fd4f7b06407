//! The live `capture` tap on real connections between two hosts: what it hands over is what the sender
//! logged, whatever the network does; and the product with it, its rights, and what it says without.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::capture_hosts::{Logged, Plan, Tap, is_sender, receiver};
use feedpulse_core::frame::Direction::{ToReceiver, ToSender};
use feedpulse_tests::namespace::{Host, in_namespace, is_real_root, nft};
use feedpulse_tests::parts::{free_address, get, wait_until};
use feedpulse_tests::product::{PATIENCE, Product, Setup, binary, command};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// One packet of so many is dropped, at each of two places on its way: before it is captured here, and
/// behind.
const DROP_ONE_OF: u32 = 25;

fn lossy(run: impl Fn(&str)) {
    run("add table inet t");
    for hook in ["input", "output"] {
        run(&format!(
            "add chain inet t {hook} {{ type filter hook {hook} priority 0 ; policy accept ; }}"
        ));
        run(&format!(
            "add rule inet t {hook} meta l4proto tcp iifname != \"lo\" oifname != \"lo\" \
             numgen random mod {DROP_ONE_OF} < 1 drop"
        ));
    }
}

/// A product with one waypoint and nothing but capture.
fn product(port: u16, settings: &str) -> Product {
    let mut setup = Setup::new(Vec::new());
    setup.others.push(format!("{{name: engine-in{settings}}}"));
    setup.more = format!("capture: {{endpoints: [{{waypoint: engine-in, port: {port}}}]}}\n");
    Product::start(&setup)
}

fn sorted(sent: &[Logged], of: impl Fn(&Logged) -> &Vec<u8>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = sent.iter().map(|logged| of(logged).clone()).collect();
    all.sort();
    all
}

/// Every message and every answer, byte for byte, and nothing else.
fn assert_all_seen(tap: &Tap, sent: &[Logged]) {
    let differ = "the frames that were captured are not those that were sent";
    assert!(tap.frames(ToReceiver) == sorted(sent, |logged| &logged.message), "{differ}");
    assert!(tap.frames(ToSender) == sorted(sent, |logged| &logged.answer), "{differ}");
    assert_eq!((tap.count("blind"), tap.count("unreadable")), (0, 0));
}

#[test]
fn on_a_lossy_network_every_message_is_what_was_sent() {
    const TEST: &str = "capture_live::on_a_lossy_network_every_message_is_what_was_sent";
    if is_sender() {
        return;
    }
    in_namespace(TEST, &["nft"], || {
        let host = Host::connect();
        let to: Vec<_> = Host::HERE.into_iter().map(receiver).collect();
        let ports: Vec<u16> = to.iter().map(std::net::SocketAddr::port).collect();
        let tap = Tap::open(&ports);
        let mut watch = product(ports[0], "");
        lossy(nft);
        lossy(|words| host.nft(words));
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan { to, connections: 6, messages: 50, longest: 30_000, pause_us: 0, seed: 1 };
        let sent = plan.start(&host, TEST, folder.path()).end();
        assert_eq!(sent.len(), 600);
        tap.wait(sent.len());
        assert_all_seen(&tap, &sent);
        assert!(tap.number("feedpulse_capture_retransmits_total") > 10.0);
        assert!(tap.number("feedpulse_capture_round_trip_seconds") > 100.0);
        assert_eq!(tap.number("feedpulse_capture_gaps_total"), 0.0);
        assert_eq!(tap.number("feedpulse_capture_dropped_packets_total"), 0.0);
        // Half of it went to the product's waypoint.
        watch.wait("all messages answered", |product| {
            let totals = &product.status()?["totals"];
            (totals["seen"] == 300 && totals["outcomes"]["accepted"] == 300).then_some(())
        });
        let status = watch.status().unwrap();
        assert_eq!((&status["stray_acks"], &status["late_acks"]), (&0.into(), &0.into()));
        assert_eq!(status["blind"], false, "{status:#}");
        assert_eq!(watch.metric("feedpulse_capture_connections_total"), Some(6.0));
        assert!(watch.metric("feedpulse_capture_retransmits_total").is_some_and(|n| n > 5.0));
    });
}

#[test]
fn in_the_middle_of_connections_it_misses_one_message_at_most() {
    const TEST: &str = "capture_live::in_the_middle_of_connections_it_misses_one_message_at_most";
    if is_sender() {
        return;
    }
    in_namespace(TEST, &[], || {
        let host = Host::connect();
        let to = vec![receiver(Host::HERE[0])];
        let port = to[0].port();
        let folder = tempfile::tempdir().unwrap();
        let plan =
            Plan { to, connections: 5, messages: 300, longest: 9_000, pause_us: 2_000, seed: 2 };
        let sending = plan.start(&host, TEST, folder.path());
        let before = Tap::open(&[port]);
        let _ = wait_until(PATIENCE, || (before.frames(ToReceiver).len() > 100).then_some(()));
        let tap = Tap::open(&[port]);
        let mut watch = product(port, "");
        let sent = sending.end();
        // It came late, so it has fewer than were sent; the last of each connection are among them.
        let last = (0..5).filter_map(|connection| {
            let of = sent.iter().filter(|logged| logged.connection == connection);
            of.max_by_key(|logged| logged.times)
        });
        let last: Vec<_> = last.collect();
        let _ = wait_until(PATIENCE, || {
            let seen = tap.frames(ToReceiver);
            last.iter().all(|logged| seen.binary_search(&logged.message).is_ok()).then_some(())
        });
        let seen = tap.frames(ToReceiver);
        for connection in 0..5 {
            let mut of: Vec<&Logged> =
                sent.iter().filter(|logged| logged.connection == connection).collect();
            of.sort_by_key(|logged| logged.times);
            let first = of.iter().position(|logged| seen.binary_search(&logged.message).is_ok());
            let (missed, rest) = of.split_at(first.unwrap());
            assert!(rest.len() > 100, "it came in the middle");
            assert!(rest.iter().all(|logged| seen.binary_search(&logged.message).is_ok()));
            // Those that were over before it was there are not missed.
            let missed = missed.iter().filter(|logged| logged.times.1 > tap.opened_us);
            assert!(missed.count() <= 1, "connection {connection}");
        }
        // The answer to a message that nobody saw is no stray one.
        let _ = wait_until(PATIENCE, || (tap.frames(ToSender).len() >= seen.len()).then_some(()));
        assert_eq!(tap.frames(ToSender).len(), seen.len());
        watch.wait("what it saw is answered", |product| {
            let totals = &product.status()?["totals"];
            (totals["seen"].as_u64()? > 300 && totals["open"] == 0).then_some(())
        });
        let status = watch.status().unwrap();
        assert_eq!(status["totals"]["seen"], status["totals"]["outcomes"]["accepted"]);
        assert_eq!(status["stray_acks"], 0, "{status:#}");
    });
}

#[test]
fn what_passed_while_it_did_not_run_is_unknown() {
    const TEST: &str = "capture_live::what_passed_while_it_did_not_run_is_unknown";
    if is_sender() {
        return;
    }
    in_namespace(TEST, &[], || {
        let host = Host::connect();
        let to = vec![receiver(Host::HERE[0])];
        let mut watch = product(to[0].port(), "");
        let folder = tempfile::tempdir().unwrap();
        let plan = |seed| Plan {
            to: to.clone(),
            connections: 2,
            messages: 20,
            longest: 500,
            pause_us: 0,
            seed,
        };
        plan(3).start(&host, TEST, folder.path()).end();
        // Their answers as well, which come behind them.
        watch.wait("the first are accepted", |p| accepted(p, 40));
        assert!(watch.stop().success());
        plan(4).start(&host, TEST, folder.path()).end();
        watch.start_run();
        watch.wait("the blind interval", |p| p.incident("FP0901"));
        plan(5).start(&host, TEST, folder.path()).end();
        watch.wait("the last are accepted", |p| accepted(p, 80));
        assert_eq!(watch.seen(), Some(80));
    });
}

/// Whether so many messages were accepted.
fn accepted(product: &Product, count: u64) -> Option<()> {
    let status = product.status()?;
    (status["totals"]["outcomes"]["accepted"] == count).then_some(())
}

/// Refused, never answered, reset, and one whose host is gone.
#[test]
fn what_becomes_of_connections_is_told() {
    const TEST: &str = "capture_live::what_becomes_of_connections_is_told";
    in_namespace(TEST, &["nft"], || {
        let host = Host::connect();
        let nobody = free_address().unwrap().port();
        let there = receiver(Host::HERE[0]);
        let tap = Tap::open(&[nobody, there.port()]);
        let python = |script: &str| {
            let mut dial = host.command("timeout");
            dial.args(["6", "bash", "-c", script]).stdin(Stdio::null()).stderr(Stdio::null());
            let _ = dial.output().unwrap();
        };
        python(&format!("exec 3<>/dev/tcp/10.77.1.1/{nobody}"));
        let _ = wait_until(PATIENCE, || (tap.count("Refused") > 0).then_some(()));
        assert_eq!(tap.count("Refused"), 1);
        // From now on nothing of it arrives here, and no answer comes.
        nft("add table inet t");
        nft("add chain inet t input { type filter hook input priority 0 ; }");
        nft(&format!("add rule inet t input tcp dport {nobody} drop"));
        python(&format!("exec 3<>/dev/tcp/10.77.1.1/{nobody}"));
        let _ = wait_until(PATIENCE, || (tap.count("Unreachable") > 0).then_some(()));
        assert_eq!(tap.count("Unreachable"), 1);
        assert_eq!(tap.number("feedpulse_capture_refused_total"), 1.0);
        // A message under way when its receiver's side goes dark.
        let script = format!(
            "exec 3<>/dev/tcp/10.77.1.1/{}; printf '\\013half' >&3; sleep 1; \
             printf ' more' >&3; sleep 25",
            there.port()
        );
        let mut speaks = host.command("bash");
        let mut speaks = speaks.args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let _ = wait_until(PATIENCE, || (tap.count("Opened") > 0).then_some(()));
        nft(&format!("add rule inet t input tcp dport {} drop", there.port()));
        let told = wait_until(PATIENCE, || (tap.count("HalfOpen") > 0).then_some(()));
        let _ = speaks.kill();
        let _ = speaks.wait();
        assert!(told.is_some(), "half open");
        assert_eq!(tap.count("HalfOpen { receiver: true }"), 1);
    });
}

/// Runs the product with these rights until it is ready and has said a word, or ends: how, and what it
/// said.
fn with_rights(
    setpriv: &[&str],
    config: &Path,
    ops: SocketAddr,
    word: &str,
) -> (Option<i32>, String) {
    let log = config.with_extension("log");
    let mut run = Command::new("setpriv");
    // A copy: whoever it runs as may not get to where it was built.
    let program = config.with_file_name("feedpulse");
    run.args(setpriv).arg(program).args(["run", "--config"]).arg(config);
    run.current_dir(config.parent().unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut run = run.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let ended = wait_until(PATIENCE, || {
        let is_ready = || get(ops, "/readyz").is_ok_and(|answer| answer.is_success());
        let ended = run.try_wait().unwrap().map(|status| status.code());
        ended.or_else(|| (said().contains(word) && is_ready()).then_some(None))
    });
    if ended == Some(None) {
        let pid = Pid::from_raw(run.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    } else {
        let _ = run.kill();
    }
    let status = run.wait().unwrap();
    (status.code(), said())
}

#[test]
fn cap_net_raw_is_all_it_needs_and_what_it_asks_for() {
    const TEST: &str = "capture_live::cap_net_raw_is_all_it_needs_and_what_it_asks_for";
    in_namespace(TEST, &["setpriv"], || {
        let folder = tempfile::tempdir().unwrap();
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open_to_all).unwrap();
        std::fs::copy(binary(), folder.path().join("feedpulse")).unwrap();
        let ops = free_address().unwrap();
        let write = |name: &str, more: &str| {
            let path = folder.path().join(name);
            let text = format!(
                "store: {{folder: {name}-store}}\nwaypoints: [{{name: in}}]\n\
                 capture: {{endpoints: [{{waypoint: in, port: 6661}}]}}\n\
                 ops: {{listen: \"{ops}\"}}\n{more}"
            );
            std::fs::write(&path, text).unwrap();
            path
        };
        let raw = ["--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"];
        let none = ["--bounding-set=-all", "--inh-caps=-all"];
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let ambient = ["--ambient-caps=-all,+net_raw"];
        let mut allowed = vec![("uid0", raw.to_vec())];
        let mut refused = vec![("none", none.to_vec())];
        if is_real_root() {
            allowed.push(("nobody", [&nobody[..], &raw, &ambient].concat()));
            // As Kubernetes has it for a uid without a file capability.
            refused.push(("bound", [&nobody[..], &raw].concat()));
        }
        for (name, rights) in allowed {
            let (code, said) = with_rights(&rights, &write(name, ""), ops, "");
            assert!(!said.contains("CAP_NET_RAW"), "{name}: {said}");
            assert_eq!(code, Some(0), "{name}: {said}");
        }
        for (name, rights) in refused {
            let (code, said) = with_rights(&rights, &write(name, ""), ops, "");
            assert_eq!(code, Some(69), "{name}: {said}");
            for word in ["CAP_NET_RAW", "setcap", "Pod Security", "mllp proxy"] {
                assert!(said.contains(word), "{name}: {word} is not in {said}");
            }
        }
        // Beside another tap, that one goes on, and an incident says so.
        let inbox = folder.path().join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        let config = write("both", &format!("files: [{{watch: {inbox:?}, waypoint: in}}]\n"));
        let (code, said) = with_rights(&none, &config, ops, "FP0906");
        assert_eq!(code, Some(0), "{said}");
        for word in ["the other taps go on", "CAP_NET_RAW", "FP0906"] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    });
}

#[test]
fn a_configuration_of_it_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yaml");
    let text = "waypoints: [{name: in}]\ncapture:\n  interfaces: [any, a-name-that-is-too-long]\n  \
         endpoints:\n    - {waypoint: inn, port: 6661}\n    \
         - {waypoint: in, port: 0, addresses: [engine, 10.0.0.0/40]}\n  ring_mib: 0\n  \
         memory_mib: 9999\n  connections: 1\n";
    std::fs::write(&path, text).unwrap();
    let done = command(&["validate", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(78), "{said}");
    // The schema speaks first, of what it can tell.
    assert!(said.contains("capture/endpoints #2/port: less than 1"), "{said}");
    std::fs::write(&path, text.replace("port: 0", "port: 1")).unwrap();
    let done = command(&["validate", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&done.stdout);
    for word in [
        "capture/interfaces #1",
        "capture/interfaces #2",
        "did you mean \"in\"?",
        "capture/endpoints #2/addresses #1",
        "capture/endpoints #2/addresses #2",
        "capture/ring_mib",
        "capture/memory_mib",
        "capture/connections",
    ] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
}
