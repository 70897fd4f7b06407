//! One notice in words: what every alert says, the same in mails, chats and pagers.

use crate::notify;
use crate::notify::notices::Notice;
use crate::rfc3339;
use feedpulse_codec::Why;
use feedpulse_core::calendar::Calendar;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::{IncidentChange, IncidentState};
use feedpulse_core::time::Timestamp;
use feedpulse_core::words::span;

/// What stands before everything that a drill says.
pub(crate) const DRILL: &str = "DRILL: ";

/// What all notices of a site share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Style {
    /// Name of the site; empty = none.
    pub(crate) site: String,
    /// Base address of the runbooks; empty = no link.
    pub(crate) runbook_base: String,
    /// Base address of the status page; empty = no link.
    pub(crate) page_base: String,
    /// The site's civil time.
    pub(crate) calendar: Calendar,
}

/// A notice in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// `PAGE: The receiver cannot be reached (waypoint portal-in)`.
    pub(crate) head: String,
    /// What all mails about the incident have as their subject.
    pub(crate) subject: String,
    /// Names and sentences, in the order of what matters.
    pub(crate) lines: Vec<(&'static str, String)>,
    /// The incident's page; may be empty.
    pub(crate) page: String,
    /// The runbook; may be empty.
    pub(crate) runbook: String,
}

/// What stands before each summary, title and head: only a drill has something.
pub(crate) const fn mark(change: &IncidentChange) -> &'static str {
    if change.story.drill { DRILL } else { "" }
}

impl Style {
    /// Words for a notice at `now`.
    pub(crate) fn text(&self, notice: &Notice, now: Timestamp) -> Text {
        let change: &IncidentChange = &notice.change;
        let mark = mark(change);
        let site = if self.site.is_empty() { "" } else { &format!("[{}] ", self.site) };
        let (title, subject) = (change.title(), change.subject_name.as_str());
        let first = first_title(notice);
        Text {
            head: format!("{mark}{}: {title} ({subject})", self.event(notice)),
            subject: format!("{mark}{site}{first}: {subject} (incident {})", change.id),
            lines: self.lines(notice, now),
            page: notify::page(&self.page_base, change),
            runbook: notify::runbook(&self.runbook_base, change),
        }
    }

    fn event(&self, notice: &Notice) -> String {
        let severity = notice.change.severity.name();
        match notice.why {
            Why::Open => severity.to_uppercase(),
            Why::Escalated => format!("{}, nobody has taken it", severity.to_uppercase()),
            Why::Rose => format!("{}, it has become worse", severity.to_uppercase()),
            Why::Claimed => "TAKEN".to_owned(),
            Why::Still(_) => format!("STILL A {}", severity.to_uppercase()),
            Why::Over => "RESOLVED".to_owned(),
        }
    }

