//! What happens: a discrete-event simulation of senders, the engine's links and the portals. It writes
//! down every byte that passes a waypoint, and the truth about every message.

mod links;
mod portals;

use crate::plan::{FaultKind, LENGTH, Plan, SECOND};
use crate::rng::Rng;
use crate::text::Kind;
use feedpulse_core::frame::Direction;
use links::{Link, Sent};
use portals::Reply;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

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
    /// The last try was accepted, or committed, in time.
    Accepted,
    /// The last try was answered AE.
    Errored,
    /// The last try was answered AR or CR.
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
    /// Whether each portal said that its application took it.
    pub applied: Vec<bool>,
    /// A portal accepted it too late for the engine to notice.
    pub accepted_late: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A sender makes a message.
    Make(usize),
    /// A link may send its head.
    Pump(usize),
    /// The receiver of a link answers.
    Answer(usize, Reply),
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
    /// Every id that was written, and whose it is.
    pub ids: HashMap<String, usize>,
}

/// How a message was made: by whom, whether it is critical, when.
#[derive(Clone, Copy, Debug)]
struct Made {
    sender: usize,
    critical: bool,
    at: i64,
}

struct Play<'p> {
    plan: &'p Plan,
    rng: Rng,
    steps: BinaryHeap<Reverse<(i64, u64, Step)>>,
    order: u64,
    links: Vec<Link>,
    made: Vec<Made>,
    world: World,
    tickets: u64,
    connections: u64,
}

impl World {
    /// Plays a plan to its end.
    #[must_use]
    pub fn play(plan: &Plan) -> Self {
        let links = plan.senders.len() + plan.portals.len();
        let mut play = Play {
            plan,
            rng: Rng::new(plan.seed),
            steps: BinaryHeap::new(),
            order: 0,
            links: (0..links).map(|_| Link::default()).collect(),
            made: Vec::new(),
            world: Self { events: Vec::new(), messages: Vec::new(), ids: HashMap::new() },
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

    fn pass(&mut self, at: i64, link: usize, connection: u64, what: Passed) {
        let waypoint = self.portal_of(link).map_or(0, |portal| portal + 1);
        self.world.events.push(Event { at, waypoint, connection, what });
    }

    fn step(&mut self, now: i64, step: Step) {
        match step {
            Step::Make(sender) => self.make(now, sender),
            Step::Pump(link) => self.pump(now, link),
            Step::Answer(link, reply) => self.answer(now, link, &reply),
            Step::TimeOut(link, ticket) => {
                if self.links[link].open.as_ref().is_some_and(|open| open.ticket == ticket) {
                    self.unanswered(now, link);
                }
            }
            Step::Forward(portal, number) => self.forward(now, portal, number),
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
        let portals = self.plan.portals.len();
        self.world.ids.insert(id.clone(), number);
        self.world.messages.push(Truth {
            id,
            kind,
            event,
            sent: now,
            fates: (0..portals).map(meant).collect(),
            passed: vec![Vec::new(); portals],
            applied: vec![false; portals],
            accepted_late: false,
        });
        let critical = kind == Kind::Result && self.rng.one_in(20);
        self.made.push(Made { sender, critical, at: now });
        self.links[sender].queue.push_back(number);
        self.pump(now, sender);
    }

    /// The engine has a message: it goes to each portal that it is meant for.
    fn route(&mut self, now: i64, number: usize) {
        for portal in 0..self.plan.portals.len() {
            if self.world.messages[number].fates[portal] != Fate::Queued {
                continue;
            }
            let holds = |kind| self.plan.holds(kind, portal, now).is_some();
            let most = if holds(FaultKind::Reorder) { 25_000 } else { 400 };
            let held = if holds(FaultKind::Delay) { 150 * SECOND } else { 0 };
            let when = now + held + self.rng.range(20, most) * 1_000;
            self.at(when, Step::Forward(portal, number));
        }
    }

    fn forward(&mut self, now: i64, portal: usize, number: usize) {
        let link = self.plan.senders.len() + portal;
        if self.plan.holds(FaultKind::Drop, portal, now).is_some() {
            self.world.messages[number].fates[portal] = Fate::Lost;
            return;
        }
        self.links[link].queue.push_back(number);
        if self.plan.holds(FaultKind::Duplicate, portal, now).is_some() {
            self.links[link].queue.push_back(number);
        }
        if self.plan.portals[portal].batches {
            let next = (now / BATCH_EVERY + 1) * BATCH_EVERY;
            self.at(next, Step::Pump(link));
        } else {
            self.pump(now, link);
        }
    }

    fn fate(&mut self, link: usize, sent: &Sent, fate: Fate) {
        let Some(portal) = self.portal_of(link) else { return };
        for number in &sent.numbers {
            let held = &mut self.world.messages[*number].fates[portal];
            // A second copy that fails takes nothing back.
            if *held != Fate::Accepted {
                *held = fate;
            }
        }
    }
}

/// The engine sends a batch so often.
const BATCH_EVERY: i64 = 20 * SECOND;
