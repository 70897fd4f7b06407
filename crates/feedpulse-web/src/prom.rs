//! The Prometheus text exposition format 0.0.4, written from the one registry's families.

use feedpulse_core::hist::Histogram;
use feedpulse_core::metrics::{Family, Kind, Point, Value};
use std::collections::HashSet;
use std::fmt::Write as _;

/// The content type that goes with [`encode`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families: each name once with its HELP and TYPE, in order of first appearance, even when
/// two sources each bring a part of it; a point whose labels came before is left out, and so is a
/// number that is not finite (an unknown number is an absent point). Times are in seconds.
#[must_use]
pub fn encode(families: &[Family]) -> String {
    let mut out = String::with_capacity(families.len() * 160);
    let mut done: HashSet<&str> = HashSet::new();
    for family in families {
        if !done.insert(family.name) {
            continue;
        }
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram | Kind::Brief => "histogram",
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "# HELP {} {}", family.name, escaped(family.help, false));
        let _ = writeln!(out, "# TYPE {} {kind}", family.name);
        let mut seen: HashSet<String> = HashSet::new();
        let same = families.iter().filter(|f| f.name == family.name && f.kind == family.kind);
        for point in same.flat_map(|f| &f.points) {
            let labels = labels(point);
            let bounds = family.kind.bounds();
            let fits = matches!(&point.value, Value::Times(_)) != bounds.is_empty();
            if fits && seen.insert(labels.clone()) {
                write_point(&mut out, family.name, &labels, &point.value, bounds);
            }
        }
    }
    out
}

fn write_point(out: &mut String, name: &str, labels: &str, value: &Value, bounds: &[u64]) {
    match value {
        Value::Number(number) if number.is_finite() => {
            let _ = writeln!(out, "{name}{} {number}", braced(labels, ""));
        }
        Value::Number(_) => {}
        Value::Times(times) => write_times(out, name, labels, times, bounds),
    }
}

fn write_times(out: &mut String, name: &str, labels: &str, times: &Histogram, bounds: &[u64]) {
    let count = times.count();
    for bound in bounds {
        let le = format!("le=\"{}\"", seconds(*bound));
        let n = times.at_most(*bound).min(count);
        let _ = writeln!(out, "{name}_bucket{} {n}", braced(labels, &le));
    }
    let _ = writeln!(out, "{name}_bucket{} {count}", braced(labels, "le=\"+Inf\""));
    let _ = writeln!(out, "{name}_sum{} {}", braced(labels, ""), seconds(times.sum()));
    let _ = writeln!(out, "{name}_count{} {count}", braced(labels, ""));
}

#[expect(clippy::cast_precision_loss, reason = "µs as seconds; 2^53 µs are 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn labels(point: &Point) -> String {
    let mut out = String::new();
    for (i, (name, value)) in point.labels.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(out, "{comma}{name}=\"{}\"", escaped(value, true));
    }
    out
}

fn braced(labels: &str, more: &str) -> String {
    match (labels.is_empty(), more.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!("{{{labels}}}"),
        (true, false) => format!("{{{more}}}"),
        (false, false) => format!("{{{labels},{more}}}"),
    }
}

/// Backslash and line feed are escaped everywhere, the quote in label values only. A carriage
/// return would end a line for some readers, so it becomes a space.
fn escaped(text: &str, quote: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push(' '),
            '"' if quote => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encode;
    use feedpulse_core::hist::Histogram;
    use feedpulse_core::metrics::{Family, Kind, Point, Value};

    fn family(name: &'static str, kind: Kind, points: Vec<Point>) -> Family {
        Family { name, help: "Help with \\ and\nline.", unit: "1", kind, points }
    }

    fn number(feed: &str, value: f64) -> Point {
        Point { labels: vec![("feed", feed.to_owned())], value: Value::Number(value) }
    }

    #[test]
    fn escapes_and_says_each_family_once() {
        let families = [
            family("a_total", Kind::Counter, vec![number("x\"\\\n", 2.0), number("y", 0.5)]),
            family("b", Kind::Gauge, vec![number("x", f64::NAN), number("z", f64::INFINITY)]),
            family("a_total", Kind::Counter, vec![number("y", 9.0), number("w", 3.0)]),
        ];
        assert_eq!(
            encode(&families),
            "# HELP a_total Help with \\\\ and\\nline.\n# TYPE a_total counter\n\
             a_total{feed=\"x\\\"\\\\\\n\"} 2\na_total{feed=\"y\"} 0.5\na_total{feed=\"w\"} 3\n\
             # HELP b Help with \\\\ and\\nline.\n# TYPE b gauge\n"
        );
    }

    #[test]
    fn histograms_are_cumulative_seconds() {
        let mut times = Histogram::default();
        for micros in [1_000, 4_000, 30_000, 2_000_000, 20_000_000_000] {
            times.record(micros);
        }
        let point = Point { labels: vec![], value: Value::Times(Box::new(times)) };
        let text = encode(&[family("t_seconds", Kind::Histogram, vec![point])]);
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("t_seconds_bucket"))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(buckets.len(), 19);
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert!(text.contains("t_seconds_bucket{le=\"0.005\"} 2\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{le=\"14400\"} 4\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{le=\"+Inf\"} 5\n"), "{text}");
        assert!(text.contains("t_seconds_sum 20002.035\nt_seconds_count 5\n"), "{text}");
    }
}
