//! The operators' side: who is told of a new feed, what is judged and written down, and whether the
//! timeline has everything.

use super::{Bench, ack, message, plan};
use crate::codes::{Code, Severity};
use crate::desk::{NOTICES_MAX, REMARKS_MAX, RemarkText, Taken};
use crate::effect::{Change, Effect, IncidentChange, IncidentState, MomentKind};
use crate::families;
use crate::input::{Input, OperatorAction, OwnState};
use crate::label::Label;
use crate::metrics::Registry;
use crate::plan::Plan;
use crate::sighting::{AckCode, LinkEvent, Seen, Urgency};
use core::time::Duration;
use std::sync::Arc;

const DAY: u64 = 86_400;

/// The plan of the other tests, with its feeds in shadow for so many days.
fn shadow(days: u64) -> Plan {
    let mut plan = plan();
    plan.defaults.shadow = Duration::from_secs(days * DAY);
    for feed in &mut plan.feeds {
        feed.objectives.shadow = plan.defaults.shadow;
    }
    plan
}

impl Bench {
    /// So many messages that arrive everywhere, one a second.
    fn flow(&mut self, messages: u32) {
        for n in 0..messages {
            self.deliver(&format!("{}-{n}", self.now.as_secs()), AckCode::AA);
            self.pass(1);
        }
    }

    fn deliver(&mut self, id: &str, code: AckCode) {
        self.send(0, 1, id, id);
        self.answer(0, 1, id, AckCode::AA);
        self.send(1, 9, id, id);
        self.answer(1, 9, id, code);
    }

    /// Most of so many messages are refused.
    fn trouble(&mut self, messages: u32) {
        for n in 0..messages {
            let code = if n % 4 == 0 { AckCode::AA } else { AckCode::AE };
            self.deliver(&format!("bad-{}-{n}", self.now.as_secs()), code);
            self.pass(1);
        }
    }

    /// The latest state of the latest incident with such a finding.
    fn incident(&self, code: Code) -> IncidentChange {
        let has = |i: &IncidentChange| i.findings.iter().any(|f| f.code == code);
        let mut incidents = self.all.iter().filter_map(|(_, effect)| match effect {
            Effect::Incident(i) | Effect::File(i) if has(i) => Some(i),
            _ => None,
        });
        (**incidents.next_back().unwrap_or_else(|| panic!("no {code:?}"))).clone()
    }

    fn kinds(&self, code: Code) -> Vec<&'static str> {
        self.incident(code).story.timeline.iter().map(|m| m.what.name()).collect()
    }

    fn operator(&mut self, action: OperatorAction) {
        self.apply(Input::Operator(action));
    }

    fn judge(&mut self, incident: u64, right: bool) {
        self.operator(OperatorAction::Judge { incident, right, by: "ann".into() });
    }
}

#[test]
fn a_new_feed_is_in_shadow_and_its_would_be_notices_are_listed() {
    let mut b = Bench::with(shadow(14));
    b.flow(5);
    let until = b.engine.view().feeds[0].shadow.until.unwrap();
    assert_eq!(until.micros_since(b.now) / 1_000_000, 14 * 86_400 - 5);
    b.trouble(60);
    let incident = b.incident(Code::RejectedShare);
    assert!(incident.story.shadow && incident.state == IncidentState::Open);
    let kinds = b.kinds(Code::RejectedShare);
    assert!(kinds.contains(&"shadowed") && !kinds.contains(&"told"), "{kinds:?}");
    assert!(incident.facts().iter().any(|(name, _)| *name == "shadow"));
    let view = b.engine.view();
    assert_eq!(view.would_be.len(), 1);
    let row = &view.would_be[0];
    assert_eq!((row.incident, row.severity), (incident.id, Severity::Ticket));
    assert_eq!((row.feeds.len(), row.right), (1, None));
    b.judge(incident.id, false);
    assert_eq!(b.engine.view().would_be[0].right, Some(false));
    // It is over without a word to people, and may still be judged anew.
    b.flow(40);
    let over = b.incident(Code::RejectedShare);
    assert!(over.story.shadow && over.state == IncidentState::Resolved, "{over:?}");
    b.judge(incident.id, true);
    assert_eq!(b.engine.view().would_be[0].right, Some(true));
    let (_, last) = b.all.last().unwrap();
    let Effect::File(filed) = last else { panic!("{last:?}") };
    assert!(filed.story.verdict.is_some_and(|v| v.right && v.by.as_str() == "ann"));
    assert_eq!(filed.story.timeline.last().unwrap().what.name(), "judged");
}

