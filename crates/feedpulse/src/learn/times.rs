//! Learning from CSV files of times: when a feed had a message, as an engine's log or a database says.
//!
//! Columns by name, in any order: `time` and `feed`, and if wanted `type` (`ORU` or `ORU^R01`), `facility`
//! and `count`. A time without an offset is in the site's zone. A `count` over one stands for a stretch of
//! time: its messages are spread over it, and their gaps teach nothing. A bad row is named and passed over.

use super::report::Facts;
use super::{Bounds, Taught};
use crate::cli::{DATA, Failure};
use crate::config::{Config, nearest};
use crate::noun::count;
use crate::{civil, files};
use anyhow::anyhow;
use feedpulse_core::engine::learned::{Course, Learned};
use feedpulse_core::engine::profile::PartKey;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most rows of all files.
const ROWS_MAX: usize = 20_000_000;
/// Most messages that one row may stand for.
const COUNT_MAX: u32 = 1_000_000;
/// A count stands for an hour at most.
const STRETCH: i64 = 3_600_000_000;

/// One row.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: Timestamp,
    /// Which feed, type and facility.
    stream: u32,
    count: u32,
}

/// What a stream of rows is about: feed, route, part.
type Stream = (String, String, PartKey);

struct Reader<'c> {
    config: &'c Config,
    /// The route of feeds that nobody declared.
    route: Option<String>,
    zone: TimeZone,
    bounds: Bounds,
    streams: BTreeMap<(String, PartName), u32>,
    known: Vec<Stream>,
    rows: Vec<Row>,
    facts: Facts,
    civil: bool,
}

/// Type and facility, in order.
type PartName = (Label, Label, Label);

/// The numbers of the columns.
struct Columns {
    time: usize,
    feed: usize,
    kind: Option<usize>,
    facility: Option<usize>,
    count: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, String> {
        let find = |name: &str| header.iter().position(|held| held.eq_ignore_ascii_case(name));
        let needed = |name| find(name).ok_or_else(|| format!("no column is called `{name}`"));
        Ok(Self {
            time: needed("time")?,
            feed: needed("feed")?,
            kind: find("type"),
            facility: find("facility"),
            count: find("count"),
        })
    }
}

