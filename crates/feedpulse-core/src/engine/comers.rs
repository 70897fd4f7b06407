//! Who connects to a link and which application sends there: FP0209 and FP0210.

use super::Engine;
use super::known::{Bound, Known, News};
use crate::codes::{Code, Severity};
use crate::effect::Effects;
use crate::finding::{Finding, FindingState, Subject};
use crate::frame::{Direction, WaypointId};
use crate::label::{LABEL_MAX, Label};
use crate::plan::FeedId;
use crate::sighting::{MessageSeen, Sighting};
use crate::time::Timestamp;
use core::net::IpAddr;

/// Addresses of a link. Whoever has more has too many to learn.
const PEERS: Bound = Bound { most: 8, least: 1 };
/// Pairs of application and facility, in each of both roles.
const APPLICATIONS: Bound = Bound { most: 32, least: 100 };
/// Said in place of one who is new where they change all the time.
const PEERS_CHANGE: &str = "they change here: state `peers`";
const NAMES_CHANGE: &str = "they change here all the time";

/// Who comes to a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comers {
    /// Addresses from which messages came.
    pub peers: Known<IpAddr>,
    /// MSH-3 and MSH-4.
    pub senders: Known<(Label, Label)>,
    /// MSH-5 and MSH-6.
    pub receivers: Known<(Label, Label)>,
}

impl Comers {
    /// Whether an application is known, at whatever facility.
    fn is_known(of: &Known<(Label, Label)>, application: Label) -> bool {
        of.held.iter().any(|((known, _), _)| *known == application)
    }
}

/// An address as evidence; an IPv6 address that is too long for a label is its network.
fn shown(ip: IpAddr) -> Label {
    let text = ip.to_string();
    match ip {
        IpAddr::V6(v6) if text.len() > LABEL_MAX => {
            let net = core::net::Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX));
            Label::from(format!("{net}/64").as_str())
        }
        _ => Label::from(text.as_str()),
    }
}

impl Engine {
    /// Somebody has connected. With `peers` stated an address outside is told at once; else the first
    /// message decides: a port scan, or a balancer's probe, is no peer.
    pub(super) fn connected_from(&mut self, at: &Sighting, ip: IpAddr, fx: &mut Effects) {
        let number = usize::from(at.waypoint.0);
        let ip = ip.to_canonical();
        let (Some(plan), Some(waypoint)) =
            (self.s.plan.waypoints.get(number), self.s.waypoints.get_mut(number))
        else {
            return;
        };
        if plan.peers.is_empty() {
            waypoint.connection(at.connection).peer = Some(ip);
        } else if !plan.peers.iter().any(|net| net.contains(ip)) {
            self.comer(at, Code::UnknownPeer, Severity::Ticket, shown(ip), fx);
        }
    }

    /// A message: whether its peer and its applications are known here.
    pub(super) fn note_comers(
        &mut self,
        at: &Sighting,
        message: &MessageSeen,
        feed: FeedId,
        fx: &mut Effects,
    ) {
        if message.direction != Direction::ToReceiver {
            return;
        }
        // A feed that nobody declared is told as such.
        let declared = self.s.feeds.get(feed.0 as usize).is_some_and(|feed| feed.declared);
        let Some(here) = self.s.waypoints.get_mut(usize::from(at.waypoint.0)) else { return };
        let peer = here.connections.get_mut(&at.connection).and_then(|c| c.peer.take());
        let news = peer.map(|ip| (ip, here.comers.peers.see(at.at, ip, PEERS)));
        let (application, facility) = (message.sender, message.sender_facility);
        let senders = &mut here.comers.senders;
        let named = Comers::is_known(senders, application);
        let sender = senders.see(at.at, (application, facility), APPLICATIONS);
        let receiver = (message.receiver, message.receiver_facility);
        let to = here.comers.receivers.see(at.at, receiver, APPLICATIONS);
        match news {
            Some((_, News::Nothing)) | None => {}
            Some((ip, News::New)) => {
                self.comer(at, Code::UnknownPeer, Severity::Note, shown(ip), fx);
            }
            Some((_, News::Changing)) => {
                self.comer(at, Code::UnknownPeer, Severity::Note, PEERS_CHANGE.into(), fx);
            }
        }
        if !declared {
            return;
        }
        // An application that is new is somebody's work; a facility of a known one joins now and then.
        let severity = if named { Severity::Note } else { Severity::Ticket };
        self.application(at, sender, severity, (application, facility, named), fx);
        self.application(at, to, Severity::Note, (receiver.0, receiver.1, true), fx);
    }

    fn application(
        &mut self,
        at: &Sighting,
        news: News,
        severity: Severity,
        (application, facility, with_facility): (Label, Label, bool),
        fx: &mut Effects,
    ) {
        let code = Code::UnknownApplication;
        let or_dash = |label: Label| if label.is_empty() { Label::from("-") } else { label };
        match news {
            News::Nothing => {}
            News::New if with_facility => {
                let name = format!("{} at {}", or_dash(application), or_dash(facility));
                self.comer(at, code, severity, Label::from(name.as_str()), fx);
            }
            News::New => self.comer(at, code, severity, or_dash(application), fx),
            News::Changing => self.comer(at, code, Severity::Note, NAMES_CHANGE.into(), fx),
        }
    }

    fn comer(
        &mut self,
        at: &Sighting,
        code: Code,
        severity: Severity,
        detail: Label,
        fx: &mut Effects,
    ) {
        let finding = happened(at.waypoint, code, severity, at.at, detail);
        self.take(finding, fx);
    }
}

fn happened(
    waypoint: WaypointId,
    code: Code,
    severity: Severity,
    since: Timestamp,
    detail: Label,
) -> Finding {
    let (subject, state) = (Subject::Waypoint(waypoint), FindingState::Happened);
    Finding { code, subject, severity, state, since, evidence: Vec::new(), detail }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_fits_a_label() {
        for (ip, text) in [
            ("10.200.123.234", "10.200.123.234"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222::/64"),
        ] {
            assert_eq!(shown(ip.parse().unwrap()).as_str(), text);
        }
    }
}
