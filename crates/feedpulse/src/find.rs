//! `feedpulse find`: the journeys of an accession, visit, record number or control id. The number is
//! read from standard input, hashed with the site key, and never stored, logged or shown.

use crate::cli::{Failure, IO, NO_INPUT};
use crate::clock;
use crate::gaps::kind_of;
use crate::ledger::{self, StoreArgs, Waypoints, name};
use anyhow::anyhow;
use feedpulse_codec::LedgerRow;
use feedpulse_core::effect::JourneyRecord;
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::ControlId;
use feedpulse_hl7::facts::find_key;
use feedpulse_sinks::config::Relation;
use feedpulse_sinks::otlp::traces::{hashed_control_id, trace_id};
use serde::Serialize;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

/// Most journeys that are shown, the newest.
const SHOWN_MAX: usize = 1_000;
/// Longest identifier.
const BYTES_MAX: u64 = 256;

/// What is asked.
#[derive(clap::Args, Debug)]
pub(crate) struct FindArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// One JSON object a journey.
    #[arg(long)]
    json: bool,
    /// Only print what a control id on standard input is hashed to in traces
    /// (`messaging.message.id`).
    #[arg(long, conflicts_with = "json")]
    hash: bool,
    /// Not taken: an identifier on the command line stays in the shell's history.
    #[arg(hide = true)]
    identifier: Option<String>,
}

#[derive(Serialize)]
struct Found {
    first_seen: String,
    feed: String,
    #[serde(rename = "type")]
    kind: String,
    urgency: &'static str,
    end: &'static str,
    ended: String,
    /// The trace of it, in Jaeger and Tempo.
    trace_id: String,
    sendings: Vec<Sent>,
    missing_at: Vec<String>,
    noted: Vec<&'static str>,
}

#[derive(Serialize)]
struct Sent {
    at: String,
    waypoint: String,
    control_id: String,
    /// `messaging.message.id` in its span, where control ids leave as hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    outcome: &'static str,
    ack: Option<String>,
    took_s: Option<f64>,
}

/// Runs the command.
pub(crate) fn main(args: &FindArgs) -> Result<(), Failure> {
    if args.identifier.is_some() {
        return Err(Failure::new(
            64,
            anyhow!(
                "the identifier is read from standard input: on the command line it would stay in \
                 the shell's history and in the list of processes"
            ),
        ));
    }
    let folder = args.store.folder()?;
    let key = site_key(args, &folder)?;
    let identifier = read_identifier()?;
    let hash = find_key(&key, identifier.as_bytes())
        .ok_or_else(|| Failure::new(NO_INPUT, anyhow!("no identifier on standard input")))?;
    let control_id = ControlId::from_bytes(identifier.trim().as_bytes());
    drop(identifier);
    if args.hash {
        let hash = hashed_control_id(&key, control_id).unwrap_or_default();
        println!("{hash}");
        return Ok(());
    }
    let mut found = std::collections::VecDeque::new();
    let mut more = 0_u64;
    let missing = ledger::each(&folder, |names, row| {
        let LedgerRow::Journey(record) = row else { return };
        let by_id = || record.sends.iter().any(|send| send.control_id == control_id);
        if !record.find.0.contains(&hash) && !by_id() {
            return;
        }
        if found.len() == SHOWN_MAX {
            found.pop_front();
            more += 1;
        }
        found.push_back(show(names, &key, &record));
    })?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    tell(&mut out, args.json, &found).map_err(|e| Failure::new(IO, e))?;
    for text in missing.damage {
        eprintln!("damaged: {text}");
    }
    if let Some(before) = missing.before {
        let before = clock::show(before);
        eprintln!("what ended before {before} was removed from the ledger by retention");
    }
    if more > 0 {
        eprintln!("{more} older journeys are not shown");
    }
    if found.is_empty() {
        return Err(Failure::new(1, anyhow!("no journey has it: not seen, or not ended yet")));
    }
    Ok(())
}

fn site_key(args: &FindArgs, folder: &Path) -> Result<SiteKey, Failure> {
    let configured = match &args.store.config {
        Some(file) => crate::cli::load(file)?.key,
        None => None,
    };
    if let Some(key) = configured {
        return Ok(SiteKey::new(key));
    }
    let path = folder.join("site.key");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let hint = "name the configuration that holds the key with --config";
        Failure::new(NO_INPUT, anyhow!("{}: {e}; {hint}", path.display()))
    })?;
    let key = crate::config::resolve::parse_key(&text);
    key.map(SiteKey::new)
        .ok_or_else(|| Failure::new(IO, anyhow!("{}: not 32 hexadecimal digits", path.display())))
}

fn read_identifier() -> Result<String, Failure> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        eprint!("Accession, visit, record number or control id: ");
    }
    let mut text = String::new();
    std::io::Read::take(stdin, BYTES_MAX)
        .read_line(&mut text)
        .map_err(|_| Failure::new(NO_INPUT, anyhow!("standard input holds no text")))?;
    Ok(text)
}

fn show(names: &Waypoints, key: &SiteKey, record: &JourneyRecord) -> Found {
    Found {
        first_seen: clock::show(record.first_at),
        feed: record.feed_name.clone(),
        kind: kind_of(record),
        urgency: record.urgency.name(),
        end: record.end.name(),
        ended: clock::show(record.ended_at),
        trace_id: format!("{:032x}", trace_id(record, Relation::default())),
        sendings: record
            .sends
            .iter()
            .map(|send| Sent {
                at: clock::show(send.at),
                waypoint: name(names, send.waypoint),
                control_id: send.control_id.clear().to_string(),
                message_id: hashed_control_id(key, send.control_id),
                outcome: send.outcome.map_or("open", feedpulse_core::sighting::Outcome::name),
                ack: send.ack.map(|code| format!("{code:?}")),
                took_s: send.ended_at.map(|at| at.since(send.at).as_secs_f64()),
            })
            .collect(),
        missing_at: record.missing.iter().map(|w| name(names, *w)).collect(),
        noted: record.classes.iter().map(feedpulse_core::class::AckClass::name).collect(),
    }
}

fn tell<'a>(
    out: &mut impl std::io::Write,
    json: bool,
    found: impl IntoIterator<Item = &'a Found>,
) -> std::io::Result<()> {
    for journey in found {
        if json {
            serde_json::to_writer(&mut *out, journey)?;
            writeln!(out)?;
            continue;
        }
        let Found { first_seen, feed, kind, urgency, end, trace_id, .. } = journey;
        writeln!(out, "{first_seen} {feed} {kind} ({urgency}): {end}; trace {trace_id}")?;
        for sent in &journey.sendings {
            let Sent { at, waypoint, control_id, outcome, .. } = sent;
            let ack = sent.ack.as_deref().unwrap_or("no ACK");
            let took = sent.took_s.map(|s| format!(" after {s:.3} s")).unwrap_or_default();
            writeln!(out, "  {at} {waypoint} {control_id}: {outcome}, {ack}{took}")?;
        }
        for waypoint in &journey.missing_at {
            writeln!(out, "  never seen at {waypoint}")?;
        }
        if !journey.noted.is_empty() {
            writeln!(out, "  noted: {}", journey.noted.join(", "))?;
        }
    }
    out.flush()
}