pub(super) fn learn(
    config: &Config,
    paths: &[PathBuf],
    waypoint: Option<&str>,
    bounds: Bounds,
) -> Result<Taught, Failure> {
    let plan = &config.plan;
    let at = waypoint.and_then(|name| plan.waypoints.iter().position(|w| w.name == name));
    let passes =
        |n: usize| plan.routes.iter().find(|r| r.waypoints.contains(&crate::run::waypoint(n)));
    let route = match (at, plan.routes.as_slice()) {
        (Some(n), _) => passes(n),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let mut reader = Reader {
        config,
        route: route.map(|route| route.name.clone()),
        zone: config.zone.clone().unwrap_or(TimeZone::UTC),
        bounds,
        streams: BTreeMap::new(),
        known: Vec::new(),
        rows: Vec::new(),
        facts: Facts::new(count(paths.len(), "CSV file")),
        civil: false,
    };
    for path in paths {
        reader.file(path)?;
    }
    if reader.civil && config.zone.is_none() {
        let what = "no `zone` is configured: times without an offset were taken as UTC";
        reader.facts.note(what.to_owned());
    }
    let (learned, facts) = reader.learned();
    Ok(Taught { learned, facts })
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let wrong = |what: String| Failure::new(DATA, anyhow!("{name}: {what}"));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(files::open(path)?);
        let header = reader.headers().map_err(|e| wrong(e.to_string()))?;
        let columns = Columns::of(header).map_err(|what| {
            wrong(format!(
                "{what}: the first line names the columns `time` and `feed`, and if \
                           wanted `type`, `facility` and `count`"
            ))
        })?;
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    let line = record.position().map_or(line, csv::Position::line);
                    if let Err(why) = self.row(&columns, &record) {
                        self.facts.bad_row(&name, line, why);
                    }
                }
                // A line that is no text is passed over; a disk that fails is not.
                Err(error) if error.is_io_error() => return Err(wrong(error.to_string())),
                Err(_) => self.facts.bad_row(&name, line, "it is no text in UTF-8".to_owned()),
            }
            if self.rows.len() > ROWS_MAX {
                return Err(wrong("more than 20 million rows: give counts by the hour".to_owned()));
            }
        }
    }

    fn row(&mut self, columns: &Columns, record: &csv::StringRecord) -> Result<(), String> {
        let field = |n: Option<usize>| n.and_then(|n| record.get(n)).unwrap_or_default();
        let at = self.time(field(Some(columns.time)))?;
        if !self.bounds.hold(at) {
            self.facts.out_of_range += 1;
            return Ok(());
        }
        let count = match field(columns.count) {
            "" => 1,
            text => text.parse().map_err(|_| "`count` is no whole number")?,
        };
        if count > COUNT_MAX {
            return Err("`count` is over a million".to_owned());
        }
        let (code, trigger) = match field(columns.kind).split_once('^') {
            None => (field(columns.kind), ""),
            // The third component, the structure, is not told apart.
            Some((code, rest)) => (code, rest.split('^').next().unwrap_or_default()),
        };
        let part = (code.into(), trigger.into(), field(columns.facility).into());
        let stream = self.stream(field(Some(columns.feed)), part)?;
        self.rows.push(Row { at, stream, count });
        Ok(())
    }

    fn stream(&mut self, feed: &str, part: PartName) -> Result<u32, String> {
        let name = (feed.to_owned(), part);
        if let Some(known) = self.streams.get(&name) {
            return Ok(*known);
        }
        let route = self.route_of(feed)?;
        let number = u32::try_from(self.known.len()).map_err(|_| "too many feeds and types")?;
        let (code, trigger, facility) = part;
        let part = PartKey { code, trigger, facility, ..PartKey::default() };
        self.known.push((feed.to_owned(), route, part));
        self.streams.insert(name, number);
        Ok(number)
    }

    /// The route of a declared feed; one that nobody declared is called as it would be found:
    /// its sender and its type.
    fn route_of(&self, feed: &str) -> Result<String, String> {
        let plan = &self.config.plan;
        if let Some(declared) = plan.feeds.iter().find(|f| f.name == feed) {
            let route = plan.routes.get(usize::from(declared.route.0));
            return Ok(route.map(|r| r.name.clone()).unwrap_or_default());
        }
        let found = feed
            .split_once(' ')
            .is_some_and(|(sender, code)| !sender.is_empty() && !code.is_empty());
        if let Some(route) = self.route.as_ref().filter(|_| found) {
            return Ok(route.clone());
        }
        let known: Vec<String> = plan.feeds.iter().map(|f| f.name.clone()).collect();
        Err(match nearest(feed, &known) {
            Some(near) => format!("no feed of that name is declared; did you mean {near:?}?"),
            None if found => {
                "the feed is not declared: name its waypoint with --waypoint".to_owned()
            }
            None => "no feed of that name is declared".to_owned(),
        })
    }

    fn time(&mut self, text: &str) -> Result<Timestamp, String> {
        let (at, civil) = civil::read(text, &self.zone).map_err(|what| format!("`time` {what}"))?;
        self.civil |= civil;
        Ok(at)
    }

    /// Plays them in order of time.
    fn learned(mut self) -> (Learned, Facts) {
        self.rows.sort_by_key(|row| (row.at, row.stream));
        let stretches = self.stretches();
        let Some(from) = self.rows.first().map(|row| row.at) else {
            return (Learned::default(), self.facts);
        };
        let mut course = Course::new(Arc::new(self.config.plan.clone()), from);
        let (mut to, known, facts) = (from, &self.known, &mut self.facts);
        spread(&self.rows, &stretches, |at, stream| {
            let Some((feed, route, part)) = known.get(stream as usize) else { return };
            to = to.max(at);
            facts.counts.messages += 1;
            if !course.arrived((feed, route), at, *part) {
                facts.unplaced += 1;
            }
        });
        for stream in stretches.keys() {
            if let Some((feed, ..)) = self.known.get(*stream as usize) {
                course.only_counted(feed);
                self.facts.note(format!(
                    "{feed}: its rows are counts, so nothing is known of the gaps between its \
                     messages: a cautious limit holds until Feedpulse has watched for weeks"
                ));
            }
        }
        (course.learned(to), self.facts)
    }

    /// For each stream with counts: how long one of them stands for, in µs.
    fn stretches(&self) -> BTreeMap<u32, i64> {
        let mut counted: BTreeMap<u32, i64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.count > 1) {
            counted.insert(row.stream, STRETCH);
        }
        let mut before: BTreeMap<u32, Timestamp> = BTreeMap::new();
        for row in &self.rows {
            let Some(stretch) = counted.get_mut(&row.stream) else { continue };
            if let Some(before) = before.insert(row.stream, row.at)
                && row.at > before
            {
                *stretch = (*stretch).min(row.at.micros_since(before));
            }
        }
        counted
    }
}

/// Gives each message in order of time: counts are spread evenly over what they stand for.
fn spread(rows: &[Row], stretches: &BTreeMap<u32, i64>, mut each: impl FnMut(Timestamp, u32)) {
    /// When the next message of a row comes, of which stream, how many are left, how far apart.
    type Next = (Timestamp, u32, u32, i64);
    let mut under_way: BinaryHeap<Reverse<Next>> = BinaryHeap::new();
    let mut rows = rows.iter().filter(|row| row.count > 0).peekable();
    loop {
        let next = under_way.peek().map(|Reverse((at, ..))| *at);
        if let Some(row) = rows.next_if(|row| next.is_none_or(|next| row.at <= next)) {
            let stretch = stretches.get(&row.stream).copied().unwrap_or(0);
            let step = stretch / i64::from(row.count);
            under_way.push(Reverse((row.at, row.stream, row.count, step)));
            continue;
        }
        let Some(Reverse((at, stream, left, step))) = under_way.pop() else { return };
        each(at, stream);
        if left > 1 {
            let later = Timestamp::from_micros(at.as_micros().saturating_add(step));
            under_way.push(Reverse((later, stream, left - 1, step)));
        }
    }
}
