//! Every error at once, each with its place and a hint; and what a good file becomes.

use super::load;
use feedpulse_core::codes::Severity;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::Label;
use feedpulse_core::plan::{Acks, Role};
use feedpulse_core::probe::About;

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
        found[1].starts_with("3:15: waypoints #1/key:")
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
    assert!(found[0].starts_with("2:23: waypoints #1/ack_time: not a time"));
    assert!(found[1].contains("did you mean \"portal-in\"?"));
    assert!(found[4].contains("beyond loopback a token is needed"));
    assert!(found[5].starts_with("10:15:") && found[5].contains("did you mean \"main\"?"));
}

#[test]
fn errors_of_probes_and_heartbeats_come_together() {
    let text = "\
waypoints:
  - {name: portal-in}
mllp:
  listeners:
    - {waypoint: portal-in, listen: \"127.0.0.1:1\", forward: \"portal:6661\"}
probes:
  - {name: portal, every: 5s, tcp: {address: \"portal:6661\"}}
  - {name: portal, tls: {address: \"portal:443\"}, http: {url: \"https://portal/\"}}
  - {name: ack, about: {waypoint: portal-in}, mllp: {}}
  - {name: depth, numeric: {url: \"http://e/m\", metric: depth}}
  - {name: group, kafka_group: {tap: kafka, group: mirth, topics: [hl7]}}
heartbeats:
  - {name: backup, schedule: \"30 2 * *\", grace: 30m}
";
    let found = problems(text);
    for (place, part) in [
        ("7:20: probes #1/every", "less than 10 s"),
        ("7:37: probes #1/tcp/address", "does not allow probes of its HL7 port"),
        ("8:6: probes #2/name", "is there twice"),
        ("8:5: probes #2", "exactly one thing to look at"),
        ("9:47: probes #3/mllp", "`probe: allowed` at the waypoint"),
        ("10:19: probes #4/numeric", "at least one of over, under and breach"),
        ("11:33: probes #5/kafka_group/tap", "no Kafka tap is called"),
        ("13:20: heartbeats #1/schedule", "not a cron line"),
        ("12:1: heartbeats", "nothing takes them"),
    ] {
        let said = |p: &&String| p.starts_with(place) && p.contains(part);
        assert!(found.iter().any(|p| said(&p)), "{place} {part}: {found:#?}");
    }
}

/// What may be left out is not told as if nothing were wanted.
#[test]
fn an_optional_part_of_the_wrong_kind_says_what_it_takes() {
    let found = problems("waypoints: [{name: a}]\nprobes: [{name: p, tcp: \"portal:6661\"}]\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains("probes #1/tcp: the wrong kind of value: object is needed"),
        "{found:#?}"
    );
}

#[test]
fn probes_and_heartbeats_become_plans() {
    let text = "\
waypoints:
  - {name: portal-in, probe: allowed, system: portal}
zone: Europe/Berlin
http: {listen: \"127.0.0.1:1\", waypoints: [portal-in]}
feeds:
  - {name: extract, route: portal-in, objectives: {expect: {schedule: \"0 6 * * 1-5\", grace: 20m}}}
probes:
  - {name: ack, about: {waypoint: portal-in}, mllp: {address: \"portal:6661\"}, fails: 3, of: 5}
  - {name: cert, about: {system: portal}, severity: page, tls: {address: \"portal:443\", ticket_before: 240h}}
  - {name: depth, about: {feed: extract}, numeric: {url: \"http://e/m\", metric: depth, breach: 1000}}
heartbeats:
  - {name: backup, every: 24h, grace: 30m}
";
    let config = load(text).unwrap_or_else(|e| panic!("{e:#?}"));
    let [ack, cert, depth] = &config.plan.probes[..] else { panic!("{:?}", config.plan.probes) };
    assert_eq!((ack.fails, ack.about.clone()), ((3, 5), About::Waypoint(WaypointId(0))));
    assert_eq!(cert.ticket_before.as_secs(), 10 * 86_400);
    assert_eq!(
        (cert.severity, &cert.about),
        (Some(Severity::Page), &About::System(Label::from("portal")))
    );
    assert_eq!((depth.breach, &depth.about), (Some(1_000.0), &About::Feed("extract".into())));
    assert_eq!(config.probes[1].every.as_secs(), 3_600);
    let expect = config.plan.feeds[0].objectives.expect.unwrap();
    assert_eq!((expect.schedule.hours, expect.schedule.weekdays), (1 << 6, 0b1_1111));
    assert_eq!(config.plan.heartbeats.len(), 1);
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

#[test]
fn peers_are_addresses_or_blocks() {
    let text = |peers: &str| {
        format!(
            "waypoints: [{{name: in, peers: {peers}}}]\nmllp:\n  listeners:\n    \
             - {{waypoint: in, listen: \"127.0.0.1:0\", forward: \"engine:6661\"}}\n"
        )
    };
    let plan = load(&text("[10.1.0.0/16, \"2001:db8::7\"]")).unwrap().plan;
    let [block, one] = &plan.waypoints[0].peers[..] else { panic!("{:?}", plan.waypoints) };
    assert!(
        block.contains("10.1.2.3".parse().unwrap()) && !block.contains("10.2.2.3".parse().unwrap())
    );
    assert!(one.contains("2001:db8::7".parse().unwrap()) && !one.contains("::1".parse().unwrap()));
    for wrong in ["[engine]", "[10.1.0.0/33]", "[\"\"]"] {
        let found = problems(&text(wrong));
        assert!(found.iter().any(|p| p.contains("10.1.0.0/16")), "{wrong}: {found:#?}");
    }
    let many = format!("[{}]", ["10.0.0.1"; 65].join(", "));
    assert!(problems(&text(&many)).iter().any(|p| p.contains("more than 64")));
}

#[test]
fn what_may_vary_in_messages_is_read() {
    let text = "\
waypoints: [{name: portal-in}]
defaults: {may_vary: [ZPD]}
mllp:
  listeners:
    - {waypoint: portal-in, listen: \"127.0.0.1:0\", forward: \"portal.example:6661\"}
feeds:
  - {name: f, route: portal-in, types: [ADT]}
  - {name: g, route: portal-in, objectives: {schema_drift: false, may_vary: [PID-40, \"OBX-11 = X\"]}}
";
    let plan = load(text).unwrap().plan;
    let varies = |n: usize| -> Vec<String> {
        plan.feeds[n].objectives.may_vary.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        (varies(0), varies(1)),
        (vec!["ZPD segment".into()], vec!["PID-40".into(), "OBX-11 = X".into()])
    );
    let judged = |n: usize| plan.feeds[n].objectives.schema_drift;
    assert_eq!((judged(0), judged(1)), (true, false));
    let found = problems(&text.replace("PID-40", "PID-x"));
    assert!(matches!(&found[..], [one] if one.contains("no part of a message")), "{found:#?}");
}

#[test]
fn what_the_wire_is_told_is_in_the_file_and_its_own_check_speaks() {
    let of = |more: &str| {
        format!(
            "waypoints: [{{name: a}}]\nmllp:\n  max_connections: 64\n  buffers_kib: 2048\n  \
             drain: 5s\n  listeners:\n    - {{waypoint: a, listen: \"[::]:1\", \
             forward: \"[::1]:2\", {more}}}\n"
        )
    };
    let told = of("accept_proxy: true, send_proxy: v2, idle_after: 2m, max_connections: 7, \
                   tls: {cert: c, key: k}, forward_tls: {ca: r, server_name: n}");
    let wire = load(&told).unwrap().mllp.unwrap().wire;
    let arguments = wire.to_args().join(" ");
    for part in [
        "--max-connections 64",
        "--buffers 2097152",
        "--drain 5000ms",
        "a=[::]:1,forward=[::1]:2",
        "idle_after=120000ms,max_connections=7,accept_proxy=yes,send_proxy=v2",
        "tls_cert=c,tls_key=k,forward_tls_ca=r,forward_tls_name=n",
    ] {
        assert!(arguments.contains(part), "{part}: {arguments}");
    }
    for (more, part) in [
        ("tls: {cert: c, key: k}", "receiver's would be plain text"),
        ("forward_tls: {ca: r}", "sender's would be plain text"),
        ("plain: true", "TLS on one side only"),
        ("forward_tls: {ca: r, cert: c}, plain: true", "cert and key go together"),
        ("max_connections: 0", "not a number from 1"),
        ("idle_after: 25h", "longer than 24h"),
    ] {
        let found = problems(&of(more));
        assert!(found.iter().any(|p| p.contains(part)), "{part}: {found:#?}");
    }
    assert!(problems(&of("tls: {cert: c, key: k}, plain: true")).is_empty());
}
