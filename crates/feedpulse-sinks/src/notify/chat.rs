//! Chats: Slack's incoming webhooks (Block Kit) and Teams' Workflows webhooks (Adaptive Cards).
//!
//! Limits that the services publish, and which a body keeps: Slack takes at most 50 blocks, 150
//! characters in a header, 3,000 in a section and a button's address; Teams takes about 28 KB a
//! message. What is cut is marked.

use crate::config::{Chat, ConfigError, NotifierConfig};
use crate::notify::deliver::{Failed, Post};
use crate::notify::notices::Notice;
use crate::notify::text::{Style, Text, cut};
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::Answer;
use serde_json::{Value, json};
use std::sync::Arc;

/// Characters of Slack's fallback text.
const SLACK_TEXT: usize = 3_000;
/// Characters of a header block.
const SLACK_HEADER: usize = 150;
/// Characters of a section, of which a line gets at most a fifth.
const SLACK_SECTION: usize = 3_000;
const SLACK_LINE: usize = 600;
/// Characters of a button's address.
const SLACK_URL: usize = 3_000;
/// Characters of a line on a card: fifteen such lines and all the rest are below 28 KB, even where
/// each character has three bytes.
const TEAMS_LINE: usize = 450;

/// A checked chat.
pub(crate) struct Way {
    post: Post,
    chat: Chat,
    style: Arc<Style>,
}

/// Checks address, TLS and headers.
pub(crate) fn way(
    config: &NotifierConfig,
    chat: Chat,
    style: &Arc<Style>,
) -> Result<Way, ConfigError> {
    let post = Post::new(config, "https://hooks.slack.com/services/T0/B0/x")?;
    Ok(Way { post, chat, style: Arc::clone(style) })
}

impl Way {
    pub(crate) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        let text = self.style.text(notice, now);
        let body = match self.chat {
            Chat::Slack => slack(&text),
            Chat::Teams => teams(&text),
        };
        let key = notice.key(&self.style.site);
        hidden_failure(&self.post.send(body.to_string(), Some(key)).await?)
    }
}

/// Some of Teams' endpoints answer 200 and say in the body that the message was not taken.
fn hidden_failure(answer: &Answer) -> Result<(), Failed> {
    let body = String::from_utf8_lossy(&answer.body);
    let Some((_, rest)) = body.split_once("returned HTTP error ") else { return Ok(()) };
    let status: String = rest.chars().take_while(char::is_ascii_digit).take(3).collect();
    Err(Failed::server(Label::from(format!("http-{status}").as_str())))
}

/// Slack's three special characters.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The body for Slack.
pub(crate) fn slack(text: &Text) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": cut(&text.head, SLACK_HEADER), "emoji": false},
    })];
    // As few sections as hold all lines, none of which is torn.
    let mut sections = vec![String::new()];
    for (name, line) in &text.lines {
        let line = format!("*{name}:* {}\n", cut(&escape(line), SLACK_LINE));
        if sections.last().is_some_and(|s| s.chars().count() + line.chars().count() > SLACK_SECTION)
        {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(&line);
        }
    }
    let filled = sections.iter().filter(|section| !section.is_empty());
    blocks.extend(filled.map(
        |section| json!({"type": "section", "text": {"type": "mrkdwn", "text": section.trim_end()}}),
    ));
    let buttons = buttons(text, SLACK_URL).map(|(name, url)| {
        json!({"type": "button", "text": {"type": "plain_text", "text": name}, "url": url})
    });
    let buttons: Vec<Value> = buttons.collect();
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "elements": buttons}));
    }
    json!({"text": cut(&escape(&text.head), SLACK_TEXT), "blocks": blocks})
}

/// A text without Markdown's links: a card shows `[text](address)` as a link, and the words of a
/// check's author must not hide where one leads.
fn unlinked(text: &str) -> String {
    cut(&text.replace("](", "] ("), TEAMS_LINE)
}

