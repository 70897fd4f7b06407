//! The layouts of core's types: what the log, the tables and the relay hold. One place per type.

use crate::Wire;
use crate::layout::layout;
use crate::reader::{DecodeError, Fault, Reader};
use feedpulse_core::calendar::Calendar;
use feedpulse_core::cause::{CauseClass, Clue};
use feedpulse_core::class::AckClasses;
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::defect::{Defect, DefectCode, Verdict};
use feedpulse_core::desk::{Judgement, Remark, RemarkText, Taken, WouldBe};
use feedpulse_core::effect::{
    Cause, Change, Confidence, EffectId, IncidentChange, IncidentFinding, IncidentState, Moment,
    MomentKind, Overran, Rollup, Scope, Story,
};
use feedpulse_core::effect::{JourneyEnd, Sending};
use feedpulse_core::finding::{CheckFinding, Evidence, Finding, FindingState, Subject};
use feedpulse_core::frame::{ConnectionId, Direction, TraceParent, WaypointId};
use feedpulse_core::hist::Histogram;
use feedpulse_core::input::{Blind, DrillKind, DrillStep, Input, OperatorAction, OwnState};
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::{ControlId, LABEL_MAX, Label};
use feedpulse_core::lag::Withheld;
use feedpulse_core::order::{OrderMarks, PatientEvent, PatientMark, ResultMark, ResultStatus};
use feedpulse_core::plan::{
    Acks, DownTimes, Downtime, Embargo, FeedId, FeedPlan, Objectives, PeerNet, Plan, Role, Route,
    RouteId, Silence, Waypoint,
};
use feedpulse_core::said::{CheckCode, CheckCodes, CheckWords, CodeWords, Line, TEXT_MAX};
use feedpulse_core::shape::{Part, ShapeKey};
use feedpulse_core::sighting::{
    AckCode, AckCondition, AckMode, AckSeen, BatchSeen, DeadLetterSeen, FindKeys, LinkEvent,
    MessageSeen, Outcome, Protocol, ReasonClass, ReceiptSeen, Seen, Sighting, UnreadableSeen,
    Urgency,
};
use feedpulse_core::tap::Position;
use feedpulse_core::time::{EventTime, Precision, Timestamp};
use feedpulse_core::view::Totals;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

