//! Which incident a finding belongs to: one cause is one incident. A dead engine with fifty feeds is
//! told once, a feed that suffers from its link is part of the link's incident.

use super::Engine;
use super::incidents::is_symptom;
use super::state::{Incident, State};
use crate::codes::Code;
use crate::effect::IncidentState;
use crate::finding::{Finding, FindingState, Subject};
use crate::frame::WaypointId;
use crate::plan::FeedId;
use crate::time::Timestamp;

/// What begins within this of each other, in µs, may have one cause.
const TOGETHER: i64 = 300_000_000;

/// What changes in messages within this, in µs, was one upgrade.
const ONE_UPGRADE: i64 = 3_600_000_000;

/// Faults of a link that make feeds behind it late, grow or fall silent.
const fn blocks(code: Code) -> bool {
    matches!(
        code,
        Code::ReceiverDown
            | Code::NoAck
            | Code::AckSlow
            | Code::ConnectionLost
            | Code::HeadOfLine
            | Code::RejectedShare
    )
}

/// Faults of a link that a receiver further on may be the reason of.
const fn may_come_from_behind(code: Code) -> bool {
    matches!(code, Code::NoAck | Code::AckSlow | Code::ConnectionLost | Code::RejectedShare)
}

/// What an upgrade does to messages.
const fn is_drift(code: Code) -> bool {
    matches!(code, Code::SchemaDrift | Code::ShapeDrift)
}

fn near(a: Timestamp, b: Timestamp) -> bool {
    a.micros_since(b).abs() <= TOGETHER
}

impl Engine {
    /// The subject of the incident that a finding belongs to; None for the end of what no incident
    /// has.
    pub(super) fn home_of(&self, finding: &Finding) -> Option<Subject> {
        let member = (finding.subject, finding.code);
        let own = self.s.incidents.get(&finding.subject);
        if own.is_some_and(|incident| incident.members.contains_key(&member)) {
            return Some(finding.subject);
        }
        let has = |incident: &Incident| incident.members.contains_key(&member);
        let held = self.s.incidents.iter().find(|(_, incident)| has(incident));
        if let Some((root, _)) = held {
            return Some(*root);
        }
        if finding.state == FindingState::Cleared {
            return None;
        }
        if own.is_some() {
            return Some(finding.subject);
        }
        let of_part = !matches!(finding.detail.as_str(), "" | "due by its schedule");
        if finding.code == Code::Silence && of_part {
            // One type or facility, while the others go on: no link explains that.
            return Some(finding.subject);
        }
        let what = (finding.subject, finding.code, finding.since);
        let explained =
            |(root, incident): &(&Subject, &Incident)| explains(&self.s, **root, incident, what);
        let cause = self.s.incidents.iter().find(explained).map(|(root, _)| *root);
        Some(cause.unwrap_or(finding.subject))
    }

    /// Takes pending incidents into the one that explains them.
    pub(super) fn absorb(&mut self, root: Subject) {
        let Some(cause) = self.s.incidents.get(&root) else { return };
        if !cause.has(|code| blocks(code) || is_symptom(code), self.s.now) {
            return;
        }
        let explained = |(subject, other): &(&Subject, &Incident)| {
            **subject != root
                && other.state == IncidentState::Pending
                // Of two that explain each other the one that began first stays.
                && (other.id > cause.id || (is_link(root) && !is_link(**subject)))
                && other.members.keys().all(|(s, code)| {
                    explains(&self.s, root, cause, (*s, *code, other.since))
                })
        };
        let gone: Vec<Subject> =
            self.s.incidents.iter().filter(explained).map(|(subject, _)| *subject).collect();
        for subject in gone {
            let Some(other) = self.s.incidents.remove(&subject) else { continue };
            if let Some(cause) = self.s.incidents.get_mut(&root) {
                let (from, to) = (other.id, cause.id);
                cause.absorb(other);
                self.move_desk(from, to);
            }
        }
    }
}

