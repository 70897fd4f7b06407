//! What checks say: the author's words in an incident, bounded tables, checks that move and go.

use super::{Bench, plan};
use crate::codes::{Code, Severity};
use crate::effect::{Effect, IncidentChange, IncidentState, MomentKind};
use crate::engine::Engine;
use crate::finding::{CheckFinding, Subject};
use crate::frame::WaypointId;
use crate::input::Input;
use crate::label::Label;
use crate::plan::Plan;
use crate::said::{CODES_MAX, CheckWords, CodeWords, Line, SHORT_MAX, TEXT_MAX};
use crate::sighting::Urgency;
use std::sync::Arc;

fn words(check: u16, version: &str, codes: &[&str]) -> Input {
    let line = |text: &str| Line::new(text, TEXT_MAX);
    let one = |code: &&str| {
        let words = CodeWords {
            name: line(&format!("results/{code}")),
            by: line(&format!("results {version}")),
            title: line(&format!("Title of {code}")),
            explanation: line(&format!("Why {code}, by {version}.")),
            remedy: line(&format!("Mend {code}.")),
        };
        (Label::from(*code), Arc::new(words))
    };
    Input::Words(Box::new(CheckWords { check, codes: codes.iter().map(one).collect() }))
}

impl Bench {
    fn finds(&mut self, check: u16, code: &str, severity: Severity, place: &str, minutes: u32) {
        let short = |text: &str| Line::new(text, SHORT_MAX);
        self.apply(Input::Found(CheckFinding {
            at: self.now,
            check,
            waypoint: WaypointId(1),
            faulty: false,
            code: Label::from(code),
            severity,
            journey_key: None,
            urgency: Urgency::Routine,
            place: short(place),
            attrs: vec![(short("minutes"), short(&minutes.to_string()))],
        }));
    }

    /// The latest that was told of the only incident about a check.
    fn told(&self) -> IncidentChange {
        let told = self.all.iter().rev().find_map(|(_, effect)| match effect {
            Effect::Incident(change) if matches!(change.subject, Subject::Check(_)) => Some(change),
            _ => None,
        });
        (**told.unwrap()).clone()
    }

    fn tellings(&self) -> usize {
        self.all.iter().filter(|(_, effect)| matches!(effect, Effect::Incident(_))).count()
    }
}

#[test]
fn an_incident_says_what_the_author_of_its_check_wrote() {
    let mut b = Bench::new();
    b.apply(words(0, "1.0.0", &["went-back", "room"]));
    for n in 0..3 {
        b.finds(0, "went-back", Severity::Ticket, "OBX[2]-11", n);
    }
    b.finds(0, "room", Severity::Note, "PV1-3", 5);
    assert_eq!(b.tellings(), 0, "what one batch says is told together");
    b.pass(1);
    let told = b.told();
    assert_eq!((told.code, told.state), (Code::CheckFound, IncidentState::Open));
    assert_eq!(told.title(), "Title of went-back");
    assert_eq!(told.means(), "Why went-back, by 1.0.0.");
    assert_eq!(told.remedy(), "Mend went-back.");
    assert_eq!(
        told.summary,
        "Title of went-back (check status): results/went-back, 3 times, last at OBX[2]-11 on portal-in, \
         minutes 2; also room once"
    );
    let found = told.facts().into_iter().find(|(name, _)| *name == "found").unwrap().1;
    assert!(found.contains("Title of room (results/room), once at PV1-3 on portal-in"), "{found}");
    let moments: Vec<_> = told.story.timeline.iter().map(|moment| moment.what).collect();
    assert!(moments.contains(&MomentKind::CheckFound(Label::from("room"))), "{moments:?}");

    // A louder code leads from then on, and a new version's words hold from its first finding on.
    b.apply(words(0, "1.1.0", &["went-back", "room"]));
    b.finds(0, "room", Severity::Page, "PV1-3", 7);
    let told = b.told();
    assert_eq!((told.severity, told.title()), (Severity::Page, "Title of room"));
    assert_eq!(told.means(), "Why room, by 1.1.0.");
    assert_eq!(
        told.story.check_codes.codes[0].words.as_ref().unwrap().by.as_str(),
        "results 1.0.0"
    );
}

#[test]
fn many_findings_are_told_a_few_times_with_their_counts() {
    let mut b = Bench::new();
    b.apply(words(0, "1.0.0", &["went-back"]));
    for n in 0..1_000 {
        b.finds(0, "went-back", Severity::Ticket, "OBX-11", n);
        b.pass(1);
    }
    assert!((8..=12).contains(&b.tellings()), "{}", b.tellings());
    let times = b.told().story.check_codes.codes[0].times;
    assert!(times > 500, "{times}");
    b.pass(200);
    let over = b.told();
    assert_eq!(over.state, IncidentState::Resolved);
    assert!(over.summary.contains("1000 times"), "{}", over.summary);
    assert_eq!(over.remedy(), "Mend went-back.", "its words stay with it");
}

#[test]
fn codes_beyond_the_table_are_counted_and_codes_without_words_are_named() {
    let mut b = Bench::new();
    for n in 0..30 {
        b.finds(0, &format!("code-{n}"), Severity::Ticket, "", 1);
    }
    b.pass(1);
    let told = b.told();
    assert_eq!(told.story.check_codes.codes.len(), CODES_MAX);
    assert_eq!(told.story.check_codes.others, 14);
    assert_eq!(told.title(), Code::CheckFound.text().title, "no words, so ours");
    assert!(told.summary.ends_with("; and 26 more of further codes"), "{}", told.summary);
    assert!(told.summary.starts_with("A check found something (check status): code-0, once on"));
}

#[test]
fn checks_move_with_their_names_and_what_is_gone_ends_with_its_words() {
    let with = |checks: &[&str]| Plan {
        checks: checks.iter().map(|name| (*name).to_owned()).collect(),
        ..plan()
    };
    let mut b = Bench::with(with(&["a", "b"]));
    b.apply(words(0, "1.0.0", &["went-back"]));
    b.apply(words(1, "1.0.0", &["room"]));
    b.finds(0, "went-back", Severity::Ticket, "OBX-11", 1);
    b.finds(1, "room", Severity::Ticket, "PV1-3", 1);
    b.pass(1);
    // As after a restart with another configuration: `a` is gone, `b` is the first.
    b.engine = Engine::restore(b.engine.checkpoint().clone());
    b.apply(Input::Configure(Arc::new(with(&["b", "c"]))));
    let over = b.told();
    assert_eq!((over.state, over.subject_name.as_str()), (IncidentState::Resolved, "check a"));
    assert_eq!(over.remedy(), "Mend went-back.");
    b.finds(0, "room", Severity::Page, "PV1-3", 2);
    let told = b.told();
    assert_eq!((told.subject, told.subject_name.as_str()), (Subject::Check(0), "check b"));
    assert_eq!((told.title(), told.story.check_codes.codes[0].times), ("Title of room", 2));
    b.apply(words(7, "1.0.0", &["room"]));
    assert!(!b.engine.checkpoint().words.contains_key(&7), "there is no such check");
}
