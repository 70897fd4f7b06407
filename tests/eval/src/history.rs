//! Histories: what happens at a site, and what should be said about it. Data, read from TOML.

mod raw;
mod resolve;

use crate::cause::CauseClass;
use crate::civil::Calendar;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::plan::PeerNet;
use feedpulse_core::shape::Part;
use feedpulse_core::sighting::{AckCode, ReasonClass};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The 24 failure signatures, and two of who comes; an expectation names one, or several joined by `+`. Behind ` @ ` stands
/// what keeps it apart from others of its class (`silence-connected @ 100/h`).
pub const CLASSES: [&str; 26] = [
    "receiver-down",
    "host-down",
    "receiver-hung",
    "slow-receiver",
    "nack-all",
    "nack-one-kind",
    "poison-message",
    "flapping",
    "idle-cut",
    "queue-build-up",
    "silence-connected",
    "silence-not-connected",
    "duplicate-storm",
    "ack-off-by-one",
    "out-of-order",
    "wrong-encoding",
    "schema-drift",
    "clock-fault",
    "certificate",
    "disk-full",
    "maintenance",
    "one-facility",
    "backfill",
    "downtime-recovery",
    "unknown-peer",
    "unknown-application",
];

/// A history, resolved.
#[derive(Clone, Debug)]
pub struct History {
    /// The file's name without its extension.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// When it starts, µs since the epoch.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// All chance comes from it.
    pub seed: u64,
    /// Seconds between two ticks of the engine.
    pub tick: u32,
    /// Nothing may be said.
    pub calm: bool,
    /// Findings that may not come, not even as a note.
    pub never: Vec<Code>,
    /// The raw events, instead of a generator.
    pub events: Option<PathBuf>,
    /// Zone and holidays.
    pub calendar: Calendar,
    /// Waypoints.
    pub links: Vec<Link>,
    /// Feeds.
    pub feeds: Vec<Feed>,
    /// What goes wrong, each time on its own.
    pub faults: Vec<Fault>,
    /// What should be said, each time on its own.
    pub expects: Vec<Expect>,
}

impl History {
    /// The class under which its alerts and false alarms are counted.
    #[must_use]
    pub fn classes(&self) -> Vec<String> {
        if self.calm {
            return vec![format!("calm: {}", self.name)];
        }
        let mut classes: Vec<String> = self.expects.iter().map(|e| e.class.clone()).collect();
        classes.sort();
        classes.dedup();
        classes
    }

    /// Its length in days.
    #[must_use]
    pub fn days(&self) -> f64 {
        (self.end - self.start) as f64 / crate::civil::DAY as f64
    }

    /// About how many messages it has; to start the longest first.
    #[must_use]
    pub fn size(&self) -> f64 {
        self.days() * 24.0 * (3_600.0 + self.feeds.iter().map(|f| 30.0 * f.per_hour).sum::<f64>())
    }
}

/// A waypoint and the receiver behind it.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What an ACK should take at most, µs.
    pub ack_objective: i64,
    /// After this a message counts as unanswered, µs.
    pub no_ack_after: i64,
    /// Median ACK time, µs.
    pub ack_median: i64,
    /// Deviation of its logarithm.
    pub ack_spread: f64,
    /// The sender gives up waiting after this, µs.
    pub timeout: i64,
    /// The sender tries to connect again after this, µs.
    pub reconnect: i64,
    /// What the sender does with a refused message.
    pub retry: Retry,
    /// One connection for all feeds (else one for each).
    pub shared: bool,
    /// A time-out leaves the connection open.
    pub keep_socket: bool,
    /// Where its senders may connect from, as in the configuration.
    pub peers: Vec<PeerNet>,
}

/// What a sender does with a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// It is set aside at once.
    Never,
    /// AR and CR are tried three times.
    Reject,
    /// Every refused message is tried until it is accepted: it blocks the line.
    Always,
}

/// When a feed sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// At all hours alike.
    Flat,
    /// Day and night, weekday and weekend differ.
    Hospital,
    /// Monday to Friday, 8 to 18.
    Office,
    /// Monday to Friday with a noon dip, Saturday morning a little, nights nearly nothing.
    Clinic,
    /// One batch each night, a trickle otherwise.
    Nightly,
    /// Groups of messages close together.
    Clusters,
}

