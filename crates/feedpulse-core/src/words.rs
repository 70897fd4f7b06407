//! An incident's story in words, the same in alerts, on pages and in the terminal.

use crate::effect::{Cause, IncidentChange, MomentKind, Story};
use crate::time::Timestamp;

impl IncidentChange {
    /// What is known beside the summary, as pairs of a name and a sentence: who is affected, how
    /// many wait, how bad by when, why probably, and whether it is an old acquaintance. Only what is
    /// known is there.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let story = &self.story;
        let told = [
            ("affected", affected(story)),
            ("waiting", waiting(self)),
            ("forecast", forecast(story)),
            ("cause", story.cause.as_ref().map(cause)),
            ("against", story.cause.as_ref().and_then(against)),
            ("earlier", earlier(story, self.since)),
            ("flapping", flapping(story)),
        ];
        told.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

fn affected(story: &Story) -> Option<String> {
    let named = story.feeds.join(", ");
    let more = usize::try_from(story.feeds_total).unwrap_or(0).saturating_sub(story.feeds.len());
    match (story.feeds_total, more) {
        (0, _) => None,
        (1, _) => Some(format!("feed {named}")),
        (total, 0) => Some(format!("{total} feeds ({}): {named}", story.scope.name())),
        (total, more) => {
            Some(format!("{total} feeds ({}): {named} and {more} more", story.scope.name()))
        }
    }
}

fn waiting(incident: &IncidentChange) -> Option<String> {
    let messages = incident.story.messages;
    (messages > 0).then(|| match incident.urgent {
        0 => format!("{messages} messages, none urgent"),
        urgent => format!("{messages} messages; {urgent} urgent ones wait or failed"),
    })
}

fn forecast(story: &Story) -> Option<String> {
    match (story.breach_s, story.drained_s) {
        (Some(0), None) => Some("an objective is broken, and the backlog still grows".to_owned()),
        (Some(0), Some(s)) => {
            Some(format!("an objective is broken; drained in {} at this pace", span(s)))
        }
        (Some(s), _) => Some(format!("an objective breaks in {} at this pace", span(s))),
        (None, Some(s)) => Some(format!("drained in {} at this pace", span(s))),
        (None, None) => None,
    }
}

fn cause(cause: &Cause) -> String {
    let clues: Vec<&str> = cause.clues.iter().map(|clue| clue.text()).collect();
    format!("{} (confidence {}): {}", cause.class.name(), cause.confidence.name(), clues.join("; "))
}

fn against(cause: &Cause) -> Option<String> {
    let clues: Vec<&str> = cause.against.iter().map(|clue| clue.text()).collect();
    (!clues.is_empty()).then(|| clues.join("; "))
}

fn earlier(story: &Story, since: Timestamp) -> Option<String> {
    let last = story.earlier_at?;
    let before = u32::try_from(since.since(last).as_secs()).unwrap_or(u32::MAX);
    let times = story.earlier.saturating_add(1);
    let before = span(before);
    Some(format!("{times} times in 30 days, this one included; the last one {before} before"))
}

fn flapping(story: &Story) -> Option<String> {
    (story.flaps > 0).then(|| format!("was calm and came back {} times", story.flaps))
}

/// A length of time, to two digits or so.
fn span(seconds: u32) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

impl MomentKind {
    /// What happened, for people.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Began => "the first bad message, as far as is known".to_owned(),
            Self::Found(code) => format!("found: {} {}", code.text().code, code.text().title),
            Self::Told(severity) => format!("people were told: {}", severity.name()),
            Self::Changed(change) => format!("change: {} {}", change.kind, change.what),
            Self::Claimed(by) => format!("taken by {by}"),
            Self::Muted(_) => "notices were muted".to_owned(),
            Self::Calm => "nothing is wrong any more".to_owned(),
            Self::Returned => "it came back".to_owned(),
            Self::Resolved => "over".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in
            [(5, "5 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (260_000, "3 days")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
