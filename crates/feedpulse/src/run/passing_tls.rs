//! Says in the log what is seen of TLS that passes through: its handshake, once, and again when it
//! changes. Nothing else of such a leg can be seen, and that is said too.

use crate::clock;
use feedpulse_core::frame::WaypointId;
use feedpulse_wire::{Direction, TlsFacts};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A certificate that ends within this is worth a warning.
const SOON_S: i64 = 21 * 86_400;

/// What was said last of each waypoint.
pub(super) struct PassingTls {
    /// By waypoint.
    names: Vec<String>,
    said: Mutex<BTreeMap<WaypointId, String>>,
}

impl PassingTls {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names, said: Mutex::default() }
    }

    /// Takes what one connection showed.
    pub(super) fn seen(&self, waypoint: WaypointId, facts: &TlsFacts) {
        let text = describe(facts);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(&waypoint) == Some(&text) {
            return;
        }
        let name = self.names.get(usize::from(waypoint.0)).map_or("?", String::as_str);
        let now = clock::now().as_micros() / 1_000_000;
        let ends = facts.certificate.is_some_and(|(_, until)| until - now < SOON_S);
        if ends || facts.alert.is_some() {
            tracing::warn!(waypoint = name, "{text}");
        } else {
            tracing::info!(waypoint = name, "{text}");
        }
        said.insert(waypoint, text);
    }
}

/// One line: it holds no byte of a message, since none is readable.
fn describe(facts: &TlsFacts) -> String {
    let mut text = format!("this leg is {}, which passes through", facts.version_name());
    if let Some(name) = &facts.server_name {
        text.extend([", for ", name]);
    }
    if let Some((from, until)) = facts.certificate {
        let day = |seconds| {
            let time = Timestamp::from_second(seconds).ok();
            time.map_or("?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
        };
        text += &format!(", certificate valid from {} until {}", day(from), day(until));
    }
    if facts.client_certificate_wanted {
        text += ", client certificate wanted";
    }
    match facts.alert {
        Some((Direction::ToReceiver, alert)) => {
            text += &format!("; the sender ended the handshake with alert {alert}");
        }
        Some((Direction::ToSender, alert)) => {
            text += &format!("; the receiver ended the handshake with alert {alert}");
        }
        None => text += "; beside it only times and sizes can be seen",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_one_line() {
        let mut facts = TlsFacts {
            server_name: Some("engine.test".into()),
            version: Some(0x0303),
            certificate: Some((1_772_236_800, 2_561_241_600)),
            ..TlsFacts::default()
        };
        assert_eq!(
            describe(&facts),
            "this leg is TLS 1.2, which passes through, for engine.test, certificate valid from \
             2026-02-28 until 2051-03-01; beside it only times and sizes can be seen"
        );
        facts.alert = Some((Direction::ToReceiver, 48));
        assert!(describe(&facts).ends_with("the sender ended the handshake with alert 48"));
    }
}
