//! The generator: senders, links and receivers as a discrete-event simulation, streamed in order of
//! time. It knows when each fault first touched something.

mod arrivals;
mod links;
mod seen;
mod shapes;

pub(crate) use seen::key;

use crate::event::Event;
use crate::history::{FaultKind, History};
use crate::rng::Rng;
use feedpulse_core::order::ResultMark;
use feedpulse_core::shape::Collector;
use feedpulse_core::sighting::{AckCode, LinkEvent, ReasonClass, Urgency};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// A message.
#[derive(Clone, Copy, Debug)]
struct Msg {
    number: u64,
    feed: usize,
    kind: usize,
    facility: usize,
    urgency: Urgency,
    /// MSH-7 by a right clock.
    made: i64,
    /// When its event happened.
    event: i64,
    mark: Option<ResultMark>,
    hop: usize,
    tries: u32,
    copies: u32,
    poison: bool,
}

/// A message that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Open {
    msg: Msg,
    ticket: u64,
}

/// An answer on its way back.
#[derive(Clone, Copy, Debug)]
struct Reply {
    number: u64,
    /// What MSA-2 names.
    named: u64,
    connection: u64,
    code: AckCode,
    reason: ReasonClass,
}

/// A connection's worth of a link: one sender's messages, one after the other.
#[derive(Clone, Debug, Default)]
struct Lane {
    link: usize,
    /// Its only feed, unless the link is shared.
    feed: Option<usize>,
    queue: VecDeque<Msg>,
    open: Option<Open>,
    connection: Option<u64>,
    /// The sender wants to be connected although nothing waits.
    wants: bool,
    not_before: i64,
    traffic: i64,
    /// Cut, and nobody said so.
    is_dead: bool,
    /// The number answered last.
    previous: u64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(usize),
    End(usize),
    /// A flapping receiver goes down once more.
    Flap(usize),
    /// A feed's next message by its pattern, or the next look at it.
    Arrive(usize),
    /// A message that comes whatever the pattern; so many are left.
    Extra {
        feed: usize,
        left: u32,
        gap: i64,
        old: i64,
        fault: Option<usize>,
    },
    Nightly(usize),
    Born(Msg),
    Pump(usize),
    Answer(usize, Reply),
    TimeOut(usize, u64),
    HalfOpen(usize, u64),
    Arrived(usize, Msg),
}

#[derive(Debug)]
struct Due {
    at: i64,
    order: u64,
    step: Step,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    /// The earliest is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// So many accepted messages a sender can send again.
const SENT_MAX: usize = 10_000;
/// Most messages that wait on one lane; further ones are dropped by their sender.
const QUEUE_MAX: usize = 200_000;

/// The simulation.
#[derive(Debug)]
pub struct World<'h> {
    history: &'h History,
    rng: Rng,
    due: BinaryHeap<Due>,
    order: u64,
    lanes: Vec<Lane>,
    /// The lane of each link and feed.
    lane_of: Vec<Vec<usize>>,
    /// Faults that are on.
    active: Vec<usize>,
    /// When each fault first touched something.
    effects: Vec<Option<i64>>,
    /// What senders hold back in a downtime, by fault.
    held: Vec<Vec<Msg>>,
    /// What was accepted lately of each feed, by its first receiver; empty where nothing is sent again.
    sent: Vec<VecDeque<Msg>>,
    numbers: u64,
    connections: u64,
    tickets: u64,
    out: VecDeque<Event>,
    labels: seen::Labels,
    /// What counts the shapes of messages at each link.
    shapes: Vec<Collector>,
}

/// What passes, in order of time.
impl Iterator for World<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.out.is_empty() {
            let due = self.due.pop().filter(|due| due.at < self.history.end)?;
            self.step(due.at, due.step);
        }
        self.out.pop_front()
    }
}

