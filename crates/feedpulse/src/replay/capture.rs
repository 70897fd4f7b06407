//! Captures in two passes: the first finds endpoints and routes, the second runs the engine in the
//! capture's own time. Nothing is called lost or unanswered merely because the capture ended.

use super::Summary;
use super::sources::Source;
use super::survey::Survey;
use super::watched::{Watched, decoding};
use crate::cli::{DATA, Failure};

use crate::config::Config;
use crate::gaps::{Gaps, Wanted};
use crate::ledger::Waypoints;
use crate::run::checks::offline::Offline;
use anyhow::anyhow;
use feedpulse_codec::LedgerRow;
use feedpulse_core::effect::{Effect, Effects, IncidentChange, JourneyEnd, JourneyRecord};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::Decoder;
use feedpulse_taps::capture::{Capture, CaptureError, Endpoint, Facts, Parties, Step, first_time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most incidents that are told.
const INCIDENTS_MAX: usize = 10_000;
/// Most messages that are listed as still open; further ones are counted.
const OPEN_MAX: usize = 100_000;

/// What captures hold.
pub(super) struct Found {
    pub(super) summary: Summary,
    pub(super) facts: Facts,
    /// Each file, and how its reading ended if not well.
    pub(super) files: Vec<(String, Option<CaptureError>)>,
    pub(super) waypoints: Waypoints,
    pub(super) endpoints: Vec<(SocketAddr, WaypointId)>,
    pub(super) twice: Vec<SocketAddr>,
    /// Each route, and the feeds on it.
    pub(super) routes: Vec<(Vec<WaypointId>, Vec<String>)>,
    pub(super) wanted: Wanted,
    pub(super) gaps: Gaps,
    pub(super) incidents: BTreeMap<u64, IncidentChange>,
    pub(super) open: Vec<Open>,
    pub(super) open_total: u64,
    /// ACKs to messages that were sent before the capture began.
    pub(super) to_before: u64,
}

impl Found {
    /// Says which files could not be read to their end; one that is cut off is no failure, since that
    /// is how a capture ends that was killed.
    ///
    /// # Errors
    /// A file is damaged, or nothing could be read at all.
    pub(super) fn judge_files(&self) -> Result<(), Failure> {
        let mut failed = None;
        for (name, error) in &self.files {
            let Some(error) = error else { continue };
            let text = format!("{name}: {error}");
            if matches!(error, CaptureError::Truncated { .. }) && self.facts.packets > 0 {
                eprintln!("feedpulse: {text}");
            } else {
                failed.get_or_insert(text);
            }
        }
        failed.map_or(Ok(()), |text| Err(Failure::new(DATA, anyhow!(text))))
    }
}

/// A message that waited for something when the capture ended.
pub(super) struct Open {
    pub(super) record: Box<JourneyRecord>,
    pub(super) waits_for: &'static str,
    pub(super) waypoint: Option<WaypointId>,
}

/// The captures in order of their first packet.
pub(crate) fn in_order(sources: &[Source]) -> Result<Vec<&Source>, Failure> {
    let mut ordered = Vec::new();
    for source in sources {
        ordered.push((first_time(source.open()?), source));
    }
    ordered.sort_by_key(|(time, _)| time.unwrap_or(i64::MAX));
    Ok(ordered.into_iter().map(|(_, source)| source).collect())
}

/// Both passes.
pub(super) fn run(sources: &[Source], config: Option<&Config>) -> Result<Found, Failure> {
    let sources = in_order(sources)?;
    let mut survey = Survey::new(Decoder::new(decoding(config)));
    let mut capture = Capture::learning();
    let mut files = Vec::new();
    for source in &sources {
        let read = capture.read(source.open()?, &mut |step| survey.take(&step));
        files.push((source.name.clone(), read.err()));
    }
    capture.end(&mut |step| survey.take(&step));
    let facts = capture.facts();
    let endpoints: &[Endpoint] = capture.endpoints();
    let watched = Watched::of(&survey, endpoints, config);
    let (first, last) = facts.times.unwrap_or_default();
    let checks = match config {
        Some(config) => Offline::new(config, &watched.plan)?,
        None => None,
    };
    let mut run =
        Run::new(checks, &watched, Timestamp::from_micros(first), Timestamp::from_micros(last));
    let mut capture = Capture::at(&watched.endpoints);
    let mut decoders = watched.decoders;
    for source in &sources {
        // What is wrong with a file was told by the first pass.
        let _ = capture.read(source.open()?, &mut |step| run.take(step, &mut decoders));
    }
    capture.end(&mut |step| run.take(step, &mut decoders));
    run.end();
    run.gaps.nameless(&run.wanted);
    run.gaps.ordered(false);
    let routes = watched.plan.routes.iter().enumerate().map(|(number, route)| {
        let on_it = |feed: &&feedpulse_core::plan::FeedPlan| usize::from(feed.route.0) == number;
        let feeds = watched.plan.feeds.iter().filter(on_it).map(|feed| feed.name.clone());
        (route.waypoints.clone(), feeds.collect())
    });
    Ok(Found {
        summary: run.summary,
        facts,
        files,
        waypoints: run.names,
        routes: routes.collect(),
        endpoints: watched.endpoints,
        twice: watched.twice,
        wanted: run.wanted,
        gaps: run.gaps,
        incidents: run.incidents,
        open: run.open,
        open_total: run.open_total,
        to_before: run.to_before,
    })
}

/// The second pass under way.
struct Run {
    /// The configuration's checks, which see what they would have seen live.
    checks: Option<Offline>,
    engine: Engine,
    effects: Effects,
    summary: Summary,
    names: Waypoints,
    wanted: Wanted,
    gaps: Gaps,
    incidents: BTreeMap<u64, IncidentChange>,
    open: Vec<Open>,
    open_total: u64,
    to_before: u64,
    /// Connections that were picked up and on which a message was seen since.
    spoken: BTreeSet<ConnectionId>,
    sightings: Vec<Sighting>,
    /// Time of the capture's last packet.
    last: Timestamp,
}

impl Run {
    fn new(checks: Option<Offline>, watched: &Watched, first: Timestamp, last: Timestamp) -> Self {
        let names =
            (0..).map(WaypointId).zip(watched.plan.waypoints.iter().map(|w| w.name.clone()));
        let wanted = Wanted { from: first, to: last.plus(Duration::from_micros(1)), feed: None };
        let mut run = Self {
            checks,
            engine: Engine::new(),
            effects: Effects::default(),
            summary: Summary::default(),
            names: names.collect(),
            wanted,
            gaps: Gaps::default(),
            incidents: BTreeMap::new(),
            open: Vec::new(),
            open_total: 0,
            to_before: 0,
            spoken: BTreeSet::new(),
            sightings: Vec::new(),
            last,
        };
        run.step(first, &Input::Configure(Arc::new(watched.plan.clone())));
        run
    }

    fn take(&mut self, step: Step<'_>, decoders: &mut [Decoder]) {
        for item in step.items.drain(..) {
            match item {
                Tapped::Frame(frame) => {
                    let Some(decoder) = decoders.get_mut(usize::from(frame.waypoint.0)) else {
                        continue;
                    };
                    let checks = &mut self.checks;
                    let decoded =
                        decoder.decode_with(&frame, &mut self.sightings, &mut |message, seen| {
                            if let Some(checks) = checks.as_mut() {
                                checks.rows().message(message, seen);
                            }
                        });
                    self.summary.decoded(decoded);
                    for sighting in std::mem::take(&mut self.sightings) {
                        self.summary.count(&sighting);
                        if !self.answers_before(&sighting, step.parties) {
                            self.step(step.at, &Input::Seen(sighting));
                        }
                    }
                }
                Tapped::Sighting(sighting) => {
                    self.summary.count(&sighting);
                    if let Some(checks) = &mut self.checks {
                        checks.rows().sighting(&sighting);
                    }
                    self.step(step.at, &Input::Seen(sighting));
                }
                Tapped::Blind(blind) => self.step(step.at, &Input::Blind(blind)),
                Tapped::Alive(waypoint) => self.step(step.at, &Input::Alive(waypoint)),
                // About the wire, which is not in a capture.
                Tapped::Own(_) | Tapped::Probed(_) => {}
            }
        }
        if step.tick {
            self.step(step.at, &Input::Tick);
        }
        self.judge(step.at, step.tick);
    }

    /// The checks judge what they were shown; what they find goes into the engine, as it does live.
    fn judge(&mut self, at: Timestamp, tick: bool) {
        let mut found = Vec::new();
        let Some(checks) = &mut self.checks else { return };
        if tick {
            checks.rows().flush();
            checks.rows().tick(at);
        }
        for input in checks.judge(at) {
            if let Input::Found(found) = &input {
                let code = if found.faulty { "(fault)" } else { found.code.as_str() };
                let key = format!("{}/{code}", checks.name(found.check));
                *self.summary.checks.entry(key).or_default() += 1;
            }
            found.push(input);
        }
        for input in found {
            self.step(at, &input);
        }
    }

    /// Whether an ACK answers a message that was sent before the capture began: the first thing to
    /// come back on a connection that was open already. It would be a stray one otherwise.
    fn answers_before(&mut self, sighting: &Sighting, parties: Parties<'_>) -> bool {
        let connection = sighting.connection;
        match &sighting.what {
            Seen::Message(_) if parties.was_picked_up(connection) => {
                self.spoken.insert(connection);
                false
            }
            Seen::Ack(ack) if ack.direction == Direction::ToSender => {
                let before =
                    parties.was_picked_up(connection) && !self.spoken.contains(&connection);
                self.to_before += u64::from(before);
                before
            }
            _ => false,
        }
    }

    fn step(&mut self, at: Timestamp, input: &Input) {
        self.engine.apply(at, input, &mut self.effects);
        let Self {
            effects, summary, gaps, wanted, names, incidents, open, open_total, checks, ..
        } = self;
        for (_, effect) in effects.drain() {
            match effect {
                Effect::Journey(record) => match waits_for(&record, self.last) {
                    None => {
                        if let Some(checks) = checks {
                            checks.rows().outcome(&record);
                        }
                        gaps.take(wanted, names, LedgerRow::Journey(record));
                    }
                    Some((waits_for, waypoint)) => {
                        *open_total += 1;
                        if open.len() < OPEN_MAX {
                            open.push(Open { record, waits_for, waypoint });
                        }
                    }
                },
                Effect::Amend(amendment) => {
                    gaps.take(wanted, names, LedgerRow::Amend(*amendment));
                }
                // Beyond the capture only what had happened in it is still told.
                Effect::Incident(incident) if at <= self.last => {
                    summary.found(&incident);
                    if incidents.len() < INCIDENTS_MAX || incidents.contains_key(&incident.id) {
                        incidents.insert(incident.id, *incident);
                    }
                }
                Effect::Incident(_) | Effect::Rollup(_) | Effect::File(_) => {}
            }
        }
    }

    /// The outcomes are those at the last packet; then time goes on until each journey is told.
    fn end(&mut self) {
        self.judge(self.last, false);
        // What the last batch said is told with a tick; then each incident as it stands.
        self.step(self.last, &Input::Tick);
        let view = self.engine.view();
        for incident in &view.incidents {
            if let Some(held) = self.incidents.get_mut(&incident.id) {
                held.clone_from(incident);
            }
        }
        self.summary.end(&view);
        let minutes = std::iter::repeat_n(Duration::from_secs(60), 120);
        let days = std::iter::repeat_n(Duration::from_hours(24), 60);
        let mut at = self.last;
        for step in minutes.chain(days) {
            if self.engine.view().journeys_open == 0 {
                break;
            }
            at = at.plus(step);
            for waypoint in self.names.keys().copied().collect::<Vec<_>>() {
                self.step(at, &Input::Alive(waypoint));
            }
            self.step(at, &Input::Tick);
        }
    }
}

/// What a journey still waited for, and where, when the capture ended; None when it was judged by what
/// the capture holds.
fn waits_for(
    record: &JourneyRecord,
    last: Timestamp,
) -> Option<(&'static str, Option<WaypointId>)> {
    if record.ended_at <= last {
        return None;
    }
    let unanswered =
        record.sends.iter().rev().find(|send| send.ended_at.is_none_or(|at| at > last));
    let missing = record.missing.first().copied();
    let failed = || record.sends.iter().any(|s| s.outcome.is_some_and(|o| !o.is_success()));
    match (record.end, unanswered) {
        (JourneyEnd::Delivered(_) | JourneyEnd::Filtered, _) => None,
        (_, Some(send)) => Some(("an answer", Some(send.waypoint))),
        (JourneyEnd::Expired, None) => Some(("the next waypoint", missing)),
        (JourneyEnd::Partly(_), None) if !failed() => Some(("the next waypoint", missing)),
        (JourneyEnd::Partly(_) | JourneyEnd::Failed(_) | JourneyEnd::Unknown, None) => None,
    }
}
