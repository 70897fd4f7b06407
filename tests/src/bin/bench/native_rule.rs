//! The rule of `plugins/result-status-regression` as plain Rust: the peer of the check.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Orders that are remembered, as many as the host keeps keys for one feed.
const ORDERS: usize = 1024;
/// Observations of an order that are remembered.
const OBSERVATIONS: usize = 128;

/// What is remembered of the orders of one feed.
#[derive(Default)]
pub(crate) struct Rule {
    known: HashMap<u64, Known>,
    by_age: VecDeque<u64>,
}

#[derive(Default)]
struct Known {
    status: String,
    observations: Vec<(u64, String)>,
}

impl Rule {
    /// How many findings a row of the check's declared fields gives.
    pub(crate) fn check(&mut self, row: &str) -> usize {
        let mut fields = row.split('\u{1f}');
        let mut next = || fields.next().unwrap_or("");
        let (fillers, orders, statuses) = (next(), next(), next());
        let observations = [next(), next(), next()];
        let single = fillers.split('\u{1c}').count() == 1;
        let (mut orders, mut findings) = (orders.split('\u{1c}'), 0);
        for (filler, status) in fillers.split('\u{1c}').zip(statuses.split('\u{1c}')) {
            let order = orders.next();
            let number = [Some(filler), order].into_iter().flatten().find(|n| !n.is_empty());
            let Some(number) = number else { continue };
            let known = self.at(hash(number));
            findings += known.order(status);
            if single {
                findings += known.observations(observations);
            }
        }
        findings
    }

    fn at(&mut self, key: u64) -> &mut Known {
        if !self.known.contains_key(&key) {
            if self.by_age.len() == ORDERS
                && let Some(oldest) = self.by_age.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.by_age.push_back(key);
        }
        self.known.entry(key).or_default()
    }
}

impl Known {
    fn order(&mut self, now: &str) -> usize {
        if is_final(now) {
            if self.status != now {
                now.clone_into(&mut self.status);
            }
            return 0;
        }
        let open = matches!(now, "A" | "I" | "O" | "P" | "R" | "S");
        usize::from(is_final(&self.status) && open)
    }

    fn observations(&mut self, [ids, subs, statuses]: [&str; 3]) -> usize {
        let mut findings = 0;
        let rows = ids.split('\u{1c}').zip(subs.split('\u{1c}')).zip(statuses.split('\u{1c}'));
        for ((id, sub), now) in rows.filter(|((id, _), _)| !id.is_empty()) {
            let name = hash((id, sub));
            let room = self.observations.len() < OBSERVATIONS;
            match self.observations.iter_mut().find(|(known, _)| *known == name) {
                Some((_, before)) if is_final(now) => now.clone_into(before),
                Some(_) => findings += usize::from(matches!(now, "I" | "P" | "R" | "S")),
                None if is_final(now) && room => self.observations.push((name, now.to_owned())),
                None => {}
            }
        }
        findings
    }
}

fn is_final(status: &str) -> bool {
    matches!(status, "F" | "C")
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regressions_are_found() {
        let mut rule = Rule::default();
        let row = |number: &str, status: &str| {
            format!(
                "{number}\u{1f}\u{1f}{status}\u{1f}GLU\u{1c}NA\u{1f}\u{1c}\u{1f}{status}\u{1c}{status}"
            )
        };
        assert_eq!(rule.check(&row("7", "P")), 0);
        assert_eq!(rule.check(&row("7", "F")), 0);
        assert_eq!(rule.check(&row("7", "P")), 3, "the order and both observations");
        assert_eq!(rule.check(&row("8", "P")), 0);
    }
}
