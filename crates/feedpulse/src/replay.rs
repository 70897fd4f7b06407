//! `feedpulse replay`: the same decoder and engine over recorded messages, offline.

use crate::cli::{Failure, IO, ReplayArgs};
use crate::{cli, clock, files};
use feedpulse_core::defect::Verdict;
use feedpulse_core::effect::{Effect, Effects, IncidentState};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::SiteKey;
use feedpulse_core::plan::{Acks, Objectives, Plan, Route, Waypoint};
use feedpulse_core::sighting::{Outcome, Seen, Sighting, Urgency};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::inspect::{Inspection, Inspector};
use feedpulse_hl7::split::split_file;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What a replay found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    frames: u64,
    messages: u64,
    acks: u64,
    batches: u64,
    unreadable: u64,
    by_type: BTreeMap<String, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    defects: BTreeMap<&'static str, u64>,
    findings: BTreeMap<&'static str, u64>,
    incidents: u64,
}

/// One frame, for `--jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    index: usize,
    offset: u64,
    length: u64,
    verdict: &'static str,
    msh9: &'a str,
    msh10: &'a str,
    msh12: &'a str,
    sender: &'a str,
    receiver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    segments: u32,
    charset: &'static str,
    terminator: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    msa1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msa2: Option<&'a str>,
    urgency: &'static str,
    defects: Vec<LineDefect>,
}

#[derive(Serialize)]
struct LineDefect {
    code: &'static str,
    offset: u64,
    text: &'static str,
}

/// Runs the command.
pub(crate) fn main(args: &ReplayArgs) -> Result<(), Failure> {
    let decode = match &args.config {
        None => DecodeConfig::new(SiteKey::new([0; 16])),
        Some(file) => {
            let config = cli::load(file)?;
            config.decoding(SiteKey::new(config.key.unwrap_or_default()), 0)
        }
    };
    let list = files::list(&args.paths)?;
    let mut replay = Replay::new(decode);
    let bar = files::progress(list.len(), "files");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for path in &list {
        let bytes = files::read(path)?;
        let name = path.display().to_string();
        if args.jsonl {
            replay.lines(&name, &bytes, &mut out).map_err(|e| Failure::new(IO, e))?;
        } else {
            replay.file(&bytes);
        }
        files::advance(&bar);
    }
    bar.finish_and_clear();
    if args.jsonl {
        return out.flush().map_err(|e| Failure::new(IO, e));
    }
    let summary = replay.end();
    let done = if args.json {
        serde_json::to_string(&summary)
            .map_err(|e| Failure::new(70, e))
            .and_then(|text| writeln!(out, "{text}").map_err(|e| Failure::new(IO, e)))
    } else {
        write_text(&summary, list.len(), &mut out).map_err(|e| Failure::new(IO, e))
    };
    done?;
    out.flush().map_err(|e| Failure::new(IO, e))
}