#[test]
fn a_feed_leaves_its_shadow_with_time_and_a_live_one_has_none() {
    let mut b = Bench::with(shadow(1));
    b.flow(1);
    b.now = b.now.plus(Duration::from_secs(DAY - 60));
    b.trouble(40);
    assert!(b.incident(Code::RejectedShare).story.shadow);
    // It goes on beyond the day: people are told then, and hear of its end.
    b.trouble(60);
    let told = b.incident(Code::RejectedShare);
    assert!(!told.story.shadow && told.state == IncidentState::Open);
    let kinds = b.kinds(Code::RejectedShare);
    let place = |kind| kinds.iter().position(|k| *k == kind);
    assert!(place("shadowed") < place("told") && place("told").is_some(), "{kinds:?}");
    assert!(b.engine.view().would_be.is_empty(), "it was told after all");
    let mut live = Bench::new();
    live.flow(5);
    live.trouble(60);
    assert!(!live.incident(Code::RejectedShare).story.shadow);
    assert!(!live.engine.view().feeds[0].shadow.holds);
}

#[test]
fn a_new_configuration_ends_the_shadow_of_every_feed() {
    let mut b = Bench::with(shadow(14));
    let mut found = message("U1", "U1");
    found.sender = "PHARMACY".into();
    b.see(0, 1, Seen::Message(found));
    b.answer(0, 1, "U1", AckCode::AA);
    b.flow(3);
    assert!(b.engine.view().feeds.iter().all(|feed| feed.shadow.holds));
    b.apply(Input::Configure(Arc::new(plan())));
    let view = b.engine.view();
    assert_eq!(view.feeds.len(), 2, "one is declared, one was found");
    assert!(view.feeds.iter().all(|feed| !feed.shadow.holds && feed.shadow.until.is_none()));
}

#[test]
fn a_restart_does_not_begin_the_shadow_anew() {
    let mut b = Bench::with(shadow(14));
    b.flow(3);
    let first = b.engine.checkpoint().feeds[0].first_seen;
    b.engine = super::Engine::restore(b.engine.checkpoint().clone());
    b.apply(Input::Configure(Arc::new(shadow(14))));
    b.flow(3);
    assert_eq!(b.engine.checkpoint().feeds[0].first_seen, first);
}

#[test]
fn what_is_hard_down_is_told_even_in_shadow_unless_that_is_said_otherwise() {
    for told in [true, false] {
        let mut b = Bench::with(Plan { hard_down_told: told, ..shadow(14) });
        b.flow(5);
        for n in 0..20 {
            b.see(1, 100 + n, Seen::Link(LinkEvent::Refused));
            b.pass(1);
        }
        assert_eq!(b.incident(Code::ReceiverDown).story.shadow, !told, "receiver down");
        // Feedpulse's own faults are told in any case.
        b.apply(Input::Own(OwnState {
            part: "otlp".into(),
            code: Code::ExportDown,
            failing: true,
            detail: "refused".into(),
            dropped: 0,
        }));
        b.pass(5);
        assert!(!b.incident(Code::ExportDown).story.shadow);
    }
}

#[test]
fn nothing_accepted_for_the_page_delay_is_hard_down() {
    let mut b = Bench::with(Plan { page_after: Duration::from_secs(60), ..shadow(14) });
    b.flow(5);
    for n in 0..90 {
        b.send(1, 9, &format!("S{n}"), &format!("S{n}"));
        b.pass(1);
        if n == 40 {
            let early = b.incident(Code::NoAck);
            assert!(early.story.shadow, "a ticket first: {:?}", early.severity);
        }
    }
    let late = b.incident(Code::NoAck);
    assert_eq!((late.severity, late.story.shadow), (Severity::Page, false));
}

