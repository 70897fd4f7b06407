//! Seeded random values of every type that has a layout.

use crate::{LedgerRow, LedgerRows, OutboxRow, OwedNotice, Why};
use feedpulse_core::calendar::Calendar;
use feedpulse_core::cause::{CauseClass, Clue};
use feedpulse_core::class::AckClasses;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::defect::{Defect, DefectCode, Verdict};
use feedpulse_core::desk::{Judgement, Remark, RemarkText, Taken, WouldBe};
use feedpulse_core::effect::{
    Amendment, Cause, Change, Confidence, EffectId, IncidentChange, IncidentFinding, IncidentState,
    JourneyEnd, JourneyRecord, Moment, MomentKind, Overran, Rollup, Scope, Sending, Story,
};
use feedpulse_core::engine::by_kind::KindAnswers;
use feedpulse_core::engine::learned::{Learned, LearnedFeed, LearnedLink, Ways};
use feedpulse_core::engine::profile::{PartKey, Profile, Ready};
use feedpulse_core::engine::shapes::{FreshPart, KnownPart, Vocabulary};
use feedpulse_core::engine::state::{Habit, Recent};
use feedpulse_core::engine::tail::Tail;
use feedpulse_core::engine::usual::{Burst, Minute, Usual};
use feedpulse_core::finding::{CheckFinding, Evidence, Subject};
use feedpulse_core::frame::{ConnectionId, Direction, TraceParent, WaypointId};
use feedpulse_core::hist::Histogram;
use feedpulse_core::input::{Blind, DrillKind, DrillStep, Input, OperatorAction, OwnState};
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::lag::Withheld;
use feedpulse_core::order::{OrderMarks, PatientEvent, PatientMark, ResultMark, ResultStatus};
use feedpulse_core::plan::{
    Acks, DownTimes, Downtime, Embargo, FeedId, FeedPlan, Objectives, PeerNet, Plan, Role, Route,
    RouteId, Silence, Waypoint,
};
use feedpulse_core::probe::{
    About, Beat, Expect, HeartbeatPlan, Known, Offsets, ProbePlan, Probed, Reading, Saw,
};
use feedpulse_core::said::{CheckCode, CheckCodes, CheckWords, CodeWords, Line, SHORT_MAX};
use feedpulse_core::schedule::{Rule, Schedule};
use feedpulse_core::shape::{Part, ShapeKey, ShapeSeen};
use feedpulse_core::sighting::{
    AckCode, AckCondition, AckMode, AckSeen, BatchSeen, DeadLetterSeen, FindKeys, LinkEvent,
    MessageSeen, Outcome, Protocol, ReasonClass, ReceiptSeen, Seen, Sighting, UnreadableSeen,
    Urgency,
};
use feedpulse_core::tap::Position;
use feedpulse_core::time::{EventTime, Precision, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Evidence names of these tests.
pub(super) const NAMES: &[&str] = &["ack_p99_s", "open_total", "share"];

/// SplitMix64.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// Any width from 0 to 64 bits, so that every varint length comes up.
    fn wide(&mut self) -> u64 {
        let bits = self.below(65);
        self.next().checked_shr(u32::try_from(64 - bits).unwrap()).unwrap_or(0)
    }

    pub(super) fn any<T: Any>(&mut self) -> T {
        T::any(self)
    }
}

pub(super) trait Any {
    fn any(rng: &mut Rng) -> Self;
}

macro_rules! any {
    () => {};
    (number $($type:ident)*; $($rest:tt)*) => {
        $(impl Any for $type {
            fn any(rng: &mut Rng) -> Self {
                Self::try_from(rng.wide() & u64::try_from(Self::MAX).unwrap()).unwrap()
            }
        })*
        any! { $($rest)* }
    };
    (struct $type:ident { $($field:ident),* $(,)? } $($rest:tt)*) => {
        impl Any for $type {
            fn any(rng: &mut Rng) -> Self {
                Self { $($field: rng.any()),* }
            }
        }
        any! { $($rest)* }
    };
    (enum $type:ident {
        $($variant:ident $(( $($item:ident),* ))? $({ $($field:ident),* })?),* $(,)?
    } $($rest:tt)*) => {
        impl Any for $type {
            fn any(rng: &mut Rng) -> Self {
                let makers: &[fn(&mut Rng) -> Self] = &[$(|rng| {
                    let _unused_by_unit_variants = &rng;
                    Self::$variant
                        $(( $({ let $item = rng.any(); $item }),* ))?
                        $({ $($field: rng.any()),* })?
                }),*];
                let index = rng.below(makers.len());
                makers[index](rng)
            }
        }
        any! { $($rest)* }
    };
    (from $type:ident($inner:ty) $make:expr; $($rest:tt)*) => {
        impl Any for $type {
            fn any(rng: &mut Rng) -> Self {
                let make: fn($inner) -> Self = $make;
                make(rng.any())
            }
        }
        any! { $($rest)* }
    };
}

