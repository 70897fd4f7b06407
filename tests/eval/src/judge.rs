//! Judges what was said of a history: which alert is right, what was found and how fast.
//!
//! An alert is right when it said a thing that an expectation names (`codes` or `also`), about a
//! subject that it names, between the expectation's start and its end (and a little more). A rule of
//! today has no codes and often another subject for the same thing: any alert of it in that time, on
//! the link or on a feed that passes the link, is right. That is in its favour.

use crate::alert::Alert;
use crate::cause::Confidence;
use crate::civil::{DAY, SECOND};
use crate::history::{Expect, FaultKind, History};
use crate::play::{OURS, Played};
use crate::tally::{SCRIPTED, Tallies, Tally};
use feedpulse_core::codes::Severity;
use std::collections::{BTreeMap, BTreeSet};

/// An alert may come so long before its expectation (a tick), µs.
const BEFORE: i64 = 5 * SECOND;
/// And so long behind its end, µs.
const BEHIND: i64 = 120 * SECOND;

/// Days that are named of false alarms.
const DAYS: usize = 8;
/// A wait that outlasts the page delay, µs.
const WAIT: i64 = 360 * SECOND;

/// Something that the engine of today gets wrong.
#[derive(Clone, Debug)]
pub struct Flaw {
    /// The worst first: 0 missed, 1 false, 2 late, 3 too quiet, 4 without the right cause.
    pub rank: u8,
    /// How often, or how late in seconds.
    pub weight: i64,
    /// One line.
    pub text: String,
}

/// An expectation with the moment at which its fault first touched something.
struct Due<'h> {
    expect: &'h Expect,
    start: i64,
}

/// Expectations whose faults touched something; the others say nothing.
fn due<'h>(history: &'h History, effects: &[Option<i64>]) -> Vec<Due<'h>> {
    let mut all = Vec::new();
    for expect in &history.expects {
        let over = |f: &&crate::history::Fault| {
            f.from <= expect.to && f.to >= expect.from && f.kind != FaultKind::Restart
        };
        let mut faults = history.faults.iter().zip(effects).filter(|(f, _)| over(f)).peekable();
        if faults.peek().is_none() {
            all.push(Due { expect, start: expect.from });
            continue;
        }
        if let Some(first) = faults.filter_map(|(_, effect)| *effect).min()
            && first <= expect.to
        {
            all.push(Due { expect, start: first.max(expect.from) });
        }
    }
    all
}

/// Whether two subjects are one to a tool that knows links or feeds only.
fn is_near(history: &History, a: &str, b: &str) -> bool {
    let passes = |feed: &str, link: &str| {
        let feed = feed.strip_prefix("feed ").zip(link.strip_prefix("waypoint "));
        feed.is_some_and(|(feed, link)| {
            let named = history.feeds.iter().find(|f| f.name == feed);
            named.is_some_and(|f| f.path.iter().any(|l| history.links[*l].name == link))
        })
    };
    a == b || passes(a, b) || passes(b, a)
}

/// The moment from which an alert says what an expectation names; `finds`: only `codes` count.
fn says(history: &History, alert: &Alert, due: &Due, finds: bool) -> Option<i64> {
    let expect = due.expect;
    let (from, to) = (expect.from - BEFORE, expect.to + BEHIND);
    let coded = alert.marks.iter().any(|(_, code)| code.is_some());
    let about = |subject: &String| {
        if coded { *subject == alert.subject } else { is_near(history, subject, &alert.subject) }
    };
    let here = expect.subject.is_empty() || expect.subject.iter().any(about);
    // A true consequence may be about another subject on the way.
    if !here && (finds || !coded) {
        return None;
    }
    let names = |code: &Option<_>| {
        code.is_none_or(|code| {
            (here && expect.codes.contains(&code)) || (!finds && expect.also.contains(&code))
        })
    };
    let within = |at: i64| at >= from && at <= to;
    let noted = expect.severity == Some(Severity::Note);
    let told = |at: i64| if noted { at } else { at.max(alert.opened) };
    let marks = alert.marks.iter().filter(|(_, code)| names(code)).map(|(at, _)| told(*at));
    marks.filter(|at| within(*at)).min()
}

