//! Counts with their nouns: `1 file`, `2 files`.

use std::fmt::Display;

/// A count and a noun, which takes an `s` unless it is one.
pub(crate) fn count<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    let ending = if n == N::from(1) { "" } else { "s" };
    format!("{n} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_no_plural() {
        let all = [0_usize, 1, 2].map(|n| super::count(n, "file"));
        assert_eq!(all, ["0 files", "1 file", "2 files"]);
    }
}
