//! `feedpulse replay`: the same decoder and engine over recorded messages and captures, offline.

pub(crate) mod capture;
mod facts;
mod lines;
pub(crate) mod sources;
pub(crate) mod survey;
mod tell;
pub(crate) mod watched;

use crate::cli::{Failure, IO, ReplayArgs};
use crate::noun::count;
use crate::{cli, files};
use feedpulse_core::effect::{Effect, Effects, IncidentChange, IncidentState};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::SiteKey;
use feedpulse_core::plan::{Acks, Objectives, Plan, Route, Waypoint};
use feedpulse_core::sighting::{Outcome, Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use feedpulse_hl7::decode::{DecodeConfig, Decoded, Decoder};
use feedpulse_hl7::split::split_file;
use serde::Serialize;
use sources::Sources;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What a replay found.
#[derive(Debug, Default, Serialize)]
struct Summary {
    frames: u64,
    messages: u64,
    acks: u64,
    batches: u64,
    unreadable: u64,
    by_type: BTreeMap<String, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    defects: BTreeMap<&'static str, u64>,
    findings: BTreeMap<&'static str, u64>,
    /// What the configuration's checks found, as `check/code`, and their own faults as `check/(fault)`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    checks: BTreeMap<String, u64>,
    incidents: u64,
}

impl Summary {
    fn decoded(&mut self, decoded: Decoded) {
        self.frames += 1;
        self.messages += u64::from(decoded.messages);
        self.acks += u64::from(decoded.acks);
        self.batches += u64::from(decoded.batches);
        self.unreadable += u64::from(decoded.unreadable);
    }

    fn count(&mut self, sighting: &Sighting) {
        let defects = match &sighting.what {
            Seen::Message(message) => {
                let kind = if message.trigger.is_empty() {
                    message.code.to_string()
                } else {
                    format!("{}^{}", message.code, message.trigger)
                };
                *self.by_type.entry(kind).or_default() += 1;
                &message.defects
            }
            Seen::Ack(ack) => &ack.defects,
            Seen::Unreadable(unreadable) => &unreadable.defects,
            Seen::Batch(_)
            | Seen::Link(_)
            | Seen::Receipt(_)
            | Seen::DeadLetter(_)
            | Seen::Shape(_) => return,
        };
        for defect in defects {
            *self.defects.entry(defect.code.code()).or_default() += 1;
        }
    }

    fn found(&mut self, incident: &IncidentChange) {
        if incident.state != IncidentState::Open {
            return;
        }
        for finding in &incident.findings {
            let times = self.findings.entry(finding.code.text().code).or_default();
            *times = (*times).max(u64::from(finding.times));
        }
    }

    /// How everything stands at the end.
    fn end(&mut self, view: &View) {
        for (outcome, count) in Outcome::ALL.into_iter().zip(view.totals.outcomes) {
            *self.outcomes.entry(outcome.name()).or_default() += count;
        }
        *self.outcomes.entry("open").or_default() += view.totals.open;
        let told = |i: &&IncidentChange| i.state != IncidentState::Pending;
        self.incidents += view.incidents.iter().filter(told).count() as u64;
    }

    /// Adds what a capture held.
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.messages += other.messages;
        self.acks += other.acks;
        self.batches += other.batches;
        self.unreadable += other.unreadable;
        self.incidents += other.incidents;
        for (kind, count) in other.by_type {
            *self.by_type.entry(kind).or_default() += count;
        }
        for (code, count) in other.checks {
            *self.checks.entry(code).or_default() += count;
        }
        let counts = [
            (&mut self.outcomes, other.outcomes),
            (&mut self.defects, other.defects),
            (&mut self.findings, other.findings),
        ];
        for (mine, theirs) in counts {
            for (name, count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

/// What a replay says with `--json`.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<tell::Report<'a>>,
}

/// Runs the command.
pub(crate) fn main(args: &ReplayArgs) -> Result<(), Failure> {
    let config = args.config.as_deref().map(cli::load).transpose()?;
    let key = SiteKey::new(config.as_ref().and_then(|c| c.key).unwrap_or_default());
    let decode = match &config {
        None => DecodeConfig::new(key),
        Some(config) => config.decoding(key, 0),
    };
    let sources = Sources::of(&args.paths)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if args.jsonl {
        return lines::write(&sources, decode, &mut out)
            .and_then(|()| out.flush().map_err(|e| Failure::new(IO, e)));
    }
    let mut replay = Replay::new(decode);
    let bar = files::progress(sources.messages.len(), "files");
    for source in &sources.messages {
        replay.file(&source.bytes()?);
        files::advance(&bar);
    }
    bar.finish_and_clear();
    let mut summary = replay.end();
    let mut found = if sources.captures.is_empty() {
        None
    } else {
        Some(capture::run(&sources.captures, config.as_ref())?)
    };
    if let Some(found) = &mut found {
        summary.add(std::mem::take(&mut found.summary));
    }
    let done = if args.json {
        let whole = Whole { summary: &summary, capture: found.as_ref().map(tell::report) };
        serde_json::to_string(&whole)
            .map_err(|e| Failure::new(70, e))
            .and_then(|text| writeln!(out, "{text}").map_err(|e| Failure::new(IO, e)))
    } else {
        let files = sources.messages.len() + sources.captures.len();
        write_text(&summary, files, &mut out)
            .and_then(|()| found.iter().try_for_each(|found| tell::text(found, &mut out)))
            .map_err(|e| Failure::new(IO, e))
    };
    done?;
    out.flush().map_err(|e| Failure::new(IO, e))?;
    found.map_or(Ok(()), |found| found.judge_files())
}

/// A replay under way. Time is made up: one millisecond a frame, so no lag is computed.
pub(crate) struct Replay {
    decoder: Decoder,
    engine: Engine,
    effects: Effects,
    summary: Summary,
    now: Timestamp,
    files: u64,
    sightings: Vec<Sighting>,
}

impl Replay {
    /// With the rules of a waypoint.
    pub(crate) fn new(decode: DecodeConfig) -> Self {
        let mut engine = Engine::new();
        let mut effects = Effects::default();
        let plan = Plan {
            waypoints: vec![Waypoint {
                acks: Acks::IfSeen,
                no_ack_after: Duration::from_secs(31 * 86_400),
                ack_time: Duration::from_secs(3_600),
                ..Waypoint::new("replay")
            }],
            routes: vec![Route { name: "replay".into(), waypoints: vec![WaypointId(0)] }],
            defaults: Objectives::default(),
            journey_expiry: Duration::from_secs(31 * 86_400),
            rollup: Duration::from_secs(60),
            feeds_max: 1_000,
            series_max: 500,
            ..Plan::default()
        };
        let now = Timestamp::EPOCH;
        engine.apply(now, &Input::Configure(Arc::new(plan)), &mut effects);
        Self {
            decoder: Decoder::new(decode),
            engine,
            effects,
            summary: Summary::default(),
            now,
            files: 0,
            sightings: Vec::new(),
        }
    }

    /// Takes the bytes of one file.
    pub(crate) fn file(&mut self, bytes: &[u8]) {
        self.files += 1;
        for piece in split_file(bytes) {
            self.now = self.now.plus(Duration::from_millis(1));
            let frame = Frame {
                bytes: Phi::new(bytes.get(piece.start..piece.end).unwrap_or_default().to_vec()),
                at: self.now,
                waypoint: WaypointId(0),
                connection: ConnectionId(self.files),
                direction: Direction::ToReceiver,
                trace: None,
            };
            let decoded = self.decoder.decode(&frame, &mut self.sightings);
            self.summary.decoded(decoded);
            for sighting in std::mem::take(&mut self.sightings) {
                self.summary.count(&sighting);
                self.step(&Input::Seen(sighting));
            }
            if self.now.as_micros() % 1_000_000 == 0 {
                self.step(&Input::Tick);
            }
        }
    }

    fn step(&mut self, input: &Input) {
        self.engine.apply(self.now, input, &mut self.effects);
        for (_, effect) in self.effects.drain() {
            if let Effect::Incident(incident) = effect {
                self.summary.found(&incident);
            }
        }
    }

    /// The engine's picture so far.
    pub(crate) fn view(&mut self) -> View {
        self.step(&Input::Tick);
        self.engine.view()
    }

    fn end(mut self) -> Summary {
        self.step(&Input::Tick);
        self.summary.end(&self.engine.view());
        self.summary
    }
}

fn write_text(
    summary: &Summary,
    files: usize,
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    writeln!(
        out,
        "{}, {}: {}, {}, {}, {} unreadable",
        count(files, "file"),
        count(summary.frames, "frame"),
        count(summary.messages, "message"),
        count(summary.acks, "ACK"),
        if summary.batches == 1 {
            "1 batch".to_owned()
        } else {
            format!("{} batches", summary.batches)
        },
        summary.unreadable
    )?;
    let mut kinds: Vec<_> = summary.by_type.iter().collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    for (kind, count) in kinds {
        writeln!(out, "  {count:>8}  {}", if kind.is_empty() { "(no type)" } else { kind })?;
    }
    if !summary.defects.is_empty() {
        writeln!(out, "defects (see `feedpulse explain CODE`, places with --jsonl)")?;
    }
    for (code, count) in &summary.defects {
        writeln!(out, "  {count:>8}  {code}")?;
    }
    writeln!(out, "outcomes")?;
    for (outcome, count) in summary.outcomes.iter().filter(|(_, n)| **n > 0) {
        writeln!(out, "  {count:>8}  {outcome}")?;
    }
    for (code, times) in &summary.findings {
        writeln!(out, "finding {code}, {times} times")?;
    }
    for (code, times) in &summary.checks {
        writeln!(out, "check {code}, {times} times")?;
    }
    Ok(())
}
