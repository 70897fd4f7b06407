//! Who is told of an incident, when, and how often: the routes, in order, the first match first.

use crate::config::{ConfigError, RouteConfig};
use core::time::Duration;
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{IncidentChange, MomentKind};
use feedpulse_core::time::Timestamp;

/// What the routes say of one notifier and one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// It is told from then on.
    pub(crate) from: Timestamp,
    /// Time between updates; None = the notifier's own.
    pub(crate) updates: Option<Duration>,
    /// It is told because nobody took it.
    pub(crate) escalated: bool,
}

/// All routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    list: Vec<RouteConfig>,
}

impl Routes {
    /// Checks that every name is that of a notifier.
    pub(crate) fn new(list: &[RouteConfig], known: &[&str]) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        for (number, route) in list.iter().enumerate() {
            let escalated = route.escalate.iter().flat_map(|escalate| &escalate.to);
            for name in route.notifiers.iter().chain(escalated) {
                if !known.contains(&name.as_str()) {
                    errors.push(ConfigError::Name {
                        place: format!("route {}", number + 1),
                        name: name.clone(),
                        what: "is not that of a notifier",
                    });
                }
            }
        }
        if errors.is_empty() { Ok(Self { list: list.to_vec() }) } else { Err(errors) }
    }

    /// What a notifier is to do about an incident; None = it is not told. Without routes, and where
    /// none matches, every notifier is told at once. So it is of a drill, whatever the routes say:
    /// it proves that each notifier can be reached, also the one that is for the worst night.
    pub(crate) fn terms(&self, notifier: &str, change: &IncidentChange) -> Option<Terms> {
        let opened = change.story.opened_at.unwrap_or(change.since);
        if change.story.drill {
            // Over within minutes: its begin and its end are all there is to say.
            let updates = Some(Duration::MAX);
            return Some(Terms { from: opened, updates, escalated: false });
        }
        let mut found: Option<Terms> = None;
        let mut matched = false;
        for route in self.list.iter().filter(|route| matches(route, change)) {
            matched = true;
            for terms in of_route(route, notifier, change, opened) {
                found = Some(found.map_or(terms, |held| earlier(held, terms)));
            }
            if !route.goes_on {
                break;
            }
        }
        let all = Terms { from: opened, updates: None, escalated: false };
        if matched { found } else { Some(all) }
    }
}

/// Where two routes lead to one notifier: told at the earlier time, at the faster rhythm.
fn earlier(one: Terms, two: Terms) -> Terms {
    let updates = one.updates.into_iter().chain(two.updates).min();
    let first = if two.from < one.from { two } else { one };
    Terms { updates, ..first }
}

fn of_route(
    route: &RouteConfig,
    notifier: &str,
    change: &IncidentChange,
    opened: Timestamp,
) -> Vec<Terms> {
    let mut terms = Vec::new();
    if route.notifiers.iter().any(|name| name == notifier) {
        let page = change.severity == Severity::Page;
        let from = if page { opened } else { opened.plus(route.wait) };
        terms.push(Terms { from, updates: route.updates, escalated: false });
    }
    if let Some(escalate) = &route.escalate
        && escalate.to.iter().any(|name| name == notifier)
        && change.claimed_by.is_empty()
        && let Some(paged) = paged_at(change, opened)
    {
        let from = paged.plus(escalate.after);
        terms.push(Terms { from, updates: route.updates, escalated: true });
    }
    terms
}

/// Since when it is a page; None = it is not.
fn paged_at(change: &IncidentChange, opened: Timestamp) -> Option<Timestamp> {
    let paged = |kind: MomentKind| kind == MomentKind::Told(Severity::Page);
    let told = change.story.timeline.iter().find(|moment| paged(moment.what));
    let at = told.map_or(opened, |moment| moment.at);
    (change.severity == Severity::Page).then_some(at)
}

/// Whether every condition that a route states holds.
fn matches(route: &RouteConfig, change: &IncidentChange) -> bool {
    let story = &change.story;
    let any = |list: &[String], has: &dyn Fn(&str) -> bool| {
        list.is_empty() || list.iter().any(|name| has(name))
    };
    let code = change.code.text().code;
    let (kind, subject) = super::subject_label(change);
    let of_kind = |wanted: &str, name: &str| kind == wanted && subject == name;
    let feed = |name: &str| of_kind("feed", name) || story.feeds.iter().any(|feed| feed == name);
    // A prefix such as FP01 stands for all codes that begin so.
    let codes = |prefix: &str| code.starts_with(prefix);
    any(&route.feeds, &feed)
        && any(&route.waypoints, &|name| of_kind("waypoint", name))
        && any(&route.scopes, &|name| story.scope.name() == name)
        && any(&route.codes, &codes)
        && (route.severities.is_empty() || route.severities.contains(&change.severity))
}

#[cfg(test)]
mod tests {
    use super::{Routes, Terms};
    use crate::config::{Escalation, RouteConfig};
    use crate::tests::{T0, at, incident};
    use core::time::Duration;
    use feedpulse_core::codes::Severity;
    use feedpulse_core::effect::{IncidentChange, Moment, MomentKind, Scope};
    use feedpulse_core::label::Label;

