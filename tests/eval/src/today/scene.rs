//! What an engine-side tool can count: per link and per feed, nothing about contents.

use crate::civil::{MINUTE, SECOND};
use crate::event::Event;
use crate::history::History;
use feedpulse_core::sighting::{AckCode, LinkEvent, Seen};
use std::collections::{HashMap, VecDeque};

/// One step of a link that a tool logs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happening {
    pub(super) at: i64,
    pub(super) link: usize,
    pub(super) what: What,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A message for the first time.
    Message,
    /// The same message again: the attempt before had no answer.
    Again,
    /// An answer that accepts.
    Accepted,
    /// An answer that refuses.
    Refused,
    /// A connection that could not be made, or ended in its handshake.
    NoConnection,
}

/// A link.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The latest message, or the start.
    pub(super) last_message: i64,
    /// No connection since.
    pub(super) down_since: Option<i64>,
    /// ACK times of the last five minutes: (when, µs).
    pub(super) took: VecDeque<(i64, i64)>,
    connections: i64,
    opened_at: i64,
    /// Waiting for an answer since its first sending, by number.
    open: HashMap<u64, (i64, i64)>,
}

impl Link {
    /// Since when the oldest one waits.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.open.values().map(|(first, _)| *first).min()
    }
}

/// A feed.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The latest message, or the start.
    pub(super) last_message: i64,
    /// Numbers accepted at the first link and not answered at the last.
    pub(super) waiting: VecDeque<u64>,
    /// How many were ever added there.
    pub(super) offered: u64,
    last: u64,
}

/// The whole.
#[derive(Debug)]
pub(super) struct Scene<'h> {
    pub(super) history: &'h History,
    pub(super) links: Vec<Link>,
    pub(super) feeds: Vec<Feed>,
}

impl<'h> Scene<'h> {
    pub(super) fn new(history: &'h History) -> Self {
        let start = history.start;
        let link = || Link { last_message: start, ..Link::default() };
        let feed = || Feed { last_message: start, ..Feed::default() };
        Self {
            history,
            links: history.links.iter().map(|_| link()).collect(),
            feeds: history.feeds.iter().map(|_| feed()).collect(),
        }
    }

    /// Messages that wait for a link in the engine.
    pub(super) fn queue(&self, link: usize) -> usize {
        let ends = self.history.feeds.iter().map(|f| f.path.last() == Some(&link));
        self.feeds.iter().zip(ends).filter(|(_, ends)| *ends).map(|(f, _)| f.waiting.len()).sum()
    }

    pub(super) fn see(&mut self, event: &Event) -> Option<Happening> {
        let at = event.sighting.at.as_micros();
        let number = usize::from(event.sighting.waypoint.0);
        let what = match &event.sighting.what {
            Seen::Message(_) => Some(self.message(event, number, at)),
            Seen::Ack(ack) => {
                let good = matches!(ack.code, AckCode::AA | AckCode::CA);
                let retried = matches!(ack.code, AckCode::AR | AckCode::CR);
                self.answered(event, number, at, good, retried);
                Some(if good { What::Accepted } else { What::Refused })
            }
            Seen::Link(change) => self.links.get_mut(number)?.changed(*change, at),
            _ => None,
        };
        what.map(|what| Happening { at, link: number, what })
    }

    fn message(&mut self, event: &Event, link: usize, at: i64) -> What {
        let single = event.feed.is_some_and(|f| self.history.feeds[f].path.len() == 1);
        if let Some(feed) = event.feed.and_then(|f| self.feeds.get_mut(f)) {
            if event.hop == 0 {
                feed.last_message = at;
            }
            if single {
                feed.offer(event.number);
            }
        }
        let Some(here) = self.links.get_mut(link) else { return What::Message };
        here.last_message = at;
        match here.open.get_mut(&event.number) {
            Some((_, last)) => {
                *last = at;
                What::Again
            }
            None => {
                here.open.insert(event.number, (at, at));
                What::Message
            }
        }
    }

    fn answered(&mut self, event: &Event, link: usize, at: i64, good: bool, retried: bool) {
        if let Some(here) = self.links.get_mut(link)
            && let Some((_, last)) = here.open.remove(&event.number)
        {
            here.took.push_back((at, at - last));
        }
        let Some(number) = event.feed else { return };
        let path = &self.history.feeds[number].path;
        let (first, last) = (event.hop == 0, event.hop + 1 == path.len());
        let Some(feed) = self.feeds.get_mut(number) else { return };
        if first && !last && good {
            feed.offer(event.number);
        }
        if last && !retried {
            feed.done(event.number);
        }
    }

    /// Forgets what is older than five minutes.
    pub(super) fn settle(&mut self, now: i64) {
        for link in &mut self.links {
            while link.took.front().is_some_and(|(at, _)| now - at > 5 * MINUTE) {
                link.took.pop_front();
            }
        }
    }
}

impl Link {
    fn changed(&mut self, change: LinkEvent, at: i64) -> Option<What> {
        match change {
            LinkEvent::Opened => {
                self.connections += 1;
                self.opened_at = at;
                self.down_since = None;
                None
            }
            LinkEvent::Refused | LinkEvent::Unreachable => {
                if self.connections == 0 {
                    self.down_since.get_or_insert(at);
                }
                Some(What::NoConnection)
            }
            LinkEvent::Reset { .. } | LinkEvent::TimedOut { .. } | LinkEvent::Closed { .. } => {
                self.connections = (self.connections - 1).max(0);
                if self.connections == 0 {
                    self.down_since.get_or_insert(at);
                }
                let unused = at - self.opened_at < SECOND && self.last_message < self.opened_at;
                unused.then_some(What::NoConnection)
            }
            LinkEvent::Idle
            | LinkEvent::FrameOpen
            | LinkEvent::NotMllp
            | LinkEvent::Peer(_)
            | LinkEvent::HalfOpen { .. } => None,
        }
    }
}

impl Feed {
    fn offer(&mut self, number: u64) {
        if core::mem::replace(&mut self.last, number) != number {
            self.offered += 1;
            self.waiting.push_back(number);
        }
    }

    fn done(&mut self, number: u64) {
        if let Some(place) = self.waiting.iter().position(|n| *n == number) {
            self.waiting.drain(..=place);
        }
    }
}