#[test]
fn operators_take_give_back_mute_and_write() {
    let mut b = Bench::new();
    b.flow(5);
    b.trouble(40);
    let incident = b.incident(Code::RejectedShare).id;
    let by = Label::from("ann");
    b.operator(OperatorAction::Claim { incident, by });
    assert_eq!(b.incident(Code::RejectedShare).claimed_by, by);
    b.operator(OperatorAction::Mute { incident, until: b.now.plus(Duration::from_secs(7_200)) });
    assert!(b.incident(Code::RejectedShare).muted_until.is_some());
    b.operator(OperatorAction::Unmute { incident });
    assert!(b.incident(Code::RejectedShare).muted_until.is_none());
    b.operator(OperatorAction::Release { incident, by });
    assert!(b.incident(Code::RejectedShare).claimed_by.is_empty());
    let before = b.all.len();
    b.operator(OperatorAction::Release { incident, by });
    b.operator(OperatorAction::Unmute { incident });
    assert_eq!(b.all.len(), before, "nothing to give back, nothing to unmute");
    for n in 0..25 {
        let text = RemarkText::new(&format!("try {n}: restarted by Jane Doe")).unwrap();
        b.operator(OperatorAction::Remark { incident, by, text });
    }
    assert_eq!(b.engine.view().remarks[&incident].len(), REMARKS_MAX);
    let kinds = b.kinds(Code::RejectedShare);
    for kind in ["claimed", "muted", "unmuted", "released", "noted"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let muted = b.incident(Code::RejectedShare).story.timeline;
    let muted = muted.iter().find(|m| matches!(m.what, MomentKind::Muted(_))).unwrap();
    assert_eq!(muted.text(), "notices were muted for 2 h");
    assert!(b.all.iter().all(|(_, effect)| !format!("{effect:?}").contains("Jane")));
    // Notes stay with an incident that is over, as long as it is known.
    b.flow(40);
    let text = RemarkText::new("twenty are enough").unwrap();
    b.operator(OperatorAction::Remark { incident, by, text });
    assert_eq!(b.engine.view().remarks[&incident].len(), REMARKS_MAX);
}

#[test]
fn the_timeline_records_the_whole_course() {
    let mut b = Bench::new();
    b.flow(30);
    // A version, a certificate, new software, our own configuration: shortly before.
    for (kind, what) in [("certificate", "portal 2027"), ("version", "2.6")] {
        let change = Change { at: b.now, kind: kind.into(), what: what.into() };
        b.operator(OperatorAction::Changed(change));
    }
    for release in ["EHR 2025.1", "EHR 2026.2"] {
        let mut sent = message(release, release);
        sent.software = Some(Box::new(release.into()));
        b.see(0, 1, Seen::Message(sent));
        b.answer(0, 1, release, AckCode::AA);
        b.send(1, 9, release, release);
        b.answer(1, 9, release, AckCode::AA);
        b.pass(1);
    }
    let mut plan = plan();
    plan.config = "9f2c61ab".into();
    b.apply(Input::Configure(Arc::new(plan)));
    // The portal hangs: messages wait, then it comes back and all are answered.
    for n in 0..40 {
        b.send(0, 1, &format!("W{n}"), &format!("W{n}"));
        b.answer(0, 1, &format!("W{n}"), AckCode::AA);
        b.send(1, 9, &format!("W{n}"), &format!("W{n}"));
        b.pass(1);
    }
    let by = Label::from("ann");
    let incident = b.incident(Code::NoAck).id;
    b.operator(OperatorAction::Claim { incident, by });
    b.operator(OperatorAction::Judge { incident, right: true, by });
    for n in 0..40 {
        b.see(1, 9, Seen::Ack(ack(&format!("W{n}"), AckCode::AA)));
    }
    b.flow(90);
    let story = b.incident(Code::NoAck);
    assert_eq!(story.state, IncidentState::Resolved);
    let texts: Vec<String> = story.story.timeline.iter().map(|m| m.text()).collect();
    for part in [
        "the first bad message, as far as is known",
        "change: certificate portal 2027",
        "change: version 2.6",
        "change: software EHR 2026.2",
        "change: feedpulse configuration 9f2c61ab",
        "found: FP0102",
        "people were told: ticket",
        "people were told: page",
        "taken by ann",
        "ann says: worth a notice",
        "nothing is wrong any more",
        "all that waited is through",
        "over",
    ] {
        assert!(texts.iter().any(|text| text.starts_with(part)), "{part} is not in {texts:#?}");
    }
    assert!(!texts.iter().any(|text| text.contains("2025.1")), "what was first heard is no change");
    let times: Vec<_> = story.story.timeline.iter().map(|m| m.at).collect();
    assert!(times.is_sorted(), "in order of time");
    let place = |name| texts.iter().position(|text| text == name);
    assert!(place("nothing is wrong any more") <= place("all that waited is through"));
    // Our own configuration is a change to know of, and the cause of nothing.
    let cause = story.story.cause.map(|cause| cause.clues).unwrap_or_default();
    assert!(cause.contains(&crate::cause::Clue::Deployed), "{cause:?}");
}

#[test]
fn the_same_configuration_again_is_no_change() {
    let mut b = Bench::new();
    let with = |hash: &str| Input::Configure(Arc::new(Plan { config: hash.into(), ..plan() }));
    b.apply(with("a"));
    b.apply(with("a"));
    b.apply(with("b"));
    let changes: Vec<&str> =
        b.engine.checkpoint().changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changes, ["configuration a", "configuration b"]);
}