/// A replay under way. Time is made up: one millisecond a frame, so no lag is computed.
pub(crate) struct Replay {
    decoder: Decoder,
    inspector: Inspector,
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
            inspector: Inspector::new(decode.clone()),
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
            self.summary.frames += 1;
            let frame = Frame {
                bytes: Phi::new(bytes.get(piece.start..piece.end).unwrap_or_default().to_vec()),
                at: self.now,
                waypoint: WaypointId(0),
                connection: ConnectionId(self.files),
                direction: Direction::ToReceiver,
                trace: None,
            };
            let decoded = self.decoder.decode(&frame, &mut self.sightings);
            self.summary.messages += u64::from(decoded.messages);
            self.summary.acks += u64::from(decoded.acks);
            self.summary.batches += u64::from(decoded.batches);
            self.summary.unreadable += u64::from(decoded.unreadable);
            for sighting in std::mem::take(&mut self.sightings) {
                self.count(&sighting);
                self.step(&Input::Seen(sighting));
            }
            if self.now.as_micros() % 1_000_000 == 0 {
                self.step(&Input::Tick);
            }
        }
    }

    fn count(&mut self, sighting: &Sighting) {
        let defects = match &sighting.what {
            Seen::Message(message) => {
                let kind = if message.trigger.is_empty() {
                    message.code.to_string()
                } else {
                    format!("{}^{}", message.code, message.trigger)
                };
                *self.summary.by_type.entry(kind).or_default() += 1;
                &message.defects
            }
            Seen::Ack(ack) => &ack.defects,
            Seen::Unreadable(unreadable) => &unreadable.defects,
            Seen::Batch(_) | Seen::Link(_) | Seen::Receipt(_) | Seen::DeadLetter(_) => return,
        };
        for defect in defects {
            *self.summary.defects.entry(defect.code.code()).or_default() += 1;
        }
    }

    fn step(&mut self, input: &Input) {
        self.engine.apply(self.now, input, &mut self.effects);
        for (_, effect) in self.effects.drain() {
            if let Effect::Incident(incident) = effect
                && incident.state == IncidentState::Open
            {
                for finding in &incident.findings {
                    let times = self.summary.findings.entry(finding.code.text().code).or_default();
                    *times = (*times).max(u64::from(finding.times));
                }
            }
        }
    }

    /// The engine's picture so far.
    pub(crate) fn view(&mut self) -> feedpulse_core::view::View {
        self.step(&Input::Tick);
        self.engine.view()
    }

    fn end(mut self) -> Summary {
        self.step(&Input::Tick);
        let view = self.engine.view();
        for (outcome, count) in Outcome::ALL.into_iter().zip(view.totals.outcomes) {
            self.summary.outcomes.insert(outcome.name(), count);
        }
        self.summary.outcomes.insert("open", view.totals.open);
        self.summary.incidents =
            view.incidents.iter().filter(|i| i.state != IncidentState::Pending).count() as u64;
        self.summary
    }

    fn lines(
        &mut self,
        file: &str,
        bytes: &[u8],
        out: &mut impl std::io::Write,
    ) -> anyhow::Result<()> {
        let mut found: Vec<Inspection> = Vec::new();
        let mut index = 0;
        for piece in split_file(bytes) {
            let start = piece.start as u64;
            self.inspector
                .inspect(bytes.get(piece.start..piece.end).unwrap_or_default(), &mut found);
            for entry in found.drain(..) {
                serde_json::to_writer(&mut *out, &line(file, index, start, &entry))?;
                out.write_all(b"\n")?;
                index += 1;
            }
        }
        Ok(())
    }
}

fn line<'a>(file: &'a str, index: usize, start: u64, entry: &'a Inspection) -> Line<'a> {
    Line {
        file,
        index,
        offset: start + entry.offset,
        length: entry.length,
        verdict: match entry.verdict {
            Verdict::Readable => "readable",
            Verdict::Odd => "odd",
            Verdict::Unreadable => "unreadable",
        },
        msh9: entry.msh9.as_str(),
        msh10: entry.msh10.clear().as_str(),
        msh12: entry.msh12.as_str(),
        sender: entry.sender.as_str(),
        receiver: entry.receiver.as_str(),
        event_time: entry.event_time.map(|t| clock::show(t.at)),
        segments: entry.segments,
        charset: entry.charset,
        terminator: entry.terminator,
        msa1: entry.msa1.map(|code| format!("{code:?}")),
        msa2: entry.msa2.as_ref().map(|id| id.clear().as_str()),
        urgency: match entry.urgency {
            Urgency::Routine => "routine",
            Urgency::Correction => "correction",
            Urgency::Critical => "critical",
        },
        defects: entry
            .defects
            .iter()
            .map(|d| LineDefect {
                code: d.code.code(),
                offset: start + u64::from(d.offset),
                text: d.code.text(),
            })
            .collect(),
    }
}

fn write_text(
    summary: &Summary,
    files: usize,
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    writeln!(
        out,
        "{files} files, {} frames: {} messages, {} ACKs, {} batches, {} unreadable",
        summary.frames, summary.messages, summary.acks, summary.batches, summary.unreadable
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
    Ok(())
}
