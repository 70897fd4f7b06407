//! What happens: a discrete-event simulation of senders, the engine's links and the portals. It writes
//! down every byte that passes a waypoint, and the truth about every message.

use crate::plan::{FaultKind, LENGTH, Plan, SECOND};
use crate::rng::Rng;
use crate::text::{self, Kind, Letter};
use feedpulse_core::frame::Direction;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A sender or the engine waits this long for an answer before it sends again.
pub const TIME_OUT: i64 = 8 * SECOND;
/// Sendings of one message on one link, at most.
pub const TRIES: u32 = 3;
/// A refused connection is tried again after this.
const RECONNECT: i64 = 5 * SECOND;

/// What passes a waypoint.
#[derive(Clone, Debug)]
pub enum Passed {
    /// A frame.
    Frame(Direction, Vec<u8>),
    /// A connection was made.
    Opened,
    /// The receiver refused one.
    Refused,
    /// It was reset.
    Reset,
}

/// Something passed a waypoint.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: i64,
    /// At which: 0 is where senders reach the engine, then one for each portal.
    pub waypoint: usize,
    /// On which connection.
    pub connection: u64,
    /// What.
    pub what: Passed,
}

/// How a message stands at one portal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// The engine does not send it there.
    #[default]
    NotMeant,
    /// It waits in the engine.
    Queued,
    /// The engine lost it.
    Lost,
    /// The last try was accepted in time.
    Accepted,
    /// The last try was answered AE.
    Errored,
    /// The last try was answered AR.
    Rejected,
    /// The last try had no answer in time.
    Unanswered,
}

/// The truth about a message.
#[derive(Clone, Debug)]
pub struct Truth {
    /// MSH-10 as its sender wrote it.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// When its event happened, by the true clock.
    pub event: i64,
    /// When it was first sent.
    pub sent: i64,
    /// How it stands at each portal.
    pub fates: Vec<Fate>,
    /// Times at which it passed each portal's waypoint.
    pub passed: Vec<Vec<i64>>,
    /// A portal accepted it too late for the engine to notice.
    pub accepted_late: bool,
}

/// One link: a sender to the engine, or the engine to a portal.
#[derive(Debug, Default)]
struct Link {
    connection: Option<u64>,
    queue: VecDeque<usize>,
    /// What waits for an answer: message, its id here, its try, and the ticket of the time-out.
    open: Option<(usize, String, u32, u64)>,
    /// Tries of the head of the queue so far, and the id under which it is sent.
    head: Option<(u32, String)>,
    /// Nothing is sent before.
    not_before: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A sender makes a message.
    Make(usize),
    /// A link may send its head.
    Pump(usize),
    /// The receiver of a link answers: code, id, whether it is an ACK at all.
    Answer(usize, u64, String, String),
    /// A time-out, if the ticket is still the open one's.
    TimeOut(usize, u64),
    /// The engine hands a message to a portal's link.
    Forward(usize, usize),
}

/// The run.
#[derive(Debug)]
pub struct World {
    /// Everything that passed, in order.
    pub events: Vec<Event>,
    /// The truth.
    pub messages: Vec<Truth>,
}

struct Play<'p> {
    plan: &'p Plan,
    rng: Rng,
    steps: BinaryHeap<Reverse<(i64, u64, Step)>>,
    order: u64,
    links: Vec<Link>,
    made: Vec<(usize, bool, i64)>,
    world: World,
    tickets: u64,
    connections: u64,
}

impl World {
    /// Plays a plan to its end.
    #[must_use]
    pub fn play(plan: &Plan) -> Self {
        let links = plan.senders.len() + plan.portals;
        let mut play = Play {
            plan,
            rng: Rng::new(plan.seed),
            steps: BinaryHeap::new(),
            order: 0,
            links: (0..links).map(|_| Link::default()).collect(),
            made: Vec::new(),
            world: Self { events: Vec::new(), messages: Vec::new() },
            tickets: 0,
            connections: 0,
        };
        for sender in 0..plan.senders.len() {
            let first = play.rng.range(0, 5 * SECOND);
            play.at(first, Step::Make(sender));
        }
        while let Some(Reverse((now, _, step))) = play.steps.pop() {
            play.step(now, step);
        }
        play.world.events.sort_by_key(|event| event.at);
        play.world
    }
}

