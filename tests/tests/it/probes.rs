//! What surrounds the stream, from the configuration to an incident that people see, and to its end.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_core::probe::Offsets;
use feedpulse_core::time::Timestamp;
use feedpulse_kafka::GroupWatch;
use feedpulse_tests::parts::{Kafka, free_address, post, wait_until};
use feedpulse_tests::product::{PATIENCE, Product, Setup, binary};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The product with an HTTP tap and some YAML more.
fn product(more: &str) -> (Product, SocketAddr) {
    let ingest = free_address().unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: inbox}".to_owned());
    setup.more = format!("http: {{listen: \"{ingest}\", waypoints: [inbox]}}\n{more}");
    (Product::start(&setup), ingest)
}

fn wait_state(product: &mut Product, code: &str, state: &str) -> serde_json::Value {
    product.wait(&format!("{code} {state}"), |p| p.incident(code).filter(|i| i["state"] == state))
}

#[test]
fn a_port_that_is_closed_is_an_incident_of_its_waypoint_until_it_opens() {
    let port = free_address().unwrap();
    let (mut product, _) = product(&format!(
        "probes:\n  - {{name: portal-port, about: {{waypoint: inbox}}, every: 10s, tcp: {{address: \"{port}\"}}}}\n"
    ));
    let incident = wait_state(&mut product, "FP0601", "open");
    assert_eq!(incident["subject"], "waypoint inbox", "{incident}");
    assert!(incident["summary"].as_str().unwrap().contains("portal-port refused"), "{incident}");
    assert_eq!(product.metric("feedpulse_probe_up"), Some(0.0));
    let shown = |product: &mut Product, state: &str| {
        product.wait(&format!("the probe, {state}"), |p| {
            let list = p.json("/api/v1/probes")?;
            list.as_array()?.iter().find(|probe| probe["state"] == state).cloned()
        })
    };
    let probe = shown(&mut product, incident["severity"].as_str().unwrap());
    assert_eq!((&probe["name"], &probe["code"]), (&"portal-port".into(), &"FP0601".into()));
    assert_eq!((&probe["about"], &probe["incident"]), (&incident["subject"], &incident["id"]));
    assert_eq!(probe["why"], "refused");
    let _open = TcpListener::bind(port).unwrap();
    wait_state(&mut product, "FP0601", "resolved");
    assert!(shown(&mut product, "ok")["since"].is_string());
    assert_eq!(product.metric("feedpulse_probe_up"), Some(1.0));
    assert!(product.stop().success(), "{}", product.said());
}

/// A page that is down until it is told to come back.
fn portal() -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, up) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let is_up = Arc::clone(&up);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head);
            let status = if is_up.load(Ordering::Relaxed) { "200 OK" } else { "503 Busy" };
            let _ = stream.write_all(
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            );
        }
    });
    (address, up)
}

#[test]
fn a_page_and_a_job_are_told_of_and_their_ends_too_across_a_restart() {
    let (portal, up) = portal();
    let (mut product, ingest) = product(&format!(
        "probes:\n  - {{name: portal-web, every: 10s, http: {{url: \"http://{portal}/health\"}}}}\n\
         heartbeats:\n  - {{name: backup, every: 5s, grace: 1s}}\n"
    ));
    let incident = wait_state(&mut product, "FP0601", "open");
    assert_eq!(incident["subject"], "probe portal-web", "{incident}");
    assert!(incident["summary"].as_str().unwrap().contains("http-503"), "{incident}");
    let incident = wait_state(&mut product, "FP0610", "open");
    assert_eq!(incident["subject"], "heartbeat backup", "{incident}");
    let id = incident["id"].clone();
    product.kill9();
    product.start_run();
    assert_eq!(wait_state(&mut product, "FP0610", "open")["id"], id, "it is the same one");
    up.store(true, Ordering::Relaxed);
    let beat = |state: &str| {
        let path = format!("/api/v1/heartbeats/backup{state}");
        post(ingest, &path, "text/plain", b"").map(|answer| answer.status).ok()
    };
    product.wait("a heartbeat is taken", |_| (beat("") == Some(202)).then_some(()));
    // It goes on coming while the incident ends.
    product.wait("FP0610 resolved", |p| {
        beat("?state=ok");
        p.incident("FP0610").filter(|i| i["state"] == "resolved")
    });
    wait_state(&mut product, "FP0601", "resolved");
    assert!(product.stop().success(), "{}", product.said());
}

