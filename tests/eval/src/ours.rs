//! The real engine on simulated time, and what a notifier would have sent of its incidents.

use crate::alert::Alert;
use crate::cause::cause_of;
use crate::event::Event;
use crate::history::{Fault, FaultKind, Feed, History, Link};
use feedpulse_core::calendar::Calendar;
use feedpulse_core::codes::Severity;
use feedpulse_core::effect::{Effect, Effects, IncidentChange, IncidentState};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::Input;
use feedpulse_core::plan::{
    DownTimes, Downtime, FeedPlan, Objectives, Plan, Route, RouteId, Silence, Waypoint,
};
use feedpulse_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

fn length(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn waypoint(link: &Link) -> Waypoint {
    Waypoint {
        no_ack_after: length(link.no_ack_after),
        ack_time: length(link.ack_objective),
        peers: link.peers.clone(),
        ..Waypoint::new(&link.name)
    }
}

fn feed(feed: &Feed, route: usize) -> FeedPlan {
    let kind = |(code, trigger): &(String, String)| match trigger.as_str() {
        "" => code.clone(),
        trigger => format!("{code}^{trigger}"),
    };
    FeedPlan {
        name: feed.name.clone(),
        route: RouteId(u16::try_from(route).unwrap_or(u16::MAX)),
        senders: if feed.any_sender { Vec::new() } else { vec![feed.sender.clone()] },
        types: feed.types.iter().map(kind).collect(),
        objectives: Objectives {
            transit: length(feed.transit),
            urgent_transit: length(feed.urgent_transit),
            source_age: feed.source_age.map(length),
            silence: feed.silence.map_or(Silence::Learned, |limit| Silence::After(length(limit))),
            ..Objectives::default()
        },
        ends_at: Vec::new(),
        filters: Vec::new(),
    }
}

fn calendar(history: &History) -> Calendar {
    let offset = |(from, offset): &(i64, i64)| {
        let seconds = i32::try_from(offset / 1_000_000).unwrap_or(0);
        (Timestamp::from_micros(*from), seconds)
    };
    let day = |day: &i64| i32::try_from(*day).unwrap_or(0);
    let mut holidays: Vec<i32> = history.calendar.holidays.iter().map(day).collect();
    holidays.sort_unstable();
    Calendar { offsets: history.calendar.offsets.iter().map(offset).collect(), holidays }
}

/// What is planned is stated.
fn downtimes(history: &History) -> Vec<Downtime> {
    let planned = history.faults.iter().filter(|fault| fault.kind == FaultKind::Maintenance);
    let downtime = |fault: &Fault| Downtime {
        name: "planned".to_owned(),
        waypoints: fault
            .link
            .iter()
            .map(|n| WaypointId(u16::try_from(*n).unwrap_or(u16::MAX)))
            .collect(),
        times: DownTimes::Once {
            from: Timestamp::from_micros(fault.from),
            to: Timestamp::from_micros(fault.to),
        },
    };
    planned.map(downtime).collect()
}

/// The configuration that an operator would have written for a history.
fn plan(history: &History) -> Plan {
    let id = |link: &usize| WaypointId(u16::try_from(*link).unwrap_or(u16::MAX));
    let mut routes: Vec<Route> = Vec::new();
    let mut feeds = Vec::new();
    for plan in &history.feeds {
        let waypoints: Vec<WaypointId> = plan.path.iter().map(id).collect();
        let known = routes.iter().position(|route| route.waypoints == waypoints);
        let route = known.unwrap_or_else(|| {
            routes.push(Route { name: format!("route-{}", routes.len() + 1), waypoints });
            routes.len() - 1
        });
        feeds.push(feed(plan, route));
    }
    Plan {
        waypoints: history.links.iter().map(waypoint).collect(),
        routes,
        feeds,
        journey_expiry: Duration::from_secs(900),
        rollup: Duration::from_secs(60),
        feeds_max: 1_000,
        series_max: 500,
        calendar: calendar(history),
        downtimes: downtimes(history),
        ..Plan::default()
    }
}

/// The engine, and its alerts.
#[derive(Debug)]
pub struct Ours {
    engine: Engine,
    effects: Effects,
    links: u16,
    /// Our own restarts to come, latest first: (from, back again).
    restarts: Vec<(i64, i64)>,
    /// What passed while we were away: the wire's ring keeps it.
    kept: Vec<Input>,
    said: HashMap<u64, usize>,
    alerts: Vec<Alert>,
}

impl Ours {
    /// An engine that was configured for a history.
    #[must_use]
    pub fn new(history: &History) -> Self {
        let restarts = history.faults.iter().filter(|f| f.kind == FaultKind::Restart);
        let mut restarts: Vec<_> = restarts.map(|f| (f.from, f.from + f.away)).collect();
        restarts.sort_unstable_by(|a, b| b.cmp(a));
        let mut ours = Self {
            engine: Engine::new(),
            effects: Effects::default(),
            links: u16::try_from(history.links.len()).unwrap_or(u16::MAX),
            restarts,
            kept: Vec::new(),
            said: HashMap::new(),
            alerts: Vec::new(),
        };
        let configure = Input::Configure(Arc::new(plan(history)));
        ours.apply(history.start, &configure);
        ours
    }

    fn is_away(&self, now: i64) -> bool {
        self.restarts.last().is_some_and(|(from, back)| now >= *from && now < *back)
    }

    /// Something passed.
    pub fn see(&mut self, event: Event) {
        let now = event.sighting.at.as_micros();
        let input = Input::Seen(event.sighting);
        if self.is_away(now) {
            self.kept.push(input);
        } else {
            self.come_back(now);
            self.apply(now, &input);
        }
    }

    /// A restart is over: the engine goes on from its checkpoint, with what was kept for it.
    fn come_back(&mut self, now: i64) {
        if self.restarts.last().is_some_and(|(_, back)| now >= *back) {
            self.restarts.pop();
            let state = self.engine.checkpoint().clone();
            let plan = Arc::clone(&state.plan);
            self.engine = Engine::restore(state);
            // As at every start, and at a reload: the configuration is read again.
            self.apply(now, &Input::Configure(plan));
            for input in core::mem::take(&mut self.kept) {
                self.apply(now, &input);
            }
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: i64) {
        if self.is_away(now) {
            return;
        }
        self.come_back(now);
        for link in 0..self.links {
            self.apply(now, &Input::Alive(WaypointId(link)));
        }
        self.apply(now, &Input::Tick);
    }

    fn apply(&mut self, now: i64, input: &Input) {
        self.engine.apply(Timestamp::from_micros(now), input, &mut self.effects);
        for (_, effect) in self.effects.drain() {
            if let Effect::Incident(change) = effect {
                take(&mut self.said, &mut self.alerts, now, &change);
            }
        }
    }

    /// Everything that people were told.
    #[must_use]
    pub fn alerts(self) -> Vec<Alert> {
        self.alerts
    }
}

/// What a notifier makes of a change: a notice at the start, when it becomes louder, at the end.
fn take(
    said: &mut HashMap<u64, usize>,
    alerts: &mut Vec<Alert>,
    now: i64,
    change: &IncidentChange,
) {
    if change.state == IncidentState::Pending {
        return;
    }
    let known = said.get(&change.id).copied();
    if known.is_none() && change.state == IncidentState::Resolved {
        return;
    }
    let place = known.unwrap_or_else(|| {
        let mut alert = Alert::plain(change.subject_name.clone(), now, change.severity);
        alert.marks.clear();
        (alert.opened, alert.notices, alert.severity) = (i64::MAX, 0, Severity::Note);
        alert.paged = None;
        alerts.push(alert);
        said.insert(change.id, alerts.len() - 1);
        alerts.len() - 1
    });
    let Some(alert) = alerts.get_mut(place) else { return };
    if let Some((cause, clues)) = cause_of(change) {
        (alert.cause, alert.because) = (Some(cause), clues);
    }
    for finding in change.findings.iter().filter(|f| f.cleared_at.is_none()) {
        let fresh = !alert.marks.iter().any(|(_, code)| *code == Some(finding.code));
        if fresh {
            alert.marks.push((now, Some(finding.code)));
        }
    }
    if change.severity > alert.severity {
        alert.severity = change.severity;
        if change.severity == Severity::Page {
            alert.paged = Some(now);
        }
        alert.opened = alert.opened.min(now);
        alert.louder += u32::from(alert.notices > 0);
        alert.notices += 1;
    }
    if change.state == IncidentState::Resolved {
        alert.closed = Some(now);
        alert.notices += u32::from(alert.notices > 0);
        said.remove(&change.id);
    }
}
