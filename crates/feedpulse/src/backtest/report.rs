//! What a backtest found, for people and as JSON.

use super::Found;
use super::judge::{TOLERANCE, Told};
use super::run::Fired;
use super::settings::{Setting, yaml};
use super::suggest::Suggestion;
use crate::clock;
use feedpulse_core::codes::Severity;
use feedpulse_core::plan::Plan;
use feedpulse_core::time::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;

/// Incidents that are listed as text; all are in JSON.
const LISTED: usize = 100;

/// What no row of the ledger holds.
const CANNOT: &[&str] = &[
    "frames that could not be read, damaged characters, versions and MSH-11 (FP02xx)",
    "findings of checks (FP03xx) and of Feedpulse's own parts (FP09xx)",
    "connections that failed before a message, except as recorded incidents tell (FP0104)",
    "messages that had not ended when the ledger ends",
    "a commit ACK that an application ACK followed: the last answer is held alone",
];

#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// The time that is judged.
    from: String,
    to: String,
    ledger_from: String,
    messages: u64,
    /// Times of a replay differ from what was recorded by at most this, in seconds.
    tolerance_s: u64,
    would_have_told: Vec<One<'a>>,
    recorded: Vec<Was<'a>>,
    /// Recorded incidents of which the ledger cannot tell.
    recorded_beyond: usize,
    by_day: Vec<Day<'a>>,
    precision: Precision,
    confirmed_found: usize,
    confirmed_missed: Vec<String>,
    suggestions: Vec<Advice<'a>>,
    /// All suggested settings, to paste.
    yaml: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_all: Option<WithAll>,
    notes: Vec<String>,
    cannot_tell: &'static [&'static str],
}

#[derive(Serialize)]
struct One<'a> {
    at: String,
    code: &'static str,
    subject: &'a str,
    severity: &'static str,
    lasted_s: Option<u64>,
    summary: &'a str,
    /// Number of the recorded incident that is the same.
    recorded: Option<u64>,
    /// So many seconds later (or earlier) than it.
    later_s: Option<i64>,
    real: Option<bool>,
}

#[derive(Serialize)]
struct Was<'a> {
    id: u64,
    at: String,
    code: &'static str,
    subject: &'a str,
    severity: &'static str,
    /// Whether these settings tell it too.
    told: bool,
    real: Option<bool>,
}

#[derive(Serialize)]
struct Day<'a> {
    day: String,
    subject: &'a str,
    pages: usize,
    tickets: usize,
}

#[derive(Serialize)]
struct Precision {
    real: usize,
    noise: usize,
    not_judged: usize,
    /// None where nothing was judged.
    precision: Option<f64>,
}

#[derive(Serialize)]
struct Advice<'a> {
    code: &'static str,
    subject: &'a str,
    effect: String,
    yaml: Option<String>,
    tried: usize,
}

#[derive(Serialize)]
struct WithAll {
    noise_before: usize,
    noise_after: usize,
    confirmed_before: usize,
    confirmed_after: usize,
    told_before: usize,
    told_after: usize,
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_second(at.as_secs()).unwrap_or_default();
    at.to_zoned(zone.clone()).date().to_string()
}

fn effect(suggestion: &Suggestion, confirmed: usize) -> String {
    let (all, less) = suggestion.noise;
    let what = if suggestion.page_only { "false pages are tickets" } else { "false ones less" };
    match &suggestion.setting {
        Some(_) => {
            let late = suggestion.delay.as_secs();
            let late =
                if late > 0 { format!(", told {late} s later at most") } else { String::new() };
            let kept = match confirmed {
                0 => "nothing was confirmed that could be lost".to_owned(),
                n => format!("none of {n} confirmed lost{late}"),
            };
            format!("{less} of {all} {what}, {kept}")
        }
        None if suggestion.tried == 0 => {
            "no setting silences this rule here; a feed must be declared to have its own".to_owned()
        }
        None if all == 0 => "it was not told again in its own time: nothing can be said".to_owned(),
        None => format!(
            "none of {} values was found at which it is told less and nothing confirmed is lost",
            suggestion.tried
        ),
    }
}