any! {
    number u8 u16 u32 u64 usize;
    from WaypointId(u16) WaypointId;
    from ConnectionId(u64) ConnectionId;
    from RouteId(u16) RouteId;
    from FeedId(u32) FeedId;
    from MessageKey(u128) MessageKey::from_u128;
    from Timestamp(u64) |n| Timestamp::from_micros(n.cast_signed());
    from Duration(u64) Duration::from_nanos;
    enum Precision { Day, Minute, Second, Fraction }
    struct EventTime { at, precision, zone_stated }
    struct TraceParent { trace_id, span_id, sampled }
    enum Direction { ToReceiver, ToSender }
    enum Input {
        Configure(plan), Seen(what), Found(what), Blind(what), Own(what), Alive(at), Tick,
        Operator(what), Probed(what), Learned(what), Drill(what),
        Taken(what), Words(what)
    }
    struct CheckWords { check, codes }
    struct CodeWords { name, by, title, explanation, remedy }
    enum DrillStep { Open { number, kind, severity }, Seen { number, sighting }, Close { number } }
    enum DrillKind { ReceiverDown, NackBurst, Silence, NoAck }
    struct Learned { id, from, to, feeds, links }
    struct LearnedFeed { name, route, messages, profile, parts, ways }
    struct LearnedLink { name, usual, habit }
    struct Ways { ended, reached }
    enum Ready { Learning, TooQuiet, Known }
    struct PartKey { feed, code, trigger, facility }
    struct Tail { counts, sums, weeks }
    struct Profile {
        rates, learned, at, last, now, count, whole, missed, known, tail, is_part, week, recent, coming,
        limit, ready, silent, spread, hour, odd_hours, minutes
    }
    struct Recent { at }
    struct Minute { at, sendings, repeats, replays, answers, bad }
    struct Burst { first, last, times, usual, share }
    struct KindAnswers { last, odd, seen, usual, since, at }
    struct Usual {
        minutes, answers, bursts, kinds, lost_share, damaged, damaged_share, processing, versions, shapes
    }
    struct Habit {
        application_first, commit_first, application_after, silent, retried, lasting
    }
    struct Blind { waypoint, from, to, records, bytes }
    enum About { Itself, Waypoint(at), Feed(name), System(name) }
    struct Expect { schedule, grace }
    enum Rule { At(schedule), Every(every) }
    struct Schedule { minutes, hours, days, months, weekdays, either }
    struct Reading { part, saw }
    enum Saw { Check { code, failed }, Number(n), Ends(at), Known { what, value }, Group(o), Beat(b) }
    enum Known { Certificate, Address }
    struct Offsets { committed, low, end, age, members }
    enum Beat { Start, Ok, Fail }
    struct OwnState { part, code, failing, detail, dropped }
    enum OperatorAction {
        Claim { incident, by }, Mute { incident, until }, Changed(change),
        Release { incident, by }, Unmute { incident }, Remark { incident, by, text },
        Judge { incident, right, by }
    }
    struct Remark { at, by, text }
    struct Taken { incident, at, notifier, why }
    struct Judgement { right, by, at }
    struct WouldBe { incident, at, severity, feeds, right }
    struct Change { at, kind, what }
    struct Sighting { at, waypoint, connection, what }
    enum Seen {
        Message(s), Ack(s), Unreadable(s), Link(s), Receipt(s), DeadLetter(s), Batch(s), Shape(s)
    }
    from Part(u64) Part;
    struct ShapeKey { sender, code, trigger }
    struct KnownPart { part, hits, least }
    struct FreshPart { part, first, last, hits, of, before }
    struct Vocabulary { since, last, messages, stretches, from, stretch, known, fresh, gone, doubted }
    struct MessageSeen {
        direction, code, trigger, sender, sender_facility, receiver, receiver_facility, version,
        processing, control_id, ack_key, journey_key, also, find, batch, protocol, order, body, size,
        ack_mode, event_time, withheld, made, urgency, verdict, defects, trace, software
    }
    from FindKeys([u64; 4]) FindKeys;
    struct Protocol { sequence, continuation }
    struct OrderMarks { results, patient }
    struct ResultMark { test, status }
    enum ResultStatus { Preliminary, Final, Corrected }
    struct PatientMark { patient, event, at }
    enum PatientEvent { Merge { gone }, Unmerge { back }, Update, Other }
    enum Withheld { NoTime, NoZone, Coarse, Unreadable, Future, SenderClock, OutOfWindow }
    struct BatchSeen { direction, id, answers, messages, acks, declared }
    struct AckSeen { direction, code, ack_key, acked, reason, error_code, defects, software }
    struct UnreadableSeen { direction, size, defects }
    enum LinkEvent {
        Opened, Refused, Unreachable, Reset { by_receiver }, Closed { bytes }, Idle, FrameOpen,
        NotMllp, Peer(ip), HalfOpen { receiver }, TimedOut { receiver }
    }
    struct ReceiptSeen { journey_key, outcome, stated_at }
    struct DeadLetterSeen { journey_key, reason, code, sender, urgency }
    struct Defect { code, offset }
    enum Verdict { Readable, Odd, Unreadable }
    enum AckCode { AA, AE, AR, CA, CE, CR, Other }
    enum AckCondition { Empty, Always, Never, OnError, OnSuccess }
    struct AckMode { accept, application }
    enum Urgency { Routine, Correction, Critical }
    enum ReasonClass {
        None, Structure, Unsupported, UnknownKey, DuplicateKey, Locked, Internal, Unavailable,
        Other
    }
    enum Severity { Note, Ticket, Page }
    enum Subject { Waypoint(id), Feed(id), Check(index), Own(part), Probe(name) }
    struct CheckFinding {
        at, check, waypoint, faulty, code, severity, journey_key, urgency, place, attrs
    }
    struct Plan {
        waypoints, routes, feeds, checks, defaults, journey_expiry, rollup, feeds_max, calendar,
        downtimes, resolve_after, page_after, page_after_urgent, series_max, hard_down_told, config,
        probes, heartbeats
    }
    struct Calendar { offsets, holidays }
    struct Downtime { name, waypoints, times }
    enum DownTimes { Once { from, to }, Weekly { days, start, minutes } }
    enum Silence { Learned, After(limit), Off }
    struct Waypoint {
        name, acks, no_ack_after, ack_time, role, ack_mode, application_acks, application_after,
        standby_of, expected_reasons, system, peers
    }
    struct PeerNet { ip, bits }
    enum Acks { Expected, Stored, IfSeen }
    enum Role { Message, AckOf(at), DeadLetter, Retry, Receipt }
    struct Route { name, waypoints }
    struct FeedPlan { name, route, senders, types, objectives, ends_at, filters }
    struct Objectives {
        transit, urgent_transit, source_age, urgent_source_age, embargoes, silence, expect, rejected_share,
        backlog_min, shadow, schema_drift, may_vary
    }
    struct Embargo { kind, by }
    struct Position { tap, lane, epoch, offset }
    struct IncidentChange {
        id, subject, subject_name, state, severity, code, summary, since, resolved_at, findings,
        urgent, claimed_by, muted_until, story
    }
    struct Story {
        opened_at, scope, feeds, feeds_total, messages, breach_s, drained_s, cause, earlier,
        earlier_at, flaps, shadow, verdict, timeline, overran, drill, news, check_codes
    }
    struct CheckCodes { codes, others }
    struct CheckCode { code, words, severity, times, first, last, waypoint, place, attrs }
    struct Overran { name, since }
    struct OutboxRow {
        place, kept_at, began, first, said, told_at, updates, claimed, change, waiting
    }
    struct OwedNotice { why, made_at, change }
    enum Why { Open, Escalated, Rose, Claimed, Still(n), Over }
    enum Scope { Own, Feed, Feeds, Link, System, Everything, Around }
    struct Moment { at, what }
    enum MomentKind {
        Began, Found(code), Told(severity), Changed(change), Claimed(by), Muted(until), Calm,
        Returned, Resolved, Shadowed(severity), Released(by), Unmuted, Remarked(by),
        Judged { right, by }, Drained, CheckFound(code)
    }
    struct Cause { class, confidence, clues, against }
    enum Confidence { Low, Medium, High }
    enum CauseClass { Host, Software, Network, Attack, Config, Site, Overload, Data }
    struct IncidentFinding { code, severity, since, cleared_at, evidence, detail, times }
    struct LedgerRows { waypoints, rows }
    enum LedgerRow { Journey(record), Amend(amendment), Dropped { from, to, rows } }
    struct EffectId { input, index }
    struct Amendment { key, control_id, waypoint, at, ack, reason }
    struct JourneyRecord {
        key, feed, feed_name, code, trigger, sender, facility, control_id, find, urgency, event_time,
        source_age, first_at, sends, sends_total, end, missing, classes, ended_at, late, found, trace
    }
    from AckClasses(u16) AckClasses;
    enum JourneyEnd { Delivered(o), Failed(o), Partly(o), Filtered, Expired, Unknown }
    struct Sending {
        waypoint, control_id, at, ended_at, outcome, ack, reason, slow, size
    }
    enum IncidentState { Pending, Open, Resolved }
    struct Rollup {
        feed, feed_name, minute, seen, outcomes, ack_p50, ack_p99, transit_max, backlog, lag
    }
}

