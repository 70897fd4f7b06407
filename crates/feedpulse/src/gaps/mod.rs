//! `feedpulse gaps`: what was sent and is not accounted for, from the ledger on disk. Works beside a
//! running Feedpulse and without one. Control ids and times only: nothing of a message's content.

mod against;
mod gather;
mod ranges;
pub(crate) mod report;
#[cfg(test)]
mod tests;

pub(crate) use gather::{Gaps, Wanted, kind_of};

use crate::cli::{Failure, IO};
use crate::clock;
use crate::ledger::{self, StoreArgs};
use against::List;
use anyhow::anyhow;
use feedpulse_core::time::Timestamp;
use report::Lacks;
use std::io::Write as _;
use std::path::PathBuf;

/// What is asked.
#[derive(clap::Args, Debug)]
pub(crate) struct GapsArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// First seen at or after: a time (RFC 3339) or so long ago (`2h`). Default: a day ago.
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// First seen before. Default: now.
    #[arg(long, value_parser = moment)]
    to: Option<Timestamp>,
    /// Of this feed only.
    #[arg(long)]
    feed: Option<String>,
    /// The worklist: only what has not been accepted since.
    #[arg(long)]
    open: bool,
    /// Compare with a list exported from the EHR or the engine: CSV, or one control id a line.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The list's column with the control ids: its name, or its number from 1.
    #[arg(long, requires = "against")]
    column: Option<String>,
    /// How it is told.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    Text,
    Csv,
    Json,
}

/// A time, or so long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_micros(at.as_microsecond()));
    }
    let ago: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "neither a time such as 2026-03-01T02:00:00Z nor so long ago such as 2h")?;
    Ok(clock::now().minus(ago.unsigned_abs()))
}

/// Runs the command. Exit code 1 when something is not accounted for, or nobody can say.
pub(crate) fn main(args: &GapsArgs) -> Result<(), Failure> {
    let folder = args.store.folder()?;
    let to = args.to.unwrap_or_else(clock::now);
    let day = std::time::Duration::from_secs(86_400);
    let wanted =
        Wanted { from: args.from.unwrap_or_else(|| to.minus(day)), to, feed: args.feed.clone() };
    if wanted.from >= wanted.to {
        return Err(Failure::new(64, anyhow!("--from must be before --to")));
    }
    let mut list = match &args.against {
        Some(path) => Some(List::read(path, args.column.as_deref())?),
        None => None,
    };
    let mut gaps = Gaps::default();
    let missing = ledger::each(&folder, |names, row| {
        if let Some(list) = &mut list {
            list.take(&row);
        }
        gaps.take(&wanted, names, row);
    })?;
    if gaps.wants_more() {
        ledger::each(&folder, |names, row| gaps.take_again(&wanted, names, &row))?;
    }
    gaps.nameless(&wanted);
    let lacks = Lacks::of(&gaps, missing, &wanted);
    gaps.ordered(args.open);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let list = list.as_ref();
    let told = match args.format {
        Format::Text => report::text(&mut out, &wanted, &gaps, &lacks, list),
        Format::Csv => report::csv(&mut out, &gaps, list),
        Format::Json => report::json(&mut out, &wanted, &gaps, &lacks, list),
    };
    told.and_then(|()| out.flush()).map_err(|e| Failure::new(IO, e))?;
    let (open, urgent) = gaps.open();
    let unlisted = usize::try_from(gaps.beyond).unwrap_or(usize::MAX);
    let never = list.map_or(0, |l| l.ids.values().filter(|fate| fate.seen == 0).count());
    let open = open.saturating_add(unlisted);
    if open.saturating_add(never) == 0 && lacks.is_none() {
        return Ok(());
    }
    let incomplete =
        if lacks.is_none() { "" } else { "; the ledger does not cover all of that time" };
    Err(Failure::new(
        1,
        anyhow!(
            "{open} messages are not accounted for ({urgent} urgent), {never} of the list were not \
             seen{incomplete}"
        ),
    ))
}
