//! Runs of control ids: `LAB00017…LAB00093 (77)`, which an analyst selects in one go.

use super::gather::{Class, Row};
use serde::Serialize;
use std::collections::BTreeMap;

/// A run of ids that differ by one each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Range {
    pub feed: String,
    pub sender: String,
    pub class: Class,
    pub first: String,
    pub last: String,
    pub count: u64,
}

/// An id's text before its last digits, how many digits, and their number.
fn parts(id: &str) -> Option<(&str, usize, u64)> {
    let digits = id.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, tail) = id.split_at(id.len() - digits);
    Some((head, digits, tail.parse().ok()?))
}

/// The runs of two or more among the rows that are not closed.
pub(crate) fn of(rows: &[Row]) -> Vec<Range> {
    let mut by: BTreeMap<(&str, &str, Class, &str, usize), Vec<u64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.closed.is_none()) {
        if let Some((head, digits, number)) = parts(&row.control_id) {
            by.entry((&row.feed, &row.sender, row.class, head, digits)).or_default().push(number);
        }
    }
    let mut ranges = Vec::new();
    for ((feed, sender, class, head, digits), mut numbers) in by {
        numbers.sort_unstable();
        numbers.dedup();
        for run in numbers.chunk_by(|a, b| a + 1 == *b) {
            if let [first, .., last] = run {
                let id = |n: &u64| format!("{head}{n:0digits$}");
                ranges.push(Range {
                    feed: feed.to_owned(),
                    sender: sender.to_owned(),
                    class,
                    first: id(first),
                    last: id(last),
                    count: run.len() as u64,
                });
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn an_id_has_a_head_and_a_number() {
        assert_eq!(parts("LAB00017"), Some(("LAB", 5, 17)));
        assert_eq!(parts("20260301-0099"), Some(("20260301-", 4, 99)));
        assert_eq!(parts("42"), Some(("", 2, 42)));
        assert_eq!(parts("ABC"), None);
        assert_eq!(parts(""), None);
        assert_eq!(parts("99999999999999999999999"), None, "no number that fits");
    }
}