impl Any for bool {
    fn any(rng: &mut Rng) -> Self {
        rng.next() & 1 == 1
    }
}

/// Few names, so that results are those of probes and heartbeats that a plan has.
fn few(rng: &mut Rng) -> Label {
    Label::from(["a", "b", "c", "d"][rng.below(4)])
}

impl Any for ProbePlan {
    fn any(rng: &mut Rng) -> Self {
        Self {
            about: rng.any(),
            severity: rng.any(),
            fails: rng.any(),
            recovers: rng.any(),
            over: rng.any(),
            under: rng.any(),
            breach: rng.any(),
            growth: rng.any(),
            allowed_lag: rng.any(),
            behind: rng.any(),
            ticket_before: rng.any(),
            page_before: rng.any(),
            horizon: rng.any(),
            name: few(rng),
        }
    }
}

impl Any for HeartbeatPlan {
    fn any(rng: &mut Rng) -> Self {
        Self {
            about: rng.any(),
            severity: rng.any(),
            rule: rng.any(),
            grace: rng.any(),
            longest: rng.any(),
            name: few(rng),
        }
    }
}

impl Any for i64 {
    fn any(rng: &mut Rng) -> Self {
        rng.wide().cast_signed()
    }
}

impl Any for Probed {
    fn any(rng: &mut Rng) -> Self {
        let at = Timestamp::from_secs(1_000 + i64::from(rng.any::<u16>()));
        Self { probe: few(rng), at, elapsed: rng.any(), readings: rng.any() }
    }
}

