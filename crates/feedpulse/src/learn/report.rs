//! What was learned, for people and as JSON.

use super::Taught;
use super::player::Counts;
use crate::clock;
use crate::config::Config;
use feedpulse_core::engine::learned::LearnedFeed;
use feedpulse_core::engine::profile::Ready;
use feedpulse_core::sighting::ReasonClass;
use serde::Serialize;
use std::io;
use std::path::PathBuf;

/// Bad rows that are named; further ones are counted.
const NAMED: usize = 20;
/// Notes that are kept.
const NOTES: usize = 50;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What a source held that could not be used, and what there is to say of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    source: String,
    pub(super) counts: Counts,
    pub(super) without_time: u64,
    pub(super) out_of_range: u64,
    /// Of feeds for which there was no room.
    pub(super) unplaced: u64,
    bad_rows: Vec<BadRow>,
    bad_rows_total: u64,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct BadRow {
    file: String,
    line: u64,
    why: String,
}

impl Facts {
    pub(super) fn new(source: String) -> Self {
        Self { source, ..Self::default() }
    }

    pub(super) fn note(&mut self, what: String) {
        if self.notes.len() < NOTES && !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    pub(super) fn bad_row(&mut self, file: &str, line: u64, why: String) {
        self.bad_rows_total += 1;
        if self.bad_rows.len() < NAMED {
            self.bad_rows.push(BadRow { file: file.to_owned(), line, why });
        }
    }

    /// All of it in one sentence.
    pub(super) fn sentence(&self) -> String {
        let Counts { messages, acks, unreadable } = self.counts;
        let counts = [
            (messages, "messages"),
            (acks, "ACKs"),
            (unreadable, "unreadable"),
            (self.without_time, "without a time that can be read (is `zone` configured?)"),
            (self.out_of_range, "too old or in the future"),
            (self.unplaced, "of feeds beyond those that can be kept apart"),
            (self.bad_rows_total, "bad rows"),
        ];
        let said = counts.iter().filter(|(n, what)| *n > 0 || *what == "messages");
        let said: Vec<String> = said.map(|(n, what)| format!("{n} {what}")).collect();
        format!("{}: {}", self.source, said.join(", "))
    }
}

/// All that is told.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    sources: Vec<SourceReport<'a>>,
    /// Where it was put; None with `--dry-run`.
    written: Option<PathBuf>,
}

#[derive(Serialize)]
struct SourceReport<'a> {
    source: &'a str,
    from: String,
    to: String,
    messages: u64,
    acks: u64,
    unreadable: u64,
    without_time: u64,
    out_of_range: u64,
    bad_rows: &'a [BadRow],
    bad_rows_total: u64,
    notes: &'a [String],
    feeds: Vec<FeedReport<'a>>,
    links: Vec<LinkReport<'a>>,
    #[serde(skip)]
    facts: &'a Facts,
}

#[derive(Serialize)]
struct FeedReport<'a> {
    feed: &'a str,
    declared: bool,
    messages: u64,
    weeks: f32,
    /// Such as `Mon 10:00`, by the site's clocks.
    busiest_hour: Option<String>,
    busiest_messages: Option<f32>,
    /// `known`, `learning` or `too_quiet`.
    state: &'static str,
    /// The median over the hours of the week in which messages come.
    silence_told_after_s: Option<i64>,
    types_and_facilities: usize,
    types_and_facilities_known: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    silent_at_the_end: bool,
}

#[derive(Serialize)]
struct LinkReport<'a> {
    waypoint: &'a str,
    answers: u64,
    /// Usual share of answers by reason, over a thousandth.
    usual_refusals: Vec<(&'static str, f32)>,
}

const fn state_name(ready: Ready) -> &'static str {
    match ready {
        Ready::Learning => "learning",
        Ready::TooQuiet => "too_quiet",
        Ready::Known => "known",
    }
}