/// Whether an incident explains a finding about something else.
fn explains(
    s: &State,
    root: Subject,
    incident: &Incident,
    (subject, code, since): (Subject, Code, Timestamp),
) -> bool {
    match (root, subject) {
        (Subject::Waypoint(link), Subject::Feed(feed)) if is_symptom(code) => {
            let place = match code {
                Code::Silence | Code::VolumeUnusual => Place::First,
                Code::Missing => Place::OnlyEnd,
                _ => Place::Any,
            };
            incident.has(blocks, s.now) && passes(s, feed, link, place)
        }
        (Subject::Waypoint(link), Subject::Waypoint(other)) if blocks(code) => {
            let same_system = system(s, link).is_some_and(|name| system(s, other) == Some(name));
            let together = near(incident.since, since);
            let same = incident.has(|c| c == code, s.now) && same_system && together;
            let behind = may_come_from_behind(code)
                && incident.has(blocks, s.now)
                && incident.since <= since
                && is_behind(s, link, other);
            same || behind
        }
        // An upgrade of a sender is seen at every link that its messages pass.
        (Subject::Waypoint(_), Subject::Waypoint(_)) if is_drift(code) => {
            let together = incident.since.micros_since(since).abs() <= ONE_UPGRADE;
            incident.has(is_drift, s.now) && together
        }
        // What a probe of a system sees belongs to the fault of one of its links.
        (Subject::Waypoint(link), Subject::Waypoint(other)) if code == Code::ProbeFailed => {
            let same_system = system(s, link).is_some_and(|name| system(s, other) == Some(name));
            same_system && incident.has(blocks, s.now)
        }
        (Subject::Feed(one), Subject::Feed(other)) if is_symptom(code) => {
            incident.code == code && near(incident.since, since) && go_together(s, one, other)
        }
        _ => false,
    }
}

/// Where on a feed's way a link must be to explain what the feed suffers from.
#[derive(Clone, Copy)]
enum Place {
    /// Anywhere.
    Any,
    /// Where it begins, or at another link of that system.
    First,
    /// Where it ends, if there is one such place: of several it may be another.
    OnlyEnd,
}

/// Whether a feed passes a link at such a place.
fn passes(s: &State, feed: FeedId, link: WaypointId, place: Place) -> bool {
    let Some(feed) = s.feeds.get(feed.0 as usize) else { return false };
    let link = s.plan.primary(link);
    let same =
        |w: WaypointId| w == link || system(s, link).is_some_and(|n| system(s, w) == Some(n));
    match place {
        Place::Any => feed.waypoints.contains(&link),
        Place::First => feed.waypoints.first().is_some_and(|w| same(*w)),
        Place::OnlyEnd => feed.ends_at[..] == [link],
    }
}

/// The receiving system behind a waypoint, if it is known.
pub(super) fn system(s: &State, waypoint: WaypointId) -> Option<crate::label::Label> {
    let plan = s.plan.waypoints.get(usize::from(waypoint.0))?;
    Some(plan.system).filter(|name| !name.is_empty())
}

/// Whether `link` stands behind `other` on some feed's way; the ends of a fan-out stand side by side.
fn is_behind(s: &State, link: WaypointId, other: WaypointId) -> bool {
    let (link, other) = (s.plan.primary(link), s.plan.primary(other));
    s.feeds.iter().filter(|feed| !feed.ends_at.contains(&other)).any(|feed| {
        let place = |w| feed.waypoints.iter().position(|x| *x == w);
        place(other).zip(place(link)).is_some_and(|(before, after)| before < after)
    })
}

/// Whether two feeds share their last waypoint or their first one.
fn go_together(s: &State, one: FeedId, other: FeedId) -> bool {
    let (Some(one), Some(other)) = (s.feeds.get(one.0 as usize), s.feeds.get(other.0 as usize))
    else {
        return false;
    };
    one.waypoints.first() == other.waypoints.first()
        || one.waypoints.last() == other.waypoints.last()
}

fn is_link(subject: Subject) -> bool {
    matches!(subject, Subject::Waypoint(_))
}
