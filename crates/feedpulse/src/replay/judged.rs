//! What the checks of a configuration make of recorded messages, and which message each finding is
//! about: by its file, its number there and its control id. Words and places of a finding are declared,
//! so nothing here holds what a message says.

use super::Summary;
use crate::cli::{CONFIG, Failure};
use crate::config::Config;
use crate::run::checks::offline::Offline;
use anyhow::anyhow;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::Input;
use feedpulse_core::plan::Plan;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::index::Message;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

/// Most findings that are listed; further ones are counted.
const LISTED_MAX: usize = 10_000;
/// Findings of a text; the others are in JSON.
const TEXT_ROWS: usize = 200;
/// Messages of a file that are judged together.
const TOGETHER: usize = 64;

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// None = it is about no message: a check noticed silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Its number in the file, from 1: messages and ACKs count.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<u64>,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    control_id: String,
    check: String,
    /// The check's own code; of a fault its kind.
    code: String,
    level: &'static str,
    title: String,
    /// HL7 path.
    #[serde(skip_serializing_if = "String::is_empty")]
    place: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attrs: Vec<String>,
    /// It is about the check, not about a message.
    fault: bool,
}

/// A message that was shown to the checks.
struct Spot {
    file: Arc<str>,
    message: u64,
    kind: String,
    control_id: String,
}

/// The checks at work.
pub(crate) struct Judged {
    checks: Offline,
    /// Messages whose findings may still come.
    spots: HashMap<u64, Spot>,
    /// The file at hand and how many of its messages were shown.
    file: Arc<str>,
    messages: u64,
    /// Messages of files: where they were seen, and when the last of them was made.
    waypoint: WaypointId,
    made: Timestamp,
    /// What was found, as `check/code`, and faults as `check/(fault)`.
    counts: BTreeMap<String, u64>,
    list: Vec<Line>,
    total: u64,
}

impl Judged {
    /// The checks of a configuration; None where there are none.
    ///
    /// # Errors
    /// Every check that cannot run.
    pub(super) fn new(config: &Config, plan: &Plan) -> Result<Option<Self>, Failure> {
        let checks = Offline::new(config, plan)?;
        Ok(checks.map(|checks| Self {
            checks,
            spots: HashMap::new(),
            file: Arc::from(""),
            messages: 0,
            waypoint: WaypointId(0),
            made: Timestamp::EPOCH,
            counts: BTreeMap::new(),
            list: Vec::new(),
            total: 0,
        }))
    }

    /// For files of messages that were seen at a waypoint.
    ///
    /// # Errors
    /// As [`Judged::new`].
    pub(super) fn at(config: &Config, waypoint: WaypointId) -> Result<Option<Self>, Failure> {
        for check in config.checks.iter().filter(|c| !c.waypoints.contains(&waypoint)) {
            let name = config.plan.waypoints.get(usize::from(waypoint.0)).map(|w| w.name.as_str());
            eprintln!(
                "feedpulse: check {} does not watch {} and judges nothing here; --at names another waypoint",
                check.name,
                name.unwrap_or_default()
            );
        }
        Ok(Self::new(config, &config.plan)?.map(|judged| Self { waypoint, ..judged }))
    }

    /// From now on messages come from this file.
    pub(super) fn file(&mut self, name: &str) {
        (self.file, self.messages) = (Arc::from(name), 0);
    }

    /// Where rows of connections and outcomes are put.
    pub(super) const fn checks(&mut self) -> &mut Offline {
        &mut self.checks
    }

    /// Shows a message of a capture.
    pub(super) fn show(&mut self, message: &Message<'_>, seen: &Sighting) {
        self.messages += 1;
        let (kind, control_id) = match &seen.what {
            Seen::Message(what) if what.trigger.is_empty() => {
                (what.code.to_string(), what.control_id.clear().to_string())
            }
            Seen::Message(what) => {
                let kind = format!("{}^{}", what.code, what.trigger);
                (kind, what.control_id.clear().to_string())
            }
            _ => ("ACK".to_owned(), String::new()),
        };
        self.checks.rows().message(message, seen);
        let spot = Spot { file: Arc::clone(&self.file), message: self.messages, kind, control_id };
        self.spots.insert(self.checks.rows().shown(), spot);
    }