#[test]
fn software_is_followed_by_speaker_and_said_once() {
    let mut b = Bench::new();
    let mut say = |waypoint: u16, release: &str| {
        let mut sent = message(release, release);
        sent.software = Some(Box::new(release.into()));
        b.see(waypoint, 1, Seen::Message(sent));
        let mut answer = ack(release, AckCode::AA);
        answer.software = Some(Box::new("Portal 7".into()));
        b.see(waypoint, 1, Seen::Ack(answer));
        b.pass(1);
    };
    for release in ["EHR 1", "EHR 1", "EHR 2", "EHR 1", "EHR 2"] {
        // On both waypoints of the route: one change.
        say(0, release);
        say(1, release);
    }
    let changes: Vec<String> =
        b.engine.checkpoint().changes.iter().map(|c| format!("{} {}", c.kind, c.what)).collect();
    assert_eq!(changes, ["software EHR 2"], "a cluster whose nodes differ is no flood of changes");
}

#[test]
fn the_third_time_says_so_with_the_urgent_ones() {
    let mut b = Bench::new();
    b.flow(5);
    for n in 0..3 {
        let mut critical = message(&format!("C{n}"), &format!("C{n}"));
        critical.urgency = Urgency::Critical;
        b.see(0, 1, Seen::Message(critical));
        b.answer(0, 1, &format!("C{n}"), AckCode::AA);
        for attempt in 0..10 {
            b.see(1, 100 * n + attempt, Seen::Link(LinkEvent::Refused));
            b.pass(1);
        }
        b.see(1, 9, Seen::Link(LinkEvent::Opened));
        b.send(1, 9, &format!("C{n}"), &format!("C{n}"));
        b.answer(1, 9, &format!("C{n}"), AckCode::AA);
        b.flow(120);
    }
    let mut incidents = b.all.iter().filter_map(|(_, effect)| match effect {
        Effect::Incident(i) if i.code == Code::ReceiverDown => Some(i),
        _ => None,
    });
    let third = incidents.rfind(|i| i.state == IncidentState::Open).unwrap();
    let facts: std::collections::BTreeMap<_, _> = third.facts().into_iter().collect();
    let text = &facts["earlier"];
    assert_eq!(text, "third time in 30 days, same signature; the last one began 2 min before");
    assert!(facts["waiting"].contains("urgent"), "{facts:?}");
    assert!(third.summary.ends_with(" urgent"), "{}", third.summary);
}