/// A feed.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// The links that its messages pass, in order.
    pub path: Vec<usize>,
    /// MSH-3.
    pub sender: String,
    /// MSH-9 of its messages, as (code, trigger).
    pub types: Vec<(String, String)>,
    /// MSH-4 of its messages.
    pub facilities: Vec<String>,
    /// Messages in a busy hour.
    pub per_hour: f64,
    /// When it sends.
    pub pattern: Pattern,
    /// How much one day's volume differs from another's.
    pub day_sigma: f64,
    /// Share of critical messages.
    pub urgent: f64,
    /// Objective, µs.
    pub transit: i64,
    /// Objective, µs.
    pub urgent_transit: i64,
    /// Objective, µs.
    pub source_age: Option<i64>,
    /// Limit, µs.
    pub silence: Option<i64>,
    /// What the last receiver refuses on an ordinary day.
    pub rejects: Vec<Reject>,
    /// Messages in a nightly batch.
    pub batch: u32,
    /// When it starts, µs after local midnight.
    pub batch_at: i64,
    /// Messages in a group.
    pub cluster: u32,
    /// The configuration does not name its sender.
    pub any_sender: bool,
    /// What each of its messages has; none: nothing is said of their shape.
    pub shape: Vec<Part>,
    /// What some have.
    pub optional: Vec<Optional>,
}

/// A part that some messages have.
#[derive(Clone, Debug)]
pub struct Optional {
    /// Which.
    pub part: Part,
    /// How many of those that may.
    pub share: f64,
    /// Messages in a row that all have it, or none has.
    pub run: u64,
    /// Only from this hour until before that one, by the site's clocks; over midnight where the second
    /// is the smaller.
    pub hours: Option<[u8; 2]>,
    /// Only this facility's.
    pub facility: Option<String>,
    /// Only from then.
    pub from: Option<i64>,
    /// Only until then.
    pub to: Option<i64>,
}

/// A refusal that is normal.
#[derive(Clone, Copy, Debug)]
pub struct Reject {
    /// Its reason.
    pub reason: ReasonClass,
    /// How many are.
    pub share: f64,
    /// MSA-1.
    pub code: AckCode,
}

/// MSA-1 in a file.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Ack {
    /// Application error.
    AE,
    /// Application reject.
    AR,
    /// Commit error.
    CE,
    /// Commit reject.
    CR,
}

/// A reason class in a file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Segment sequence, required field.
    Structure,
    /// Type, event, processing id or version.
    Unsupported,
    /// Patient, visit or order not found.
    UnknownKey,
    /// It is there already.
    DuplicateKey,
    /// A record is locked.
    Locked,
    /// Database, disk, time-out.
    Internal,
    /// Not available.
    Unavailable,
    /// Something else.
    Other,
}

/// A severity in a file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loud {
    /// Nobody need be told: it is enough that it is noted.
    Note,
    /// In working hours.
    Ticket,
    /// At once.
    Page,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Connections are refused, the host lives.
    Refused,
    /// The host is not there.
    Unreachable,
    /// Messages are taken and not answered.
    Hung,
    /// ACKs take `ack`, reached over `ramp`.
    Slow,
    /// Messages are answered with `code` and `reason`.
    Nack,
    /// One message is refused for ever, and nothing else gets past it.
    Poison,
    /// Each `period` the receiver is down for `down`.
    Flapping,
    /// A connection without traffic for `gap` is dead, and nobody says so.
    IdleCut,
    /// A link carries only `capacity` messages an hour.
    Capacity,
    /// `count` messages come within `over`.
    Burst,
    /// No messages; with `connected = false` the sender hangs up.
    Silence,
    /// Each message is sent `copies` times more.
    Duplicates,
    /// ACKs name the message before.
    OffByOne,
    /// A preliminary result follows its final one; with `old`, a message whose MSH-7 is so old.
    OutOfOrder,
    /// Bytes that are not what MSH-18 says; a share is unreadable.
    Encoding,
    /// MSH-12 and the trigger change, or what messages have.
    Drift,
    /// The sender's clock is off by `by`.
    Clock,
    /// Connections are opened and reset at once.
    Certificate,
    /// Messages are answered CE, reason internal, after slow ACKs.
    DiskFull,
    /// Planned: connections are closed in order and refused.
    Maintenance,
    /// `count` old messages come over `over`, each `old`.
    Backfill,
    /// The sender keeps its messages and sends them all at the end.
    Downtime,
    /// The sender sends again the last `count` that were accepted: it is not sure of them.
    Resend,
    /// Messages leave their source `old` after their event.
    Aged,
    /// Accepted messages never reach the next link.
    Lost,
    /// Feedpulse itself is restarted and away for a while.
    Restart,
    /// Connections come from an address that is not its sender's; each `period` from another one.
    Peer,
    /// MSH-3 is `name`.
    Application,
}