#[test]
fn a_probe_is_tried_by_hand() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feedpulse.yaml");
    let text = format!(
        "waypoints: [{{name: in}}]\nfiles: [{{watch: {:?}, waypoint: in}}]\nprobes:\n\
         \x20 - {{name: good, tcp: {{address: \"{}\"}}}}\n  - {{name: bad, tcp: {{address: \"{}\"}}}}\n",
        folder.path(),
        open.local_addr().unwrap(),
        free_address().unwrap(),
    );
    std::fs::write(&file, text).unwrap();
    let probe = |name: &str| {
        let mut command = Command::new(binary());
        command.args(["probe", name, "--json", "--config"]).arg(&file);
        let output = command.output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), said)
    };
    let (code, said) = probe("good");
    assert_eq!((code, &said["good"]), (Some(0), &true.into()), "{said}");
    let (code, said) = probe("bad");
    assert_eq!((code, &said["checks"][0]["failed"]), (Some(1), &"refused".into()), "{said}");
    assert_eq!(probe("other").0, Some(64));
}

#[expect(clippy::disallowed_methods, reason = "this test is the clock")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// The engine: a consumer of the group, as a member or by hand.
fn engine(kafka: &Kafka) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap()).set("group.id", "mirth");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.create().unwrap()
}

fn commit(engine: &BaseConsumer, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("hl7", partition, Offset::Offset(offset)).unwrap();
    engine.commit(&list, CommitMode::Sync).unwrap();
}

/// Ten records in each of two partitions, ten minutes old.
fn produce(kafka: &Kafka) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    let producer: BaseProducer = config.create().unwrap();
    let old = now().as_micros() / 1_000 - 600_000;
    for n in 0..20 {
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to("hl7").partition(n % 2).payload(&b"MSH|"[..]).timestamp(old);
        assert!(producer.send(record).is_ok());
    }
    producer.flush(PATIENCE).unwrap();
}

#[test]
fn the_engines_own_group_is_looked_at_and_never_joined() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("hl7", 2);
    produce(&kafka);
    let engine = engine(&kafka);
    let options: BTreeMap<String, String> =
        [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
    let watch = GroupWatch::new(&options, "mirth", &["hl7".to_owned()]).unwrap();
    // What a look says, without the age of the record, and that age.
    let look = || {
        let found = watch.look(now(), Duration::from_secs(20)).unwrap();
        let told = |(part, o): (feedpulse_core::label::Label, Offsets)| {
            ((part.to_string(), o.committed, o.end, o.members), o.age.map(|age| age.as_secs()))
        };
        found.into_iter().map(told).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let part = |n: u8, committed, members| (format!("hl7/{n}"), committed, 10, Some(members));
    let (told, ages) = look();
    assert_eq!(told, [part(0, None, 0), part(1, None, 0)]);
    assert!(ages.iter().all(|age| age.is_some_and(|s| (600..700).contains(&s))), "{ages:?}");
    commit(&engine, 0, 4);
    commit(&engine, 1, 10);
    let (told, ages) = look();
    assert_eq!(told, [part(0, Some(4), 0), part(1, Some(10), 0)]);
    assert!(matches!(ages[..], [Some(600..700), Some(0)]), "{ages:?}");
    // A member that is there stays there with all partitions, however often is looked.
    engine.subscribe(&["hl7"]).unwrap();
    let assigned = || {
        let _ = engine.poll(Duration::from_millis(50));
        engine.assignment().unwrap().count()
    };
    wait_until(PATIENCE, || (assigned() == 2).then_some(())).unwrap();
    for _ in 0..5 {
        let (told, _) = look();
        assert_eq!(told, [part(0, Some(4), 1), part(1, Some(10), 1)], "nothing was committed");
        assert_eq!(assigned(), 2);
    }
    let missing = GroupWatch::new(&options, "mirth", &["nothing".to_owned()]).unwrap();
    assert_eq!(missing.look(now(), Duration::from_secs(20)).unwrap_err().as_str(), "no topic");
}

#[test]
fn a_stopped_engine_is_told_by_its_consumer_group() {
    let Some(kafka) = Kafka::start() else { return };
    kafka.create_topic("hl7", 2);
    produce(&kafka);
    let engine = engine(&kafka);
    commit(&engine, 0, 4);
    commit(&engine, 1, 10);
    let bootstrap = kafka.bootstrap();
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: topic}".to_owned());
    setup.more = format!(
        "kafka:\n  - {{brokers: [\"{bootstrap}\"], topics: [{{topic: hl7, waypoint: topic}}]}}\nprobes:\n\
         \x20 - {{name: mirth, about: {{waypoint: topic}}, every: 10s, kafka_group: {{tap: kafka, group: mirth, topics: [hl7]}}}}\n"
    );
    let mut product = Product::start(&setup);
    // Its record is older than five minutes: two looks.
    wait_state(&mut product, "FP0614", "open");
    // And nobody is there to read it: three.
    let incident = wait_state(&mut product, "FP0613", "open");
    assert_eq!(incident["subject"], "waypoint topic", "{incident}");
    let details = incident["findings"].as_array().unwrap();
    let says = |f: &serde_json::Value| f["detail"] == "mirth hl7/0 stopped";
    assert!(details.iter().any(says), "{incident}");
    commit(&engine, 0, 10);
    wait_state(&mut product, "FP0613", "resolved");
    assert!(product.stop().success(), "{}", product.said());
}
