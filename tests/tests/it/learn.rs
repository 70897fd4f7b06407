//! Day one is not blind: `learn` from files, and a running process says silence within seconds; from the
//! topic of a real broker, whose committed offsets stay as they were.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::parts::{Kafka, free_address};
use feedpulse_tests::product::{Product, Setup, command};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: u64 = 3_600;
const WEEK: u64 = 168 * HOUR;

#[expect(clippy::disallowed_methods, reason = "messages of last week are made by the real clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// YYYYMMDDHHMMSS+0000 (days from civil, the other way round).
fn hl7_time(at: u64) -> String {
    let (days, second) = (i64::try_from(at / 86_400).unwrap(), at % 86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}+0000")
}

fn message(at: u64, id: u64) -> String {
    let at = hl7_time(at);
    format!(
        "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|{at}||ORU^R01^ORU_R01|M{id}|P|2.5.1\rOBR|1||{id}^LAB|K\r"
    )
}

/// Eight days with a message an hour, and four a second in the two hours around this hour of the week, so
/// that silence is told well within a test's patience.
fn eight_days(until: u64) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    let mut at = until - WEEK - 24 * HOUR;
    while at < until {
        let off = (until - at) % WEEK;
        let dense = !(2 * HOUR..=WEEK - 2 * HOUR).contains(&off);
        let many = if dense { 4 } else { 1 };
        for _ in 0..many {
            all.push((at, message(at, all.len() as u64)));
        }
        at += if dense { 1 } else { HOUR };
    }
    all
}

fn write_files(folder: &Path, messages: &[(u64, String)]) {
    fs::create_dir(folder).unwrap();
    for (number, part) in messages.chunks(9_000).enumerate() {
        let text: String = part.iter().map(|(_, message)| message.as_str()).collect();
        fs::write(folder.join(format!("day-{number:03}.hl7")), text).unwrap();
    }
}

fn feeds(said: &Value) -> &Vec<Value> {
    said["sources"][0]["feeds"].as_array().unwrap()
}

#[test]
fn files_of_last_week_make_a_running_process_hear_silence() {
    let spool = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others.push("{name: results-in}".to_owned());
    setup.more = format!(
        "files:\n  - {{watch: {:?}, waypoint: results-in}}\nfeeds:\n  - {{name: results, route: results-in}}\n",
        spool.path()
    );
    let mut product = Product::start(&setup);
    // A first message, and then no more: without a week of watching nobody can say anything.
    fs::write(spool.path().join("first.hl7"), message(now(), 1_000_000)).unwrap();
    product.wait("the first message", |p| p.seen().filter(|seen| *seen == 1));
    assert!(product.incident("FP0106").is_none());

    let archive = product.folder().join("archive");
    let messages = eight_days(now() - 60);
    write_files(&archive, &messages);
    let (config, from) = (product.config(), archive.display().to_string());
    let arguments = ["learn", "--config", config.to_str().unwrap(), "--from", &from, "--json"];
    let dry = command(&[&arguments[..], &["--dry-run"]].concat());
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    assert!(!product.store().join("learned.bin").exists(), "a dry run writes nothing");
    let done = command(&arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    let [feed] = feeds(&said).as_slice() else { panic!("{said:#}") };
    assert_eq!(feed["messages"], messages.len() as u64);
    assert_eq!(feed["state"], "known");
    assert!(feed["silence_told_after_s"].as_i64().unwrap() > 0, "{feed:#}");

    let incident =
        product.wait("silence", |p| p.incident("FP0106").filter(|i| i["state"] == "open"));
    assert_eq!(incident["subject"], "feed results");
    assert!(product.store().join("learned.done").exists());
    assert!(!product.store().join("learned.bin").exists());
    assert_eq!(product.seen(), Some(1), "lessons are no messages");

    // What was taken over survives a crash, and the same lessons are taken over once.
    product.kill9();
    fs::rename(product.store().join("learned.done"), product.store().join("learned.bin")).unwrap();
    product.start_run();
    product
        .wait("the file is set aside", |p| p.store().join("learned.done").exists().then_some(()));
    assert!(product.incident("FP0106").is_some_and(|i| i["state"] == "open"));
    assert!(product.stop().success(), "{}", product.said());
}

#[test]
fn a_store_that_is_not_there_is_said_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("feedpulse.yaml");
    let store = folder.path().join("store");
    let text = format!(
        "store: {{folder: {store:?}}}\nwaypoints: [{{name: a}}]\nfiles: [{{watch: /tmp, waypoint: a}}]\n"
    );
    fs::write(&config, text).unwrap();
    let done = command(&["learn", "--config", config.to_str().unwrap(), "--from", "/nowhere.csv"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(66), "{said}");
    assert!(said.contains("start `feedpulse run` once"), "{said}");
}

/// Where the group stands on each partition.
fn committed(consumer: &BaseConsumer, partitions: i32) -> Vec<Offset> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range("hl7", 0, partitions - 1);
    let found = consumer.committed_offsets(list, Duration::from_secs(30)).unwrap();
    (0..partitions).map(|n| found.find_partition("hl7", n).unwrap().offset()).collect()
}

#[test]
fn old_records_of_a_topic_teach_and_the_group_stays_where_it_is() {
    let Some(kafka) = Kafka::start() else { return };
    let partitions = 3;
    kafka.create_topic("hl7", partitions);
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka.bootstrap()).set("group.id", "feedpulse");
    let producer: BaseProducer = client.create().unwrap();
    // Ten days, a message each ten minutes: by turns on each partition, so that only time orders them.
    let until = now() - 60;
    let mut sent = 0_u64;
    for at in (until - 10 * 86_400..until).step_by(600) {
        let value = message(at, sent);
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to("hl7")
            .partition(i32::try_from(sent % 3).unwrap())
            .timestamp(i64::try_from(at * 1_000).unwrap())
            .payload(value.as_bytes());
        assert!(producer.send(record).is_ok());
        producer.poll(Duration::ZERO);
        sent += 1;
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let group: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset("hl7", partition, Offset::Offset(7)).unwrap();
    }
    group.commit(&list, CommitMode::Sync).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("feedpulse.yaml");
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    let mut text = String::new();
    let _ = write!(
        text,
        "zone: UTC\nstore: {{folder: {store:?}}}\nwaypoints: [{{name: topic}}]\n\
         feeds: [{{name: results, route: topic, senders: [LAB]}}]\n\
         kafka:\n  - brokers: [\"{}\"]\n    group: feedpulse\n    topics: [{{topic: hl7, waypoint: topic}}]\n\
         ops: {{listen: \"{}\"}}\n",
        kafka.bootstrap(),
        free_address().unwrap()
    );
    fs::write(&config, text).unwrap();
    let run = |more: &[&str]| {
        let base =
            ["learn", "--config", config.to_str().unwrap(), "--from", "kafka://hl7", "--json"];
        let done = command(&[&base[..], more].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let said = run(&[]);
    let feed = &feeds(&said)[0];
    assert_eq!((feed["messages"].as_u64(), &feed["state"]), (Some(sent), &Value::from("known")));
    assert_eq!(feed["busiest_messages"], 6.0);
    assert!(store.join("learned.bin").exists());
    let day = run(&["--since", "1d", "--dry-run"]);
    let messages = feeds(&day)[0]["messages"].as_u64().unwrap();
    assert!((142..=145).contains(&messages), "{messages} of a day");
    assert_eq!(committed(&group, partitions), vec![Offset::Offset(7); 3]);
}
