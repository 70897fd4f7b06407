//! Pagers: PagerDuty's Events API v2, and what takes the same. An incident is one alert under one
//! key: triggered when it opens, acknowledged when somebody takes it, resolved when it is over.
//!
//! Limits as published: 1,024 characters of summary, 255 of the key, 512 KB an event; 202 is the
//! answer of an event that was taken, 429 asks for a pause, 400 refuses what was sent for good.

use crate::config::{ConfigError, NotifierConfig};
use crate::notify::deliver::{Failed, Post};
use crate::notify::notices::Notice;
use crate::notify::text::{Style, cut};
use crate::rfc3339;
use feedpulse_codec::Why;
use feedpulse_core::codes::Severity;
use feedpulse_core::time::Timestamp;
use feedpulse_http::Secret;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const SUMMARY: usize = 1_024;
const KEY: usize = 255;
/// Characters of each detail; some fifteen of them stay far below 512 KB.
const DETAIL: usize = 4_000;

/// A checked pager.
pub(crate) struct Way {
    post: Post,
    routing_key: Secret,
    style: Arc<Style>,
}

/// Checks address, TLS, headers and key.
pub(crate) fn way(
    config: &NotifierConfig,
    routing_key: &Secret,
    style: &Arc<Style>,
) -> Result<Way, ConfigError> {
    let key = routing_key.expose().trim();
    if key.is_empty() || key.len() > 256 {
        return Err(ConfigError::Name {
            place: config.name.clone(),
            name: "routing_key".to_owned(),
            what: "must hold the integration's key, of 32 characters",
        });
    }
    Ok(Way {
        post: Post::new(config, NotifierConfig::EVENTS)?,
        routing_key: Secret::new(key),
        style: Arc::clone(style),
    })
}

impl Way {
    pub(crate) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        let body = event(self.routing_key.expose(), &self.style, notice, now);
        self.post.send(body.to_string(), None).await.map(|_| ())
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Page => "critical",
        Severity::Ticket => "warning",
        Severity::Note => "info",
    }
}

/// The event of a notice.
fn event(routing_key: &str, style: &Style, notice: &Notice, now: Timestamp) -> Value {
    let change = &notice.change;
    let action = match notice.why {
        Why::Open | Why::Escalated | Why::Rose | Why::Still(_) => "trigger",
        Why::Claimed => "acknowledge",
        Why::Over => "resolve",
    };
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": cut(&notice.thread(&style.site), KEY),
    });
    if action != "trigger" {
        return event;
    }
    let text = style.text(notice, now);
    let details: Map<String, Value> = text
        .lines
        .iter()
        .map(|(name, line)| ((*name).to_owned(), cut(line, DETAIL).into()))
        .collect();
    let (kind, name) = super::subject_label(change);
    let source = if style.site.is_empty() { "feedpulse" } else { &style.site };
    let summary = format!("{} – {}", text.head, change.summary);
    event["payload"] = json!({
        "summary": cut(&summary, SUMMARY),
        "source": source,
        "severity": severity(change.severity),
        "timestamp": rfc3339::format(change.since),
        "component": name,
        "group": kind,
        "class": change.code.text().code,
        "custom_details": details,
    });
    event["client"] = "Feedpulse".into();
    let links = [("The incident's page", &text.page), ("Runbook", &text.runbook)];
    let links = links.into_iter().filter(|(_, href)| !href.is_empty());
    event["links"] = links.map(|(name, href)| json!({"href": href, "text": name})).collect();
    if !text.page.is_empty() {
        event["client_url"] = text.page.into();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::event;
    use crate::notify::notices::Notice;
    use crate::notify::text::Style;
    use crate::tests::{T0, at, incident};
    use feedpulse_codec::Why;
    use feedpulse_core::codes::Severity;
    use feedpulse_core::effect::IncidentChange;
    use serde_json::Value;
    use std::sync::Arc;

    fn of(why: Why, change: IncidentChange) -> Value {
        let style = Style {
            site: "north".to_owned(),
            page_base: "https://pulse.example".to_owned(),
            ..Style::default()
        };
        event(
            "0123456789abcdef0123456789abcdef",
            &style,
            &Notice::new(why, Arc::new(change)),
            at(9),
        )
    }

    #[test]
    fn an_incident_is_one_alert_under_one_key() {
        let key = format!("north-3-{}", T0.as_secs());
        for (why, action) in [
            (Why::Open, "trigger"),
            (Why::Escalated, "trigger"),
            (Why::Rose, "trigger"),
            (Why::Still(2), "trigger"),
            (Why::Claimed, "acknowledge"),
            (Why::Over, "resolve"),
        ] {
            let event = of(why, incident(3));
            assert_eq!(event["event_action"], action);
            assert_eq!(event["dedup_key"], key.as_str());
            assert_eq!(event["routing_key"], "0123456789abcdef0123456789abcdef");
            assert_eq!(event["payload"].is_object(), action == "trigger");
        }
    }

    #[test]
    fn a_trigger_has_what_is_required_within_the_limits() {
        let long = IncidentChange { summary: "ü".repeat(5_000), ..incident(3) };
        for (change, wanted) in [
            (incident(3), "critical"),
            (IncidentChange { severity: Severity::Ticket, ..long }, "warning"),
        ] {
            let event = of(Why::Open, change);
            let payload = &event["payload"];
            let summary = payload["summary"].as_str().unwrap();
            assert!((1..=1_024).contains(&summary.chars().count()));
            assert!(wanted == "critical" || summary.ends_with("… (cut)"));
            assert_eq!(payload["severity"], wanted);
            assert_eq!(
                (&payload["source"], &payload["class"]),
                (&"north".into(), &"FP0104".into())
            );
            assert_eq!(payload["timestamp"], "2026-09-21T14:13:20Z");
            assert_eq!(payload["component"], "portal-in");
            assert!(payload["custom_details"]["Next step"].is_string());
            assert_eq!(event["links"][0]["href"], "https://pulse.example/incidents/3");
            assert!(event.to_string().len() < 512 * 1024);
        }
    }
}