/// Judges one history.
pub fn judge(history: &History, played: &Played, tallies: &mut Tallies, flaws: &mut Vec<Flaw>) {
    let dues = due(history, &played.effects);
    for (rule, alerts) in &played.said {
        let mut judge = Judge { history, dues: &dues, tallies: &mut *tallies, rule };
        judge.lengths();
        judge.alerts(alerts, flaws);
        judge.expectations(alerts, flaws);
    }
}

struct Judge<'a> {
    history: &'a History,
    dues: &'a [Due<'a>],
    tallies: &'a mut Tallies,
    rule: &'static str,
}

impl Judge<'_> {
    fn tally(&mut self, class: &str, add: impl Fn(&mut Tally)) {
        add(self.tallies.of(class, self.rule));
        for whole in self.wholes() {
            add(self.tallies.of(whole, self.rule));
        }
    }

    /// The rows that hold all classes, of which this history is part.
    fn wholes(&self) -> impl Iterator<Item = &'static str> + use<> {
        let scripted = (!self.history.calm).then_some(SCRIPTED);
        ["all"].into_iter().chain(scripted)
    }

    /// Time in which a false alarm can happen.
    fn lengths(&mut self) {
        let feed_days = self.history.feeds.len() as f64 * self.history.days();
        for whole in self.wholes() {
            self.tallies.of(whole, self.rule).feed_days += feed_days;
        }
        for class in self.history.classes() {
            self.tallies.of(&class, self.rule).feed_days += feed_days;
        }
    }

    fn alerts(&mut self, alerts: &[Alert], flaws: &mut Vec<Flaw>) {
        let mut wrong: BTreeMap<(String, &str), Vec<(&str, i64)>> = BTreeMap::new();
        let never = |alert: &Alert| {
            let mut codes = alert.marks.iter().filter_map(|(_, code)| *code);
            codes.any(|code| self.history.never.contains(&code))
        };
        let judged = |a: &&Alert| a.severity > Severity::Note || never(a);
        for alert in alerts.iter().filter(judged).collect::<Vec<_>>() {
            let right = |due: &&Due| says(self.history, alert, due, false).is_some();
            let classes: BTreeSet<&str> = if never(alert) {
                BTreeSet::new()
            } else {
                self.dues.iter().filter(right).map(|due| due.expect.class.as_str()).collect()
            };
            if !classes.is_empty() {
                let notices = u64::from(alert.notices);
                // It counts once in all, and once in each class that it is right about.
                let wholes: Vec<&str> = self.wholes().collect();
                for class in classes.iter().chain(&wholes) {
                    let tally = self.tallies.of(class, self.rule);
                    tally.right += 1;
                    tally.notices += notices;
                    tally.louder += u64::from(alert.louder);
                    tally.pages += u64::from(alert.paged.is_some());
                    tally.paged += u64::from(alert.at_the_pager());
                    tally.waited += u64::from(alert.with_wait(WAIT));
                }
                continue;
            }
            let page = alert.severity == Severity::Page;
            let count = |t: &mut Tally| {
                t.wrong += 1;
                t.wrong_pages += u64::from(page);
            };
            for whole in self.wholes() {
                count(self.tallies.of(whole, self.rule));
            }
            for class in self.history.classes() {
                count(self.tallies.of(&class, self.rule));
            }
            let codes: BTreeSet<&str> =
                alert.marks.iter().filter_map(|(_, c)| c.map(|c| c.text().code)).collect();
            let codes: Vec<&str> = codes.into_iter().collect();
            let what = (codes.join(" "), alert.severity.name());
            let day = (alert.opened - self.history.start) / DAY;
            wrong.entry(what).or_default().push((&alert.subject, day));
        }
        if self.rule == OURS {
            for ((codes, loud), all) in wrong {
                let times = all.len();
                let days: Vec<String> = all.iter().take(DAYS).map(|(_, d)| d.to_string()).collect();
                let mut subjects: Vec<&str> = all.iter().map(|(subject, _)| *subject).collect();
                subjects.sort_unstable();
                subjects.dedup();
                let place = match subjects.as_slice() {
                    [only] => (*only).to_owned(),
                    all => format!("{} subjects", all.len()),
                };
                let name = &self.history.name;
                let text = format!(
                    "false {loud} {codes} on {place}: {times} (`{name}`, day {})",
                    days.join(", ")
                );
                flaws.push(Flaw { rank: 1, weight: times as i64, text });
            }
        }
    }

    fn expectations(&mut self, alerts: &[Alert], flaws: &mut Vec<Flaw>) {
        let mut wrong: BTreeMap<&str, Wrong> = BTreeMap::new();
        for due in self.dues {
            let expect = due.expect;
            let finds = |alert: &'_ Alert| says(self.history, alert, due, true);
            let said = alerts.iter().filter_map(|alert| Some((finds(alert)?, alert)));
            let found = said.min_by_key(|(at, _)| *at);
            let because = found.map_or("", |(_, alert)| alert.because.as_str());
            let found = found.map(|(at, alert)| (at, alert.severity, alert.cause));
            let took = found.map(|(at, ..)| (at - due.start).max(0));
            let in_time = took.is_some_and(|took| expect.within.is_none_or(|bar| took <= bar));
            let loud = found.is_some_and(|(_, loud, _)| expect.severity.is_none_or(|s| loud >= s));
            let hint = found.and_then(|(.., hint)| hint).filter(|_| expect.cause.is_some());
            let right = hint.is_some_and(|(class, _)| Some(class) == expect.cause);
            let sure = hint.is_some_and(|(_, sure)| sure == Confidence::High);
            self.tally(&expect.class, |t| {
                t.expected += 1;
                t.found += u64::from(took.is_some());
                t.in_time += u64::from(in_time);
                t.detect.extend(took);
                t.hints += u64::from(hint.is_some());
                t.hints_right += u64::from(right);
                t.hints_wrong_sure += u64::from(hint.is_some() && !right && sure);
                t.causes += u64::from(took.is_some() && expect.cause.is_some());
            });
            let wrong = wrong.entry(&expect.class).or_default();
            wrong.expect = Some(expect);
            wrong.of += 1;
            wrong.missed += u32::from(took.is_none());
            if took.is_some() && expect.cause.is_some() && !right {
                wrong.misled.push(format!("{because}{}", if sure { " (sure)" } else { "" }));
            }
            wrong.quiet += u32::from(took.is_some() && !loud);
            wrong.late.extend(took.filter(|_| !in_time));
        }
        if self.rule == OURS {
            wrong.values().for_each(|wrong| wrong.tell(self.history, flaws));
        }
    }
}

