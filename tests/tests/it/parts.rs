//! Each real part starts, does its one thing, and ends: the harness's own test.

use feedpulse_tests::parts::{
    Alertmanager, Collector, Kafka, Prometheus, get, post, require, wait_until,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn kafka_makes_topics_and_keeps_them_over_a_crash() {
    let Some(mut kafka) = Kafka::start() else { return };
    kafka.create_topic("adt", 2);
    let broker: SocketAddr = kafka.bootstrap().parse().unwrap();
    kafka.stop();
    assert_eq!(kafka.pid(), None);
    assert!(TcpStream::connect(broker).is_err(), "a stopped broker listens no more");
    kafka.restart();
    // The topic is still there, so that making it again is refused.
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        kafka.create_topic("adt", 2);
    }));
    let text = *again.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("error 36"), "TOPIC_ALREADY_EXISTS is 36: {text}");
}

#[test]
fn the_collector_writes_what_it_receives() {
    let dir = tempfile::tempdir().unwrap();
    let Some(collector) = Collector::start(&dir.path().join("otlp.jsonl")) else { return };
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"smoke",
        "kind":1,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000"
    }]}]}]}"#;
    let answer = post(collector.http(), "/v1/traces", "application/json", span.as_bytes());
    assert_eq!(answer.unwrap().status, 200);
    let name = wait_until(PATIENCE, || {
        let lines = collector.lines();
        let span = &lines.first()?["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        span["name"].as_str().map(str::to_owned)
    });
    assert_eq!(name.as_deref(), Some("smoke"));
    assert!(TcpStream::connect(collector.grpc()).is_ok());
}

/// Serves one fixed page of metrics until the listener's test is over.
fn metrics_page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut byte = [0];
            // To the end of the head: closing a socket with unread bytes resets it.
            while !request.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                request.push(byte[0]);
            }
            let body = "feedpulse_smoke 42\n";
            let _ = write!(
                stream,
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn prometheus_scrapes_and_answers() {
    let Some(prometheus) = Prometheus::start(&[metrics_page()]) else { return };
    let value = wait_until(PATIENCE, || {
        let result = prometheus.query("feedpulse_smoke{job=\"feedpulse\"} + 1").unwrap();
        result.first()?["value"][1].as_str().map(str::to_owned)
    });
    assert_eq!(value.as_deref(), Some("43"));
    let refused = prometheus.query("not a query").unwrap_err();
    assert!(refused.to_string().contains("parse error"), "{refused}");
}

#[test]
fn alertmanager_shows_an_alert_until_it_ends() {
    let Some(alertmanager) = Alertmanager::start() else { return };
    assert!(alertmanager.alerts().unwrap().is_empty());
    let send = |ends: &str| {
        let body = format!(r#"[{{"labels":{{"alertname":"Smoke"}}{ends}}}]"#);
        let to = alertmanager.address();
        post(to, "/api/v2/alerts", "application/json", body.as_bytes()).unwrap().status
    };
    assert_eq!(send(""), 200);
    let seen = wait_until(PATIENCE, || alertmanager.alerts().unwrap().pop());
    assert_eq!(seen.expect("the alert is shown")["labels"]["alertname"], "Smoke");
    assert_eq!(send(r#","endsAt":"2020-01-01T00:00:00Z","startsAt":"2019-01-01T00:00:00Z""#), 200);
    let ended = wait_until(PATIENCE, || alertmanager.alerts().unwrap().is_empty().then_some(()));
    assert!(ended.is_some(), "an alert that ended is shown no more");
}

#[test]
fn promtool_judges_a_page_of_metrics() {
    let Some(promtool) = require("promtool") else { return };
    let verdict = |page: &str| {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        child.wait().unwrap().success()
    };
    assert!(verdict("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"));
    assert!(!verdict("a total 1 2 3\n"));
}

#[test]
fn chromium_renders_a_page() {
    let Some(chromium) = require("chromium") else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = metrics_page();
    assert_eq!(get(page, "/").unwrap().body, "feedpulse_smoke 42\n");
    let out = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", dir.path().display()))
        .args(["--dump-dom", &format!("http://{page}/")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("feedpulse_smoke 42"), "{text}");
}