layout! {
    newtype WaypointId(u16);
    newtype ConnectionId(u64);
    newtype RouteId(u16);
    newtype FeedId(u32);

    enum Precision { 0 = Day, 1 = Minute, 2 = Second, 3 = Fraction }
    struct EventTime { at, precision, zone_stated }
    struct TraceParent { trace_id, span_id, sampled }
    enum Direction { 0 = ToReceiver, 1 = ToSender }

    enum Input {
        0 = Configure(plan),
        1 = Seen(sighting),
        2 = Found(finding),
        3 = Blind(blind),
        4 = Own(state),
        5 = Alive(waypoint),
        6 = Tick,
        7 = Operator(action),
        8 = Probed(probed),
        9 = Learned(learned),
        10 = Drill(step),
        11 = Taken(taken),
        12 = Words(words),
    }
    struct CheckWords { check, codes }
    struct CodeWords { name, by, title, explanation, remedy }
    struct Blind { waypoint, from, to, records, bytes }
    struct OwnState { part, code, failing, detail, dropped }
    enum OperatorAction {
        0 = Claim { incident, by },
        1 = Mute { incident, until },
        2 = Changed(change),
        3 = Release { incident, by },
        4 = Unmute { incident },
        5 = Remark { incident, by, text },
        6 = Judge { incident, right, by },
    }
    struct Remark { at, by, text }
    struct Taken { incident, at, notifier, why }
    struct Judgement { right, by, at }
    struct WouldBe { incident, at, severity, feeds, right }
    struct Change { at, kind, what }
    enum DrillStep {
        0 = Open { number, kind, severity },
        1 = Seen { number, sighting },
        2 = Close { number },
    }
    enum DrillKind { 0 = ReceiverDown, 1 = NackBurst, 2 = Silence, 3 = NoAck }

    struct Sighting { at, waypoint, connection, what }
    enum Seen {
        0 = Message(seen),
        1 = Ack(seen),
        2 = Unreadable(seen),
        3 = Link(event),
        4 = Receipt(seen),
        5 = DeadLetter(seen),
        6 = Batch(seen),
        7 = Shape(seen),
    }
    struct MessageSeen {
        direction, code, trigger, sender, sender_facility, receiver, receiver_facility, version,
        processing, control_id, ack_key, journey_key, also, find, batch, protocol, order, body, size,
        ack_mode, event_time, withheld, made, urgency, verdict, defects, trace, software
    }
    newtype FindKeys([u64; 4]);
    newtype Part(u64);
    struct ShapeKey { sender, code, trigger }
    struct Protocol { sequence, continuation }
    struct OrderMarks { results, patient }
    struct ResultMark { test, status }
    enum ResultStatus { 0 = Preliminary, 1 = Final, 2 = Corrected }
    struct PatientMark { patient, event, at }
    enum PatientEvent { 0 = Merge { gone }, 1 = Unmerge { back }, 2 = Update, 3 = Other }
    enum Withheld {
        0 = NoTime,
        1 = NoZone,
        2 = Coarse,
        3 = Unreadable,
        4 = Future,
        5 = SenderClock,
        6 = OutOfWindow,
        7 = Repeat,
    }
    struct BatchSeen { direction, id, answers, messages, acks, declared }
    struct AckSeen { direction, code, ack_key, acked, reason, error_code, defects, software }
    struct UnreadableSeen { direction, size, defects }
    enum LinkEvent {
        0 = Opened,
        1 = Refused,
        2 = Unreachable,
        3 = Reset { by_receiver },
        4 = Closed { bytes },
        5 = Idle,
        6 = FrameOpen,
        7 = NotMllp,
        8 = Peer(ip),
        9 = HalfOpen { receiver },
        10 = TimedOut { receiver },
    }
    struct ReceiptSeen { journey_key, outcome, stated_at }
    struct DeadLetterSeen { journey_key, reason, code, sender, urgency }
    struct Defect { code, offset }
    enum Verdict { 0 = Readable, 1 = Odd, 2 = Unreadable }
    enum AckCode { 0 = AA, 1 = AE, 2 = AR, 3 = CA, 4 = CE, 5 = CR, 6 = Other }
    enum AckCondition { 0 = Empty, 1 = Always, 2 = Never, 3 = OnError, 4 = OnSuccess }
    struct AckMode { accept, application }
    enum Urgency { 0 = Routine, 1 = Correction, 2 = Critical }
    enum ReasonClass {
        0 = None,
        1 = Structure,
        2 = Unsupported,
        3 = UnknownKey,
        4 = DuplicateKey,
        5 = Locked,
        6 = Internal,
        7 = Unavailable,
        8 = Other,
    }
    enum Outcome {
        0 = Accepted,
        1 = Committed,
        2 = Filed,
        3 = Errored,
        4 = Rejected,
        5 = NoAck,
        6 = ConnectionLost,
        7 = Refused,
        8 = Unknown,
    }

    struct CheckFinding {
        at, check, waypoint, faulty, code, severity, journey_key, urgency, place, attrs
    }
    struct Finding { code, subject, severity, state, since, evidence, detail }
    enum FindingState { 0 = Raised, 1 = Cleared, 2 = Happened }
    enum Severity { 0 = Note, 1 = Ticket, 2 = Page }
    enum Subject { 0 = Waypoint(id), 1 = Feed(id), 2 = Check(index), 3 = Own(part), 4 = Probe(name) }

    struct Plan {
        waypoints, routes, feeds, checks, defaults, journey_expiry, rollup, feeds_max, calendar,
        downtimes, resolve_after, page_after, page_after_urgent, series_max, hard_down_told, config,
        probes, heartbeats
    }
    struct Calendar { offsets, holidays }
    struct Downtime { name, waypoints, times }
    enum DownTimes { 0 = Once { from, to }, 1 = Weekly { days, start, minutes } }
    enum Silence { 0 = Learned, 1 = After(limit), 2 = Off }
    struct Waypoint {
        name, acks, no_ack_after, ack_time, role, ack_mode, application_acks, application_after,
        standby_of, expected_reasons, system, peers
    }
    struct PeerNet { ip, bits }
    enum Acks { 0 = Expected, 1 = Stored, 2 = IfSeen }
    enum Role { 0 = Message, 1 = AckOf(waypoint), 2 = DeadLetter, 3 = Retry, 4 = Receipt }
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
    enum Scope { 0 = Own, 1 = Feed, 2 = Feeds, 3 = Link, 4 = System, 5 = Everything, 6 = Around }
    struct Moment { at, what }
    enum MomentKind {
        0 = Began,
        1 = Found(code),
        2 = Told(severity),
        3 = Changed(change),
        4 = Claimed(by),
        5 = Muted(until),
        6 = Calm,
        7 = Returned,
        8 = Resolved,
        9 = Shadowed(severity),
        10 = Released(by),
        11 = Unmuted,
        12 = Remarked(by),
        13 = Judged { right, by },
        14 = Drained,
        15 = CheckFound(code),
    }
    struct Cause { class, confidence, clues, against }
    enum Confidence { 0 = Low, 1 = Medium, 2 = High }
    enum CauseClass {
        0 = Host,
        1 = Software,
        2 = Network,
        3 = Attack,
        4 = Config,
        5 = Site,
        6 = Overload,
        7 = Data,
    }
    struct IncidentFinding { code, severity, since, cleared_at, evidence, detail, times }
    enum IncidentState { 0 = Pending, 1 = Open, 2 = Resolved }
    struct Rollup {
        feed, feed_name, minute, seen, outcomes, ack_p50, ack_p99, transit_max, backlog, lag
    }

    struct EffectId { input, index }
    enum JourneyEnd {
        0 = Delivered(outcome),
        1 = Failed(outcome),
        2 = Partly(outcome),
        3 = Filtered,
        4 = Expired,
        5 = Unknown,
    }
    newtype AckClasses(u16);
    struct Sending { waypoint, control_id, at, ended_at, outcome, ack, reason, slow, size }
    struct Totals { seen, outcomes, open }
}

