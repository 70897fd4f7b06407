//! What changes in the shape of messages at a link: told for the feeds that want to hear of it.

use super::Engine;
use super::shapes::{NEWS_MAX, News, Said, VOCABULARIES_MAX};
use crate::codes::{Code, Severity};
use crate::effect::Change;
use crate::finding::Subject;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::{FeedPlan, Plan, covers};
use crate::shape::{Part, ShapeKey, ShapeSeen};
use crate::sighting::Sighting;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kind of such a change in the timeline.
pub(super) const CHANGE: &str = "shape";

impl Engine {
    /// Learns what some messages had; says what is new in them, or gone.
    pub(super) fn shape(&mut self, at: &Sighting, seen: &ShapeSeen) {
        let key = seen.key;
        if key.code.is_empty() {
            return;
        }
        // Which types a link carries is a vocabulary of its own.
        let kind = ShapeSeen {
            key: ShapeKey::default(),
            messages: seen.messages,
            parts: vec![(Part::kind(&key.code, &key.trigger), seen.messages)],
        };
        let Some(here) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        let mut said = Vec::new();
        for seen in [&kind, seen] {
            let shapes = &mut here.usual.shapes;
            if shapes.len() < VOCABULARIES_MAX || shapes.contains_key(&seen.key) {
                let words = shapes.entry(seen.key).or_default().take(at.at, seen);
                said.extend(words.into_iter().map(|word| (seen.key, word)));
            }
        }
        if said.is_empty() {
            return;
        }
        let plan = Arc::clone(&self.s.plan);
        let mut fresh = None::<News>;
        for (of, word) in said {
            let (part, gone, since, severity) = match word {
                Said::New(part, since, severity) => (part, false, since, severity),
                Said::Gone(part, since) => (part, true, since, Severity::Ticket),
                Said::Back(part) => {
                    here.drift.retain(|news| !(news.gone && news.key == of && news.part == part));
                    continue;
                }
            };
            if here.drift.len() < NEWS_MAX && is_told(&plan, at.waypoint, key, part) {
                let news = News { key: of, part, gone, severity, since, told: at.at };
                here.drift.push(news);
                fresh = fresh.or(Some(news));
            }
        }
        if let Some(one) = fresh {
            self.changed(Change { at: one.since, kind: Label::from(CHANGE), what: name(&one) });
        }
    }

    /// Remembers in an incident what is new at its links.
    pub(super) fn note_news(&mut self, root: Subject) {
        let Some(incident) = self.s.incidents.get_mut(&root) else { return };
        if !incident.findings.contains_key(&Code::ShapeDrift) {
            return;
        }
        let links = incident.members.keys().filter(|(_, code)| *code == Code::ShapeDrift);
        let places: Vec<usize> = links
            .filter_map(|(subject, _)| match subject {
                Subject::Waypoint(link) => Some(usize::from(link.0)),
                _ => None,
            })
            .collect();
        let here = places.into_iter().filter_map(|place| self.s.waypoints.get(place));
        here.flat_map(|here| &here.drift).for_each(|news| incident.add_news(*news));
    }
}

/// Whether any feed of that kind at a link wants to hear of a part; of feeds that name the sender those
/// only. Behind an engine that changes the sender's name all count that have the type.
fn is_told(plan: &Plan, link: WaypointId, key: ShapeKey, part: Part) -> bool {
    let link = plan.primary(link);
    let passes = |feed: &&FeedPlan| {
        let route = plan.routes.get(usize::from(feed.route.0));
        route.is_some_and(|route| route.waypoints.contains(&link))
    };
    let typed = |feed: &&FeedPlan| {
        feed.types.is_empty() || feed.types.iter().any(|kind| covers(kind, key.code, key.trigger))
    };
    let named = |feed: &&FeedPlan| feed.senders.iter().any(|name| name == key.sender.as_str());
    let feeds: Vec<&FeedPlan> = plan.feeds.iter().filter(passes).filter(typed).collect();
    let any_named = feeds.iter().any(named);
    let mut judged = feeds.iter().filter(|feed| !any_named || named(feed)).peekable();
    let wants = |objectives: &crate::plan::Objectives| {
        objectives.schema_drift && !objectives.may_vary.iter().any(|vary| part.is_within(*vary))
    };
    match judged.peek() {
        None => wants(&plan.defaults),
        Some(_) => judged.any(|feed| wants(&feed.objectives)),
    }
}

/// One change for people: `ORU^R01: ZPD segment`, `ADT^A08: PID-3 gone`.
pub(crate) fn name(news: &News) -> Label {
    let gone = if news.gone { " gone" } else { "" };
    let text = format!("{}{}{gone}", kind(&news.key), news.part);
    Label::from(text.as_str())
}

/// What stands before a change: the type, unless that is what changed.
fn kind(key: &ShapeKey) -> String {
    match (key.code.as_str(), key.trigger.as_str()) {
        ("", _) => String::new(),
        (code, "") => format!("{code}: "),
        (code, trigger) => format!("{code}^{trigger}: "),
    }
}

/// All changes for people, the loudest first; what several types have in common is said once.
pub(super) fn words(news: &[News]) -> Vec<Label> {
    let mut sorted: Vec<&News> = news.iter().collect();
    sorted.sort_by_key(|n| (core::cmp::Reverse((n.severity, n.gone)), n.part, n.key));
    let mut words: Vec<Label> = Vec::new();
    for (place, one) in sorted.iter().enumerate() {
        let same = |other: &&&News| (other.part, other.gone) == (one.part, one.gone);
        let kinds = sorted.iter().filter(same).map(|n| (n.key.code, n.key.trigger));
        let kinds = kinds.collect::<BTreeSet<_>>().len();
        if sorted.iter().position(|other| same(&other)) != Some(place) {
            continue;
        }
        words.push(match kinds {
            1 => name(one),
            _ => {
                let gone = if one.gone { " gone" } else { "" };
                Label::from(format!("{}{gone} in {kinds} types", one.part).as_str())
            }
        });
    }
    words
}