fn feed_report<'a>(config: &Config, feed: &'a LearnedFeed) -> FeedReport<'a> {
    let profile = &feed.profile;
    let busiest = profile.busiest_hour();
    let known =
        |(_, part): &&(_, feedpulse_core::engine::profile::Profile)| part.ready == Ready::Known;
    FeedReport {
        feed: &feed.name,
        declared: config.plan.feeds.iter().any(|f| f.name == feed.name),
        messages: feed.messages,
        weeks: (profile.weeks() * 10.0).round() / 10.0,
        busiest_hour: busiest
            .map(|(hour, _)| format!("{} {:02}:00", DAYS[hour / 24 % 7], hour % 24)),
        busiest_messages: busiest.map(|(_, rate)| (rate * 10.0).round() / 10.0),
        state: state_name(profile.ready),
        silence_told_after_s: profile.told_after().map(|micros| micros / 1_000_000),
        types_and_facilities: feed.parts.len(),
        types_and_facilities_known: feed.parts.iter().filter(known).count(),
        silent_at_the_end: profile.silent,
    }
}

impl<'a> Report<'a> {
    pub(super) fn of(config: &Config, taught: &'a [Taught], written: Option<PathBuf>) -> Self {
        let sources = taught.iter().map(|Taught { learned, facts }| SourceReport {
            source: &facts.source,
            from: clock::show(learned.from),
            to: clock::show(learned.to),
            messages: facts.counts.messages,
            acks: facts.counts.acks,
            unreadable: facts.counts.unreadable,
            without_time: facts.without_time,
            out_of_range: facts.out_of_range,
            bad_rows: &facts.bad_rows,
            bad_rows_total: facts.bad_rows_total,
            notes: &facts.notes,
            feeds: learned.feeds.iter().map(|feed| feed_report(config, feed)).collect(),
            links: learned
                .links
                .iter()
                .filter(|link| link.usual.answers > 0)
                .map(|link| LinkReport {
                    waypoint: &link.name,
                    answers: link.usual.answers,
                    usual_refusals: ReasonClass::ALL
                        .into_iter()
                        .map(|class| (class.name(), link.usual.share(class)))
                        .filter(|(_, share)| *share > 0.001)
                        .collect(),
                })
                .collect(),
            facts,
        });
        Self { sources: sources.collect(), written }
    }

    pub(super) fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        for source in &self.sources {
            source.text(out)?;
        }
        match &self.written {
            Some(path) => writeln!(
                out,
                "written to {}: a running process takes it up within ten seconds, another one when it \
                 starts",
                path.display()
            ),
            None => writeln!(out, "nothing was written (--dry-run)"),
        }
    }
}

impl SourceReport<'_> {
    fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        writeln!(out, "{}; {} to {}", self.facts.sentence(), self.from, self.to)?;
        for BadRow { file, line, why } in self.bad_rows {
            writeln!(out, "  {file}:{line}: {why}")?;
        }
        if self.bad_rows_total > self.bad_rows.len() as u64 {
            writeln!(out, "  and {} more", self.bad_rows_total - self.bad_rows.len() as u64)?;
        }
        for note in self.notes {
            writeln!(out, "  {note}")?;
        }
        let width = self.feeds.iter().map(|f| f.feed.chars().count()).max().unwrap_or(4).max(4);
        writeln!(
            out,
            "  {:width$}  {:>9}  {:>5}  {:>16}  silence is told after",
            "feed", "messages", "weeks", "busiest hour"
        )?;
        for feed in &self.feeds {
            let busiest = match (&feed.busiest_hour, feed.busiest_messages) {
                (Some(hour), Some(messages)) => format!("{hour} {messages:.0}/h"),
                _ => "-".to_owned(),
            };
            let mut told = match (feed.state, feed.silence_told_after_s) {
                ("known", Some(seconds)) => span(seconds),
                ("too_quiet", _) => "too quiet: state a `silence` limit or a heartbeat".to_owned(),
                _ => "not yet: less than seven days are known".to_owned(),
            };
            if feed.silent_at_the_end {
                told.push_str("; silent when its lessons ended, so not waited for");
            }
            writeln!(
                out,
                "  {:width$}  {:>9}  {:>5.1}  {busiest:>16}  {told}",
                feed.feed, feed.messages, feed.weeks
            )?;
        }
        for link in &self.links {
            let refusals: Vec<String> = link
                .usual_refusals
                .iter()
                .map(|(reason, share)| format!("{reason} {:.1} %", share * 100.0))
                .collect();
            let usual = if refusals.is_empty() { "none".to_owned() } else { refusals.join(", ") };
            writeln!(
                out,
                "  {}: {} answers; usual refusals: {usual}",
                link.waypoint, link.answers
            )?;
        }
        Ok(())
    }
}

/// So many seconds, for people.
fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}