/// 4 or 6, then the address's bits.
impl Wire for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(v4) => {
                out.push(4);
                out.extend_from_slice(&v4.octets());
            }
            Self::V6(v6) => {
                out.push(6);
                out.extend_from_slice(&v6.octets());
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |tag: u8| from.fail(Fault::UnknownTag(tag.into()));
        let [tag] = from.clone().take_array()?;
        let fault = unknown(tag);
        from.take_array::<1>()?;
        match tag {
            4 => from.take_array::<4>().map(Ipv4Addr::from).map(Self::V4),
            6 => from.take_array::<16>().map(Ipv6Addr::from).map(Self::V6),
            _ => Err(fault),
        }
    }
}

impl Wire for Timestamp {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_micros().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        let micros = i64::take(from)?;
        // The one that is no time of its own.
        if micros == i64::MIN { Err(invalid) } else { Ok(Self::from_micros(micros)) }
    }
}

impl Wire for MessageKey {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_u128().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u128::take(from).map(Self::from_u128)
    }
}

impl Wire for Label {
    fn put(&self, out: &mut Vec<u8>) {
        let text = self.as_str().as_bytes();
        text.len().put(out);
        out.extend_from_slice(text);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        let len = from.length()?;
        let text = from.take_bytes(len)?;
        // A label holds at most LABEL_MAX printable ASCII bytes; `from_bytes` would change others.
        if len > LABEL_MAX || !text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(invalid);
        }
        Ok(Self::from_bytes(text))
    }
}