/// What went wrong with the expectations of one class in one history.
#[derive(Default)]
struct Wrong<'h> {
    expect: Option<&'h Expect>,
    of: u32,
    missed: u32,
    quiet: u32,
    late: Vec<i64>,
    /// Signs that led to no hint, or to a wrong one.
    misled: Vec<String>,
}

impl Wrong<'_> {
    fn tell(&self, history: &History, flaws: &mut Vec<Flaw>) {
        let Some(expect) = self.expect else { return };
        let (class, name, of) = (&expect.class, &history.name, self.of);
        let bar = expect.within.map_or_else(String::new, |bar| format!("; bar {} s", bar / SECOND));
        let mut tell = |rank, weight, text: String| flaws.push(Flaw { rank, weight, text });
        if self.missed > 0 {
            let text = format!("{class}: {} of {of} missed{bar} (`{name}`)", self.missed);
            tell(0, i64::from(self.missed), text);
        }
        if let Some(worst) = self.late.iter().max() {
            let (late, worst) = (self.late.len(), worst / SECOND);
            let text = format!("{class}: {late} of {of} late, at worst {worst} s{bar} (`{name}`)");
            tell(2, worst, text);
        }
        if let Some(signs) = self.misled.first() {
            let (misled, signs) =
                (self.misled.len(), if signs.is_empty() { "none" } else { signs });
            let text = format!(
                "{class}: {misled} of {of} without the right cause; signs: {signs} (`{name}`)"
            );
            tell(4, misled as i64, text);
        }
        if self.quiet > 0 {
            let wanted = expect.severity.map_or("", Severity::name);
            let quiet = self.quiet;
            let text = format!("{class}: {quiet} of {of} said, but not as a {wanted} (`{name}`)");
            tell(3, i64::from(quiet), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::alert::Alert;
    use crate::civil::{MINUTE, SECOND};
    use crate::history::{History, parse};
    use crate::play::{OURS, Played};
    use crate::tally::{Tallies, Tally};
    use feedpulse_core::codes::{Code, Severity};

    const TEXT: &str = r#"
about = "x"
start = "2026-03-03T06:00Z"
length = "2h"
[[link]]
name = "portal-in"
[[feed]]
name = "lab"
path = ["portal-in"]
types = ["ORU"]
[[fault]]
kind = "refused"
link = "portal-in"
from = "1h"
to = "1h10m"
[[expect]]
class = "receiver-down"
from = "1h"
to = "1h10m"
codes = ["FP0104"]
also = ["FP0105"]
subject = ["waypoint portal-in"]
within = "10s"
severity = "page"
"#;

    fn history() -> History {
        parse(std::path::Path::new("x.toml"), TEXT).unwrap()
    }

    fn alert(after: i64, subject: &str, code: Option<Code>) -> Alert {
        let at = history().start + after;
        Alert { marks: vec![(at, code)], ..Alert::plain(subject.to_owned(), at, Severity::Page) }
    }

    /// What is counted for one rule; the fault first touched something `effect` after the start.
    fn counted(rule: &'static str, effect: Option<i64>, alerts: Vec<Alert>) -> (Tally, usize) {
        let history = history();
        let effects = vec![effect.map(|effect| history.start + effect)];
        let played = Played { said: vec![(rule, alerts)], effects, events: 0 };
        let (mut tallies, mut flaws) = (Tallies::new(vec![rule]), Vec::new());
        judge(&history, &played, &mut tallies, &mut flaws);
        (tallies.of("receiver-down", rule).clone(), flaws.len())
    }

    #[test]
    fn an_alert_is_right_by_time_subject_and_code() {
        let hour = 60 * MINUTE;
        let down = Some(Code::ReceiverDown);
        let counts = |alert: Alert| {
            let (t, flaws) = counted(OURS, Some(hour + 3 * SECOND), vec![alert]);
            (t.found, t.in_time, t.right, t.wrong, flaws)
        };
        let here = "waypoint portal-in";
        assert_eq!(counts(alert(hour + 8 * SECOND, here, down)), (1, 1, 1, 0, 0));
        assert_eq!(counts(alert(hour + MINUTE, here, down)), (1, 0, 1, 0, 1), "late");
        assert_eq!(counts(alert(hour - MINUTE, here, down)), (0, 0, 0, 1, 2), "too early");
        assert_eq!(
            counts(alert(hour + 13 * MINUTE, here, down)),
            (0, 0, 0, 1, 2),
            "when it is over"
        );
        assert_eq!(counts(alert(hour + SECOND, "feed lab", down)), (0, 0, 0, 1, 2), "elsewhere");
        let slow = Some(Code::TransitSlow);
        assert_eq!(
            counts(alert(hour + SECOND, "feed lab", slow)),
            (0, 0, 1, 0, 1),
            "a consequence"
        );
        let noted = Alert { opened: i64::MAX, severity: Severity::Note, ..alert(hour, here, down) };
        assert_eq!(counts(noted), (0, 0, 0, 0, 1), "a note tells nobody");
        let quiet = Alert { severity: Severity::Ticket, ..alert(hour, here, down) };
        assert_eq!(counts(quiet), (1, 1, 1, 0, 1), "said, but not as a page");
    }

    #[test]
    fn times_count_from_the_first_effect_and_what_touched_nothing_does_not_count() {
        let (down, hour) = (Some(Code::ReceiverDown), 60 * MINUTE);
        let said = alert(hour + 8 * SECOND, "waypoint portal-in", down);
        let (t, _) = counted(OURS, Some(hour + 3 * SECOND), vec![said]);
        assert_eq!(t.detect, [5 * SECOND]);
        let (t, flaws) = counted(OURS, None, Vec::new());
        assert_eq!((t.expected, flaws), (0, 0));
    }

    #[test]
    fn a_rule_of_today_is_right_on_the_link_or_a_feed_of_it() {
        let at = 61 * MINUTE;
        for (subject, right) in [("feed lab", 1), ("waypoint portal-in", 1), ("feed other", 0)] {
            let (t, flaws) = counted("today", Some(at), vec![alert(at, subject, None)]);
            assert_eq!((t.right, t.wrong, flaws), (right, 1 - right, 0), "{subject}");
        }
    }
}
