//! The operators: what each wants of a value.

use crate::value::{Glob, Moment, is_number};

/// Names of the operators, for error texts.
pub(crate) const NAMES: &str = "is, equals, not-equals, in, not-in, has, matches, not-matches, length, range, before, after, same-as, changed, count";

/// One thing to look at, and how it should be.
pub(crate) struct Test {
    /// `OBX` of `OBX-5`; empty for a pseudo field.
    pub(crate) segment: String,
    /// What stands behind the segment in the path: `-5.1`.
    pub(crate) rest: String,
    /// Which field of the row.
    pub(crate) slot: usize,
    pub(crate) operator: Operator,
}

impl Test {
    /// The place of an occurrence, such as `OBX[2]-5.1`; empty for a pseudo field.
    pub(crate) fn place(&self, index: usize) -> String {
        match index {
            0 => format!("{}{}", self.segment, self.rest),
            _ if self.segment.is_empty() => String::new(),
            _ => format!("{}[{}]{}", self.segment, index + 1, self.rest),
        }
    }
}

/// How a value should be. A path beside an operator is its slot, and whether it is of the same
/// segment as the value.
pub(crate) enum Operator {
    Present,
    Absent,
    Number,
    Date,
    In(Vec<String>),
    NotIn(Vec<String>),
    Has(Vec<String>),
    Matches(Glob),
    NotMatches(Glob),
    Length(Range),
    Between(f64, f64),
    Before((usize, bool)),
    After((usize, bool)),
    SameAs((usize, bool)),
    Changed { key: (usize, bool), from: Vec<String>, to: Vec<String> },
    Count(Range),
}

impl Operator {
    /// The other path that it compares with.
    pub(crate) fn other(&self) -> Option<(usize, bool)> {
        match self {
            Self::Before(slot) | Self::After(slot) | Self::SameAs(slot) => Some(*slot),
            _ => None,
        }
    }

    /// Whether a valued value is as it should be; `other` is what stands at the other path. A
    /// comparison with what is not there or no date says nothing, so it holds.
    pub(crate) fn holds(&self, value: &str, other: Option<&str>) -> bool {
        let listed = |list: &[String]| list.iter().any(|one| one == value);
        let later = |first: &str, second: Option<&str>| {
            let second = second.and_then(Moment::read);
            Moment::read(first).zip(second).and_then(|(a, b)| a.compare(&b))
        };
        match self {
            Self::Number => is_number(value),
            Self::Date => Moment::read(value).is_some(),
            // Of one value it is the same: how many must be so is the message's question.
            Self::In(list) | Self::Has(list) => listed(list),
            Self::NotIn(list) => !listed(list),
            Self::Matches(glob) => glob.matches(value),
            Self::NotMatches(glob) => !glob.matches(value),
            Self::Length(range) => range.holds(value.chars().count()),
            Self::Between(min, max) => {
                value.trim().parse::<f64>().is_ok_and(|n| (*min..=*max).contains(&n))
            }
            Self::Before(_) => later(value, other).is_none_or(|order| order.is_le()),
            Self::After(_) => later(value, other).is_none_or(|order| order.is_ge()),
            Self::SameAs(_) => other.is_none_or(|other| other.is_empty() || other == value),
            Self::Present | Self::Absent | Self::Changed { .. } | Self::Count(_) => true,
        }
    }
}

/// From and to, inclusive.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Range {
    pub(crate) fn holds(self, n: usize) -> bool {
        (self.min..=self.max).contains(&n)
    }
}