impl Wire for RemarkText {
    fn put(&self, out: &mut Vec<u8>) {
        let text = self.shown().as_bytes();
        text.len().put(out);
        out.extend_from_slice(text);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        let text = String::take(from)?;
        // Only what `new` leaves as it is was ever written.
        Self::new(&text).ok().filter(|kept| kept.shown() == text).ok_or(invalid)
    }
}

impl Wire for Line {
    fn put(&self, out: &mut Vec<u8>) {
        let text = self.as_str().as_bytes();
        text.len().put(out);
        out.extend_from_slice(text);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        let text = String::take(from)?;
        // Only what `new` leaves as it is was ever written.
        Some(Self::new(&text, TEXT_MAX)).filter(|kept| kept.as_str() == text).ok_or(invalid)
    }
}

impl Wire for ControlId {
    fn put(&self, out: &mut Vec<u8>) {
        self.clear().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Label::take(from).map(|label| Self::from_bytes(label.as_str().as_bytes()))
    }
}

/// The number in a stable code such as `FP0101` or `HD002`.
fn code_number(code: &str) -> u16 {
    code.bytes().filter(u8::is_ascii_digit).fold(0, |n, digit| n * 10 + u16::from(digit - b'0'))
}

/// Reads a stable number and finds its code among `all`.
fn take_code<T: Copy>(
    from: &mut Reader<'_>,
    all: &[T],
    text: fn(T) -> &'static str,
) -> Result<T, DecodeError> {
    let at = from.offset();
    let number = u16::take(from)?;
    let unknown = DecodeError { what: "", offset: at, fault: Fault::UnknownTag(number.into()) };
    all.iter().copied().find(|code| code_number(text(*code)) == number).ok_or(unknown)
}

impl Wire for Code {
    fn put(&self, out: &mut Vec<u8>) {
        code_number(self.text().code).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        take_code(from, Self::ALL, |code| code.text().code)
    }
}

impl Wire for Clue {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |tag: u8| from.fail(Fault::UnknownTag(tag.into()));
        let [tag] = from.clone().take_array()?;
        let known = Self::ALL.get(usize::from(tag)).copied().ok_or_else(|| unknown(tag))?;
        from.take_array::<1>().map(|_| known)
    }
}

impl Wire for DefectCode {
    fn put(&self, out: &mut Vec<u8>) {
        code_number(self.code()).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        take_code(from, Self::ALL, Self::code)
    }
}

impl Wire for Evidence {
    fn put(&self, out: &mut Vec<u8>) {
        self.name.len().put(out);
        out.extend_from_slice(self.name.as_bytes());
        self.value.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = from.length()?;
        let not_text = from.fail(Fault::NotUtf8);
        let name = core::str::from_utf8(from.take_bytes(len)?).map_err(|_| not_text)?;
        Ok(Self { name: from.known_name(name), value: from.field("Evidence.value")? })
    }
}

impl Wire for Histogram {
    fn put(&self, out: &mut Vec<u8>) {
        let parts: Vec<(u32, u32)> = self.parts().collect();
        parts.put(out);
        self.sum().put(out);
        self.max().unwrap_or(0).put(out);
    }

    /// An empty histogram decodes to the default one; times and counts are those that were put.
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        let parts: Vec<(u32, u32)> = from.field("Histogram.parts")?;
        let sum: u64 = from.field("Histogram.sum")?;
        let max: u64 = from.field("Histogram.max")?;
        let ascending = parts.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        if !ascending || parts.iter().any(|(_, n)| *n == 0) {
            return Err(invalid);
        }
        if parts.is_empty() {
            return if sum == 0 && max == 0 { Ok(Self::default()) } else { Err(invalid) };
        }
        Ok(Self::restore(&parts, sum, max))
    }
}
