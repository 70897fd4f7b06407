//! Every error at once, each with its place and a hint; and what a good file becomes.

use super::load;
use feedpulse_core::plan::{Acks, Role};

fn problems(text: &str) -> Vec<String> {
    load(text)
        .err()
        .unwrap_or_default()
        .iter()
        .map(|p| p.to_string().replace("\n    ", " | "))
        .collect()
}

#[test]
fn errors_of_shape_come_together() {
    let text = "\
waypoint: []
waypoints:
  - {name: a, key: presets}
mllp:
  listeners:
    - {waypoint: a, listen: \"127.0.0.1:1\", foward: \"x:1\"}
otlp: {endpoint: \"http://c:1\", healthy_per_minute: many}
";
    let found = problems(text);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(
        found[0].starts_with("1:1: waypoint: unknown key")
            && found[0].contains("did you mean \"waypoints\"?")
    );
    assert!(
        found[1].starts_with("3:15: waypoints/0/key:")
            && found[1].contains("control_id, preset, each_order, fields")
    );
    assert!(found[2].contains("\"forward\" is missing"));
    assert!(found[3].starts_with("6:44:") && found[3].contains("did you mean \"forward\"?"));
    assert!(found[4].starts_with("7:32:") && found[4].contains("integer is needed"));
}

#[test]
fn errors_of_meaning_come_together() {
    let text = "\
waypoints:
  - {name: portal-in, ack_time: fast}
routes:
  - {name: main, waypoints: [portal-im]}
mllp:
  listeners:
    - {waypoint: portal-in, listen: \"6661\", forward: \"x\"}
ui: {listen: \"0.0.0.0:80\"}
feeds:
  - {name: f, route: mian}
";
    let found = problems(text);
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("2:23: waypoints/0/ack_time: not a time"));
    assert!(found[1].contains("did you mean \"portal-in\"?"));
    assert!(found[4].contains("beyond loopback a token is needed"));
    assert!(found[5].starts_with("10:15:") && found[5].contains("did you mean \"main\"?"));
}

#[test]
fn what_is_not_yaml_is_said_with_its_place() {
    let found = problems("waypoints:\n  - {name: a\nroutes: []\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("3:") || found[0].starts_with("2:"), "{found:?}");
    assert!(problems("").iter().any(|p| p.contains("no tap")));
}

#[test]
fn topics_make_waypoints_with_their_roles() {
    let text = "\
waypoints: [{name: in}, {name: acks}, {name: dead}, {name: stored}, {name: portal}]
kafka:
  - brokers: [\"k:9092\"]
    topics:
      - {topic: hl7, waypoint: in}
      - {topic: hl7-acks, waypoint: acks, role: ack, answers: in}
      - {topic: hl7-dlq, waypoint: dead, role: dead-letter}
      - {topic: other, waypoint: stored}
      - {topic: fhir, waypoint: portal, role: receipt, receipt: {key: /id, outcome: /status, outcomes: {final: filed}}}
";
    let config = load(text).unwrap_or_else(|p| panic!("{p:?}"));
    let waypoint = |name: &str| config.plan.waypoints.iter().find(|w| w.name == name).unwrap();
    assert_eq!(waypoint("in").acks, Acks::Expected);
    assert!(matches!(waypoint("acks").role, Role::AckOf(_)));
    assert_eq!(waypoint("dead").role, Role::DeadLetter);
    assert_eq!(waypoint("stored").acks, Acks::Stored);
    // Each waypoint that no route names is a route of its own.
    assert_eq!(config.plan.routes.len(), 5);
    assert_eq!(waypoint("portal").role, Role::Receipt);
}

#[test]
fn the_charts_examples_are_valid_configurations() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/helm/feedpulse/ci");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let values = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let values = super::document::Document::parse(&values).unwrap().value;
        // JSON is YAML; secrets of the environment are not set here.
        let found = problems(&values["config"].to_string());
        let found: Vec<_> = found.iter().filter(|p| !p.contains("environment variable")).collect();
        assert!(found.is_empty(), "{found:#?}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn the_readmes_example_is_a_valid_configuration() {
    let readme = include_str!("../../../../README.md");
    let yaml = readme.split("```yaml").nth(1).and_then(|rest| rest.split("```").next());
    let config = load(yaml.unwrap()).unwrap_or_else(|p| panic!("{p:?}"));
    assert_eq!((config.plan.waypoints.len(), config.checks.len()), (2, 1));
}

#[test]
fn random_bytes_never_break_it() {
    let mut seed = 7_u64;
    let base = b"waypoints: [{name: a}]\nfiles: [{watch: /x, waypoint: a}]\nfeeds: []\n".to_vec();
    for _ in 0..300 {
        let mut text = base.clone();
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = usize::try_from(seed >> 33).unwrap() % text.len();
            text[place] = b" -{}[]:,\"'&*!|>%@\n#ax0"[usize::try_from(seed >> 20).unwrap() % 22];
        }
        let _ = load(&String::from_utf8_lossy(&text));
    }
}

#[test]
fn what_is_planned_and_what_is_usual_is_read() {
    use feedpulse_core::plan::{DownTimes, Silence};
    let text = "\
zone: Europe/Berlin
holidays: {days: [2026-12-24]}
alerts: {page_after: 3m}
downtimes:
  - {name: patch night, waypoints: [portal-in], days: [sat, sun], start: \"22:30\", length: 2h}
  - {name: move, from: \"2026-12-01T22:00:00+01:00\", to: \"2026-12-02T04:00:00+01:00\"}
waypoints:
  - {name: portal-in, expected_reasons: [unknown_key]}
mllp:
  listeners:
    - {waypoint: portal-in, listen: \"127.0.0.1:0\", forward: \"portal.example:6661\"}
feeds:
  - {name: f, route: portal-in, objectives: {silence: learned}}
";
    let plan = load(text).unwrap().plan;
    assert_eq!(plan.waypoints[0].system.as_str(), "portal.example");
    let here = text.replace("portal.example:6661", "127.0.0.1:6661");
    let here = load(&here).unwrap().plan;
    assert_eq!(here.waypoints[0].system.as_str(), "127.0.0.1:6661");
    assert_eq!(plan.page_after.as_secs(), 180);
    assert_eq!(plan.calendar.holidays, [20_811]);
    assert!(plan.calendar.offsets.len() > 40);
    assert_eq!(plan.feeds[0].objectives.silence, Silence::Learned);
    let weekly = DownTimes::Weekly { days: 0b110_0000, start: 22 * 60 + 30, minutes: 120 };
    assert_eq!(plan.downtimes[0].times, weekly);
    assert!(matches!(plan.downtimes[1].times, DownTimes::Once { .. }));
    let wrong = text.replace("length: 2h", "until: 2h").replace("[2026-12-24]", "[soon]");
    assert!(problems(&wrong).iter().any(|p| p.contains("until")), "{:#?}", problems(&wrong));
    let wrong = text.replace(", length: 2h", "").replace("[2026-12-24]", "[soon]");
    let found = problems(&wrong);
    assert!(found.iter().any(|p| p.contains("not clear when it is")), "{found:#?}");
    assert!(found.iter().any(|p| p.contains("not a day")), "{found:#?}");
}
