//! What to read, with which librdkafka options; refuses what would break the tap's promises.

use core::fmt;
use feedpulse_core::frame::WaypointId;
use feedpulse_hl7::json::{ReceiptFormat, ValueFormat};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::collections::{BTreeMap, BTreeSet};

/// The most topics of one tap.
pub(crate) const MAX_TOPICS: usize = 1000;

/// What the records of a topic are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicRole {
    /// Messages on their way to the receiver.
    Message,
    /// ACKs on their way back.
    Ack,
    /// Records that nobody will deliver without help.
    DeadLetter,
    /// Messages that will be tried again.
    Retry,
    /// Patient-free statements of a portal or an engine.
    Receipt,
}

/// How values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicFormat {
    /// HL7, plain, framed or in an envelope.
    Value(ValueFormat),
    /// Receipts; only with [`TopicRole::Receipt`].
    Receipt(ReceiptFormat),
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Its name; no pattern.
    pub topic: String,
    /// The waypoint that it is.
    pub waypoint: WaypointId,
    /// What its records are.
    pub role: TopicRole,
    /// How they are written.
    pub format: TopicFormat,
}

/// One fault of a configuration. Never holds an option's value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The name would not do as a tap's name.
    #[error("name: give the tap a name")]
    NoName,
    /// A needed option is missing.
    #[error("options: `{0}` is missing")]
    Missing(&'static str),
    /// The option would break a promise.
    #[error("options: `{0}` cannot be set here: {1}")]
    Refused(String, &'static str),
    /// librdkafka has no such option.
    #[error("options: librdkafka has no option `{0}` (or was built without it)")]
    Unknown(String),
    /// librdkafka does not take the value.
    #[error("options: the value of `{0}` is not one that librdkafka takes")]
    Invalid(String),
    /// There are no topics, or too many.
    #[error("topics: give 1 to 1000 topics, not {0}")]
    TopicCount(usize),
    /// A topic's name is not one.
    #[error("topics: `{0}` is no topic name: use 1 to 249 letters, digits, `.`, `_`, `-`")]
    TopicName(String),
    /// A topic stands twice.
    #[error("topics: `{0}` is listed twice")]
    TopicTwice(String),
    /// Receipts and HL7 do not mix.
    #[error("topics: `{0}`: a receipt format goes with the receipt role, and only with it")]
    Format(String),
}

/// Every fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigErrors {}

/// A valid configuration of a tap.
#[derive(Clone)]
pub struct KafkaConfig {
    name: String,
    options: BTreeMap<String, String>,
    topics: Vec<TopicConfig>,
    earliest: bool,
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("name", &self.name)
            .field("options", &self.options.keys())
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

/// Set unless the options say otherwise. With the reasons that are not plain.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "feedpulse"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // Fetched ahead: what memory the tap may take while the intake is full.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "500"),
    // The fetcher must not rest for a second whenever its queue was full for a moment.
    ("fetch.queue.backoff.ms", "100"),
    // "Caught up" is judged each second, and from these statistics.
    ("statistics.interval.ms", "1000"),
    ("reconnect.backoff.max.ms", "5000"),
    // Brokers need not know what this client measures.
    ("enable.metrics.push", "false"),
];

/// Always set; [`refusal`] keeps options from saying otherwise.
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
    // For offsets that are gone. Where reading starts is decided by the tap itself.
    ("auto.offset.reset", "earliest"),
];

/// Why an option cannot be set to a value.
fn refusal(name: &str, value: &str) -> Option<&'static str> {
    const COMMITS: &str = "offsets are committed only after what was read is durable";
    const CODE: &str = "it would load or call foreign code";
    let value = value.trim();
    match name {
        "enable.auto.commit" | "auto.commit.enable" if value != "false" => Some(COMMITS),
        "enable.auto.offset.store" if value != "false" => Some(COMMITS),
        "auto.commit.interval.ms"
        | "offset.store.method"
        | "offset.store.path"
        | "offset.store.sync.interval.ms" => Some(COMMITS),
        "group.protocol" if value != "classic" => {
            Some("only the classic protocol lets the tap say where a partition starts")
        }
        "group.protocol.type" | "group.remote.assignor" => {
            Some("it belongs to another group protocol")
        }
        "enable.partition.eof" if value != "true" => {
            Some("the tap must know when it has read everything")
        }
        "isolation.level" if value != "read_committed" => {
            Some("records of aborted transactions would count as messages")
        }
        "allow.auto.create.topics" if value != "false" => {
            Some("a tap only looks; a misspelt topic would be made")
        }
        "auto.offset.reset" if !matches!(value, "earliest" | "latest") => {
            Some("write `latest` (the default) or `earliest`")
        }
        "statistics.interval.ms"
            if !value.parse().is_ok_and(|ms: u32| (100..=5000).contains(&ms)) =>
        {
            Some("the tap judges its own state by them: give 100 to 5000")
        }
        "debug" => Some("its lines show configuration values"),
        "plugin.library.paths" | "opaque" | "enabled_events" | "interceptors" => Some(CODE),
        _ if name.ends_with("_cb") => Some(CODE),
        _ if name.starts_with("test.mock.") => Some("it replaces the brokers by a mock"),
        _ => None,
    }
}

