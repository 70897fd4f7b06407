//! A judgement that no message shows: connections that are reset again and again after a refusal.

use crate::seen_with;
use feedpulse_check::{About, AckCode, Event, Finding, Findings, Level, Row, state};

/// Resets that make a finding.
const MANY: usize = 3;
/// Within this time of each other, ms.
const WINDOW_MS: u64 = 60_000;

/// Watches ACKs and connections: three resets within a minute after an AE.
pub(crate) fn watch(row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    let at = row.field(crate::RECEIVED).count().unwrap_or_default();
    match row.field(crate::ABOUT).about() {
        Some(About::Ack) if row.field(crate::ACK_CODE).ack_code() == Some(AckCode::AE) => {
            state::set("refused", &at.to_string())?;
            state::remove("resets");
        }
        Some(About::Connection)
            if row.field(crate::EVENT).event() == Some(Event::Reset)
                && state::get("refused").is_some() =>
        {
            count(at, out)?;
        }
        Some(About::Outcome) => {
            let outcome = row.field(crate::OUTCOME).outcome();
            if let Some(outcome) = outcome.filter(|outcome| !outcome.is_well()) {
                out.push(seen_with("outcome", outcome.word()));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Counts a reset, and says so when it is one of many.
fn count(at: u64, out: &mut Findings) -> Result<(), String> {
    let held = state::get("resets").unwrap_or_default();
    let mut times: Vec<u64> = held.split(' ').filter_map(|t| t.parse().ok()).collect();
    times.push(at);
    times.retain(|t| at.saturating_sub(*t) < WINDOW_MS);
    if times.len() >= MANY {
        out.push(Finding::new("resets-after-refusal", Level::Error).attr("count", times.len()));
        state::remove("refused");
        times.clear();
    }
    let times: Vec<String> = times.iter().map(u64::to_string).collect();
    state::set("resets", &times.join(" "))
}
