//! `feedpulse explain CODE`: the runbook of a finding, or what a decoding defect means.

use feedpulse_core::codes::Code;
use feedpulse_core::defect::DefectCode;

/// The text of a code, or a sentence that says what codes there are.
pub(crate) fn explain(code: &str) -> Result<String, String> {
    if let Some(found) = Code::from_code(code) {
        let text = found.text();
        return Ok(format!(
            "{} {} ({})\n\nWhat it means\n  {}\n\nWhat to do\n  {}\n",
            text.code,
            text.title,
            text.severity.name(),
            text.means,
            text.remedy
        ));
    }
    if let Some(found) = DefectCode::ALL.iter().find(|d| d.code().eq_ignore_ascii_case(code)) {
        return Ok(format!("{} {:?}\n  {}\n", found.code(), found.verdict(), found.text()));
    }
    let codes = Code::ALL.iter().map(|c| c.text().code);
    let defects = DefectCode::ALL.iter().map(|d| d.code());
    let known: Vec<&str> = codes.chain(defects).collect();
    Err(format!("no code {code:?}; known are {}", known.join(" ")))
}

/// Every finding code with its title, one a line.
#[must_use]
pub(crate) fn list() -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for code in Code::ALL {
        let text = code.text();
        let _ = writeln!(out, "{}  {:<7} {}", text.code, text.severity.name(), text.title);
    }
    for defect in DefectCode::ALL {
        let _ = writeln!(out, "{}   {:<7} {}", defect.code(), "defect", defect.text());
    }
    out
}