impl<'a> Report<'a> {
    pub(super) fn of(found: &'a Found, plan: &Plan, zone: &TimeZone) -> Self {
        let Found { scan, since, fired, truth, suggested, .. } = found;
        let (first, last) = scan.times.unwrap_or_default();
        let same = |f: &Fired| truth.told.iter().find(|told| told.is(f));
        let would = fired.iter().map(|f| One {
            at: clock::show(f.opened),
            code: f.code.text().code,
            subject: &f.subject,
            severity: f.severity.name(),
            lasted_s: f.ended.map(|end| end.since(f.since).as_secs()),
            summary: &f.summary,
            recorded: same(f).map(|told| told.id),
            later_s: same(f).map(|told| f.opened.micros_since(told.opened) / 1_000_000),
            real: truth.of(f),
        });
        let recorded = truth.told.iter().map(|told: &Told| Was {
            id: told.id,
            at: clock::show(told.opened),
            code: told.code.text().code,
            subject: &told.subject,
            severity: told.severity.name(),
            told: fired.iter().any(|f| told.is(f)),
            real: told.verdict,
        });
        let count = |wanted: Option<bool>| fired.iter().filter(|f| truth.of(f) == wanted).count();
        let (real, noise) = (count(Some(true)), count(Some(false)));
        let judged = real + noise;
        let (confirmed_found, confirmed_missed) = truth.confirmed(fired, *since);
        let chosen: Vec<Setting> = suggested.all.iter().filter_map(|s| s.setting.clone()).collect();
        let advice = suggested.all.iter().map(|s| Advice {
            code: s.code.text().code,
            subject: &s.subject,
            effect: effect(s, suggested.confirmed),
            yaml: s.setting.as_ref().map(|setting| yaml(plan, std::slice::from_ref(setting))),
            tried: s.tried,
        });
        Self {
            from: clock::show((*since).max(first)),
            to: clock::show(last),
            ledger_from: clock::show(first),
            messages: scan.journeys,
            tolerance_s: TOLERANCE.as_secs(),
            would_have_told: would.collect(),
            recorded: recorded.collect(),
            recorded_beyond: found.beyond,
            by_day: by_day(fired, zone),
            precision: Precision {
                real,
                noise,
                not_judged: fired.len() - judged,
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
                precision: (judged > 0).then(|| real as f64 / judged as f64),
            },
            confirmed_found,
            confirmed_missed,
            suggestions: advice.collect(),
            yaml: yaml(plan, &chosen),
            with_all: suggested.whole.map(|whole| WithAll {
                noise_before: whole.noise.0,
                noise_after: whole.noise.1,
                confirmed_before: whole.confirmed.0,
                confirmed_after: whole.confirmed.1,
                told_before: whole.told.0,
                told_after: whole.told.1,
            }),
            notes: notes(found, judged),
            cannot_tell: CANNOT,
        }
    }

    pub(super) fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        writeln!(
            out,
            "{} messages from {} to {}; judged from {}",
            self.messages, self.ledger_from, self.to, self.from
        )?;
        let pages = |severities: Vec<&str>| {
            let pages = severities.iter().filter(|severity| **severity == "page").count();
            format!("{pages} pages, {} tickets", severities.len() - pages)
        };
        writeln!(
            out,
            "these settings would have told {}; recorded were {} (and {} of which the ledger cannot tell)",
            pages(self.would_have_told.iter().map(|one| one.severity).collect()),
            pages(self.recorded.iter().map(|was| was.severity).collect()),
            self.recorded_beyond
        )?;
        for one in self.would_have_told.iter().take(LISTED) {
            one.text(out)?;
        }
        if self.would_have_told.len() > LISTED {
            writeln!(out, "  and {} more; all with --json", self.would_have_told.len() - LISTED)?;
        }
        let lost: Vec<&Was<'_>> = self.recorded.iter().filter(|was| !was.told).collect();
        if !lost.is_empty() {
            writeln!(out, "recorded, and not told by these settings")?;
        }
        for was in lost.into_iter().take(LISTED) {
            writeln!(out, "  {} {} {} {}", was.at, was.severity, was.code, was.subject)?;
        }
        if !self.by_day.is_empty() {
            writeln!(out, "by day and subject")?;
        }
        for Day { day, subject, pages, tickets } in &self.by_day {
            writeln!(out, "  {day} {subject}: {pages} pages, {tickets} tickets")?;
        }
        self.judged(out)?;
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        writeln!(out, "what the ledger cannot tell")?;
        self.cannot_tell.iter().try_for_each(|what| writeln!(out, "  {what}"))
    }

    fn judged(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Precision { real, noise, not_judged, precision } = &self.precision;
        match precision {
            Some(share) => writeln!(
                out,
                "precision {share:.2}: {real} real, {noise} noise, {not_judged} not judged"
            )?,
            None => writeln!(out, "precision is not known: none of them was judged")?,
        }
        let missed = self.confirmed_missed.len();
        if self.confirmed_found + missed > 0 {
            writeln!(out, "confirmed: {} found, {missed} missed", self.confirmed_found)?;
        }
        for missed in &self.confirmed_missed {
            writeln!(out, "  missed: {missed}")?;
        }
        if self.suggestions.is_empty() {
            return Ok(());
        }
        writeln!(out, "suggested settings")?;
        for Advice { code, subject, effect, .. } in &self.suggestions {
            writeln!(out, "  # {code} {subject}: {effect}")?;
        }
        for line in self.yaml.lines() {
            writeln!(out, "  {line}")?;
        }
        if let Some(all) = &self.with_all {
            writeln!(
                out,
                "  # all of it again with these: {} of {} false ones left, {} of {} confirmed found, {} told \
                 instead of {}",
                all.noise_after,
                all.noise_before,
                all.confirmed_after,
                all.confirmed_before,
                all.told_after,
                all.told_before
            )?;
        }
        Ok(())
    }
}

