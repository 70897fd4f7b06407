//! What a check's author wrote, in the notice of every kind, over real sockets: it is there, and it is
//! text and nothing else, whatever it holds.

use super::servers::{Script, Seen, http};
use super::smtp::{Smtp, mail_config};
use super::{Running, T0, at, incident};
use crate::Secret;
use crate::config::{
    AlertmanagerConfig, Chat, NotifierConfig, Security, SinksConfig, Speech, Target,
};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::effect::{IncidentChange, Story};
use feedpulse_core::finding::Subject;
use feedpulse_core::label::Label;
use feedpulse_core::said::{
    CheckCode, CheckCodes, CodeWords, Line, SHORT_MAX, TEXT_MAX, TITLE_MAX,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An incident of a check whose author is careless or worse.
fn hostile() -> IncidentChange {
    let line = |text: &str| Line::new(text, TEXT_MAX);
    let words = CodeWords {
        name: line("room/room-missing"),
        by: line("room 1.2.0"),
        title: Line::new("No <room>\r\nBcc: all@example.org", TITLE_MAX),
        explanation: line("PV1-3 is empty & [click](https://evil.example) <!channel>\u{202e}."),
        remedy: line("Ask the \"registration\" <script>desk</script>."),
    };
    let code = CheckCode {
        code: Label::from("room-missing"),
        words: Some(Arc::new(words)),
        severity: Severity::Page,
        times: 12,
        first: T0,
        last: at(9_000),
        waypoint: line("engine-in"),
        place: line("PV1-3.2"),
        attrs: vec![(line("minutes"), line("35"))],
    };
    let bed = CheckCode { code: Label::from("bed-odd"), times: 3, words: None, ..code.clone() };
    IncidentChange {
        subject: Subject::Check(0),
        subject_name: "check room".to_owned(),
        code: Code::CheckFound,
        summary: "No <room> (check room): room/room-missing, 12 times".to_owned(),
        story: Story {
            check_codes: CheckCodes { codes: vec![code, bed], others: 2 },
            ..Story::default()
        },
        ..incident(5)
    }
}

async fn told(change: &IncidentChange) -> (BTreeMap<String, Seen>, String) {
    let script: Script = Arc::new(|seen| {
        let status = if seen.line.contains("/enqueue") { 202 } else { 200 };
        (status, String::new(), Vec::new())
    });
    let (address, mut seen) = http(script).await;
    let mut smtp = Smtp::start(None).await;
    let to = |path: &str| Target::new(format!("{address}/{path}"));
    let key = Secret::new("0123456789abcdef0123456789abcdef");
    let config = SinksConfig {
        alertmanagers: vec![AlertmanagerConfig::new(vec![to("am")])],
        notifiers: vec![
            NotifierConfig::new("slack", to("slack"), Speech::Chat(Chat::Slack)),
            NotifierConfig::new("teams", to("teams"), Speech::Chat(Chat::Teams)),
            NotifierConfig::new("pager", to("enqueue"), Speech::Pager { routing_key: key }),
            NotifierConfig::webhook("hook", to("hook")),
            mail_config(&smtp, Security::None),
        ],
        ..SinksConfig::default()
    };
    let mut running = Running::new(&config);
    running.incident(change);
    let mut all = BTreeMap::new();
    while all.len() < 5 {
        let one = seen.recv().await.unwrap();
        let path = one.line.split(['/', ' ']).nth(2).unwrap().to_owned();
        // Alertmanager may hear an empty picture first.
        if one.body != b"[]" {
            all.insert(path, one);
        }
    }
    let mail = smtp.mails.recv().await.unwrap();
    running.stop().await;
    (all, mail.text)
}

/// A mail's text without its line breaks and quoted-printable.
fn unfolded(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=3D", "=")
}

#[tokio::test]
async fn every_kind_of_notice_says_what_the_author_wrote_as_text() {
    let change = hostile();
    let (seen, mail) = told(&change).await;
    let title = "No <room> Bcc: all@example.org";
    let remedy = change.remedy();
    assert_eq!(change.title(), title);

    let hook = seen["hook"].json();
    assert_eq!((&hook["title"], &hook["remedy"]), (&title.into(), &remedy.into()));
    let code = &hook["check_codes"][0];
    assert_eq!((&code["code"], &code["times"]), (&"room/room-missing".into(), &12.into()));
    assert_eq!((&code["at"], &code["attrs"]["minutes"]), (&"PV1-3.2".into(), &"35".into()));
    assert_eq!((&hook["check_codes"][1]["times"], &hook["other_codes"]), (&3.into(), &2.into()));
    let found = hook["facts"]["found"].as_str().unwrap();
    assert!(found.contains("12 times, last at PV1-3.2 on engine-in, minutes 35"), "{found}");
    assert!(found.ends_with(
        "bed-odd, 3 times, last at PV1-3.2 on engine-in, minutes 35; 2 findings of further codes"
    ));

    let alert = &seen["am"].json()[0];
    assert_eq!(alert["labels"]["alertname"], "FP0301");
    assert_eq!(alert["annotations"]["title"], title);
    assert_eq!(alert["annotations"]["description"], change.means());
    assert_eq!(alert["annotations"]["remedy"], remedy);
    assert_eq!(alert["annotations"]["found"], found);

    let event = seen["enqueue"].json();
    assert!(event["payload"]["summary"].as_str().unwrap().contains(title));
    assert_eq!(event["payload"]["custom_details"]["Next step"], remedy);
    assert_eq!(event["payload"]["custom_details"]["Found"], found);

    let slack = seen["slack"].json().to_string();
    assert!(
        slack.contains("*Next step:* Ask the \\\"registration\\\" &lt;script&gt;desk"),
        "{slack}"
    );
    assert!(!slack.contains("<!channel>") && slack.contains("&lt;!channel&gt;"), "{slack}");
    assert!(slack.contains("12 times, last at PV1-3.2"), "{slack}");

    let teams = seen["teams"].json().to_string();
    assert!(
        !teams.contains("](https://evil.example)"),
        "no link that hides where it leads: {teams}"
    );
    assert!(teams.contains("[click] (https://evil.example)") && teams.contains("12 times, last"));

    let mail = unfolded(&mail);
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
    assert!(head.contains("No <room> Bcc: all@example.org: check room (incident 5)"), "{head}");
    assert!(!mail.contains("<td>Ask the \"registration\" <script>"), "{mail}");
    assert!(mail.contains("Ask the &quot;registration&quot; &lt;script&gt;desk"), "{mail}");
    assert!(mail.contains("Found: No <room>"), "{mail}");
    let all = [hook.to_string(), event.to_string(), slack, teams, mail, alert.to_string()];
    assert!(all.iter().all(|text| !text.contains('\u{202e}')));
}

#[tokio::test]
async fn the_longest_words_stay_within_the_limits_of_each_service() {
    let mut change = hostile();
    let long = |letter: &str, most| Line::new(&letter.repeat(2_000), most);
    let words = CodeWords {
        name: long("n", 200),
        by: long("b", 200),
        title: long("ü", TITLE_MAX),
        explanation: long("\"", TEXT_MAX),
        remedy: long("\\", TEXT_MAX),
    };
    let words = Some(Arc::new(words));
    let attrs = vec![(long("a", SHORT_MAX), long("\"", SHORT_MAX)); 16];
    let place = long("p", SHORT_MAX);
    let one = CheckCode { words, attrs, place, ..change.story.check_codes.codes[0].clone() };
    change.story.check_codes.codes = (0..16)
        .map(|n| CheckCode { code: Label::from(format!("c{n}").as_str()), ..one.clone() })
        .collect();
    let (seen, _) = told(&change).await;
    assert!(seen["teams"].body.len() < 28_000, "{}", seen["teams"].body.len());
    assert!(seen["hook"].body.len() <= 256 * 1024, "{}", seen["hook"].body.len());
    assert!(seen["enqueue"].body.len() < 512 * 1024);
}
