//! What the operators' commands print. The answers come from a running process that may be of
//! another release, so each part that is used is read by its name and its absence is said.

use anyhow::Context as _;
use serde_json::Value;
use std::fmt::Write as _;

/// A part that must be there.
fn word<'v>(value: &'v Value, name: &str) -> anyhow::Result<&'v str> {
    value[name].as_str().with_context(|| format!("{name} is missing"))
}

fn list<'v>(value: &'v Value, name: &str) -> anyhow::Result<&'v Vec<Value>> {
    value[name].as_array().with_context(|| format!("{name} is missing"))
}

fn number(value: &Value, name: &str) -> anyhow::Result<u64> {
    value[name].as_u64().with_context(|| format!("{name} is missing"))
}

/// `2026-11-22 22:26:38`, in UTC.
fn clock(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// How long from one moment to another, to two digits or so.
fn span(from: &str, to: Option<&str>) -> String {
    let moment = |text: &str| text.parse::<jiff::Timestamp>();
    let to = to.map_or_else(|| Ok(jiff::Timestamp::now()), moment);
    let (Ok(from), Ok(to)) = (moment(from), to) else { return "?".to_owned() };
    match to.duration_since(from).as_secs().max(0) {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// The list of incidents.
pub(super) fn incidents(list: &Value) -> anyhow::Result<String> {
    let list = list.as_array().context("a list is missing")?;
    let mut out = String::new();
    for incident in list {
        head(&mut out, incident)?;
        let _ = writeln!(out, "      {}", word(incident, "summary")?);
    }
    if list.is_empty() {
        out.push_str("no incident\n");
    }
    Ok(out)
}

/// One line: number, severity, state, what, since when, and who is on it.
fn head(out: &mut String, incident: &Value) -> anyhow::Result<()> {
    let (since, until) = (word(incident, "since")?, incident["resolved_at"].as_str());
    let _ = write!(
        out,
        "{:>5} {:<6} {:<8} {} {} ({})  since {} UTC, {} {}",
        number(incident, "id")?,
        word(incident, "severity")?.to_uppercase(),
        word(incident, "state")?,
        word(incident, "code")?,
        word(incident, "title")?,
        word(incident, "subject")?,
        clock(since),
        if until.is_some() { "lasted" } else { "lasts" },
        span(since, until),
    );
    let urgent = number(incident, "urgent")?;
    if urgent > 0 {
        let _ = write!(out, "; {urgent} urgent");
    }
    if let Some(by) = incident["claimed_by"].as_str() {
        let _ = write!(out, "; taken by {by}");
    }
    if let Some(until) = incident["muted_until"].as_str() {
        let _ = write!(out, "; muted until {} UTC", clock(until));
    }
    if incident["shadow"] == true {
        out.push_str("; in shadow");
    }
    if let Some(right) = incident["verdict"]["right"].as_bool() {
        out.push_str(if right { "; confirmed" } else { "; dismissed" });
    }
    out.push('\n');
    Ok(())
}

/// The whole story of an incident.
pub(super) fn story(incident: &Value) -> anyhow::Result<String> {
    let mut out = String::new();
    head(&mut out, incident)?;
    let _ = writeln!(
        out,
        "\n{}\nWhat to do: {}",
        word(incident, "summary")?,
        word(incident, "remedy")?
    );
    let facts = incident["facts"].as_object().context("facts is missing")?;
    for (name, text) in facts {
        let _ = writeln!(out, "{name:>10}  {}", text.as_str().unwrap_or_default());
    }
    check_codes(&mut out, incident)?;
    out.push_str("\nFindings\n");
    for finding in list(incident, "findings")? {
        let detail = finding["detail"].as_str().map(|d| format!(": {d}")).unwrap_or_default();
        let cleared = finding["cleared_at"].as_str();
        let _ = write!(
            out,
            "  {} {} {}{detail}  since {} UTC, {}",
            word(finding, "code")?,
            word(finding, "severity")?,
            word(finding, "title")?,
            clock(word(finding, "since")?),
            cleared.map_or("holds".to_owned(), |at| format!("cleared {} UTC", clock(at))),
        );
        let evidence = finding["evidence"].as_object().context("evidence is missing")?;
        for (name, value) in evidence {
            let _ = write!(out, "; {name} {:.3}", value.as_f64().unwrap_or_default());
        }
        out.push('\n');
    }
    out.push_str("\nTimeline (UTC)\n");
    for moment in list(incident, "timeline")? {
        let _ = writeln!(out, "  {}  {}", clock(word(moment, "at")?), word(moment, "what")?);
    }
    let notices = list(incident, "notices")?;
    if !notices.is_empty() {
        out.push_str("\nNotices that were taken (UTC)\n");
    }
    for notice in notices {
        let at = clock(word(notice, "taken_at")?);
        let _ = writeln!(out, "  {at}  {}: {}", word(notice, "notifier")?, word(notice, "why")?);
    }
    let notes = list(incident, "notes")?;
    if !notes.is_empty() {
        out.push_str("\nNotes\n");
    }
    for note in notes {
        let (at, by) = (clock(word(note, "at")?), word(note, "by")?);
        let _ = writeln!(out, "  {at}  {by}: {}", word(note, "text")?);
    }
    Ok(out)
}

/// What a check found, by its own codes. A release before this has none to tell.
fn check_codes(out: &mut String, incident: &Value) -> anyhow::Result<()> {
    let codes = incident["check_codes"].as_array().map_or(&[][..], Vec::as_slice);
    if !codes.is_empty() {
        out.push_str("\nWhat the check found\n");
    }
    for code in codes {
        let _ = write!(
            out,
            "  {} × {} {}: {}  first {} UTC, last {} UTC",
            number(code, "times")?,
            word(code, "severity")?,
            word(code, "code")?,
            word(code, "title")?,
            clock(word(code, "first")?),
            clock(word(code, "last")?),
        );
        if let Some(place) = code["at"].as_str() {
            let _ = write!(out, " at {place}");
        }
        let _ = write!(out, " on {}", word(code, "waypoint")?);
        for (name, value) in code["attrs"].as_object().into_iter().flatten() {
            let _ = write!(out, ", {name} {}", value.as_str().unwrap_or_default());
        }
        out.push('\n');
        for (name, what) in [("explanation", "Means"), ("remedy", "What to do"), ("by", "Said by")]
        {
            if let Some(text) = code[name].as_str() {
                let _ = writeln!(out, "      {what}: {text}");
            }
        }
    }
    if let Some(others) = incident["other_codes"].as_u64() {
        let _ = writeln!(out, "  {others} × further codes");
    }
    Ok(())
}

/// The feeds in shadow, and what would have been told.
pub(super) fn shadow(shadow: &Value) -> anyhow::Result<String> {
    let mut out = String::new();
    for feed in list(shadow, "feeds")? {
        let name = word(feed, "feed")?;
        let state = match (feed["shadow"] == true, feed["since"].as_str(), feed["until"].as_str()) {
            (true, None, _) => "in shadow, no message yet".to_owned(),
            (true, Some(since), Some(until)) => {
                format!("in shadow since {} UTC, until {} UTC", clock(since), clock(until))
            }
            (true, Some(since), None) => format!("in shadow since {} UTC", clock(since)),
            (false, ..) => "live".to_owned(),
        };
        let _ = writeln!(out, "{name}: {state}; {}", counts(feed)?);
    }
    if list(shadow, "feeds")?.is_empty() {
        out.push_str("no feed is in shadow: people are told about all of them\n");
    }
    let _ = writeln!(out, "all feeds: {}", counts(&shadow["total"])?);
    let notices = list(shadow, "notices")?;
    if !notices.is_empty() {
        out.push_str(
            "\nWould-be notices, pages first (`feedpulse confirm N`, `feedpulse dismiss N`)\n",
        );
    }
    for notice in notices {
        let _ = write!(out, "{:<7} {} UTC ", word(notice, "would_be")?, clock(word(notice, "at")?));
        head(&mut out, notice)?;
    }
    Ok(out)
}

fn counts(of: &Value) -> anyhow::Result<String> {
    let mut text = format!(
        "{} would-be pages, {} tickets; {} confirmed, {} dismissed, {} to judge; precision ",
        number(of, "pages")?,
        number(of, "tickets")?,
        number(of, "confirmed")?,
        number(of, "dismissed")?,
        number(of, "open")?,
    );
    match (of["precision"].as_f64(), of["no_precision_because"].as_str()) {
        (Some(share), _) => write!(text, "{:.0} %", share * 100.0)?,
        (None, reason) => write!(text, "not known: {}", reason.unwrap_or("no reason"))?,
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{incidents, shadow, span, story};
    use serde_json::json;

    #[test]
    fn another_releases_answer_is_no_panic_and_says_what_it_misses() {
        assert_eq!(incidents(&json!([])).unwrap(), "no incident\n");
        let odd = json!([{ "id": 3, "since": "x" }]);
        assert!(incidents(&odd).unwrap_err().to_string().contains("severity is missing"));
        assert!(story(&json!({})).is_err() && shadow(&json!([])).is_err());
        assert_eq!(span("2026-11-22T22:00:00Z", Some("2026-11-22T22:10:30Z")), "10 min");
        assert_eq!(span("soon", None), "?");
    }
}
