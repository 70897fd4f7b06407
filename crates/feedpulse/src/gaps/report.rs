//! The gap report as text, CSV and JSON.

use super::against::{Fate, List};
use super::gather::{Class, Gaps, Row, Wanted};
use super::ranges::{self, Range};
use crate::clock;
use crate::ledger::Missing;
use feedpulse_core::time::Timestamp;
use serde::Serialize;
use std::io::{self, Write};

/// Rows and ranges of a text; the others are in CSV and JSON.
const TEXT_ROWS: usize = 200;

/// What the ledger lacks of the time that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    /// Rows of messages first seen before this were removed by retention.
    before: Option<Timestamp>,
    /// Stretches that could not be recorded.
    not_recorded: Vec<String>,
    /// Rows that cannot be read.
    damage: Vec<String>,
}

impl Lacks {
    /// Nothing, of what is not a ledger.
    pub(crate) const NOTHING: &'static Self =
        &Self { before: None, not_recorded: Vec::new(), damage: Vec::new() };

    /// Of what was asked for.
    pub(super) fn of(gaps: &Gaps, missing: Missing, wanted: &Wanted) -> Self {
        Self {
            before: missing.before.map(next_second).filter(|before| wanted.from < *before),
            not_recorded: not_recorded(gaps, wanted),
            damage: missing.damage,
        }
    }

    /// Whether it lacks nothing.
    pub(super) const fn is_none(&self) -> bool {
        self.before.is_none() && self.not_recorded.is_empty() && self.damage.is_empty()
    }
}

/// Times are shown to the second: what is shown must be late enough to be asked for.
fn next_second(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs().saturating_add(1))
}

#[derive(Serialize)]
struct Count<'a> {
    feed: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    facility: &'a str,
    class: Class,
    messages: u64,
}

/// The whole of it.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    from: String,
    to: String,
    /// The ledger has rows of messages from then on.
    ledger_from: Option<String>,
    /// What was first seen before this, though asked for, is not in the ledger any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete_before: Option<String>,
    counts: Vec<Count<'a>>,
    open: usize,
    open_urgent: usize,
    not_listed: u64,
    rows: &'a [Row],
    ranges: Vec<Range>,
    not_recorded: &'a [String],
    damage: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against<'a>>,
}

#[derive(Serialize)]
struct Against<'a> {
    ids: usize,
    never_seen: Vec<&'a str>,
    altered: Vec<(&'a str, &'a Fate)>,
    seen: Vec<(&'a str, &'a Fate)>,
}

impl<'a> Against<'a> {
    fn of(list: &'a List) -> Self {
        let all = || list.ids.iter().map(|(id, fate)| (id.as_str(), fate));
        Self {
            ids: list.ids.len(),
            never_seen: all().filter(|(_, f)| f.seen == 0).map(|(id, _)| id).collect(),
            altered: all().filter(|(_, f)| f.seen_as.is_some()).collect(),
            seen: all().filter(|(_, f)| f.seen > 0 && f.seen_as.is_none()).collect(),
        }
    }
}

fn not_recorded(gaps: &Gaps, wanted: &Wanted) -> Vec<String> {
    let text = |(from, to, rows): &(_, _, u64)| {
        format!("{rows} messages that ended from {} to {}", clock::show(*from), clock::show(*to))
    };
    // What ended before the time that was asked for was seen before it.
    gaps.dropped.iter().filter(|(_, to, _)| *to >= wanted.from).map(text).collect()
}

/// All that JSON has.
pub(crate) fn report<'a>(
    wanted: &Wanted,
    gaps: &'a Gaps,
    lacks: &'a Lacks,
    list: Option<&'a List>,
) -> Report<'a> {
    let mut counts = Vec::new();
    for ((feed, kind, facility), by_class) in &gaps.counts {
        let held = Class::ALL.into_iter().zip(by_class).filter(|(_, n)| **n > 0);
        counts.extend(held.map(|(class, n)| Count { feed, kind, facility, class, messages: *n }));
    }
    let (open, open_urgent) = gaps.open();
    Report {
        from: clock::show(wanted.from),
        to: clock::show(wanted.to),
        ledger_from: gaps.covers.map(|(from, _)| clock::show(from)),
        incomplete_before: lacks.before.map(clock::show),
        counts,
        open,
        open_urgent,
        not_listed: gaps.beyond,
        rows: &gaps.rows,
        ranges: ranges::of(&gaps.rows),
        not_recorded: &lacks.not_recorded,
        damage: &lacks.damage,
        against: list.map(Against::of),
    }
}

/// One JSON object.
pub(super) fn json(
    out: &mut impl Write,
    wanted: &Wanted,
    gaps: &Gaps,
    lacks: &Lacks,
    list: Option<&List>,
) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &report(wanted, gaps, lacks, list))?;
    writeln!(out)
}

