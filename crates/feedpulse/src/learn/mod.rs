//! `feedpulse learn`: older messages play through the same engine, on their own time and with nobody
//! told, and what it learns of the site is handed to the running process: day one is not blind.

mod captures;
mod messages;
mod player;
mod report;
#[cfg(test)]
mod tests;
mod times;
mod topic;

use crate::civil::moment;
use crate::cli::{DATA, Failure, IO};
use crate::config::Config;
use crate::replay::sources::Sources;
use crate::{cli, clock, lessons};
use anyhow::anyhow;
use feedpulse_core::engine::learned::Learned;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::key::SiteKey;
use feedpulse_core::time::Timestamp;
use report::{Facts, Report};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Messages that claim to be older are passed over, where nobody says since when.
const OLDEST: Duration = Duration::from_secs(2 * 365 * 86_400);
/// Messages may claim to be so much younger than now: a sender's clock.
const AHEAD: Duration = Duration::from_secs(300);

/// What is learned from, and for whom.
#[derive(clap::Args, Debug)]
pub(crate) struct LearnArgs {
    /// The configuration of the process that shall know it.
    #[arg(long, short)]
    config: PathBuf,
    /// Files and folders of messages, captures (pcap, pcapng), CSV files of times, or `kafka://TOPIC` of
    /// a configured tap (`kafka://` for all its topics).
    #[arg(long, required = true, num_args = 1.., value_name = "SOURCE")]
    from: Vec<String>,
    /// Nothing older: so long ago (`30d`, `6w`), or a time (RFC 3339).
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Where the messages of files were seen. Default: the `files` tap whose folder holds them, else the
    /// first waypoint of the only route.
    #[arg(long, value_name = "NAME")]
    waypoint: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// Say what would be learned, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Which times are believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    from: Timestamp,
    to: Timestamp,
}

impl Bounds {
    fn hold(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

/// What one kind of source taught.
struct Taught {
    learned: Learned,
    facts: Facts,
}

/// Runs the command.
pub(crate) fn main(args: &LearnArgs) -> Result<(), Failure> {
    let config = cli::load(&args.config)?;
    if !args.dry_run {
        lessons::is_ready(&config.folder)?;
    }
    let now = clock::now();
    let bounds =
        Bounds { from: args.since.unwrap_or_else(|| now.minus(OLDEST)), to: now.plus(AHEAD) };
    let taught = all(args, &config, bounds)?;
    if taught.iter().all(|t| t.learned.feeds.is_empty()) {
        let why: Vec<String> = taught.iter().map(|t| t.facts.sentence()).collect();
        return Err(Failure::new(DATA, anyhow!("nothing was learned: {}", why.join("; "))));
    }
    let (learned, facts): (Vec<Learned>, Vec<Facts>) =
        taught.into_iter().map(|t| (t.learned, t.facts)).unzip();
    let lessons = lessons::numbered(learned);
    let written = match args.dry_run {
        true => None,
        false => Some(lessons::deliver(&config.folder, &lessons)?),
    };
    let taught: Vec<Taught> =
        lessons.into_iter().zip(facts).map(|(learned, facts)| Taught { learned, facts }).collect();
    let report = Report::of(&config, &taught, written);
    let mut out = std::io::stdout().lock();
    let told = if args.json {
        serde_json::to_string(&report)
            .map_err(std::io::Error::other)
            .and_then(|text| writeln!(out, "{text}"))
    } else {
        report.text(&mut out)
    };
    told.and_then(|()| out.flush()).map_err(|e| Failure::new(IO, e))
}

/// All sources, each kind by itself.
fn all(args: &LearnArgs, config: &Config, bounds: Bounds) -> Result<Vec<Taught>, Failure> {
    let key = SiteKey::new(config.key.unwrap_or_default());
    let (mut paths, mut tables, mut taught) = (Vec::new(), Vec::new(), Vec::new());
    for source in &args.from {
        if let Some(topic) = source.strip_prefix("kafka://") {
            taught.extend(topic::learn(config, key, topic, bounds, args.since)?);
        } else if source.to_ascii_lowercase().ends_with(".csv") {
            tables.push(PathBuf::from(source));
        } else {
            paths.push(PathBuf::from(source));
        }
    }
    if !tables.is_empty() {
        taught.push(times::learn(config, &tables, args.waypoint.as_deref(), bounds)?);
    }
    let sources = Sources::of(&paths)?;
    if !sources.messages.is_empty() {
        let waypoint = waypoint(config, args.waypoint.as_deref(), &paths)?;
        taught.push(messages::learn(config, key, &sources.messages, waypoint, bounds)?);
    }
    if !sources.captures.is_empty() {
        taught.push(captures::learn(config, &sources.captures)?);
    }
    Ok(taught)
}

/// Where the messages of files were seen.
fn waypoint(
    config: &Config,
    named: Option<&str>,
    paths: &[PathBuf],
) -> Result<WaypointId, Failure> {
    let plan = &config.plan;
    let names: Vec<String> = plan.waypoints.iter().map(|w| w.name.clone()).collect();
    let usage = |what: String| Failure::new(64, anyhow!(what));
    if let Some(named) = named {
        let found = names.iter().position(|name| name == named);
        let hint = crate::config::nearest(named, &names).map_or_else(
            || format!("declared: {}", names.join(", ")),
            |near| format!("did you mean {near:?}?"),
        );
        return found
            .map(crate::run::waypoint)
            .ok_or_else(|| usage(format!("no waypoint is called {named:?}: {hint}")));
    }
    let holds = |folder: &PathBuf| paths.iter().all(|path| path.starts_with(folder));
    if let Some((_, waypoint)) = config.files.iter().find(|(folder, _)| holds(folder)) {
        return Ok(*waypoint);
    }
    match plan.routes.as_slice() {
        [only] => Ok(only.waypoints.first().copied().unwrap_or(WaypointId(0))),
        _ => Err(usage(format!(
            "say with --waypoint where these messages were seen: one of {}",
            names.join(", ")
        ))),
    }
}
