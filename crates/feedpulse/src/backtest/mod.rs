//! `feedpulse backtest`: what these settings would have told of the time that the ledger recorded, next to
//! what was told, how much of it was real, and which settings would tell less of what was not.

mod judge;
mod rebuild;
mod report;
mod run;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;

use crate::civil::moment;
use crate::cli::{self, DATA, Failure, IO, NO_INPUT};
use crate::{clock, lessons};
use anyhow::anyhow;
use feedpulse_core::codes::Severity;
use feedpulse_core::input::Input;
use feedpulse_core::plan::Plan;
use feedpulse_core::time::Timestamp;
use feedpulse_store::{Options, Peek, peek};
use jiff::tz::TimeZone;
use judge::{Told, Truth};
use rebuild::Scan;
use report::Report;
use run::{Fired, Run};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use suggest::{Recorded, Suggested};

/// What is judged, where nobody says.
const DAYS: Duration = Duration::from_secs(30 * 86_400);

/// What is asked.
#[derive(clap::Args, Debug)]
pub(crate) struct BacktestArgs {
    /// The settings to try: the file that recorded, or another one.
    #[arg(long, short)]
    config: PathBuf,
    /// The store's folder, where it is not that of the configuration.
    #[arg(long)]
    store: Option<PathBuf>,
    /// Judge what was told since: so long ago (`30d`), or a time (RFC 3339). What the ledger holds of the time
    /// before is lived through as well, so that all is learned by then. Default: 30 days ago.
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// A list of the site's own: CSV with the columns from, to, subject, verdict (`real` or `noise`).
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Begin with these lessons: a `learned.done` of the store.
    #[arg(long, value_name = "FILE")]
    learned: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What a backtest found.
struct Found {
    scan: Scan,
    since: Timestamp,
    /// Why the table of incidents could not be read.
    no_tables: Option<String>,
    /// Nobody watched so often, as far as the tables tell.
    unwatched: usize,
    fired: Vec<Fired>,
    truth: Truth,
    /// Recorded incidents of which the ledger cannot tell.
    beyond: usize,
    warm: bool,
    suggested: Suggested,
}

/// What people would have been told of since a time.
fn told(run: &Run, since: Timestamp) -> Vec<Fired> {
    let told =
        |f: &Fired| f.severity > Severity::Note && f.opened >= since && judge::is_rebuilt(f.code);
    run.fired().into_iter().filter(told).collect()
}

/// Runs the command.
pub(crate) fn main(args: &BacktestArgs) -> Result<(), Failure> {
    let config = cli::load(&args.config)?;
    let folder = args.store.clone().unwrap_or_else(|| config.folder.clone());
    if !folder.join("ledger").is_dir() {
        return Err(Failure::new(
            NO_INPUT,
            anyhow!("{} holds no ledger: name the store's folder with --store", folder.display()),
        ));
    }
    let zone = config.zone.clone().unwrap_or(TimeZone::UTC);
    let labels = args.labels.as_deref().map(|path| judge::labels(path, &zone)).transpose()?;
    let taught = args.learned.as_deref().map(lessons_of).transpose()?.unwrap_or_default();
    let since = args.since.unwrap_or_else(|| clock::now().minus(DAYS));
    let mut plan = config.plan;
    // Its feeds were new once: what is tried here is who would be told by now.
    let feeds = plan.feeds.iter_mut().map(|feed| &mut feed.objectives);
    feeds.chain([&mut plan.defaults]).for_each(|promised| promised.shadow = Duration::ZERO);
    let plan = Arc::new(plan);
    let found = backtest(&folder, &plan, since, labels.unwrap_or_default(), &taught)?;
    let report = Report::of(&found, &plan, &zone);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let said = if args.json {
        serde_json::to_string(&report)
            .map_err(std::io::Error::other)
            .and_then(|text| writeln!(out, "{text}"))
    } else {
        report.text(&mut out)
    };
    said.and_then(|()| out.flush()).map_err(|e| Failure::new(IO, e))
}

fn lessons_of(path: &Path) -> Result<Vec<Input>, Failure> {
    let read = lessons::read(path);
    let read = read.map_err(|why| Failure::new(NO_INPUT, anyhow!("{}: {why}", path.display())))?;
    Ok(read.into_iter().map(|learned| Input::Learned(Box::new(learned))).collect())
}

fn backtest(
    folder: &Path,
    plan: &Arc<Plan>,
    since: Timestamp,
    labels: Vec<judge::Label>,
    lessons: &[Input],
) -> Result<Found, Failure> {
    let scan = rebuild::scan(folder, plan)?;
    if scan.journeys == 0 {
        let what = "no message has ended yet: there is nothing to try these settings on";
        return Err(Failure::new(DATA, anyhow!("{}: {what}", folder.display())));
    }
    let (tables, no_tables) = match peek(folder, &Options::default()) {
        Ok(tables) => (tables, None),
        Err(error) => (Peek::default(), Some(error.to_string())),
    };
    let beside = rebuild::beside(plan, &tables.incidents, &tables.minutes);
    let recorded = Recorded { folder, scan: &scan, beside: &beside, lessons };
    let (recorded_told, beyond) = Told::of(&tables.incidents, since);
    let truth = Truth { labels, told: recorded_told };
    let run = recorded.live(plan)?;
    let fired = told(&run, since);
    let suggested = suggest::suggest(&recorded, plan, &fired, &truth, since)?;
    let unwatched = beside.iter().filter(|e| matches!(e.what, rebuild::What::Blind(..))).count();
    Ok(Found {
        since,
        no_tables,
        unwatched,
        fired,
        truth,
        beyond,
        warm: run.is_warm() || !lessons.is_empty(),
        suggested,
        scan,
    })
}