impl<'h> World<'h> {
    /// At the start of a history.
    #[must_use]
    pub fn new(history: &'h History) -> Self {
        let mut lanes = Vec::new();
        let mut lane_of = Vec::new();
        for (link, plan) in history.links.iter().enumerate() {
            let mut here = Vec::new();
            for feed in 0..history.feeds.len() {
                if feed == 0 || !plan.shared {
                    let feed = (!plan.shared).then_some(feed);
                    lanes.push(Lane { link, feed, ..Lane::default() });
                }
                here.push(lanes.len() - 1);
            }
            lane_of.push(here);
        }
        let mut world = Self {
            history,
            rng: Rng::new(history.seed),
            due: BinaryHeap::new(),
            order: 0,
            lanes,
            lane_of,
            active: Vec::new(),
            effects: vec![None; history.faults.len()],
            held: vec![Vec::new(); history.faults.len()],
            sent: if history.faults.iter().any(|fault| fault.kind == FaultKind::Resend) {
                vec![VecDeque::new(); history.feeds.len()]
            } else {
                Vec::new()
            },
            numbers: 0,
            connections: 0,
            tickets: 0,
            out: VecDeque::new(),
            labels: seen::Labels::new(history),
            shapes: vec![Collector::default(); history.links.len()],
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for (number, fault) in self.history.faults.iter().enumerate() {
            self.at(fault.from, Step::Start(number));
            self.at(fault.to, Step::End(number));
        }
        for feed in 0..self.history.feeds.len() {
            self.at(self.history.start, Step::Arrive(feed));
            if self.history.feeds[feed].batch > 0 {
                let first = self.next_night(feed, self.history.start);
                self.at(first, Step::Nightly(feed));
            }
        }
    }

    /// When each fault first touched something; None: nothing met it.
    #[must_use]
    pub fn effects(&self) -> &[Option<i64>] {
        &self.effects
    }

    fn at(&mut self, at: i64, step: Step) {
        self.order += 1;
        self.due.push(Due { at, order: self.order, step });
    }

    fn step(&mut self, now: i64, step: Step) {
        match step {
            Step::Start(fault) => self.start(now, fault),
            Step::End(fault) => self.end(now, fault),
            Step::Flap(fault) => self.flap(now, fault),
            Step::Arrive(feed) => self.arrive(now, feed),
            Step::Extra { feed, left, gap, old, fault } => {
                self.extra(now, feed, left, gap, old, fault);
            }
            Step::Nightly(feed) => self.nightly(now, feed),
            Step::Born(msg) => self.offer(now, msg),
            Step::Pump(lane) => self.pump(now, lane),
            Step::Answer(lane, reply) => self.answer(now, lane, &reply),
            Step::TimeOut(lane, ticket) => self.time_out(now, lane, ticket),
            Step::HalfOpen(lane, connection) => self.half_open(now, lane, connection),
            Step::Arrived(lane, msg) => self.enqueue(now, lane, msg),
        }
    }

    /// Notes that a fault touched something.
    fn touch(&mut self, fault: usize, now: i64) {
        self.effects[fault].get_or_insert(now);
    }

    /// The fault of a kind that is on for a message at a link.
    fn on(&self, kind: FaultKind, link: usize, msg: Option<&Msg>) -> Option<usize> {
        self.active.iter().copied().find(|fault| {
            let fault = &self.history.faults[*fault];
            fault.kind == kind
                && fault.link.is_none_or(|at| at == link)
                && msg.is_none_or(|msg| self.is_meant(fault, msg))
        })
    }

    /// All of that kind.
    fn all_on(&self, kind: FaultKind, link: usize, msg: &Msg) -> Vec<usize> {
        let on = self.active.iter().copied().filter(|fault| {
            let fault = &self.history.faults[*fault];
            fault.kind == kind
                && fault.link.is_none_or(|at| at == link)
                && self.is_meant(fault, msg)
        });
        on.collect()
    }

    fn is_meant(&self, fault: &crate::history::Fault, msg: &Msg) -> bool {
        let feed = &self.history.feeds[msg.feed];
        let (code, trigger) = &feed.types[msg.kind];
        let kind = |stated: &String| match stated.split_once('^') {
            None => stated == code,
            Some((c, t)) => c == code && t == trigger,
        };
        fault.feeds.as_ref().is_none_or(|feeds| feeds.contains(&msg.feed))
            && fault.kind_of.as_ref().is_none_or(kind)
            && fault.facility.as_ref().is_none_or(|f| *f == feed.facilities[msg.facility])
    }

    /// Lanes that a fault of links touches.
    fn lanes_of(&self, fault: usize) -> Vec<usize> {
        let fault = &self.history.faults[fault];
        let here = |lane: &Lane| {
            let feed = lane.feed.zip(fault.feeds.as_ref());
            fault.link.is_none_or(|link| link == lane.link)
                && feed.is_none_or(|(feed, only)| only.contains(&feed))
        };
        (0..self.lanes.len()).filter(|lane| here(&self.lanes[*lane])).collect()
    }

    fn start(&mut self, now: i64, number: usize) {
        self.active.push(number);
        let fault = &self.history.faults[number];
        let (count, over) = (fault.count, fault.over);
        match fault.kind {
            FaultKind::Refused | FaultKind::Certificate => {
                self.hang_up(now, number, LinkEvent::Reset { by_receiver: true });
            }
            FaultKind::Maintenance => self.hang_up(now, number, LinkEvent::Closed { bytes: 100 }),
            FaultKind::Flapping | FaultKind::Peer => self.flap(now, number),
            FaultKind::Silence if !fault.connected => {
                for lane in self.lanes_of(number) {
                    let first = self.lanes[lane].feed.is_none_or(|feed| {
                        self.history.feeds[feed].path.first() == Some(&self.lanes[lane].link)
                    });
                    if first && let Some(connection) = self.lanes[lane].connection.take() {
                        self.link_event(now, lane, connection, LinkEvent::Closed { bytes: 100 });
                    }
                }
            }
            FaultKind::Resend => self.send_again(now, number),
            FaultKind::Burst | FaultKind::Backfill => {
                let backfill = fault.kind == FaultKind::Backfill;
                let old = if backfill { fault.old.unwrap_or(30 * crate::civil::DAY) } else { 0 };
                let gap = (over / i64::from(count.max(1))).max(1_000);
                let all = || (0..self.history.feeds.len()).collect();
                for feed in fault.feeds.clone().unwrap_or_else(all) {
                    let fault = Some(number);
                    self.at(now, Step::Extra { feed, left: count, gap, old, fault });
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, now: i64, number: usize) {
        self.active.retain(|active| *active != number);
        for msg in core::mem::take(&mut self.held[number]) {
            self.offer(now, msg);
        }
        for lane in self.lanes_of(number) {
            self.at(now, Step::Pump(lane));
        }
    }

    /// Senders send again what was accepted last, and what has it sends it on again.
    fn send_again(&mut self, now: i64, number: usize) {
        let fault = &self.history.faults[number];
        let (count, all) = (fault.count as usize, (0..self.history.feeds.len()).collect());
        for feed in fault.feeds.clone().unwrap_or(all) {
            let skip = self.sent[feed].len().saturating_sub(count);
            let again: Vec<Msg> = self.sent[feed].iter().skip(skip).copied().collect();
            let lane = self.lane_of[self.history.feeds[feed].path[0]][feed];
            for msg in again {
                self.touch(number, now);
                self.enqueue(now, lane, msg);
            }
        }
    }

    fn flap(&mut self, now: i64, number: usize) {
        let fault = &self.history.faults[number];
        if now >= fault.to {
            return;
        }
        self.at(now + fault.period, Step::Flap(number));
        self.hang_up(now, number, LinkEvent::Closed { bytes: 100 });
    }

    /// Every connection of a fault's link ends; its senders connect again.
    fn hang_up(&mut self, now: i64, number: usize, how: LinkEvent) {
        for lane in self.lanes_of(number) {
            if self.lanes[lane].connection.is_some() {
                self.touch(number, now);
                self.lose(now, lane, how);
            }
        }
    }
}