    /// Shows a message of a file. A file does not say when its messages came: a check is told when each
    /// says that it was made (MSH-7), and time never goes back.
    pub(super) fn show_of_file(&mut self, message: &Message<'_>, seen: &Sighting) {
        if let Seen::Message(what) = &seen.what
            && let Some(made) = what.made
        {
            self.made = self.made.max(made.at);
        }
        let at = Sighting { at: self.made, waypoint: self.waypoint, ..seen.clone() };
        self.show(message, &at);
        if self.spots.len() >= TOGETHER {
            self.judge(self.made);
        }
    }

    /// The checks judge what they were shown; gives what the engine is told of it.
    pub(super) fn judge(&mut self, at: Timestamp) -> Vec<Input> {
        let inputs = self.checks.judge(at);
        for note in self.checks.notes() {
            let check = self.checks.name(note.check).to_owned();
            let code = if note.faulty { "(fault)" } else { note.code.as_str() };
            *self.counts.entry(format!("{check}/{code}")).or_default() += 1;
            self.total += 1;
            if self.list.len() >= LISTED_MAX {
                continue;
            }
            let spot = self.spots.get(&note.message);
            self.list.push(Line {
                file: spot.map(|spot| spot.file.to_string()),
                message: spot.map(|spot| spot.message),
                kind: spot.map(|spot| spot.kind.clone()).unwrap_or_default(),
                control_id: spot.map(|spot| spot.control_id.clone()).unwrap_or_default(),
                check,
                code: note.code,
                level: note.level,
                title: note.title,
                place: note.at,
                attrs: note.attrs,
                fault: note.faulty,
            });
        }
        self.spots.clear();
        inputs
    }

    /// Judges what is left of the files.
    pub(super) fn rest(&mut self) {
        self.judge(self.made);
    }

    /// Tells all that was found.
    pub(super) fn end(self, summary: &mut Summary) {
        summary.checks = self.counts;
        summary.check_findings = self.list;
        let listed = summary.check_findings.len() as u64;
        summary.check_findings_left_out = self.total - listed;
    }
}

/// The waypoint of a name, or the first.
///
/// # Errors
/// There is none of this name.
pub(super) fn waypoint(config: &Config, name: Option<&str>) -> Result<WaypointId, Failure> {
    let Some(name) = name else { return Ok(WaypointId(0)) };
    let all = &config.plan.waypoints;
    let place = all.iter().position(|w| w.name == name);
    place.and_then(|n| u16::try_from(n).ok()).map(WaypointId).ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|w| w.name.as_str()).collect();
        let what = format!("--at: no waypoint is called {name:?}; there are {}", known.join(", "));
        Failure::new(CONFIG, anyhow!(what))
    })
}

/// For people: a line a finding.
pub(super) fn text(summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    for line in summary.check_findings.iter().take(TEXT_ROWS) {
        let Line { file, message, kind, control_id, check, code, level, title, place, .. } = line;
        match (file, message) {
            (Some(file), Some(message)) => write!(out, "{file}: message {message} {kind}")?,
            _ => write!(out, "no message")?,
        }
        if !control_id.is_empty() {
            write!(out, " ({control_id})")?;
        }
        write!(out, ": {level}: {title} ({check}/{code})")?;
        if !place.is_empty() {
            write!(out, " at {place}")?;
        }
        for attr in &line.attrs {
            write!(out, " {attr}")?;
        }
        writeln!(out)?;
    }
    let all = summary.check_findings.len() as u64 + summary.check_findings_left_out;
    let shown = summary.check_findings.len().min(TEXT_ROWS) as u64;
    if all > shown {
        writeln!(out, "… {} more: --json has the first {LISTED_MAX}", all - shown)?;
    }
    Ok(())
}
