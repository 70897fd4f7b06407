//! Rows that are no messages: a check that watches ACKs, connections and outcomes, from the wire to the
//! incident, the metrics and the page.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::checks::{component, with_manifest};
use feedpulse_tests::parts::get;
use feedpulse_tests::product::{Product, Setup, Waypoint};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Answers the first message with AE; resets every further connection on its first byte.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut first = None;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if first.is_none() {
                let mut message = [0; 4096];
                let _ = stream.read(&mut message);
                let _ = stream
                    .write_all(b"\x0bMSH|^~\\&|P|P|L|L|20260101||ACK|A1|P|2.5\rMSA|AE|M1\r\x1c\r");
                first = Some(stream);
            } else {
                // what was not read when a socket closes makes the system send a reset
                let _ = stream.peek(&mut [0]);
            }
        }
    });
    address
}

/// One message as a frame.
fn message(id: &str) -> Vec<u8> {
    format!("\x0bMSH|^~\\&|L|L|P|P|20260101||ADT^A01|{id}|P|2.5\rPID|1||7\r\x1c\r").into_bytes()
}

fn found(product: &Product, code: &str) -> Option<()> {
    let line = format!("feedpulse_check_findings_total{{check=\"wild\",code=\"{code}\"}} ");
    let metrics = product.metrics();
    let n = metrics.lines().find_map(|l| l.strip_prefix(&line)?.parse::<f64>().ok());
    n.filter(|n| *n >= 1.0).map(|_| ())
}

#[test]
fn resets_after_a_refusal_and_what_became_of_the_message_are_told() {
    let portal = Waypoint {
        settings: "ack_time: 1s, no_ack_after: 2s".to_owned(),
        ..Waypoint::new("portal-in", receiver())
    };
    let mut setup = Setup::new(vec![portal]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wild.wasm");
    let wasm = with_manifest(component("troublemaker"), |m| m["grants"] = serde_json::json!([]));
    std::fs::write(&file, wasm).unwrap();
    setup.more = format!(
        "expire_after: 5s\nchecks:\n  - {{name: wild, plugin: {file:?}, fields: [\"*\"]}}\n"
    );
    let mut product = Product::start(&setup);
    let mut sender = TcpStream::connect(product.listener(0)).unwrap();
    sender.write_all(&message("M1")).unwrap();
    let mut answer = [0; 4096];
    let n = sender.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..n]).contains("MSA|AE|M1"));
    for n in 2..=4 {
        let mut sender = TcpStream::connect(product.listener(0)).unwrap();
        sender.write_all(&message(&format!("M{n}"))).unwrap();
        // until the reset has come through
        while sender.read(&mut answer).is_ok_and(|n| n > 0) {}
    }
    product.wait("three resets after an AE", |p| found(p, "resets-after-refusal"));
    product.wait("an outcome that is not well", |p| found(p, "seen"));
    product.wait("the incident", |p| p.incident("FP0301"));
    let checks = product.json("/api/v1/checks").unwrap();
    let numbers = &checks[0]["numbers"];
    assert_eq!(numbers["condition"], "ready", "{checks}");
    assert_eq!(numbers["not_checked"], 0, "{checks}");
    assert_eq!(numbers["findings"]["resets-after-refusal"], 1, "{checks}");
    let page = get(product.ui(), "/checks").unwrap().body;
    assert!(page.contains("resets-after-refusal"), "{page}");
    let metrics = product.metrics();
    for sample in [
        "feedpulse_check_seconds_bucket{check=\"wild\",le=\"0.00001\"} ",
        "feedpulse_check_state{check=\"wild\",state=\"ready\"} 1",
        "feedpulse_check_state{check=\"wild\",state=\"quarantined\"} 0",
        "feedpulse_check_info{check=\"wild\",version=\"0.1.0\",digest=\"",
        "feedpulse_check_faults_total{check=\"wild\",cause=\"trapped\"} 0",
        "feedpulse_check_memory_bytes{check=\"wild\"} ",
    ] {
        assert!(metrics.contains(sample), "{sample}");
    }
    assert!(product.stop().success(), "{}", product.said());
}
