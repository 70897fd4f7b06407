//! One measured number beside its peer and its target, and how it is shown.

use serde_json::{Value, json};
use std::fmt;

/// What a group lacks to be measured here; printed, and not an error of the run.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Our number, at most.
    OursAtMost(f64),
    /// Our number, at least.
    OursAtLeast(f64),
    /// Our number divided by the peer's, at most.
    RatioAtMost(f64),
    /// Our number divided by the peer's, at least.
    RatioAtLeast(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OursAtMost(most) => write!(f, "ours <= {}", short(*most)),
            Self::OursAtLeast(least) => write!(f, "ours >= {}", short(*least)),
            Self::RatioAtMost(most) => write!(f, "ratio <= {}", short(*most)),
            Self::RatioAtLeast(least) => write!(f, "ratio >= {}", short(*least)),
        }
    }
}

/// One number. The unit is in its name; the ratio is ours divided by the peer's.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) group: &'static str,
    pub(crate) figure: String,
    pub(crate) ours: f64,
    pub(crate) peer: Option<f64>,
    pub(crate) peer_name: Option<String>,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<Target>,
}

impl Figure {
    /// A number that has no peer.
    pub(crate) fn alone(
        group: &'static str,
        figure: &str,
        ours: f64,
        target: Option<Target>,
    ) -> Self {
        let figure = figure.to_owned();
        Self { group, figure, ours, peer: None, peer_name: None, ratio: None, target }
    }

    /// A number beside another that was not sampled in rounds, such as a count.
    pub(crate) fn beside(self, peer_name: &str, peer: f64) -> Self {
        let ratio = (peer != 0.0).then_some(self.ours / peer);
        Self { peer: Some(peer), peer_name: Some(peer_name.to_owned()), ratio, ..self }
    }

    /// Whether the target is met; none without a target.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::OursAtMost(most) => self.ours <= most,
            Target::OursAtLeast(least) => self.ours >= least,
            Target::RatioAtMost(most) => self.ratio? <= most,
            Target::RatioAtLeast(least) => self.ratio? >= least,
        })
    }

    fn json(&self) -> Value {
        // What is not a number becomes null.
        json!({
            "group": self.group,
            "figure": self.figure,
            "ours": self.ours,
            "peer": self.peer,
            "peer_name": self.peer_name,
            "ratio": self.ratio,
            "target": self.target.map(|target| target.to_string()),
            "met": self.met(),
        })
    }

    fn cells(&self) -> [String; 7] {
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), short);
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.group.to_owned(),
            self.figure.clone(),
            short(self.ours),
            number(self.peer),
            number(self.ratio),
            self.target.map(|target| target.to_string()).unwrap_or_default(),
            format!("{met:6}  {}", self.peer_name.as_deref().unwrap_or("")),
        ]
    }
}

/// A number in three or four significant digits.
fn short(n: f64) -> String {
    let size = n.abs();
    if !n.is_finite() {
        "-".to_owned()
    } else if size >= 1e6 {
        format!("{:.2}M", n / 1e6)
    } else if size >= 1000.0 || n.fract() == 0.0 {
        format!("{n:.0}")
    } else if size >= 10.0 {
        format!("{n:.1}")
    } else if size >= 0.1 {
        format!("{n:.2}")
    } else {
        format!("{n:.4}")
    }
}

/// Prints figures as they come: lines of JSON, or a table that is set once all are there.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    rows: Vec<[String; 7]>,
    missed: usize,
}

impl Report {
    /// For people, or for programs.
    pub(crate) fn new(json: bool) -> Self {
        let head = ["group", "figure", "ours", "peer", "ratio", "target", "met     peer is"];
        Self { json, rows: vec![head.map(str::to_owned)], missed: 0 }
    }

    /// Takes the figures of one group.
    pub(crate) fn print(&mut self, figures: &[Figure]) {
        self.missed += figures.iter().filter(|figure| figure.met() == Some(false)).count();
        if self.json {
            for figure in figures {
                println!("{}", figure.json());
            }
        } else {
            self.rows.extend(figures.iter().map(Figure::cells));
        }
    }

    /// Shows the table.
    pub(crate) fn end(&self) {
        if self.json || self.rows.len() < 2 {
            return;
        }
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; 7] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Numbers to the right.
                let cell = match column {
                    2..=4 => format!("{cell:>width$}  "),
                    _ => format!("{cell:width$}  "),
                };
                line.push_str(&cell);
            }
            println!("{}", line.trim_end());
        }
        if self.missed > 0 {
            println!("{} targets missed", self.missed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_judged_and_absent_numbers_stay_absent() {
        let figure = Figure::alone("g", "time, ns", 5.0, Some(Target::OursAtMost(4.0)));
        assert_eq!(figure.met(), Some(false));
        assert_eq!(figure.json()["met"], false);
        assert_eq!(figure.json()["peer"], Value::Null);
        let figure = Figure { target: Some(Target::RatioAtMost(0.5)), ..figure };
        assert_eq!(figure.met(), None, "without a peer nobody can say");
        assert_eq!(figure.clone().beside("p", 10.0).met(), Some(true));
        let more = Figure { target: Some(Target::RatioAtLeast(0.51)), ..figure.clone() };
        assert_eq!(more.beside("p", 10.0).met(), Some(false));
        assert_eq!(figure.beside("p", 0.0).json()["ratio"], Value::Null);
        assert_eq!(Target::OursAtLeast(1e6).to_string(), "ours >= 1.00M");
        assert_eq!(short(f64::NAN), "-");
        assert_eq!(short(0.00123), "0.0012");
    }
}