impl Any for u128 {
    fn any(rng: &mut Rng) -> Self {
        Self::from(rng.next()) << 64 | Self::from(rng.next())
    }
}

impl Any for f64 {
    fn any(rng: &mut Rng) -> Self {
        Some(Self::from_bits(rng.next())).filter(|n| n.is_finite()).unwrap_or(0.5)
    }
}

impl Any for f32 {
    fn any(rng: &mut Rng) -> Self {
        Some(Self::from_bits(u32::any(rng))).filter(|n| n.is_finite()).unwrap_or(0.25)
    }
}

impl Any for i8 {
    fn any(rng: &mut Rng) -> Self {
        u8::any(rng).cast_signed()
    }
}

impl Any for String {
    fn any(rng: &mut Rng) -> Self {
        let letters = ['a', '-', 'é', '…', '\u{1f9ea}', '\0', '"'];
        (0..rng.below(40)).map(|_| letters[rng.below(letters.len())]).collect()
    }
}

impl Any for Label {
    fn any(rng: &mut Rng) -> Self {
        let bytes: Vec<u8> = (0..rng.below(40)).map(|_| rng.any()).collect();
        Self::from_bytes(&bytes)
    }
}

impl Any for RemarkText {
    fn any(rng: &mut Rng) -> Self {
        let text = rng.any::<String>();
        Self::new(&text).unwrap_or_else(|_| Self::new("–").unwrap())
    }
}