/// The body for Teams.
pub(crate) fn teams(text: &Text) -> Value {
    let fact = |(name, line): &(&str, String)| json!({"title": name, "value": unlinked(line)});
    let facts: Vec<Value> = text.lines.iter().map(fact).collect();
    let actions = buttons(text, 2_000);
    let actions: Vec<Value> = actions
        .map(|(name, url)| json!({"type": "Action.OpenUrl", "title": name, "url": url}))
        .collect();
    let head = json!({
        "type": "TextBlock",
        "text": unlinked(&text.head),
        "size": "Large",
        "weight": "Bolder",
        "wrap": true,
    });
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [head, {"type": "FactSet", "facts": facts}],
        "actions": actions,
    });
    json!({
        "type": "message",
        "summary": unlinked(&text.head),
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// The links that a notice has; one that is too long is left out, since a part of it leads nowhere.
fn buttons(text: &Text, most: usize) -> impl Iterator<Item = (&'static str, &str)> {
    let all = [("Incident", text.page.as_str()), ("Runbook", text.runbook.as_str())];
    all.into_iter().filter(move |(_, url)| !url.is_empty() && url.len() <= most)
}

#[cfg(test)]
mod tests {
    use super::{slack, teams};
    use crate::notify::notices::Notice;
    use crate::notify::text::{Style, Text};
    use crate::tests::{at, incident};
    use feedpulse_codec::Why;
    use feedpulse_core::effect::IncidentChange;
    use serde_json::Value;
    use std::sync::Arc;

    fn text(change: IncidentChange) -> Text {
        let style = Style {
            site: "north".to_owned(),
            page_base: "https://pulse.example".to_owned(),
            runbook_base: "https://docs.example".to_owned(),
            ..Style::default()
        };
        style.text(&Notice::new(Why::Open, Arc::new(change)), at(60_000))
    }

    /// Long texts with what the formats have to escape.
    fn long() -> IncidentChange {
        let mut change = incident(3);
        change.summary = "a <b> & \"c\" ünï ".repeat(2_000);
        change.subject_name = format!("feed {}", "x".repeat(400));
        change.story.feeds = (0..20).map(|n| format!("feed-{n}-{}", "y".repeat(300))).collect();
        change.story.feeds_total = 40;
        change
    }

    fn chars(value: &Value) -> usize {
        value.as_str().unwrap().chars().count()
    }

    /// What Slack's reference of Block Kit requires.
    fn assert_slack(body: &Value) {
        assert!(chars(&body["text"]) <= 40_000);
        let blocks = body["blocks"].as_array().unwrap();
        assert!((2..=50).contains(&blocks.len()));
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "header" => {
                    assert_eq!(block["text"]["type"], "plain_text");
                    assert!((1..=150).contains(&chars(&block["text"]["text"])));
                }
                "section" => {
                    assert_eq!(block["text"]["type"], "mrkdwn");
                    assert!((1..=3_000).contains(&chars(&block["text"]["text"])));
                    let text = block["text"]["text"].as_str().unwrap();
                    assert!(!text.contains("<b>"), "control characters are escaped");
                }
                "actions" => {
                    let elements = block["elements"].as_array().unwrap();
                    assert!((1..=25).contains(&elements.len()));
                    for button in elements {
                        assert_eq!(button["type"], "button");
                        assert!((1..=75).contains(&chars(&button["text"]["text"])));
                        assert!(button["url"].as_str().unwrap().starts_with("https://"));
                    }
                }
                other => panic!("no block that is known: {other}"),
            }
        }
    }

    #[test]
    fn slack_gets_blocks_within_its_limits() {
        let body = slack(&text(incident(3)));
        assert_slack(&body);
        let shown = body["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(shown.contains("*What:* portal-in cannot be reached since 14:13"), "{shown}");
        assert_eq!(body["text"], "PAGE: The receiver cannot be reached (waypoint portal-in)");
        let body = slack(&text(long()));
        assert_slack(&body);
        assert!(body.to_string().contains("… (cut)"), "what is cut is marked");
    }

    #[test]
    fn teams_gets_a_card_within_its_limits() {
        for change in [incident(3), long()] {
            let body = teams(&text(change));
            assert!(body.to_string().len() < 28_000, "{}", body.to_string().len());
            assert_eq!(body["type"], "message");
            let attachment = &body["attachments"][0];
            assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
            let card = &attachment["content"];
            assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.4".into()));
            assert_eq!(card["body"][0]["type"], "TextBlock");
            assert!(card["body"][1]["facts"].as_array().unwrap().len() >= 7);
            assert_eq!(card["actions"][0]["type"], "Action.OpenUrl");
            assert_eq!(card["actions"][0]["url"], "https://pulse.example/incidents/3");
        }
    }

    #[test]
    fn no_link_makes_no_button() {
        let style = Style::default();
        let text = style.text(&Notice::new(Why::Open, Arc::new(incident(3))), at(1));
        let blocks = slack(&text)["blocks"].as_array().unwrap().clone();
        assert!(blocks.iter().all(|block| block["type"] != "actions"));
        assert_eq!(teams(&text)["attachments"][0]["content"]["actions"], serde_json::json!([]));
    }
}
