//! An incident's story in words, the same in alerts, on pages and in the terminal.

use crate::codes::{Code, Severity};
use crate::desk::Judgement;
use crate::effect::{Cause, IncidentChange, Moment, MomentKind, Story};
use crate::said::CodeWords;
use crate::time::Timestamp;

impl IncidentChange {
    /// The words of the check's author, where a finding of a check leads and they are known.
    #[must_use]
    pub fn author(&self) -> Option<&CodeWords> {
        let lead = self.story.check_codes.lead().filter(|_| self.code == Code::CheckFound)?;
        lead.words.as_deref()
    }

    /// A few words, for a heading: the author's own where a check says it.
    #[must_use]
    pub fn title(&self) -> &str {
        self.author().map_or(self.code.text().title, |words| words.title.as_str())
    }

    /// What it means: in the author's words where a check says it.
    #[must_use]
    pub fn means(&self) -> &str {
        self.author().map_or(self.code.text().means, |words| words.explanation.as_str())
    }

    /// What to do: in the author's words where a check says it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        self.author().map_or(self.code.text().remedy, |words| words.remedy.as_str())
    }

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
            ("changed", changed(story)),
            ("found", found(self)),
            ("earlier", earlier(story, self.since)),
            ("flapping", flapping(story)),
            ("shadow", story.shadow.then(|| SHADOW.to_owned())),
            ("verdict", story.verdict.map(verdict)),
            ("overran", overran(self)),
        ];
        told.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }
}

/// CheckCodes about an incident that nobody is told of.
const SHADOW: &str = "nobody is told: every feed that it touches is in its first time, in shadow";

fn verdict(verdict: Judgement) -> String {
    match verdict.right {
        true => format!("worth a notice, says {}", verdict.by),
        false => format!("not worth a notice, says {}", verdict.by),
    }
}

/// Feeds that a text names; it says how many more there are.
const FEEDS_SHOWN: usize = 20;

fn affected(story: &Story) -> Option<String> {
    let named = &story.feeds[..story.feeds.len().min(FEEDS_SHOWN)];
    let more = usize::try_from(story.feeds_total).unwrap_or(0).saturating_sub(named.len());
    let named = named.join(", ");
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
    match (incident.story.messages, incident.urgent) {
        // The summary says how many urgent ones failed where none waits.
        (0, _) => None,
        (1, 0) => Some("1 message, not urgent".to_owned()),
        (messages, 0) => Some(format!("{messages} messages, none urgent")),
        (messages, urgent) => {
            Some(format!("{messages} messages; {urgent} urgent ones wait or failed"))
        }
    }
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

fn changed(story: &Story) -> Option<String> {
    let news: Vec<&str> = story.news.iter().map(|news| news.as_str()).collect();
    (!news.is_empty()).then(|| news.join("; "))
}

/// What the check said, where the summary does not hold all of it.
fn found(incident: &IncidentChange) -> Option<String> {
    let said = &incident.story.check_codes;
    let told = incident.code == Code::CheckFound && said.codes.len() == 1 && said.others == 0;
    (!told && !said.codes.is_empty()).then(|| said.text())
}

fn earlier(story: &Story, since: Timestamp) -> Option<String> {
    let last = story.earlier_at?;
    let before = u32::try_from(since.since(last).as_secs()).unwrap_or(u32::MAX);
    let times = ordinal(story.earlier.saturating_add(1));
    let before = span(before);
    Some(format!("{times} time in 30 days, same signature; the last one began {before} before"))
}

fn flapping(story: &Story) -> Option<String> {
    (story.flaps > 0).then(|| format!("was calm and came back {} times", story.flaps))
}

/// `second`, `third`, `11th`.
fn ordinal(n: u32) -> String {
    let ending = match (n % 100, n % 10) {
        _ if n == 2 => return "second".to_owned(),
        _ if n == 3 => return "third".to_owned(),
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// What is known of a planned downtime that goes on: since when it does is in the story.
fn overran(incident: &IncidentChange) -> Option<String> {
    let overran = incident.story.overran.as_ref()?;
    Some(format!("the planned downtime {} should be over", overran.name))
}

/// A length of time, to two digits or so.
#[must_use]
pub fn span(seconds: u32) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

impl Moment {
    /// What happened, for people.
    #[must_use]
    pub fn text(self) -> String {
        match self.what {
            MomentKind::Began => "the first bad message, as far as is known".to_owned(),
            MomentKind::Found(code) => format!("found: {} {}", code.text().code, code.text().title),
            MomentKind::CheckFound(code) => format!("the check found: {code}"),
            MomentKind::Told(Severity::Note) => "recorded as a note; nobody is told".to_owned(),
            MomentKind::Told(severity) => format!("people were told: {}", severity.name()),
            MomentKind::Shadowed(Severity::Note) => "recorded as a note".to_owned(),
            MomentKind::Shadowed(severity) => {
                format!("people would have been told, but for the shadow: {}", severity.name())
            }
            MomentKind::Changed(change) => format!("change: {} {}", change.kind, change.what),
            MomentKind::Claimed(by) => format!("taken by {by}"),
            MomentKind::Released(by) => format!("given back by {by}"),
            MomentKind::Muted(until) => {
                // It was asked for a moment before it was applied.
                let seconds = until.since(self.at).as_secs().saturating_add(30) / 60 * 60;
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                format!("notices were muted for {}", span(seconds))
            }
            MomentKind::Unmuted => "notices go out again".to_owned(),
            MomentKind::Remarked(by) => format!("note by {by}"),
            MomentKind::Judged { right: true, by } => format!("{by} says: worth a notice"),
            MomentKind::Judged { right: false, by } => format!("{by} says: not worth a notice"),
            MomentKind::Calm => "nothing is wrong any more".to_owned(),
            MomentKind::Drained => "all that waited is through".to_owned(),
            MomentKind::Returned => "it came back".to_owned(),
            MomentKind::Resolved => "over".to_owned(),
        }
    }
}

impl MomentKind {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Found(_) | Self::CheckFound(_) => "found",
            Self::Told(_) => "told",
            Self::Shadowed(_) => "shadowed",
            Self::Changed(_) => "changed",
            Self::Claimed(_) => "claimed",
            Self::Released(_) => "released",
            Self::Muted(_) => "muted",
            Self::Unmuted => "unmuted",
            Self::Remarked(_) => "noted",
            Self::Judged { .. } => "judged",
            Self::Calm => "calm",
            Self::Drained => "drained",
            Self::Returned => "returned",
            Self::Resolved => "resolved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{affected, ordinal, span};
    use crate::effect::Story;

    #[test]
    fn twenty_feeds_are_named_and_the_others_counted() {
        let feeds: Vec<String> = (1..=25).map(|n| format!("f{n}")).collect();
        let story = Story { feeds, feeds_total: 30, ..Story::default() };
        let said = affected(&story).unwrap();
        assert!(
            said.starts_with("30 feeds (") && said.ends_with(", f19, f20 and 10 more"),
            "{said}"
        );
    }

    #[test]
    fn ordinals_are_english() {
        let numbers = [2, 3, 4, 11, 12, 17, 21, 22, 23, 111];
        let texts =
            ["second", "third", "4th", "11th", "12th", "17th", "21st", "22nd", "23rd", "111th"];
        assert_eq!(numbers.map(ordinal), texts);
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in
            [(5, "5 s"), (119, "119 s"), (600, "10 min"), (7_200, "2 h"), (260_000, "3 days")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
