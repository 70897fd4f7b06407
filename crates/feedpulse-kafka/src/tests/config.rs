//! What configurations are refused, and that no value is ever shown.

use super::{options, plain};
use crate::config::Scrubber;
use crate::{ConfigError, KafkaConfig, TopicConfig, TopicFormat, TopicRole};
use feedpulse_hl7::json::{ReceiptFormat, ValueFormat};

fn with(more: &[(&str, &str)]) -> Vec<ConfigError> {
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    match KafkaConfig::new("k", options("h:9092", more), topics) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0,
    }
}

#[test]
fn options_that_break_promises_are_refused() {
    for (name, value) in [
        ("enable.auto.commit", "true"),
        ("enable.auto.offset.store", "true"),
        ("auto.commit.interval.ms", "100"),
        ("group.protocol", "consumer"),
        ("group.remote.assignor", "range"),
        ("enable.partition.eof", "false"),
        ("isolation.level", "read_uncommitted"),
        ("allow.auto.create.topics", "true"),
        ("auto.offset.reset", "error"),
        ("statistics.interval.ms", "0"),
        ("plugin.library.paths", "x.so"),
        ("debug", "all"),
        ("rebalance_cb", "1"),
        ("test.mock.num.brokers", "3"),
    ] {
        let errors = with(&[(name, value)]);
        assert!(
            matches!(errors.as_slice(), [ConfigError::Refused(n, _)] if n == name),
            "{name}: {errors:?}"
        );
    }
}

#[test]
fn what_says_the_same_as_the_tap_is_taken() {
    let same = [
        ("enable.auto.commit", "false"),
        ("group.protocol", "classic"),
        ("isolation.level", "read_committed"),
        ("auto.offset.reset", "latest"),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
        ("queued.max.messages.kbytes", "1024"),
    ];
    assert_eq!(with(&same), Vec::new());
}

#[test]
fn all_faults_are_told_by_name_and_never_by_value() {
    let mut options = options(
        "",
        &[
            ("no.such.option", "hunter2"),
            ("session.timeout.ms", "hunter3"),
            ("sasl.password", "hunter4"),
        ],
    );
    options.remove("group.id");
    let receipts = TopicFormat::Receipt(ReceiptFormat {
        key: "/key".parse().unwrap(),
        outcome: "/outcome".parse().unwrap(),
        outcomes: Vec::new(),
        at: None,
        kind: None,
    });
    let topics = vec![
        plain("^adt.*", 0, TopicRole::Message),
        plain("a", 0, TopicRole::Message),
        plain("a", 0, TopicRole::Receipt),
        TopicConfig { format: receipts, ..plain("b", 0, TopicRole::Ack) },
    ];
    let errors = KafkaConfig::new("", options, topics).unwrap_err();
    let expected = [
        ConfigError::NoName,
        ConfigError::Unknown("no.such.option".into()),
        ConfigError::Invalid("session.timeout.ms".into()),
        ConfigError::Missing("bootstrap.servers"),
        ConfigError::Missing("group.id"),
        ConfigError::TopicName("^adt.*".into()),
        ConfigError::TopicTwice("a".into()),
        ConfigError::Format("a".into()),
        ConfigError::Format("b".into()),
    ];
    for one in &expected {
        assert!(errors.0.contains(one), "{one:?} in {errors:?}");
    }
    assert_eq!(errors.0.len(), expected.len(), "{errors:?}");
    assert!(!format!("{errors} {errors:?}").contains("hunter"));
}

#[test]
fn debug_and_librdkafkas_words_show_no_value() {
    let more = [("sasl.password", "hunter2"), ("ssl.key.password", "1234")];
    let given = options("broker-a:9092, broker-b:9092", &more);
    let scrubber = Scrubber::new(&given);
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    let config = KafkaConfig::new("k", given, topics).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("broker-a"), "{shown}");
    assert!(shown.contains("sasl.password") && shown.contains("adt"), "{shown}");
    let words = scrubber.scrub("broker-b:9092/bootstrap: SASL hunter2 failed");
    assert_eq!(words, "…/bootstrap: SASL … failed");
}

#[test]
fn defaults_yield_to_options_and_promises_do_not() {
    let more = [("queued.max.messages.kbytes", "1024"), ("auto.offset.reset", "latest")];
    let topics = vec![plain("adt", 0, TopicRole::Message)];
    let config = KafkaConfig::new("k", options("h:9092", &more), topics).unwrap();
    assert!(!config.starts_earliest());
    let client = config.client();
    let get = |name: &str| client.get(name);
    assert_eq!(get("queued.max.messages.kbytes"), Some("1024"));
    assert_eq!(get("fetch.max.bytes"), Some("8388608"));
    assert_eq!(get("partition.assignment.strategy"), Some("cooperative-sticky"));
    // For offsets that are gone; the start is the tap's own business.
    assert_eq!(get("auto.offset.reset"), Some("earliest"));
    assert_eq!(get("enable.auto.commit"), Some("false"));
    assert!(matches!(config.topics()[0].format, TopicFormat::Value(ValueFormat::Hl7)));
}
