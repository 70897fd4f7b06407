//! What is printed: the table, and the document that is made from it.

use crate::ahead;
use crate::bars;
use crate::history::History;
use crate::judge::Flaw;
use crate::play::OURS;
use crate::tally::{Row, SCRIPTED, Tallies, Tally};
use crate::today;
use std::fmt::Write as _;

const COLUMNS: &str = "| class | rule | found | in bar | recall | false | precision | detect p50 | p95 | \
                       false / feed / 30 d | cause right | notices |";
/// What each detector may keep; tests of the core hold it.
const STATE: &str = "\n## What detectors keep\n\n\
    What detectors keep for a feed is bounded by limits, each but the versions of a link by 8 KB: a profile of the week 2 KB for a feed and for\n\
    each of its types and facilities (2,000 of these for a whole site; further ones are judged with their\n\
    feed); answers by kind 8 KB for each feed of a link (48 kinds each, 256 a link); lists of recent events\n\
    64 entries, of minutes 60, of looks at a backlog 24. What a site of a thousand feeds takes in all is\n\
    printed by `cargo xtask bench detectors`.\n";
const BETTER: &str = "## Where a rule of today finds more, or sooner";
/// Behind this heading figures decide how many lines there are.
const FLAWS: &str = "## What the engine of today gets wrong";
/// So many are printed.
const FLAWS_MAX: usize = 120;

pub(crate) fn cell(value: Option<f64>, unit: &str) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}{unit}"),
        Some(value) => {
            let text = format!("{value:.3}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{text}{unit}")
        }
    }
}

fn line(row: &Row, tally: Option<&Tally>) -> String {
    let Row { class, rule, .. } = row;
    let expected = tally.filter(|t| t.expected > 0);
    let of = |count: fn(&Tally) -> u64| {
        expected.map_or_else(|| "–".to_owned(), |t| format!("{}/{}", count(t), t.expected))
    };
    let cells = [
        of(|t| t.found),
        of(|t| t.in_time),
        cell(row.recall, ""),
        tally.map_or(0, |t| t.wrong).to_string(),
        cell(row.precision, ""),
        cell(row.detect_p50_s, " s"),
        cell(row.detect_p95_s, " s"),
        cell(row.false_per_feed_30d, ""),
        cell(row.cause_right, ""),
        cell(row.notices, ""),
    ];
    format!("| {class} | {rule} | {} |", cells.join(" | "))
}

fn lines(tallies: &Tallies) -> Vec<String> {
    let line = |row: &Row| line(row, tallies.get(&row.class, &row.rule));
    tallies.rows().iter().map(line).collect()
}

/// The table for people at a terminal: the same rows, in columns of even width.
#[must_use]
pub fn table(tallies: &Tallies) -> String {
    let rows = lines(tallies);
    columns(core::iter::once(COLUMNS).chain(rows.iter().map(String::as_str)), true)
}

/// Lines of a table in columns of even width; `groups`: an empty line where the first cell changes.
fn columns<'l>(lines: impl Iterator<Item = &'l str>, groups: bool) -> String {
    let lines: Vec<Vec<&str>> =
        lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|cells| cells.get(column)).map(|c| c.chars().count()).max()
    };
    let mut text = String::new();
    let mut before = "";
    for cells in &lines {
        let class = cells.first().copied().unwrap_or("");
        if groups && class != before && !before.is_empty() {
            text.push('\n');
        }
        before = class;
        for (column, cell) in cells.iter().enumerate() {
            let _ = write!(text, "{cell:<width$}  ", width = width(column).unwrap_or(0));
        }
        text.push('\n');
    }
    text
}

/// The bars, for people at a terminal.
#[must_use]
pub fn bars_table(tallies: &Tallies, histories: &[History]) -> String {
    let lines: Vec<String> = bars::bars(tallies, histories).iter().map(bars::Bar::line).collect();
    columns(core::iter::once(bars::HEAD).chain(lines.iter().map(String::as_str)), false)
}