impl KafkaConfig {
    /// Checks everything. `options` are librdkafka's (its CONFIGURATION.md), `bootstrap.servers` and
    /// `group.id` among them. `auto.offset.reset` (`latest` unless set) says where a partition starts
    /// that neither this tap nor its group has read.
    ///
    /// # Errors
    /// All faults at once; none shows a value.
    pub fn new(
        name: impl Into<String>,
        options: BTreeMap<String, String>,
        topics: Vec<TopicConfig>,
    ) -> Result<Self, ConfigErrors> {
        let name = name.into();
        let mut errors = Vec::new();
        if name.is_empty() {
            errors.push(ConfigError::NoName);
        }
        errors.extend(check_options(&options));
        if !options.contains_key("group.id") {
            errors.push(ConfigError::Missing("group.id"));
        }
        errors.extend(check_topics(&topics));
        if errors.is_empty() {
            let reset = options.get("auto.offset.reset").map(|value| value.trim());
            let earliest = reset == Some("earliest");
            Ok(Self { name, options, topics, earliest })
        } else {
            Err(ConfigErrors(errors))
        }
    }

    /// The tap's name, as in its Positions.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> &[TopicConfig] {
        &self.topics
    }

    /// Whether a partition that nobody has read starts at its beginning.
    #[must_use]
    pub const fn starts_earliest(&self) -> bool {
        self.earliest
    }

    pub(crate) fn client(&self) -> ClientConfig {
        client(&self.options)
    }

    pub(crate) fn scrubber(&self) -> Scrubber {
        Scrubber::new(&self.options)
    }
}

/// The options with defaults and what is fixed.
pub(crate) fn client(options: &BTreeMap<String, String>) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (name, value) in DEFAULTS {
        client.set(*name, *value);
    }
    let tls =
        options.get("security.protocol").is_some_and(|p| p.to_ascii_lowercase().ends_with("ssl"));
    if tls {
        // A static OpenSSL knows no system folder of certificates.
        client.set("ssl.ca.location", "probe");
    }
    for (name, value) in options {
        client.set(name.as_str(), value.as_str());
    }
    for (name, value) in FIXED {
        client.set(*name, *value);
    }
    client.set_log_level(RDKafkaLogLevel::Info);
    client
}

/// What is wrong with options, whichever topics are read.
pub(crate) fn check_options(options: &BTreeMap<String, String>) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (name, value) in options {
        if let Some(why) = refusal(name, value) {
            errors.push(ConfigError::Refused(name.clone(), why));
            continue;
        }
        // One at a time, so that every fault is found.
        let mut one = ClientConfig::new();
        one.set(name.as_str(), value.as_str());
        match one.create_native_config() {
            Ok(_) => {}
            Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
                errors.push(ConfigError::Unknown(name.clone()));
            }
            Err(_) => errors.push(ConfigError::Invalid(name.clone())),
        }
    }
    let brokers = ["bootstrap.servers", "metadata.broker.list"];
    if !brokers.iter().any(|name| options.get(*name).is_some_and(|value| !value.trim().is_empty()))
    {
        errors.push(ConfigError::Missing("bootstrap.servers"));
    }
    errors
}

pub(crate) fn is_topic(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(plain) && name != "." && name != ".."
}

fn check_topics(topics: &[TopicConfig]) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if topics.is_empty() || topics.len() > MAX_TOPICS {
        errors.push(ConfigError::TopicCount(topics.len()));
    }
    let mut seen = BTreeSet::new();
    for TopicConfig { topic, role, format, .. } in topics {
        if !is_topic(topic) {
            errors.push(ConfigError::TopicName(topic.clone()));
        }
        if !seen.insert(topic) {
            errors.push(ConfigError::TopicTwice(topic.clone()));
        }
        if (*role == TopicRole::Receipt) != matches!(format, TopicFormat::Receipt(_)) {
            errors.push(ConfigError::Format(topic.clone()));
        }
    }
    errors
}

/// Takes option values out of librdkafka's own texts.
#[derive(Clone)]
pub(crate) struct Scrubber(Vec<String>);

impl Scrubber {
    pub(crate) fn new(options: &BTreeMap<String, String>) -> Self {
        let telling = |value: &&String| {
            value.len() >= 4
                && value.parse::<f64>().is_err()
                && !matches!(value.as_str(), "true" | "false")
        };
        let mut values: Vec<String> = options.values().filter(telling).cloned().collect();
        // A list of brokers appears broker by broker.
        let parts = options.get("bootstrap.servers").into_iter().flat_map(|list| list.split(','));
        values.extend(parts.map(|part| part.trim().to_owned()).filter(|part| part.len() >= 4));
        values.sort_by_key(|value| core::cmp::Reverse(value.len()));
        Self(values)
    }

    pub(crate) fn scrub(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), "…"))
    }
}
