//! Prometheus' text format, as far as one metric is looked for.

use std::collections::BTreeMap;

/// The values of a metric whose points have these labels: by the label `part`, else their sum.
/// Lines that cannot be read are passed over, and so is what is no number.
pub(crate) fn values(
    text: &str,
    name: &str,
    labels: &[(String, String)],
    part: Option<&str>,
) -> Vec<(String, f64)> {
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.trim_start().strip_prefix(name) else { continue };
        let Some((own, value)) = point(rest) else { continue };
        let has =
            |(name, value): &(String, String)| own.iter().any(|(n, v)| n == name && v == value);
        if !labels.iter().all(has) || !value.is_finite() {
            continue;
        }
        let key = part.and_then(|part| own.iter().find(|(n, _)| n == part));
        let key = key.map(|(_, value)| value.clone()).unwrap_or_default();
        *found.entry(key).or_default() += value;
    }
    found.into_iter().collect()
}

/// What follows a metric's name: its labels and its value.
fn point(rest: &str) -> Option<(Vec<(String, String)>, f64)> {
    let (labels, rest) = match rest.strip_prefix('{') {
        None if rest.starts_with([' ', '\t']) => (Vec::new(), rest),
        None => return None,
        Some(inner) => pairs(inner)?,
    };
    let value = rest.split_whitespace().next()?;
    Some((labels, value.parse().ok()?))
}

/// `a="b",c="d"}`, with `\\`, `\"` and `\n` escaped; and what follows.
fn pairs(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut pairs = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((pairs, after));
        }
        let (name, after) = rest.split_once('=')?;
        let mut value = String::new();
        let mut chars = after.trim_start().strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                other => value.push(other),
            }
        }
        pairs.push((name.trim().to_owned(), value));
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::values;

    const PAGE: &str = "# HELP queue_depth Waiting.\n# TYPE queue_depth gauge\n\
        queue_depth{channel=\"adt\",site=\"a\"} 3\nqueue_depth{channel=\"oru, \\\"x\\\"\",site=\"a\"} 4.5 1700000000000\n\
        queue_depth{channel=\"adt\",site=\"b\"} 10\nqueue_depth_total 99\nqueue_depth{broken 1\nup 1\nbad NaN\n";

    #[test]
    fn a_metric_is_found_by_its_labels() {
        let site = |s: &str| vec![("site".to_owned(), s.to_owned())];
        let pair = |name: &str, value| (name.to_owned(), value);
        assert_eq!(values(PAGE, "queue_depth", &[], None), [pair("", 17.5)]);
        assert_eq!(values(PAGE, "queue_depth", &site("b"), None), [pair("", 10.0)]);
        let by = values(PAGE, "queue_depth", &site("a"), Some("channel"));
        assert_eq!(by, [pair("adt", 3.0), pair("oru, \"x\"", 4.5)]);
        assert_eq!(values(PAGE, "up", &[], None), [pair("", 1.0)]);
        assert_eq!(values(PAGE, "queue", &[], None), []);
        assert_eq!(values(PAGE, "bad", &[], None), []);
    }
}