    fn route(notifiers: &[&str]) -> RouteConfig {
        let notifiers = notifiers.iter().map(|&name| name.to_owned()).collect();
        RouteConfig { notifiers, ..RouteConfig::default() }
    }

    fn names(routes: &Routes, change: &IncidentChange) -> Vec<&'static str> {
        let all = ["mail", "pager", "chat", "boss"];
        all.into_iter().filter(|name| routes.terms(name, change).is_some()).collect()
    }

    fn routes(list: &[RouteConfig]) -> Routes {
        Routes::new(list, &["mail", "pager", "chat", "boss"]).unwrap()
    }

    #[test]
    fn the_first_match_wins_unless_it_says_to_go_on() {
        let pages = RouteConfig { severities: vec![Severity::Page], ..route(&["pager"]) };
        let rest = route(&["mail"]);
        let both = RouteConfig { goes_on: true, ..pages.clone() };
        let change = incident(1);
        assert_eq!(names(&routes(&[pages.clone(), rest.clone()]), &change), ["pager"]);
        assert_eq!(names(&routes(&[both, rest.clone()]), &change), ["mail", "pager"]);
        let ticket = IncidentChange { severity: Severity::Ticket, ..change.clone() };
        assert_eq!(names(&routes(&[pages.clone(), rest]), &ticket), ["mail"]);
        assert_eq!(names(&routes(&[pages]), &ticket).len(), 4, "where none matches, all are told");
        assert_eq!(names(&routes(&[]), &change).len(), 4);
        assert_eq!(names(&routes(&[route(&[])]), &change).len(), 0, "nobody, as stated");
    }

    #[test]
    fn every_stated_condition_must_hold() {
        let mut change = incident(1);
        change.story.scope = Scope::System;
        change.story.feeds = vec!["lab".to_owned(), "adt".to_owned()];
        let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let told = |route: RouteConfig| names(&routes(&[route]), &change) == ["mail"];
        let base = route(&["mail"]);
        for (stated, holds) in [
            (RouteConfig { feeds: text(&["adt"]), ..base.clone() }, true),
            (RouteConfig { feeds: text(&["rad"]), ..base.clone() }, false),
            (RouteConfig { waypoints: text(&["x", "portal-in"]), ..base.clone() }, true),
            (RouteConfig { waypoints: text(&["x"]), ..base.clone() }, false),
            (RouteConfig { scopes: text(&["system"]), ..base.clone() }, true),
            (RouteConfig { codes: text(&["FP01"]), ..base.clone() }, true),
            (RouteConfig { codes: text(&["FP0104"]), ..base.clone() }, true),
            (RouteConfig { codes: text(&["FP02"]), feeds: text(&["adt"]), ..base }, false),
        ] {
            assert_eq!(told(stated.clone()), holds, "{stated:?}");
        }
    }

    #[test]
    fn a_drill_goes_to_everybody_at_once_and_is_not_repeated() {
        let to = vec!["boss".to_owned()];
        let routes = routes(&[RouteConfig {
            wait: Duration::from_secs(600),
            escalate: Some(Escalation { after: Duration::from_secs(60), to }),
            ..route(&[])
        }]);
        let mut change = IncidentChange { severity: Severity::Ticket, ..incident(1) };
        assert_eq!(names(&routes, &change).len(), 0);
        change.story.drill = true;
        for name in ["mail", "pager", "chat", "boss"] {
            let terms = routes.terms(name, &change).unwrap();
            assert!(terms.from == T0 && !terms.escalated, "{terms:?}");
            assert_eq!(terms.updates, Some(Duration::MAX));
        }
    }

    #[test]
    fn tickets_wait_and_unclaimed_pages_go_further() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let to = vec!["boss".to_owned()];
        let list = [RouteConfig {
            updates: Some(minutes(30)),
            wait: minutes(2),
            escalate: Some(Escalation { after: minutes(15), to }),
            ..route(&["mail"])
        }];
        let routes = routes(&list);
        let mut change = IncidentChange { severity: Severity::Ticket, ..incident(1) };
        change.story.opened_at = Some(T0);
        let terms = |from, escalated| Some(Terms { from, updates: Some(minutes(30)), escalated });
        assert_eq!(routes.terms("mail", &change), terms(at(120_000), false));
        assert_eq!(routes.terms("boss", &change), None, "no page");
        change.severity = Severity::Page;
        let told = MomentKind::Told(Severity::Page);
        change.story.timeline = vec![Moment { at: at(60_000), what: told }];
        assert_eq!(routes.terms("mail", &change), terms(T0, false), "a page waits for nothing");
        assert_eq!(routes.terms("boss", &change), terms(at(960_000), true));
        change.claimed_by = Label::from("ana");
        assert_eq!(routes.terms("boss", &change), None, "somebody took it");
        assert_eq!(routes.terms("chat", &change), None);
        let unknown = Routes::new(&list, &["mail"]).unwrap_err();
        assert!(unknown[0].to_string().contains("\"boss\" is not that of a notifier"));
    }
}