/// One fault, resolved.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// First moment.
    pub from: i64,
    /// End.
    pub to: i64,
    /// Only on this link.
    pub link: Option<usize>,
    /// Only these feeds (a name stands for all its copies).
    pub feeds: Option<Vec<usize>>,
    /// Only this type (`ORU` or `ORU^R01`).
    pub kind_of: Option<String>,
    /// Only this facility.
    pub facility: Option<String>,
    /// Share of messages touched.
    pub share: f64,
    /// MSA-1.
    pub code: AckCode,
    /// Why.
    pub reason: ReasonClass,
    /// ACK time, µs.
    pub ack: i64,
    /// Time in which it is reached, µs.
    pub ramp: i64,
    /// The sender's time-out while it lasts, µs.
    pub timeout: Option<i64>,
    /// Messages an hour.
    pub capacity: f64,
    /// Messages.
    pub count: u32,
    /// Within, µs.
    pub over: i64,
    /// Without traffic, µs.
    pub gap: i64,
    /// Length of a cycle, µs.
    pub period: i64,
    /// Down in each, µs.
    pub down: i64,
    /// Further copies.
    pub copies: u32,
    /// Clock offset, µs.
    pub by: i64,
    /// MSH-12; empty = as before.
    pub version: String,
    /// Share of frames that cannot be read.
    pub unreadable: f64,
    /// Feedpulse is away, µs.
    pub away: i64,
    /// The sender stays connected.
    pub connected: bool,
    /// Age of what is filled in, µs.
    pub old: Option<i64>,
    /// MSH-3.
    pub name: String,
    /// What messages have besides.
    pub adds: Vec<Part>,
    /// What they have no more; a segment goes with its fields.
    pub drops: Vec<Part>,
}

/// One expectation, resolved.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Signature, or several joined by `+`.
    pub class: String,
    /// From when it is true.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Findings that count as finding it.
    pub codes: Vec<Code>,
    /// Findings that are a true consequence of it: neither found nor false.
    pub also: Vec<Code>,
    /// Which subjects (`waypoint portal-in`, `feed lab`); empty = any.
    pub subject: Vec<String>,
    /// What caused it.
    pub cause: Option<CauseClass>,
    /// The bar, µs.
    pub within: Option<i64>,
    /// How loud it should be.
    pub severity: Option<Severity>,
}

/// Reads one file.
///
/// # Errors
/// Where (file, line, field) and what is wrong, and what to write instead.
pub fn read(path: &Path) -> Result<History, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
    parse(path, &text)
}

/// Reads the text of one file.
///
/// # Errors
/// See [`read`].
pub fn parse(path: &Path, text: &str) -> Result<History, String> {
    let raw: raw::File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        resolve::wrong(path, text, at, error.message())
    })?;
    resolve::Resolver { path, text, file: &raw }.history()
}

/// Reads every `*.toml` of a folder, in order of name.
///
/// # Errors
/// See [`read`]; a folder that cannot be read or holds no history.
pub fn read_all(folder: &Path) -> Result<Vec<History>, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("{}: cannot be read: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(format!("{}: no *.toml here: name a folder of histories", folder.display()));
    }
    paths.iter().map(|path| read(path)).collect()
}