/// Recall and speed that the issue asks for, and false alarms scaled to a site of 200 feeds.
#[must_use]
pub fn summary(tallies: &Tallies, histories: &[History], flaws: &[Flaw]) -> String {
    let mut text = String::new();
    if let Some(all) = tallies.get("all", OURS) {
        let _ = writeln!(
            text,
            "{} of {} expectations found, {} within their bar; {} alerts right, {} false",
            all.found, all.expected, all.in_time, all.right, all.wrong
        );
    }
    for history in histories.iter().filter(|h| h.calm && h.days() >= 28.0) {
        let class = history.classes().concat();
        let Some(tally) = tallies.get(&class, OURS) else { continue };
        let scale = 200.0 / history.feeds.len() as f64 / history.days();
        let _ = writeln!(
            text,
            "{class}: for 200 feeds {:.2} false pages a week, {:.2} false tickets a day",
            tally.wrong_pages as f64 * scale * 7.0,
            (tally.wrong - tally.wrong_pages) as f64 * scale,
        );
    }
    let _ = writeln!(
        text,
        "\n{BETTER}\n\nRules with a precision below one half in a class are left out: they find \
         what happens to come\nwhile they cry. Mirth's mail for every error is always the first, at \
         the price of the notices shown.\n"
    );
    for line in ahead::lines(tallies) {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(text, "\n{FLAWS}\n");
    for flaw in flaws.iter().take(FLAWS_MAX) {
        let _ = writeln!(text, "- {}", flaw.text);
    }
    if flaws.len() > FLAWS_MAX {
        let _ = writeln!(text, "- and {} more", flaws.len() - FLAWS_MAX);
    }
    text
}

/// The document.
#[must_use]
pub fn document(tallies: &Tallies, histories: &[History], flaws: &[Flaw]) -> String {
    let mut text = head(histories, &bars::bars(tallies, histories));
    let _ =
        writeln!(text, "\n{COLUMNS}\n|---|---|{}", "--:|".repeat(COLUMNS.matches('|').count() - 3));
    for line in lines(tallies) {
        let _ = writeln!(text, "{line}");
    }
    let _ = write!(text, "\n## In short\n\n{}", summary(tallies, histories, flaws));
    text
}

fn head(histories: &[History], bars: &[bars::Bar]) -> String {
    let mut text = String::from(
        "# Detection, measured\n\n\
         This page is generated by `cargo xtask eval --write`; do not edit it. Labelled histories\n\
         (`tests/histories/`, format in its README) are played through the real engine on simulated\n\
         time, and through the rules that people use today on the same stream of events.\n\n\
         ## The bars\n\n",
    );
    let _ = writeln!(text, "{}\n|---|---|--:|---|", bars::HEAD);
    for bar in bars {
        let _ = writeln!(text, "{}", bar.line());
    }
    text.push_str(STATE);
    text.push_str(
        "\n## What the figures are\n\n\
         * *found*, *recall*: expected incidents that were told (ticket or page) while they lasted.\n\
         * *in bar*: found within the time that the history demands.\n\
         * *false*, *precision*: alerts that were not right, and the share that was. An alert is right\n\
         \x20 when it says what a history expects at that time and place; one of a rule of today is right\n\
         \x20 whenever it comes at that time, on the link or on a feed that passes it.\n\
         * *detect*: from the fault's first effect on the stream (the first message refused,\n\
         \x20 unanswered or not sent) to the first notice.\n\
         * *false / feed / 30 d*: alerts that were not right; absent below 30 feed-days.\n\
         * *cause right*: hints about the cause that were right, among found incidents.\n\
         * *notices*: opened, louder and closed, for each incident that was found.\n\
         * Row *scripted*: all histories in which something is expected, without the calm ones.\n\
         * Rows `calm: …` are histories in which nothing may be said.\n\
         * A dash: not known. Histories of months tick every 10 seconds, others every second.\n\n\
         ## The rules of today\n\n",
    );
    for (name, about) in today::RULES {
        let _ = writeln!(text, "* *{name}*: {about}.");
    }
    text.push_str("\n## The histories\n\n");
    for history in histories {
        let _ = writeln!(text, "* `{}`: {}", history.name, history.about);
    }
    text.push_str("\n## Figures\n");
    text
}

/// A document without its figures: what must be current in every commit.
#[must_use]
pub fn shape(document: &str) -> String {
    let kept = document.split("\n## In short").next().unwrap_or_default();
    let mut text = String::new();
    for line in kept.lines() {
        let cells: Vec<&str> = line.split('|').collect();
        match cells.as_slice() {
            // A line of the bars: what was measured is a figure.
            ["", what, wanted, _, _, ""] => {
                let _ = writeln!(text, "|{what}|{wanted}|");
            }
            ["", class, rule, _, ..] => {
                let _ = writeln!(text, "|{class}|{rule}|");
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// The document's shape as the histories demand it, without playing them.
#[must_use]
pub fn expected_shape(histories: &[History]) -> String {
    let rules: Vec<&'static str> =
        core::iter::once(OURS).chain(today::RULES.iter().map(|(name, _)| *name)).collect();
    let mut tallies = Tallies::new(rules.clone());
    for class in
        histories.iter().flat_map(History::classes).chain(["all".to_owned(), SCRIPTED.to_owned()])
    {
        for rule in &rules {
            tallies.of(&class, rule);
        }
    }
    shape(&document(&tallies, histories, &[]))
}