#[test]
fn resolved_incidents_that_wait_for_a_verdict_are_kept_longer() {
    let mut b = Bench::with(Plan { resolve_after: Duration::from_secs(1), ..shadow(14) });
    b.flow(5);
    let part = |n: u32| Label::from(format!("part-{n}").as_str());
    b.trouble(60);
    let waiting = b.incident(Code::RejectedShare).id;
    b.flow(150);
    assert_eq!(b.incident(Code::RejectedShare).state, IncidentState::Resolved);
    for n in 0..150 {
        for failing in [true, false] {
            let own = OwnState {
                part: part(n),
                code: Code::ExportDown,
                failing,
                detail: Label::EMPTY,
                dropped: 0,
            };
            b.apply(Input::Own(own));
            b.pass(4);
        }
    }
    let resolved = &b.engine.checkpoint().resolved;
    assert_eq!(resolved.len(), 100);
    assert!(resolved.iter().any(|change| change.id == waiting));
    b.judge(waiting, true);
    assert!(b.engine.view().would_be.iter().any(|row| row.right == Some(true)));
}

#[test]
fn notices_that_were_taken_stay_with_their_incident_and_are_bounded() {
    let mut b = Bench::new();
    b.flow(5);
    b.trouble(40);
    let incident = b.incident(Code::RejectedShare).id;
    let before = b.all.len();
    let taken = |b: &Bench, incident, notifier: &str, why: &str| Taken {
        incident,
        at: b.now,
        notifier: Label::from(notifier),
        why: Label::from(why),
    };
    let open = taken(&b, incident, "oncall", "open");
    b.apply(Input::Taken(open));
    b.apply(Input::Taken(taken(&b, 9_999, "oncall", "open")));
    assert_eq!(b.all.len(), before, "nobody is told of it");
    for _ in 0..60 {
        b.pass(1);
        b.apply(Input::Taken(taken(&b, incident, "oncall", "repeat")));
    }
    b.apply(Input::Taken(taken(&b, incident, "chat", "claimed")));
    let kept = b.engine.view().notices;
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [incident], "of what is known only");
    let kept = &kept[&incident];
    assert_eq!((kept.len(), kept[0], kept[49].why.as_str()), (NOTICES_MAX, open, "claimed"));
    assert!(kept.is_sorted_by_key(|taken| taken.at));
    b.flow(40);
    assert_eq!(b.incident(Code::RejectedShare).state, IncidentState::Resolved);
    b.apply(Input::Taken(taken(&b, incident, "oncall", "resolved")));
    let state = b.engine.checkpoint();
    assert_eq!(state.notices[&incident].last().unwrap().why.as_str(), "resolved", "also when over");
}

#[test]
fn the_gauge_of_open_incidents_says_who_is_not_to_hear_of_them() {
    let mut b = Bench::new();
    b.flow(5);
    b.trouble(40);
    let incident = b.incident(Code::RejectedShare).id;
    let notify = |b: &mut Bench| {
        let families = families::gather(&b.engine.view(), &Registry::default());
        let gauge = families.iter().find(|f| f.name == "feedpulse_incident_open").unwrap();
        let code = ("code", Code::RejectedShare.text().code.to_owned());
        let point = gauge.points.iter().find(|p| p.labels.contains(&code)).unwrap();
        point.labels.iter().find(|(name, _)| *name == "notify").unwrap().1.clone()
    };
    assert_eq!(notify(&mut b), "live");
    b.operator(OperatorAction::Mute { incident, until: b.now.plus(Duration::from_secs(20)) });
    assert_eq!(notify(&mut b), "muted");
    b.trouble(21);
    assert_eq!(notify(&mut b), "live", "the mute is over");
    let mut view = b.engine.view();
    view.incidents.iter_mut().for_each(|i| {
        (i.story.shadow, i.muted_until) = (true, Some(view.now.plus(Duration::from_secs(9))));
    });
    let families = families::gather(&view, &Registry::default());
    let gauge = families.iter().find(|f| f.name == "feedpulse_incident_open").unwrap();
    assert!(gauge.points.iter().all(|p| p.labels.contains(&("notify", "shadow".to_owned()))));
}
