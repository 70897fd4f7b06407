//! Counts by class and rule, and the figures made from them.

use crate::civil::SECOND;
use serde::Serialize;
use std::collections::BTreeMap;

/// With fewer feed-days than this a rate of false alarms says nothing.
const FEED_DAYS_LEAST: f64 = 30.0;

/// The row of all histories in which something is expected; those in which nothing may be said have bars
/// of their own.
pub const SCRIPTED: &str = "scripted";

/// Counts of one class and rule.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Expectations.
    pub expected: u64,
    /// Found at all.
    pub found: u64,
    /// Found within their bar.
    pub in_time: u64,
    /// Times to detect, µs.
    pub detect: Vec<i64>,
    /// Right alerts.
    pub right: u64,
    /// False ones.
    pub wrong: u64,
    /// False pages.
    pub wrong_pages: u64,
    /// Notices of right alerts.
    pub notices: u64,
    /// Those of them that said that it had become louder.
    pub louder: u64,
    /// Right alerts that became pages.
    pub pages: u64,
    /// Notices of somebody who hears of pages only, and where tickets wait.
    pub paged: u64,
    /// See above.
    pub waited: u64,
    /// Found ones whose cause the history states.
    pub causes: u64,
    /// Hints given.
    pub hints: u64,
    /// Right ones.
    pub hints_right: u64,
    /// Wrong ones given with high confidence.
    pub hints_wrong_sure: u64,
    /// Feeds times days.
    pub feed_days: f64,
}

/// The published figures; None where nothing is known.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Class of failure.
    pub class: String,
    /// Rule.
    pub rule: String,
    /// Found / expected.
    pub recall: Option<f64>,
    /// Right alerts / alerts.
    pub precision: Option<f64>,
    /// Median time to detect, s.
    pub detect_p50_s: Option<f64>,
    /// 95th percentile, s.
    pub detect_p95_s: Option<f64>,
    /// False alarms per feed and 30 days.
    pub false_per_feed_30d: Option<f64>,
    /// Right hints / found ones with a known cause.
    pub cause_right: Option<f64>,
    /// Notices per incident that was found.
    pub notices: Option<f64>,
}

/// Rounded for print; never NaN.
fn share(part: f64, whole: f64) -> Option<f64> {
    let value = part / whole;
    value.is_finite().then(|| (value * 10_000.0).round() / 10_000.0)
}

impl Tally {
    /// A quantile of the times to detect, s.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let mut sorted = self.detect.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let place = (last as f64 * q).ceil() as usize;
        sorted.get(place).map(|micros| (*micros as f64 / SECOND as f64 * 10.0).round() / 10.0)
    }

    /// The figures.
    #[must_use]
    pub fn row(&self, class: &str, rule: &str) -> Row {
        let days = (self.feed_days >= FEED_DAYS_LEAST).then_some(self.feed_days / 30.0);
        Row {
            class: class.to_owned(),
            rule: rule.to_owned(),
            recall: share(self.found as f64, self.expected as f64),
            precision: share(self.right as f64, (self.right + self.wrong) as f64),
            detect_p50_s: self.quantile(0.5),
            detect_p95_s: self.quantile(0.95),
            false_per_feed_30d: days.and_then(|days| share(self.wrong as f64, days)),
            cause_right: share(self.hints_right as f64, self.causes as f64)
                .filter(|_| self.hints > 0),
            notices: share(self.notices as f64, self.found as f64),
        }
    }
}

/// All counts.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    rules: Vec<&'static str>,
    counts: BTreeMap<(String, usize), Tally>,
}

impl Tallies {
    /// For these rules, in the order in which they are printed.
    #[must_use]
    pub fn new(rules: Vec<&'static str>) -> Self {
        Self { rules, counts: BTreeMap::new() }
    }

    /// The counts of a class and rule.
    pub fn of(&mut self, class: &str, rule: &str) -> &mut Tally {
        let place = self.rules.iter().position(|r| *r == rule).unwrap_or(self.rules.len());
        self.counts.entry((class.to_owned(), place)).or_default()
    }

    /// The counts of a class and rule, if there are any.
    #[must_use]
    pub fn get(&self, class: &str, rule: &str) -> Option<&Tally> {
        let place = self.rules.iter().position(|r| *r == rule)?;
        self.counts.get(&(class.to_owned(), place))
    }

    /// Classes, `all` first.
    #[must_use]
    pub fn classes(&self) -> Vec<&str> {
        let mut classes: Vec<&str> = self.counts.keys().map(|(c, _)| c.as_str()).collect();
        classes.dedup();
        classes.sort_by_key(|class| {
            (*class != "all", *class != SCRIPTED, class.starts_with("calm"), *class)
        });
        classes
    }

    /// The figures of every class and rule.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for class in self.classes() {
            for rule in &self.rules {
                if let Some(tally) = self.get(class, rule) {
                    rows.push(tally.row(class, rule));
                }
            }
        }
        rows
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: Self) {
        for (key, more) in other.counts {
            let held = self.counts.entry(key).or_default();
            held.expected += more.expected;
            held.found += more.found;
            held.in_time += more.in_time;
            held.detect.extend(more.detect);
            held.right += more.right;
            held.wrong += more.wrong;
            held.wrong_pages += more.wrong_pages;
            held.notices += more.notices;
            held.louder += more.louder;
            held.pages += more.pages;
            held.paged += more.paged;
            held.waited += more.waited;
            held.causes += more.causes;
            held.hints += more.hints;
            held.hints_right += more.hints_right;
            held.hints_wrong_sure += more.hints_wrong_sure;
            held.feed_days += more.feed_days;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn what_is_not_known_is_absent() {
        let row = Tally::default().row("x", "y");
        assert!(row.recall.is_none() && row.precision.is_none() && row.detect_p50_s.is_none());
        let json = serde_json::to_string(&row).unwrap();
        assert!(json.contains("\"recall\":null"), "{json}");
        let detect = vec![3_000_000, 1_000_000, 2_000_000];
        let tally = Tally { expected: 4, found: 3, detect, ..Tally::default() };
        let row = tally.row("x", "y");
        assert_eq!(
            (row.recall, row.detect_p50_s, row.detect_p95_s),
            (Some(0.75), Some(2.0), Some(3.0))
        );
    }
}
