//! The bars: what detection must reach, and whether it does.

use crate::civil::HOUR;
use crate::history::{Expect, History};
use crate::play::OURS;
use crate::tally::{SCRIPTED, Tallies, Tally};

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Of what.
    pub what: String,
    /// What is wanted, in words.
    pub wanted: String,
    /// What was measured, in words.
    pub got: String,
    /// None: the histories that were played say nothing about it.
    pub met: Option<bool>,
}

impl Bar {
    /// As a line of a table.
    #[must_use]
    pub fn line(&self) -> String {
        let met = self.met.map_or("–", |met| if met { "yes" } else { "**no**" });
        format!("| {} | {} | {} | {met} |", self.what, self.wanted, self.got)
    }
}

/// The head of the table.
pub const HEAD: &str = "| bar | wanted | got | met |";

fn bar(what: &str, wanted: &str, got: Option<(String, bool)>) -> Bar {
    let (got, met) = got.map_or_else(|| ("–".to_owned(), None), |(got, met)| (got, Some(met)));
    Bar { what: what.to_owned(), wanted: wanted.to_owned(), got, met }
}

/// All bars over the histories that were played.
#[must_use]
pub fn bars(tallies: &Tallies, histories: &[History]) -> Vec<Bar> {
    let scripted = tallies.get(SCRIPTED, OURS).filter(|t| t.expected > 0);
    let mut all = of_all(scripted);
    all.extend(of_year(tallies, histories));
    all.extend(of_time(tallies));
    all.extend(of_notices(tallies, histories));
    all
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn of_all(scripted: Option<&Tally>) -> Vec<Bar> {
    let at_least = |part: u64, whole: u64, least: f64| {
        let value = share(part, whole);
        (format!("{value:.3} ({part} of {whole})"), value >= least)
    };
    let recall = scripted.map(|t| at_least(t.found, t.expected, 1.0));
    let precision = scripted.map(|t| at_least(t.right, t.right + t.wrong, 0.95));
    let causes = scripted.filter(|t| t.causes > 0);
    let right = causes.map(|t| at_least(t.hints_right, t.causes, 0.9));
    let sure = causes.map(|t| {
        let value = share(t.hints_wrong_sure, t.causes);
        (format!("{:.1} % ({} of {})", value * 100.0, t.hints_wrong_sure, t.causes), value <= 0.02)
    });
    vec![
        bar("recall on scripted outages", "1.0", recall),
        bar("precision on scripted outages", "≥ 0.95", precision),
        bar("cause hint right", "≥ 0.9 of what was found", right),
        bar("cause hint wrong with high confidence", "≤ 2 %", sure),
    ]
}

/// False alarms of the calm history that is longest, scaled to a site of 200 feeds.
fn of_year(tallies: &Tallies, histories: &[History]) -> Vec<Bar> {
    let year = histories.iter().filter(|h| h.calm && h.days() >= 300.0);
    let year = year.max_by(|a, b| a.days().total_cmp(&b.days()));
    let scaled = year.and_then(|year| {
        let tally = tallies.get(&year.classes().concat(), OURS)?;
        let scale = 200.0 / year.feeds.len() as f64 / year.days();
        let pages = tally.wrong_pages as f64 * scale * 7.0;
        let tickets = (tally.wrong - tally.wrong_pages) as f64 * scale;
        Some((pages, tickets))
    });
    let at_most = |value: f64, most: f64| (format!("{value:.2}"), value <= most);
    vec![
        bar(
            "false pages a week, 200 feeds, calm year",
            "≤ 1",
            scaled.map(|(pages, _)| at_most(pages, 1.0)),
        ),
        bar(
            "false tickets a day, 200 feeds, calm year",
            "≤ 5",
            scaled.map(|(_, tickets)| at_most(tickets, 5.0)),
        ),
    ]
}

/// Times to detect, by class: the quantile that is judged, and the most that it may be, s.
const TIMES: [(&str, &str, f64, f64, &str); 8] = [
    ("receiver down", "receiver-down", 0.95, 5.0, "≤ 5 s at p95"),
    ("receiver down, 50 feeds", "receiver-down @ 50 feeds", 0.95, 5.0, "≤ 5 s at p95"),
    ("receiver hung", "receiver-hung", 0.95, 7.0, "≤ the ACK objective (2 s) + 5 s at p95"),
    ("NACK burst", "nack-all", 0.95, 30.0, "≤ 30 s at p95"),
    ("silence at 1,000 an hour", "silence-connected @ 1000/h", 0.5, 120.0, "≤ 2 min at p50"),
    ("silence at 100 an hour", "silence-connected @ 100/h", 0.5, 720.0, "≤ 12 min at p50"),
    ("silence at 10 an hour", "silence-connected @ 10/h", 0.5, 3_600.0, "≤ 60 min at p50"),
    (
        "backlog on a ramp that breaks after 30 min",
        "queue-build-up",
        0.95,
        900.0,
        "≤ 15 min (15 before)",
    ),
];

fn of_time(tallies: &Tallies) -> Vec<Bar> {
    let judged = TIMES.iter().map(|(what, class, quantile, most, wanted)| {
        let tally = tallies.get(class, OURS).filter(|t| t.expected > 0);
        let got = tally.map(|tally| match tally.quantile(*quantile) {
            Some(took) => {
                let other = tally.quantile(if *quantile > 0.9 { 0.5 } else { 0.95 });
                let name = if *quantile > 0.9 { "p50" } else { "p95" };
                let text = format!("{} ({name} {})", span(took), span(other.unwrap_or(took)));
                (text, took <= *most && tally.found == tally.expected)
            }
            None => ("never".to_owned(), false),
        });
        bar(what, wanted, got)
    });
    judged.collect()
}

fn span(seconds: f64) -> String {
    if seconds < 600.0 { format!("{seconds:.1} s") } else { format!("{:.1} min", seconds / 60.0) }
}

/// What is told once, and what nobody may hear of.
fn of_notices(tallies: &Tallies, histories: &[History]) -> Vec<Bar> {
    let ours = |class: &str| tallies.get(class, OURS);
    let found = |class: &str| ours(class).filter(|t| t.found > 0);
    let none = |class: &str| {
        let tally = ours(class)?;
        Some((format!("{} alerts", tally.wrong), tally.wrong == 0))
    };
    let each = found(SCRIPTED).map(|t| {
        let (begun, louder) = (share(t.notices - t.louder, t.right), share(t.louder, t.right));
        let text = format!("{begun:.2} an incident, and {louder:.2} when it rose to a page");
        (text, begun <= 2.0)
    });
    let pager = found(SCRIPTED).filter(|t| t.pages > 0).map(|t| {
        let each = share(t.paged, t.pages);
        (format!("{each:.2} a page"), each <= 2.0)
    });
    let waits = found(SCRIPTED).map(|t| {
        let each = share(t.waited, t.right);
        (format!("{each:.2} an incident"), each <= 2.0)
    });
    let flaps = found("flapping").map(|t| {
        let is_it = |e: &&Expect| e.class == "flapping";
        let all = histories.iter().flat_map(|h| &h.expects).filter(is_it);
        let hours = all.map(|e| (e.to - e.from) as f64 / HOUR as f64).sum::<f64>();
        let each = t.notices as f64 / hours.max(0.1);
        (format!("{each:.2} an hour"), each <= 2.0)
    });
    let fifty = found("receiver-down @ 50 feeds").map(|t| {
        let each = share(t.right + t.wrong, t.found);
        (format!("{each:.2} incidents, {:.2} notices", share(t.notices, t.found)), each <= 1.0)
    });
    vec![
        bar("notices of an incident", "one at the start, one at the end", each),
        bar("… of somebody who hears of pages only", "≤ 2", pager),
        bar("… where a ticket waits for 6 min (`wait: 6m`)", "≤ 2", waits),
        bar("ten flaps an hour", "≤ 2 notices an hour", flaps),
        bar("fifty feeds behind one dead engine", "one incident", fifty),
        bar("our own restart, upgrade and reload", "0 notices", none("calm: calm-restart")),
        bar("a burst that drains", "0 warnings", none("calm: calm-burst")),
    ]
}

#[cfg(test)]
mod tests {
    use super::bars;
    use crate::play::OURS;
    use crate::tally::{SCRIPTED, Tallies};

    #[test]
    fn a_bar_is_met_missed_or_not_played() {
        let mut tallies = Tallies::new(vec![OURS]);
        let tally = tallies.of(SCRIPTED, OURS);
        (tally.expected, tally.found, tally.right, tally.wrong) = (10, 9, 19, 1);
        let tally = tallies.of("receiver-down", OURS);
        (tally.expected, tally.found, tally.detect) = (2, 2, vec![4_000_000, 6_000_000]);
        let all = bars(&tallies, &[]);
        let met = |what: &str| all.iter().find(|bar| bar.what.contains(what)).unwrap().met;
        assert_eq!(met("recall"), Some(false));
        assert_eq!(met("precision"), Some(true));
        assert_eq!(met("receiver down"), Some(false), "6 s at p95");
        assert_eq!(met("silence at 10 "), None);
        assert!(all[0].line().contains("0.900 (9 of 10) | **no** |"), "{}", all[0].line());
    }
}
