//! Where a rule of today finds more than the engine, or sooner: at what price, and why.
//!
//! Why is written by hand, from what the rule does and what the history holds; only what Mirth's rule
//! does is the same everywhere. A line that nobody has explained says so, and `eval --write` refuses it.

use crate::play::OURS;
use crate::report::cell;
use crate::tally::{Row, Tallies, Tally};
use crate::today::RULES;
use std::fmt::Write as _;

/// A rule of lower precision finds whatever comes while it cries.
const BY_CHANCE: f64 = 0.5;
/// The rule that tells of each error.
const EACH_ERROR: &str = "mirth error";

/// Class, rule, why it is ahead there.
const REASONS: [(&str, &str, &str); 3] = [
    (
        "downtime-recovery",
        "rhapsody",
        "the history is a day long, so its feed states a limit of 15 min; Rhapsody warns after 10 idle \
         minutes of any link, at all hours",
    ),
    (
        "duplicate-storm @ replay",
        "rhapsody",
        "messages come faster than the portal takes them, and 25 that wait are its warning: it says that \
         they wait, not that they were accepted before",
    ),
    (
        "idle-cut",
        EACH_ERROR,
        "it mails the first message that a cut connection loses; feedpulse waits for a third loss within \
         the hour, since one says nothing of a balancer",
    ),
];

/// A class in which a rule is ahead.
struct Ahead<'t> {
    theirs: &'t Tally,
    ours: &'t Tally,
    row: Row,
    mine: Row,
}

fn all(tallies: &Tallies) -> Vec<Ahead<'_>> {
    let mut all = Vec::new();
    for class in tallies.classes().into_iter().filter(|class| *class != "all") {
        let Some(ours) = tallies.get(class, OURS).filter(|t| t.expected > 0) else { continue };
        let mine = ours.row(class, OURS);
        for (rule, _) in RULES {
            let Some(theirs) = tallies.get(class, rule) else { continue };
            let row = theirs.row(class, rule);
            let sooner = row.detect_p50_s.zip(mine.detect_p50_s).is_some_and(|(a, b)| a < b);
            let ahead = theirs.found > ours.found || (theirs.found == ours.found && sooner);
            if ahead && row.precision.is_some_and(|precision| precision >= BY_CHANCE) {
                all.push(Ahead { theirs, ours, row, mine: mine.clone() });
            }
        }
    }
    all
}

/// One line for each class and rule.
pub(crate) fn lines(tallies: &Tallies) -> Vec<String> {
    let side = |tally: &Tally, row: &Row| {
        format!(
            "{} {}/{} after {}, precision {}, {} notices each",
            row.rule,
            tally.found,
            tally.expected,
            cell(row.detect_p50_s, " s"),
            cell(row.precision, ""),
            cell(row.notices, ""),
        )
    };
    let line = |ahead: &Ahead<'_>| {
        let (theirs, ours) = (side(ahead.theirs, &ahead.row), side(ahead.ours, &ahead.mine));
        let why = why(&ahead.row, &ahead.mine).unwrap_or_else(|| "**not explained**".to_owned());
        format!("{}: {theirs}; {ours}: {why}", ahead.row.class)
    };
    all(tallies).iter().map(line).collect()
}

/// Classes and rules of which nobody has said why the rule is ahead.
#[must_use]
pub fn unexplained(tallies: &Tallies) -> Vec<String> {
    let all = all(tallies);
    let open = all.iter().filter(|ahead| why(&ahead.row, &ahead.mine).is_none());
    open.map(|ahead| format!("{} in {}", ahead.row.rule, ahead.row.class)).collect()
}

fn why(theirs: &Row, mine: &Row) -> Option<String> {
    let known =
        REASONS.iter().find(|(class, rule, _)| *class == theirs.class && *rule == theirs.rule);
    if let Some((.., why)) = known {
        return Some((*why).to_owned());
    }
    let (first, sure) = theirs.detect_p50_s.zip(mine.detect_p50_s)?;
    let times = theirs.notices.zip(mine.notices).map(|(a, b)| a / b.max(0.1))?;
    if theirs.rule != EACH_ERROR || theirs.recall > mine.recall {
        return None;
    }
    let mut text = format!(
        "it mails the first error, {:.1} s before feedpulse is sure, and each further one: {times:.0} \
         times the notices",
        sure - first
    );
    if theirs.precision < mine.precision {
        let _ = write!(text, ", and less right");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{lines, unexplained};
    use crate::play::OURS;
    use crate::tally::Tallies;

    #[test]
    fn a_rule_that_is_ahead_is_explained_or_named() {
        let mut tallies = Tallies::new(vec![OURS, "rhapsody", "mirth error"]);
        for (class, rule, took) in [
            ("nack-all", OURS, 16),
            ("nack-all", "mirth error", 1),
            ("idle-cut", OURS, 900),
            ("idle-cut", "mirth error", 30),
            ("one-type", OURS, 900),
            ("one-type", "rhapsody", 600),
        ] {
            let tally = tallies.of(class, rule);
            (tally.expected, tally.found, tally.right, tally.notices) = (1, 1, 1, 2);
            tally.detect.push(took * 1_000_000);
        }
        let said = lines(&tallies).join("\n");
        assert!(said.contains("nack-all: mirth error 1/1 after 1 s"), "{said}");
        assert!(said.contains("15.0 s before") && said.contains("a third loss"), "{said}");
        assert!(
            said.contains("one-type: rhapsody") && said.contains("**not explained**"),
            "{said}"
        );
        assert_eq!(unexplained(&tallies), ["rhapsody in one-type"]);
    }
}
