//! `feedpulse checks` as text.

use serde_json::Value;
use std::fmt::Write as _;

/// One paragraph for each check.
pub(super) fn versions(all: &Value) -> String {
    let mut text = String::new();
    for one in all.as_array().into_iter().flatten() {
        let word = |key: &str| one[key].as_str().unwrap_or_default();
        let _ = writeln!(text, "{}  ({})", word("check"), word("plugin"));
        if one["version"].is_string() {
            let digest = word("digest").get(..12).unwrap_or_default();
            let _ = writeln!(
                text,
                "  runs {} {} (sha256 {digest}…) since {}; {} of its own cases passed",
                word("name"),
                word("version"),
                word("since"),
                one["cases"]
            );
            if !word("state").is_empty() {
                let _ = writeln!(text, "  state of the version before: {}", word("state"));
            }
        } else {
            let _ = writeln!(text, "  runs no version: its messages are skipped");
        }
        if let Some(why) = one["kept_out"]["why"].as_str() {
            let at = one["kept_out"]["at"].as_str().unwrap_or_default();
            let class = one["kept_out"]["class"].as_str().unwrap_or_default();
            let _ = writeln!(text, "  kept out since {at} ({class}):");
            for line in why.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    if text.is_empty() {
        text.push_str("no checks are configured\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::versions;
    use serde_json::json;

    #[test]
    fn what_runs_and_what_is_kept_out_is_told() {
        let all = json!([
            {"check": "room", "plugin": "/c/room.wasm", "name": "room", "version": "1.0.0",
             "digest": "0123456789abcdef", "cases": 3, "since": "2026-01-01T00:00:00.000Z", "state": "kept",
             "kept_out": {"class": "not-approved", "why": "asks\n+ PID-3", "at": "2026-01-02T00:00:00.000Z"}},
            {"check": "bed", "plugin": "oci://r.example/bed@sha256:0"},
        ]);
        let text = versions(&all);
        for line in
            ["room  (/c/room.wasm)", "(sha256 0123456789ab…)", "    + PID-3", "runs no version"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(versions(&json!([])).contains("no checks"));
    }
}