impl Any for Line {
    fn any(rng: &mut Rng) -> Self {
        Self::new(&rng.any::<String>(), SHORT_MAX)
    }
}

impl Any for ControlId {
    fn any(rng: &mut Rng) -> Self {
        Self::from_bytes(rng.any::<Label>().as_str().as_bytes())
    }
}

impl Any for Evidence {
    fn any(rng: &mut Rng) -> Self {
        Self { name: NAMES[rng.below(NAMES.len())], value: rng.any() }
    }
}

impl Any for Code {
    fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.below(Self::ALL.len())]
    }
}

impl Any for Clue {
    fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.below(Self::ALL.len())]
    }
}

impl Any for i32 {
    fn any(rng: &mut Rng) -> Self {
        u32::any(rng).cast_signed()
    }
}

impl Any for DefectCode {
    fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.below(Self::ALL.len())]
    }
}

impl Any for Outcome {
    fn any(rng: &mut Rng) -> Self {
        Self::ALL[rng.below(Self::ALL.len())]
    }
}

impl Any for Histogram {
    fn any(rng: &mut Rng) -> Self {
        let mut times = Self::default();
        for _ in 0..rng.below(50) {
            times.record(rng.wide());
        }
        times
    }
}

impl<T: Any> Any for Option<T> {
    fn any(rng: &mut Rng) -> Self {
        rng.any::<bool>().then(|| rng.any())
    }
}

impl<T: Any, E: Any> Any for Result<T, E> {
    fn any(rng: &mut Rng) -> Self {
        if rng.any() { Ok(rng.any()) } else { Err(rng.any()) }
    }
}

/// Parts ascend, and none is counted more often than there are messages.
impl Any for ShapeSeen {
    fn any(rng: &mut Rng) -> Self {
        let messages = 1 + rng.any::<u32>() / 2;
        let mut parts: Vec<(Part, u32)> = rng.any();
        parts.sort_unstable();
        parts.dedup_by_key(|(part, _)| *part);
        parts.iter_mut().for_each(|(_, count)| *count = 1 + *count % messages);
        Self { key: rng.any(), messages, parts }
    }
}

impl<T: Any> Any for Box<T> {
    fn any(rng: &mut Rng) -> Self {
        Self::new(rng.any())
    }
}

impl<T: Any> Any for Arc<T> {
    fn any(rng: &mut Rng) -> Self {
        Self::new(rng.any())
    }
}

impl<T: Any> Any for Vec<T> {
    fn any(rng: &mut Rng) -> Self {
        (0..rng.below(5)).map(|_| rng.any()).collect()
    }
}

impl<T: Any, const N: usize> Any for [T; N] {
    fn any(rng: &mut Rng) -> Self {
        std::array::from_fn(|_| rng.any())
    }
}

impl<T: Any> Any for VecDeque<T> {
    fn any(rng: &mut Rng) -> Self {
        (0..rng.below(4)).map(|_| rng.any()).collect()
    }
}

impl<K: Any + Ord, V: Any> Any for BTreeMap<K, V> {
    fn any(rng: &mut Rng) -> Self {
        (0..rng.below(4)).map(|_| (rng.any(), rng.any())).collect()
    }
}

impl<A: Any, B: Any, C: Any> Any for (A, B, C) {
    fn any(rng: &mut Rng) -> Self {
        (rng.any(), rng.any(), rng.any())
    }
}

impl<A: Any, B: Any> Any for (A, B) {
    fn any(rng: &mut Rng) -> Self {
        (rng.any(), rng.any())
    }
}

impl Any for IpAddr {
    fn any(rng: &mut Rng) -> Self {
        let [a, b] = [rng.next(), rng.next()];
        let bits = u128::from(a) << 64 | u128::from(b);
        if a & 1 == 0 { Self::V4((b as u32).into()) } else { Self::V6(bits.into()) }
    }
}