    fn lines(&self, notice: &Notice, now: Timestamp) -> Vec<(&'static str, String)> {
        let change: &IncidentChange = &notice.change;
        let facts = change.facts();
        let fact = |name: &str| {
            let found = facts.iter().find(|(key, _)| *key == name);
            found.map_or_else(String::new, |(_, text)| text.clone())
        };
        let code = change.code.text();
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let urgent = match change.urgent {
            0 => "none are known to wait".to_owned(),
            urgent => format!("{urgent} urgent ones wait or failed"),
        };
        let open = change.state != IncidentState::Resolved;
        let next = match (open, notify::runbook(&self.runbook_base, change)) {
            (false, _) => String::new(),
            (true, runbook) if runbook.is_empty() => change.remedy().to_owned(),
            (true, runbook) => format!("{} Runbook: {runbook}", change.remedy()),
        };
        let more = match notify::page(&self.page_base, change) {
            page if page.is_empty() => format!("`feedpulse explain {}`", code.code),
            page => format!("{page} or `feedpulse explain {}`", code.code),
        };
        let lines = [
            ("What", change.summary.clone()),
            ("Found", fact("found")),
            ("Since", self.since(change, now)),
            ("Overrun", self.overrun(change)),
            ("Messages", or(fact("waiting"), &urgent)),
            ("Affected", or(fact("affected"), &change.subject_name)),
            ("Forecast", if open { or(fact("forecast"), "not known") } else { String::new() }),
            ("Likely cause", or(fact("cause"), "not known")),
            ("Against it", fact("against")),
            ("Earlier", fact("earlier")),
            ("Flapping", fact("flapping")),
            ("Taken by", change.claimed_by.as_str().to_owned()),
            ("Means", change.means().to_owned()),
            ("Next step", next),
            ("More", more),
        ];
        lines.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    fn since(&self, change: &IncidentChange, now: Timestamp) -> String {
        let end = notify::ended_at(change, now);
        let seconds = u32::try_from(end.since(change.since.min(end)).as_secs()).unwrap_or(u32::MAX);
        let from = rfc3339::local(&self.calendar, change.since);
        match change.state {
            IncidentState::Resolved => {
                let to = rfc3339::local(&self.calendar, end);
                format!("{from} to {to} ({})", span(seconds))
            }
            IncidentState::Pending | IncidentState::Open => format!("{from} ({})", span(seconds)),
        }
    }

    fn overrun(&self, change: &IncidentChange) -> String {
        change.story.overran.as_ref().map_or_else(String::new, |overran| {
            let since = rfc3339::local(&self.calendar, overran.since);
            format!("the planned downtime {} is overrun since {since}", overran.name)
        })
    }
}

/// The title that it opened with, which all mails about it have. Of a check's codes that is the first
/// one, which an incident never drops.
fn first_title(notice: &Notice) -> &str {
    let first = notice.change.story.check_codes.codes.first();
    match first.and_then(|code| code.words.as_ref()) {
        Some(words) if notice.first == Code::CheckFound => words.title.as_str(),
        _ => notice.first.text().title,
    }
}

impl Text {
    /// The head and all lines, one a line.
    pub(crate) fn plain(&self) -> String {
        let mut text = format!("{}\n\n", self.head);
        for (name, line) in &self.lines {
            text.push_str(&format!("{name}: {line}\n"));
        }
        text
    }
}

/// A text cut to `most` characters; what is cut is marked.
pub(crate) fn cut(text: &str, most: usize) -> String {
    const MARK: &str = " … (cut)";
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let keep = most.saturating_sub(MARK.chars().count());
    text.chars().take(keep).chain(MARK.chars()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::{Style, cut};
    use crate::notify::notices::Notice;
    use crate::tests::{at, incident, resolved};
    use feedpulse_codec::Why;
    use feedpulse_core::calendar::Calendar;
    use feedpulse_core::effect::{Cause, CauseClass, Clue, Confidence, IncidentChange, Overran};
    use feedpulse_core::time::Timestamp;
    use std::sync::Arc;

    fn style() -> Style {
        Style {
            site: "north".to_owned(),
            runbook_base: "https://docs.example/".to_owned(),
            page_base: "https://pulse.example".to_owned(),
            calendar: Calendar { offsets: vec![(Timestamp::EPOCH, 7_200)], ..Calendar::default() },
        }
    }

    fn full() -> IncidentChange {
        let mut change = incident(3);
        change.story.feeds = vec!["lab".to_owned()];
        change.story.feeds_total = 1;
        change.story.messages = 40;
        change.story.breach_s = Some(600);
        change.story.cause = Some(Cause {
            class: CauseClass::Host,
            confidence: Confidence::Medium,
            clues: vec![Clue::PortClosed],
            against: Vec::new(),
        });
        change
    }

    #[test]
    fn every_alert_says_what_must_be_known() {
        let text = style().text(&Notice::new(Why::Open, Arc::new(full())), at(720_000)).plain();
        for part in [
            "PAGE: The receiver cannot be reached (waypoint portal-in)\n",
            "What: portal-in cannot be reached",
            "Since: 2026-09-21 16:13:20 +02:00 (12 min)",
            "Messages: 40 messages; 2 urgent ones wait or failed",
            "Affected: feed lab",
            "Forecast: an objective breaks in 10 min at this pace",
            "Likely cause: host",
            "Next step: ",
            "Runbook: https://docs.example/FP0104",
            "More: https://pulse.example/incidents/3",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn an_end_says_how_long_and_asks_for_nothing() {
        let over = resolved(&full(), at(90_000));
        let text = style().text(&Notice::new(Why::Over, Arc::new(over)), at(999_000)).plain();
        assert!(text.starts_with("RESOLVED: "), "{text}");
        assert!(text.contains("16:13:20 +02:00 to 2026-09-21 16:14:50 +02:00 (90 s)"), "{text}");
        assert!(!text.contains("Next step") && !text.contains("Forecast"), "{text}");
    }

    #[test]
    fn an_overrun_downtime_and_a_drill_are_named() {
        let mut change = full();
        change.story.overran = Some(Overran { name: "patch night".to_owned(), since: at(0) });
        change.story.drill = true;
        let text = style().text(&Notice::new(Why::Open, Arc::new(change)), at(1));
        assert!(text.head.starts_with("DRILL: PAGE"), "{}", text.head);
        assert!(text.subject.starts_with("DRILL: [north] "), "{}", text.subject);
        let overrun =
            "the planned downtime patch night is overrun since 2026-09-21 16:13:20 +02:00";
        assert!(text.plain().contains(overrun), "{}", text.plain());
    }

    #[test]
    fn a_cut_is_marked_and_keeps_its_length() {
        assert_eq!(cut("short", 5), "short");
        let cut_one = cut(&"ü".repeat(50), 20);
        assert_eq!(cut_one.chars().count(), 20);
        assert!(cut_one.ends_with("… (cut)"), "{cut_one}");
        assert_eq!(cut("abcdef", 3).chars().count(), 3);
    }
}
