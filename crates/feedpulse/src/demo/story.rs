//! The demo's story on the terminal: what was done to the hospital, and what Feedpulse says.

use super::report::{Report, seconds};
use crate::clock;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use feedpulse_sim::{InjectedEvent, Phase};
use std::io::{IsTerminal as _, Write as _};

/// Writes the story; to standard error when standard output carries JSON.
pub(crate) struct Story {
    to_stderr: bool,
    colour: bool,
    live: bool,
    started: Timestamp,
    shown: Timestamp,
}

/// What each fault is, for people.
fn tell(fault: &str) -> &'static str {
    match fault {
        "portal_slow" => "the portal becomes slow",
        "nack_burst" => "the portal answers errors (AE) to many messages",
        "hang_without_ack" => "the portal takes messages and answers nothing",
        "refusal" => "the portal's port is closed",
        "feed_silent" => "the EHR stops sending",
        "result_regression" => {
            "the lab sends a final result, then a preliminary one of the same order"
        }
        _ => "trouble",
    }
}

impl Story {
    /// A story that starts now.
    pub(crate) fn new(headless: bool, json: bool, started: Timestamp) -> Self {
        let terminal =
            if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let live = terminal && !headless;
        Self { to_stderr: json, colour: live, live, started, shown: started }
    }

    /// When it started.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    fn line(&mut self, text: &str) {
        // A reader that has gone does not end the demo.
        let _ = if self.to_stderr {
            let clear = if self.live { "\r\x1b[K" } else { "" };
            writeln!(std::io::stderr(), "{clear}{text}")
        } else {
            let clear = if self.live { "\r\x1b[K" } else { "" };
            writeln!(std::io::stdout(), "{clear}{text}")
        };
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn at(&self, now: Timestamp) -> String {
        format!("{:>6.1} s", seconds(now, self.started))
    }

    /// The first lines: where to look.
    pub(crate) fn opening(&mut self, ui: &str, ops: &str) {
        self.line(&format!("status page  {ui}"));
        self.line(&format!("metrics      {ops}"));
        self.line("A simulated hospital: EHR and LAB send to an engine, the engine to a portal, all through");
        self.line("Feedpulse's wire on loopback. A script makes trouble (>>); Feedpulse says what it finds.");
        self.line("");
    }

    /// A fault began or ended.
    pub(crate) fn injected(&mut self, event: &InjectedEvent) {
        let now = clock::now();
        let moment = event.until_s <= event.at_s;
        let text = match event.phase {
            Phase::Started => format!("{}  >> {}", self.at(now), tell(&event.fault)),
            Phase::Ended if moment => return,
            Phase::Ended => format!("{}  << over: {}", self.at(now), tell(&event.fault)),
        };
        let text = self.paint("36", &text);
        self.line(&text);
    }

    /// An incident changed.
    pub(crate) fn incident(&mut self, change: &IncidentChange, fresh: &[Code], now: Timestamp) {
        let (word, colour) = match (change.state, change.severity) {
            (IncidentState::Pending, _) => return,
            (IncidentState::Resolved, _) => ("RESOLVED", "32"),
            (_, Severity::Page) => ("PAGE    ", "1;31"),
            (_, Severity::Ticket) => ("TICKET  ", "33"),
            (_, Severity::Note) => ("note    ", "2"),
        };
        let mut text = format!("{}  {word} #{} {}", self.at(now), change.id, change.summary);
        for code in fresh.iter().filter(|code| **code != change.code) {
            text.push_str(&format!("\n{:>21}and {} {}", "", code.text().code, code.text().title));
        }
        let text = self.paint(colour, &text);
        self.line(&text);
    }

    /// One live line on a terminal, each second.
    pub(crate) fn progress(&mut self, view: &View, now: Timestamp) {
        if !self.live || now.micros_since(self.shown) < 1_000_000 {
            return;
        }
        self.shown = now;
        let backlog: u32 = view.feeds.iter().map(|f| f.backlog).sum();
        let urgent: u32 = view.feeds.iter().map(|f| f.backlog_urgent).sum();
        let text = format!(
            "{}  {} messages seen, {} open; backlog {backlog} ({urgent} urgent)",
            self.at(now),
            view.totals.seen,
            view.totals.open
        );
        let _ = if self.to_stderr {
            let mut err = std::io::stderr();
            write!(err, "\r\x1b[K\x1b[2m{text}\x1b[0m").and_then(|()| err.flush())
        } else {
            let mut out = std::io::stdout();
            write!(out, "\r\x1b[K\x1b[2m{text}\x1b[0m").and_then(|()| out.flush())
        };
    }

    /// The hospital empties its queues: after the script, or because somebody ended the demo.
    pub(crate) fn closing(&mut self, over: bool) {
        let why = if over { "the script is over" } else { "stopped before the script was over" };
        let text = format!("{}  {why}; the hospital empties its queues", self.at(clock::now()));
        self.line(&text);
    }

    /// Whether it could: what the portal still refuses stays in the engine's queue.
    pub(crate) fn drained(&mut self, empty: bool) {
        if !empty {
            let text = "they are not empty: what still waits is counted as open below";
            self.line(&format!("{}  {text}", self.at(clock::now())));
        }
    }

    /// The last lines.
    pub(crate) fn summary(&mut self, report: &Report, view: &View) {
        let made: std::collections::BTreeSet<&str> =
            report.injected.iter().map(|i| i.fault.as_str()).collect();
        let found: std::collections::BTreeSet<&str> =
            report.detected.iter().filter_map(|d| d.fault.as_deref()).collect();
        let sums = if view.totals.adds_up() { "adds up" } else { "DOES NOT ADD UP" };
        self.line("");
        self.line(&format!("kinds of trouble made {}, found {}", made.len(), found.len()));
        self.line(&format!(
            "messages seen {} = all outcomes + open ({sums}); copies shed {}",
            view.totals.seen, report.shed
        ));
        self.line(&format!(
            "bytes through the wire {}, streams identical: {}",
            report.bytes.r#in,
            if report.bytes.identical { "yes" } else { "NO" }
        ));
        self.line(&format!(
            "notices delivered {}, spans exported {}",
            report.notices, report.spans_exported
        ));
    }
}