/// One line a message; the first names the columns.
pub(super) fn csv(out: &mut impl Write, gaps: &Gaps, list: Option<&List>) -> io::Result<()> {
    let mut writer = ::csv::Writer::from_writer(out);
    if let Some(list) = list {
        writer.write_record(["control_id", "listed", "seen", "end", "seen_as"])?;
        for (id, fate) in &list.ids {
            writer.write_record([
                id.as_str(),
                &fate.listed.to_string(),
                &fate.seen.to_string(),
                fate.end.unwrap_or("never reached a tap"),
                fate.seen_as.as_deref().unwrap_or_default(),
            ])?;
        }
        return writer.flush();
    }
    writer.write_record([
        "first_seen",
        "feed",
        "type",
        "facility",
        "sender",
        "urgency",
        "control_id",
        "control_id_there",
        "class",
        "waypoint",
        "reason",
        "tries",
        "closed",
    ])?;
    for row in &gaps.rows {
        writer.write_record([
            row.first_seen.as_str(),
            &row.feed,
            &row.kind,
            &row.facility,
            &row.sender,
            row.urgency_name,
            &row.control_id,
            row.control_id_there.as_deref().unwrap_or_default(),
            row.class.words(),
            &row.waypoint,
            row.reason.as_deref().unwrap_or_default(),
            &row.tries.to_string(),
            row.closed.as_deref().unwrap_or_default(),
        ])?;
    }
    writer.flush()
}

/// For people.
pub(super) fn text(
    out: &mut impl Write,
    wanted: &Wanted,
    gaps: &Gaps,
    lacks: &Lacks,
    list: Option<&List>,
) -> io::Result<()> {
    writeln!(
        out,
        "Messages first seen from {} to {}",
        clock::show(wanted.from),
        clock::show(wanted.to)
    )?;
    match gaps.covers {
        Some((from, to)) => {
            writeln!(out, "(the ledger covers {} to {})", clock::show(from), clock::show(to))?;
        }
        None => writeln!(out, "(the ledger is empty)")?,
    }
    if let Some(before) = lacks.before {
        let before = clock::show(before);
        writeln!(out, "INCOMPLETE: what was first seen before {before} was removed by retention")?;
    }
    for text in &lacks.not_recorded {
        writeln!(out, "NOT RECORDED: {text}")?;
    }
    for text in &lacks.damage {
        writeln!(out, "DAMAGED: {text}")?;
    }
    writeln!(out)?;
    listing(out, gaps)?;
    if let Some(list) = list {
        against(out, &Against::of(list))?;
    }
    Ok(())
}

/// The counts, then what is not accounted for, for people.
pub(crate) fn listing(out: &mut impl Write, gaps: &Gaps) -> io::Result<()> {
    for ((feed, kind, facility), counts) in &gaps.counts {
        let total: u64 = counts.iter().sum();
        let held = Class::ALL.into_iter().zip(counts).filter(|(_, n)| **n > 0);
        let words: Vec<String> = held.map(|(class, n)| format!("{n} {}", class.words())).collect();
        let at = if facility.is_empty() { String::new() } else { format!(" at {facility}") };
        writeln!(out, "{feed}: {kind}{at}: {total}: {}", words.join(", "))?;
    }
    let (open, urgent) = gaps.open();
    writeln!(out, "\n{open} messages are not accounted for, {urgent} of them urgent")?;
    if gaps.beyond > 0 {
        writeln!(out, "{} more are counted above and not listed", gaps.beyond)?;
    }
    for range in ranges::of(&gaps.rows).iter().take(TEXT_ROWS) {
        writeln!(
            out,
            "  {}…{} ({}) {}, {}: {}",
            range.first,
            range.last,
            range.count,
            range.sender,
            range.feed,
            range.class.words()
        )?;
    }
    if !gaps.rows.is_empty() {
        writeln!(out)?;
    }
    for row in gaps.rows.iter().take(TEXT_ROWS) {
        line(out, row)?;
    }
    if gaps.rows.len() > TEXT_ROWS {
        writeln!(out, "… {} more, not shown: JSON and CSV have all", gaps.rows.len() - TEXT_ROWS)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let urgent = if row.urgency_name == "routine" { "" } else { row.urgency_name };
    write!(
        out,
        "{} {:10} {} {} {} {}: {} at {}",
        row.first_seen,
        urgent,
        row.control_id,
        row.feed,
        row.kind,
        row.facility,
        row.class.words(),
        row.waypoint
    )?;
    if let Some(id) = &row.control_id_there {
        write!(out, " as {id}")?;
    }
    if let Some(reason) = &row.reason {
        write!(out, ", {reason}")?;
    }
    if row.tries > 1 {
        write!(out, ", {} tries", row.tries)?;
    }
    match &row.closed {
        Some(at) => writeln!(out, "; accepted {at}"),
        None => writeln!(out),
    }
}

fn against(out: &mut impl Write, list: &Against<'_>) -> io::Result<()> {
    writeln!(
        out,
        "\nOf {} ids in the list {} never reached a tap (or are under way still), {} did",
        list.ids,
        list.never_seen.len(),
        list.seen.len() + list.altered.len()
    )?;
    for id in list.never_seen.iter().take(TEXT_ROWS) {
        writeln!(out, "  {id}: never reached a tap")?;
    }
    for (id, fate) in list.altered.iter().take(TEXT_ROWS) {
        let as_id = fate.seen_as.as_deref().unwrap_or_default();
        writeln!(out, "  {id}: seen as {as_id}, {}", fate.end.unwrap_or("open"))?;
    }
    let well = ["accepted", "committed", "filed", "filtered"];
    for (id, fate) in
        list.seen.iter().filter(|(_, f)| f.end.is_none_or(|e| !well.contains(&e))).take(TEXT_ROWS)
    {
        writeln!(out, "  {id}: {}", fate.end.unwrap_or("open"))?;
    }
    Ok(())
}
