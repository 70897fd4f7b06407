//! Changes of shape through the engine: one incident, its words, what a feed does not want to hear of,
//! and what another engine learned.

use super::{Bench, plan};
use crate::cause::CauseClass;
use crate::codes::{Code, Severity};
use crate::effect::{Effect, IncidentChange, IncidentState, MomentKind};
use crate::engine::Engine;
use crate::input::Input;
use crate::label::Label;
use crate::plan::Plan;
use crate::shape::{Part, ShapeKey, ShapeSeen};
use crate::sighting::Seen;
use core::time::Duration;

/// Minutes of a week and a little more.
const LEARNED: u32 = 7 * 1_440 + 60;

fn part(text: &str) -> Part {
    Part::parse(text).expect(text)
}

fn shape(sender: &str, trigger: &str, parts: &[&str]) -> Seen {
    let mut parts: Vec<Part> = parts.iter().map(|text| part(text)).collect();
    parts.sort_unstable();
    let key = ShapeKey { sender: sender.into(), code: "ORU".into(), trigger: trigger.into() };
    let parts = parts.into_iter().map(|part| (part, 4)).collect();
    Seen::Shape(Box::new(ShapeSeen { key, messages: 4, parts }))
}

const USUAL: [&str; 4] = ["MSH", "PID", "PID-3", "charset ASCII"];

impl Bench {
    /// So many minutes with four messages each at both links; the engine renames the sender.
    fn minutes(&mut self, minutes: u32, parts: &[&str]) {
        for _ in 0..minutes {
            self.now = self.now.plus(Duration::from_secs(59));
            self.pass(1);
            self.see(0, 1, shape("LAB", "R01", parts));
            self.see(1, 9, shape("ENGINE", "R01", parts));
        }
        self.pass(1);
    }

    /// The incidents of a change of shape, as they are last known.
    fn drifts(&self) -> Vec<IncidentChange> {
        let mut last: Vec<IncidentChange> = Vec::new();
        for (_, effect) in &self.all {
            if let Effect::Incident(change) = effect
                && change.findings.iter().any(|f| f.code == Code::ShapeDrift)
            {
                last.retain(|held| held.id != change.id);
                last.push((**change).clone());
            }
        }
        last
    }
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&USUAL, more].concat()
}

#[test]
fn an_upgrade_is_one_incident_that_names_what_is_new_and_ends_when_it_is_normal() {
    let mut b = Bench::new();
    b.minutes(LEARNED, &USUAL);
    assert_eq!(b.drifts(), []);
    b.minutes(15, &with(&["ZPD", "ZPD-1", "PID-40", "OBX-11 = X"]));
    let [told] = &b.drifts()[..] else { panic!("one incident: {:?}", b.drifts()) };
    assert_eq!((told.state, told.severity), (IncidentState::Open, Severity::Ticket));
    for word in ["ORU^R01: ZPD segment", "ORU^R01: PID-40", "ORU^R01: OBX-11 = X"] {
        assert!(told.story.news.contains(&Label::from(word)), "{word}: {:?}", told.story.news);
        assert!(told.summary.contains(word), "{}", told.summary);
    }
    assert_eq!(told.story.news.len(), 3, "once, although two links see it: {:?}", told.story.news);
    assert!(told.facts().iter().any(|(name, text)| *name == "changed" && text.contains("PID-40")));
    let cause = told.story.cause.as_ref().expect("a hint");
    assert_eq!(cause.class, CauseClass::Software);
    let changes = told.story.timeline.iter().filter(|moment| {
        matches!(moment.what, MomentKind::Changed(change) if change.kind.as_str() == "shape")
    });
    assert!(changes.count() >= 1, "{:?}", told.story.timeline);
    // An hour on it is normal, and stays untold.
    b.minutes(1_000, &with(&["ZPD", "ZPD-1", "PID-40", "OBX-11 = X"]));
    let drifts = b.drifts();
    assert_eq!(drifts.len(), 1);
    assert_eq!(drifts[0].state, IncidentState::Resolved);
    assert_eq!(drifts[0].story.news.len(), 3, "what it was about is kept");
    assert_eq!(Engine::restore(b.engine.checkpoint().clone()).checkpoint(), b.engine.checkpoint());
}

#[test]
fn what_is_gone_is_told_until_it_is_back() {
    let mut b = Bench::new();
    b.minutes(LEARNED, &USUAL);
    b.minutes(25, &["MSH", "PID", "charset ASCII"]);
    let [told] = &b.drifts()[..] else { panic!("one incident: {:?}", b.drifts()) };
    assert!(told.summary.contains("ORU^R01: PID-3 gone"), "{}", told.summary);
    b.minutes(300, &["MSH", "PID", "charset ASCII"]);
    assert_eq!(b.drifts()[0].state, IncidentState::Open, "it is still gone");
    b.minutes(25, &USUAL);
    assert_eq!(b.drifts()[0].state, IncidentState::Resolved);
}

#[test]
fn another_character_set_is_told_within_minutes() {
    let mut b = Bench::new();
    b.minutes(90, &USUAL);
    let other = ["MSH", "PID", "PID-3", "charset UNICODE UTF-8"];
    b.minutes(2, &other);
    let [told] = &b.drifts()[..] else { panic!("one incident: {:?}", b.drifts()) };
    assert!(told.summary.contains("charset UNICODE UTF-8"), "{}", told.summary);
}

#[test]
fn a_feed_says_what_may_come_and_go() {
    for (vary, on, told) in
        [(&["ZPD"][..], true, 0), (&["ZPQ"], true, 1), (&["PID-40"], true, 1), (&[], false, 0)]
    {
        let mut plan: Plan = plan();
        let objectives = &mut plan.feeds[0].objectives;
        objectives.may_vary = vary.iter().map(|text| part(text)).collect();
        objectives.schema_drift = on;
        let mut b = Bench::with(plan);
        b.minutes(LEARNED, &USUAL);
        b.minutes(15, &with(&["ZPD", "ZPD-1"]));
        assert_eq!(b.drifts().len(), told, "{vary:?} {on}");
    }
}

#[test]
fn a_type_that_is_new_at_a_link_is_a_note() {
    let mut b = Bench::new();
    b.minutes(LEARNED, &USUAL);
    for _ in 0..6 {
        b.see(0, 1, shape("LAB", "R30", &USUAL));
        b.pass(1);
    }
    let [told] = &b.drifts()[..] else { panic!("one incident: {:?}", b.drifts()) };
    assert_eq!(told.severity, Severity::Note);
    assert!(told.summary.contains("type ORU^R30"), "{}", told.summary);
}

#[test]
fn shapes_are_learned_from_another_engine() {
    let mut teacher = Bench::new();
    teacher.minutes(LEARNED, &USUAL);
    // Links that were seen teach.
    (0..2).for_each(|w| teacher.send(w, 1, "A1", "F1"));
    let learned = teacher.engine.learned();
    let mut b = Bench::new();
    b.now = teacher.now;
    b.apply(Input::Learned(Box::new(learned)));
    b.minutes(15, &with(&["ZPD"]));
    assert_eq!(b.drifts().len(), 1, "on day one");
}
