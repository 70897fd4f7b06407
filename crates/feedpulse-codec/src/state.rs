//! The layouts of the engine's state: what a snapshot holds.

use crate::Wire;
use crate::layout::layout;
use crate::reader::{DecodeError, Reader};
use feedpulse_core::engine::aged::Aged;
use feedpulse_core::engine::by_kind::KindAnswers;
use feedpulse_core::engine::comers::Comers;
use feedpulse_core::engine::disorder::{Disorder, Mark};
use feedpulse_core::engine::drill::Drill;
use feedpulse_core::engine::jump::{Jump, Trial};
use feedpulse_core::engine::known::Known;
use feedpulse_core::engine::learned::{Learned, LearnedFeed, LearnedLink, Ways};
use feedpulse_core::engine::profile::{PartKey, Profile, Ready};
use feedpulse_core::engine::sequence::{Followed, Record, Sequence};
use feedpulse_core::engine::series::{Series, Set, SetKey};
use feedpulse_core::engine::shapes::{FreshPart, KnownPart, News, Vocabulary};
use feedpulse_core::engine::skew::{Clock, ClockFault, Clocks};
use feedpulse_core::engine::slab::{Ref, Slab, Slot};
use feedpulse_core::engine::state::{
    Answer, Connection, Down, EndedJourney, Entry, EntryExtra, FeedState, Fifo, Habit, Head, Hurt,
    Incident, Interval, Journey, JourneyExtra, Kind, Recent, Remembered, State, WaypointState,
};
use feedpulse_core::engine::tail::Tail;
use feedpulse_core::engine::timers::Timers;
use feedpulse_core::engine::usual::{Burst, Minute, Usual};

layout! {
    struct Ref { slot, generation }
    struct Recent { at }
    enum Down { 0 = Refused, 1 = Unreachable, 2 = Dropped }
    struct Answer { at, slow, bad, reason, kind }
    struct Minute { at, sendings, repeats, replays, answers, bad }
    struct Burst { first, last, times, usual, share }
    struct KindAnswers { last, odd, seen, usual, since, at }
    struct Usual {
        minutes, answers, bursts, kinds, lost_share, damaged, damaged_share, processing, versions, shapes
    }
    struct KnownPart { part, hits, least }
    struct FreshPart { part, first, last, hits, of, before }
    struct Vocabulary { since, last, messages, stretches, from, stretch, known, fresh, gone, doubted }
    struct News { key, part, gone, severity, since, told }
    enum Ready { 0 = Learning, 1 = TooQuiet, 2 = Known }
    struct PartKey { feed, code, trigger, facility }
    struct Tail { counts, sums, weeks }
    struct Profile {
        rates, learned, at, last, now, count, whole, missed, known, tail, is_part, week, recent, coming, limit, ready, silent,
        spread, hour, odd_hours, minutes
    }
    struct Aged { last, seen, worst, urgent }
    struct Connection {
        opened_at, down_before, open, latest, latest_at, previous, answered, owed, unmatched, latest_key, pipelines, slipped, off_run, peer, half_open
    }
    struct Remembered { key, journey, body, outcome, sent, answers }
    struct EndedJourney { key, feed, at, delivered, whole }
    struct Kind { code, trigger, sender, facility }
    enum ClockFault { 0 = Fast, 1 = Zone }
    struct Clock { offsets, skew, spread, fault, ages, window, turn, jump }
    struct Clocks { senders }
    struct SetKey { feed, code, facility }
    struct Set { key, source_age, transit, legs, acks }
    struct Series { sets }
    struct Record { updated, gone }
    struct Sequence { results, results_first, patients, patients_first }
    struct Hurt { messages, last }
    struct Habit { application_first, commit_first, application_after, silent, retried, lasting }
    struct Head { key, connection, times, since, last }
    struct Ways { ended, reached }
    struct Learned { id, from, to, feeds, links }
    struct LearnedFeed { name, route, messages, profile, parts, ways }
    struct LearnedLink { name, usual, habit }
    struct Entry {
        seq, key, at, connection, feed, journey, sending, extra, kind, urgency, committed, slow,
        wants_application, application_due, silence_accepts, blind, next
    }
    struct EntryExtra { more, batch }
    struct WaypointState {
        time, alive_at, entries, deadlines, application_deadlines, memory, classes, habit, heads,
        hurt, commit_only, noted, active, connections, totals, answers, unanswered, lost, malformed,
        down_since, down_times, down_last, down_how, refused, resets, unreadable, blind, blinds,
        ack_time, usual, drift, refusing_since, urgent_at, raised, comers, disorder, half_open
    }
    struct Comers { peers, senders, receivers }
    enum Mark { 0 = Made(at), 1 = Number(before, number) }
    struct Disorder { last, minutes, seen, share, since }
    struct Trial { from, offset, since, times, back }
    struct Jump { made, trial, told }
    struct Interval { start, seen, outcomes, ack_time, transit_max }
    struct FeedState {
        name, route, waypoints, ends_at, declared, objectives, seen, first_seen, totals, last_seen, last_on, backlog,
        queue, urgent, filters, learned, missing, missing_critical, partly, withheld, aged, late, hurt, looks, looked_at, dead_letters, ack_time, transit,
        source_age, current, history, profile, foreseen, raised
    }
    struct Journey {
        key, feed, kind, find, event_time, source_age, extra, first_at, sends, sends_total, open,
        timer, timer_place, failed, reached, delivered, refused, weakest, urgency, classes, in_backlog,
        repeat
    }
    struct JourneyExtra { trace, found }
    struct Timers { seconds }
    struct Drill { number, kind, severity, began, within, incidents, open }
    struct Incident {
        id, state, severity, code, since, begun, opened_at, findings, members, lapses, calm_since,
        flaps, timeline, cause, claimed_by, muted_until, said, verdict, waits, news, check_codes, told_codes
    }
    struct State {
        plan, clocks, series, sequence, seq, now, kinds, ended, started, waypoints, feeds, journeys, journey_timers, totals,
        journeys_shed, incidents, resolved, signatures, changes, heard, remarks, notices, would_be, profiles, lessons,
        drill, next_incident,
        around, words
    }
}

impl<T: Wire> Wire for Slot<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.generation.put(out);
        self.value.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { generation: from.field("Slot.generation")?, value: from.field("Slot.value")? })
    }
}

impl<T: Wire> Wire for Slab<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.slots.put(out);
        self.free.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { slots: from.field("Slab.slots")?, free: from.field("Slab.free")? })
    }
}

impl<T: Wire> Wire for Fifo<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        self.list.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { first: from.field("Fifo.first")?, list: from.field("Fifo.list")? })
    }
}

impl<T: Wire> Wire for Followed<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.waypoint.put(out);
        self.key.put(out);
        self.last.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            waypoint: from.field("Followed.waypoint")?,
            key: from.field("Followed.key")?,
            last: from.field("Followed.last")?,
        })
    }
}

impl<T: Wire> Wire for Known<T> {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { since, times, held, news, changing } = self;
        since.put(out);
        times.put(out);
        held.put(out);
        news.put(out);
        changing.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            since: from.field("Known.since")?,
            times: from.field("Known.times")?,
            held: from.field("Known.held")?,
            news: from.field("Known.news")?,
            changing: from.field("Known.changing")?,
        })
    }
}
