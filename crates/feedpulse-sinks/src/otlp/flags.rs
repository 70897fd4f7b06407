//! What checks found about messages, on its way into their traces.
//!
//! A check answers some milliseconds after the message passed, and its journey may end before or after
//! that. What comes before is an event of the journey's root span; what comes after, when that span has
//! left, is a span of its own in the same trace, with the same event. Bounded: the oldest are
//! forgotten, and a restart forgets all.

use crate::otlp::nanos;
use crate::otlp::semconv::{Key, Val, attribute};
use feedpulse_core::key::MessageKey;
use feedpulse_core::time::Timestamp;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use std::collections::{HashMap, VecDeque};

/// Name of the event.
pub const EVENT: &str = "feedpulse.check.finding";
/// Most messages whose findings, and whose ends, are remembered.
const MOST: usize = 8192;
/// Most findings of one message.
const MOST_FLAGS: usize = 8;

/// What a check found about a message: codes, numbers and values that its manifest lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// When the message was seen.
    pub at: Timestamp,
    /// The check's name in the configuration.
    pub check: String,
    /// `name/code` of its manifest.
    pub code: String,
    /// `info`, `warning`, `error` or `critical`.
    pub level: &'static str,
    /// HL7 path; empty = the whole message.
    pub place: String,
    /// `name=value`, as declared in its manifest.
    pub attrs: Vec<String>,
}

impl Flag {
    /// As an event of a span.
    pub(crate) fn event(&self) -> Event {
        let mut attributes = vec![
            attribute(Key::Check, Val::Name(self.check.clone())),
            attribute(Key::CheckCode, Val::Name(self.code.clone())),
            attribute(Key::CheckLevel, Val::Set(self.level)),
        ];
        if !self.place.is_empty() {
            attributes.push(attribute(Key::CheckAt, Val::Name(self.place.clone())));
        }
        if !self.attrs.is_empty() {
            attributes.push(attribute(Key::CheckAttrs, Val::Names(self.attrs.clone())));
        }
        let (time_unix_nano, name) = (nanos(self.at), EVENT.to_owned());
        Event { time_unix_nano, name, attributes, ..Event::default() }
    }
}

/// The ids of a journey that ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) trace: u128,
    pub(crate) root: u64,
    /// Whether its spans were exported.
    pub(crate) kept: bool,
}

/// A map that forgets the oldest.
#[derive(Debug)]
struct Recent<T> {
    held: HashMap<MessageKey, T>,
    order: VecDeque<MessageKey>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { held: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    fn put(&mut self, key: MessageKey, value: T) {
        if self.held.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.held.remove(&oldest);
        }
    }
}

/// Findings that wait for their journey's end, and journeys that ended lately. Nothing is held where
/// there are no checks.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    waiting: Recent<Vec<Flag>>,
    ended: Recent<Ended>,
    expected: bool,
}

impl Flags {
    /// There are checks.
    pub(crate) fn expect(&mut self) {
        self.expected = true;
    }

    /// A finding: the span that it becomes when its journey has ended already.
    pub(crate) fn flag(&mut self, key: MessageKey, flag: Flag) -> Option<Span> {
        if let Some(ended) = self.ended.held.get(&key) {
            return Some(late(*ended, &flag));
        }
        match self.waiting.held.get_mut(&key) {
            Some(flags) if flags.len() < MOST_FLAGS => flags.push(flag),
            Some(_) => {}
            None => self.waiting.put(key, vec![flag]),
        }
        None
    }

    /// The findings about a journey that ends now.
    pub(crate) fn of(&mut self, key: MessageKey) -> Vec<Flag> {
        let found = if self.expected { self.waiting.held.get_mut(&key) } else { None };
        // The key stays in its place until it is the oldest.
        found.map(std::mem::take).unwrap_or_default()
    }

    /// A journey ended.
    pub(crate) fn ended(&mut self, key: MessageKey, ended: Ended) {
        if self.expected {
            self.ended.put(key, ended);
        }
    }
}

/// The span of a finding that came after its journey's spans had left.
fn late(ended: Ended, flag: &Flag) -> Span {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (
        ended.trace,
        ended.root,
        flag.at.as_micros(),
        &flag.check,
        &flag.code,
        &flag.place,
        &flag.attrs,
    )
        .hash(&mut hasher);
    Span {
        trace_id: ended.trace.to_be_bytes().to_vec(),
        span_id: hasher.finish().max(1).to_be_bytes().to_vec(),
        parent_span_id: if ended.kept { ended.root.to_be_bytes().to_vec() } else { Vec::new() },
        flags: 0x101,
        name: format!("check {}", flag.check),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: nanos(flag.at),
        end_time_unix_nano: nanos(flag.at),
        attributes: vec![attribute(Key::Check, Val::Name(flag.check.clone()))],
        events: vec![flag.event()],
        ..Span::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(n: i64) -> Flag {
        Flag {
            at: Timestamp::from_micros(n),
            check: "room".to_owned(),
            code: "room/missing".to_owned(),
            level: "warning",
            place: "PV1-3".to_owned(),
            attrs: vec!["kind=bed".to_owned()],
        }
    }

    #[test]
    fn a_finding_waits_for_its_journey_or_stands_alone_behind_it() {
        let (mut flags, key) = (Flags::default(), MessageKey::from_u128(7));
        flags.ended(MessageKey::from_u128(1), Ended { trace: 1, root: 1, kept: true });
        assert!(flags.ended.held.is_empty(), "no checks, nothing held");
        flags.expect();
        assert!(flags.flag(key, flag(1)).is_none());
        assert_eq!(flags.of(key), [flag(1)]);
        flags.ended(key, Ended { trace: 7, root: 9, kept: true });
        let span = flags.flag(key, flag(2)).unwrap();
        assert_eq!(span.parent_span_id, 9_u64.to_be_bytes());
        assert_eq!((span.name.as_str(), span.events[0].name.as_str()), ("check room", EVENT));
        assert_eq!(span.events[0].attributes.len(), 5);
        assert!(flags.of(key).is_empty());
        flags.ended(key, Ended { trace: 7, root: 9, kept: false });
        assert!(flags.flag(key, flag(2)).unwrap().parent_span_id.is_empty(), "its own root");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut flags = Flags::default();
        flags.expect();
        for n in 0..20_000 {
            let key = MessageKey::from_u128(n + 1);
            for again in 0..20 {
                flags.flag(key, flag(again));
            }
            flags.ended(
                MessageKey::from_u128(1 << 100 | n),
                Ended { trace: 1, root: 1, kept: true },
            );
        }
        assert_eq!((flags.waiting.held.len(), flags.ended.held.len()), (MOST, MOST));
        assert!(flags.waiting.held.values().all(|held| held.len() == MOST_FLAGS));
    }
}