impl One<'_> {
    fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Self { at, severity, code, subject, lasted_s, recorded, later_s, real, .. } = self;
        let lasted = lasted_s.map_or_else(|| "not over".to_owned(), |s| format!("{s} s"));
        let recorded = match (recorded, later_s) {
            (Some(id), Some(0)) => format!("as recorded (#{id})"),
            (Some(id), Some(later)) => format!("as recorded (#{id}, {later:+} s)"),
            _ => "not recorded".to_owned(),
        };
        let real = match real {
            Some(true) => ", real",
            Some(false) => ", noise",
            None => "",
        };
        writeln!(out, "  {at} {severity} {code} {subject}, {lasted}: {recorded}{real}")
    }
}

fn by_day<'a>(fired: &'a [Fired], zone: &TimeZone) -> Vec<Day<'a>> {
    let mut days: BTreeMap<(String, &str), (usize, usize)> = BTreeMap::new();
    for one in fired {
        let (pages, tickets) = days.entry((day(one.opened, zone), &one.subject)).or_default();
        *if one.severity == Severity::Page { pages } else { tickets } += 1;
    }
    let days = days.into_iter();
    days.map(|((day, subject), (pages, tickets))| Day { day, subject, pages, tickets }).collect()
}

fn notes(found: &Found, judged: usize) -> Vec<String> {
    let Found { scan, no_tables, unwatched, warm, suggested, .. } = found;
    let mut notes = vec![format!(
        "times of a replay are within {} s: it ticks less often while nothing goes on",
        TOLERANCE.as_secs()
    )];
    let mut note = |says: bool, text: String| {
        if says {
            notes.push(text);
        }
    };
    note(
        !warm,
        "the ledger holds less than a week of any feed: learned silence and volumes were not judged \
         (--learned begins with the lessons of `learn`)"
            .to_owned(),
    );
    note(
        judged == 0,
        "nothing was judged, so no setting can be suggested: give incidents a verdict, or a list with \
         --labels"
            .to_owned(),
    );
    note(
        judged > 0 && suggested.confirmed == 0 && !suggested.all.is_empty(),
        "no confirmed incident could be run again: what is suggested was held against noise alone"
            .to_owned(),
    );
    note(
        suggested.beyond > 0,
        format!("{} further noisy rules were not looked at", suggested.beyond),
    );
    note(
        *unwatched > 0,
        format!(
            "{unwatched} stretches in which nobody watched, as far as is recorded, teach nothing"
        ),
    );
    if let Some(why) = no_tables {
        note(true, format!("what was told is not known: {why}"));
    }
    for damage in &scan.missing.damage {
        note(true, format!("damaged: {damage}"));
    }
    if let Some(before) = scan.missing.before {
        let before = clock::show(before);
        note(true, format!("what ended before {before} was removed from the ledger by retention"));
    }
    note(scan.dropped > 0, format!("{} rows were never recorded: the store failed", scan.dropped));
    note(
        scan.late > 0,
        format!("{} messages took over six hours: their beginning is played late", scan.late),
    );
    note(
        scan.unkept > 0,
        format!("{} sendings beyond sixteen of one message are not in the ledger", scan.unkept),
    );
    for (name, sendings) in &scan.unknown {
        note(
            true,
            format!("{sendings} sendings at {name:?}, which this configuration does not name"),
        );
    }
    notes
}