impl Play<'_> {
    fn at(&mut self, when: i64, step: Step) {
        self.order += 1;
        self.steps.push(Reverse((when, self.order, step)));
    }

    fn portal_of(&self, link: usize) -> Option<usize> {
        link.checked_sub(self.plan.senders.len())
    }

    fn waypoint_of(&self, link: usize) -> usize {
        self.portal_of(link).map_or(0, |portal| portal + 1)
    }

    fn pass(&mut self, at: i64, link: usize, connection: u64, what: Passed) {
        let waypoint = self.waypoint_of(link);
        self.world.events.push(Event { at, waypoint, connection, what });
    }

    fn step(&mut self, now: i64, step: Step) {
        match step {
            Step::Make(sender) => self.make(now, sender),
            Step::Pump(link) => self.pump(now, link),
            Step::Answer(link, connection, code, id) => self.answer(now, link, connection, &code, &id),
            Step::TimeOut(link, ticket) => {
                if self.links[link].open.as_ref().is_some_and(|open| open.3 == ticket) {
                    self.unanswered(now, link);
                }
            }
            Step::Forward(portal, number) => {
                let link = self.plan.senders.len() + portal;
                if self.plan.holds(FaultKind::Drop, portal, now).is_some() {
                    self.world.messages[number].fates[portal] = Fate::Lost;
                    return;
                }
                self.links[link].queue.push_back(number);
                if self.plan.holds(FaultKind::Duplicate, portal, now).is_some() {
                    self.links[link].queue.push_back(number);
                }
                self.pump(now, link);
            }
        }
    }

    fn make(&mut self, now: i64, sender: usize) {
        if now < LENGTH {
            let every = self.plan.senders[sender].every;
            let jitter = self.rng.range(-every / 3, every / 3);
            self.at(now + every + jitter, Step::Make(sender));
        }
        if self.plan.is(FaultKind::Silence, now) {
            return;
        }
        let number = self.world.messages.len();
        let kind = match self.rng.range(0, 9) {
            0..=5 => Kind::Result,
            6..=8 => Kind::Update,
            _ => Kind::Appointment,
        };
        let event = now - self.rng.range(1, 90) * SECOND;
        let id = format!("S{sender}M{number:06}");
        let meant = |portal: usize| match kind {
            Kind::Result => Fate::Queued,
            Kind::Update if portal == 0 => Fate::Queued,
            _ => Fate::NotMeant,
        };
        self.world.messages.push(Truth {
            id,
            kind,
            event,
            sent: now,
            fates: (0..self.plan.portals).map(meant).collect(),
            passed: vec![Vec::new(); self.plan.portals],
            accepted_late: false,
        });
        let critical = kind == Kind::Result && self.rng.one_in(20);
        self.made.push((sender, critical, now));
        self.links[sender].queue.push_back(number);
        self.pump(now, sender);
    }

    /// Sends the head of a link's queue, if nothing waits.
    fn pump(&mut self, now: i64, link: usize) {
        if self.links[link].open.is_some() || now < self.links[link].not_before {
            return;
        }
        let Some(number) = self.links[link].queue.front().copied() else { return };
        if !self.connect(now, link) {
            return;
        }
        let connection = self.links[link].connection.unwrap_or(0);
        let fresh = match self.portal_of(link) {
            // The engine writes ids of its own.
            Some(portal) => format!("E{portal}N{:07}", self.world.events.len()),
            None => self.world.messages[number].id.clone(),
        };
        let (tries, id) = self.links[link].head.take().unwrap_or((0, fresh));
        let bytes = self.write(link, number, &id, now);
        self.pass(now, link, connection, Passed::Frame(Direction::ToReceiver, bytes));
        self.tickets += 1;
        self.links[link].open = Some((number, id.clone(), tries + 1, self.tickets));
        self.at(now + TIME_OUT, Step::TimeOut(link, self.tickets));
        if let Some(portal) = self.portal_of(link) {
            self.world.messages[number].passed[portal].push(now);
            self.receive(now, link, portal, connection, &id);
        } else {
            let when = now + self.rng.range(5, 60) * 1_000;
            self.at(when, Step::Answer(link, connection, "AA".into(), id));
        }
    }

    fn write(&self, link: usize, number: usize, id: &str, now: i64) -> Vec<u8> {
        let (sender, critical, made) = self.made[number];
        let truth = &self.world.messages[number];
        let ahead = if self.plan.is(FaultKind::ClockStep, made) { 3_600 * SECOND } else { 0 };
        let from_engine = self.portal_of(link).is_some();
        let name = format!("SEND{sender}");
        text::message(&Letter {
            from: if from_engine { "ENGINE" } else { &name },
            id,
            kind: truth.kind,
            number,
            made: if from_engine { now } else { made + ahead },
            event: truth.event + ahead,
            enhanced: !from_engine && self.plan.senders[sender].enhanced,
            critical,
        })
    }

    fn connect(&mut self, now: i64, link: usize) -> bool {
        let refused = self
            .portal_of(link)
            .is_some_and(|portal| self.plan.holds(FaultKind::Refuse, portal, now).is_some());
        if refused {
            if let Some(old) = self.links[link].connection.take() {
                self.pass(now, link, old, Passed::Reset);
            }
            self.connections += 1;
            let attempt = self.connections;
            self.pass(now, link, attempt, Passed::Refused);
            self.links[link].not_before = now + RECONNECT;
            self.at(now + RECONNECT, Step::Pump(link));
            return false;
        }
        if self.links[link].connection.is_none() {
            self.connections += 1;
            self.links[link].connection = Some(self.connections);
            self.pass(now, link, self.connections, Passed::Opened);
        }
        true
    }

    /// A portal gets a message: what it answers, and when.
    fn receive(&mut self, now: i64, link: usize, portal: usize, connection: u64, id: &str) {
        let holds = |kind| self.plan.holds(kind, portal, now).is_some();
        let cut = holds(FaultKind::Cut) && self.world.events.len().is_multiple_of(4);
        if cut {
            let when = now + 3_000;
            self.pass(when, link, connection, Passed::Reset);
            self.links[link].connection = None;
            // The engine sees it at once.
            let ticket = self.links[link].open.as_ref().map_or(0, |open| open.3);
            self.at(when, Step::TimeOut(link, ticket));
            return;
        }
        if holds(FaultKind::Hang) {
            return;
        }
        let code = if holds(FaultKind::Garbage) {
            "garbage"
        } else if holds(FaultKind::Error) {
            "AE"
        } else if holds(FaultKind::Reject) {
            "AR"
        } else {
            "AA"
        };
        let id = if holds(FaultKind::AlteredIds) { id.to_lowercase() } else { id.to_owned() };
        let takes = if holds(FaultKind::LateAcks) { 14 * SECOND } else { self.rng.range(10, 120) * 1_000 };
        self.at(now + takes, Step::Answer(link, connection, code.into(), id));
    }

    fn answer(&mut self, now: i64, link: usize, connection: u64, code: &str, id: &str) {
        let bytes = match code {
            "garbage" => b"MSH|^~\\&|PORTAL|WEB|||20260301||XYZ^Z99|G1|P|2.5\r".to_vec(),
            code => text::ack(code, id, self.order, now),
        };
        self.pass(now, link, connection, Passed::Frame(Direction::ToSender, bytes));
        let open = self.links[link].open.clone();
        let Some((number, sent_id, tries, _)) =
            open.filter(|(_, sent, ..)| sent.eq_ignore_ascii_case(id) && code != "garbage")
        else {
            if code == "AA" {
                self.late(id);
            }
            return;
        };
        self.links[link].open = None;
        match code {
            "AR" if tries < TRIES => {
                // Perhaps the moment: the same message under the same id, a little later.
                self.links[link].head = Some((tries, sent_id));
                self.links[link].not_before = now + RECONNECT;
                self.fate(link, number, Fate::Rejected);
                self.at(now + RECONNECT, Step::Pump(link));
                return;
            }
            "AA" => self.fate(link, number, Fate::Accepted),
            "AR" => self.fate(link, number, Fate::Rejected),
            _ => self.fate(link, number, Fate::Errored),
        }
        self.done(now, link, number, code == "AA");
    }

    /// An ACK for what was given up.
    fn late(&mut self, id: &str) {
        let sent = |event: &&Event| match &event.what {
            Passed::Frame(Direction::ToReceiver, bytes) => {
                bytes.windows(id.len()).any(|part| part.eq_ignore_ascii_case(id.as_bytes()))
            }
            _ => false,
        };
        let at = self.world.events.iter().rev().find(sent).map(|event| event.at);
        for truth in &mut self.world.messages {
            if at.is_some_and(|at| truth.passed.iter().any(|times| times.contains(&at))) {
                truth.accepted_late = true;
            }
        }
    }

    fn fate(&mut self, link: usize, number: usize, fate: Fate) {
        if let Some(portal) = self.portal_of(link) {
            let held = &mut self.world.messages[number].fates[portal];
            // A second copy that fails takes nothing back.
            if *held != Fate::Accepted {
                *held = fate;
            }
        }
    }

    /// No answer in time, or the connection was lost: the same again, or given up.
    fn unanswered(&mut self, now: i64, link: usize) {
        let Some((number, id, tries, _)) = self.links[link].open.take() else { return };
        self.fate(link, number, Fate::Unanswered);
        if tries < TRIES {
            self.links[link].head = Some((tries, id));
            self.pump(now, link);
            return;
        }
        self.done(now, link, number, false);
    }

    /// A link is through with its head.
    fn done(&mut self, now: i64, link: usize, number: usize, accepted: bool) {
        self.links[link].queue.pop_front();
        self.links[link].head = None;
        if self.portal_of(link).is_none() && accepted {
            for portal in 0..self.plan.portals {
                if self.world.messages[number].fates[portal] == Fate::Queued {
                    let when = now + self.rng.range(20, 400) * 1_000;
                    self.at(when, Step::Forward(portal, number));
                }
            }
        }
        self.pump(now, link);
    }
}
