//! The layouts of the engine's state: what a snapshot holds.

use crate::Wire;
use crate::layout::layout;
use crate::reader::{DecodeError, Reader};
use feedpulse_core::engine::slab::{Ref, Slab, Slot};
use feedpulse_core::engine::state::{
    Answer, Connection, Entry, FeedState, Incident, Interval, Journey, Recent, State, WaypointState,
};

layout! {
    struct Ref { slot, generation }
    struct Recent { at }
    struct Answer { at, slow, bad }
    struct Connection { opened_at, open, latest }
    struct Entry {
        seq, key, at, connection, feed, journey, sending, urgency, committed, wants_application,
        silence_accepts, blind, next
    }
    struct WaypointState {
        time, alive_at, entries, deadlines, unanswered_keys, connections, totals, answers,
        unanswered, lost, malformed, down_since, down_times, down_last, down_refused, refused,
        resets, unreadable, blind, ack_time, raised
    }
    struct Interval { start, seen, outcomes, ack_time, transit_max }
    struct FeedState {
        name, route, waypoints, ends_at, declared, objectives, seen, totals, last_seen, backlog,
        queue, critical, late, urgent_hurt, looks, looked_at, dead_letters, ack_time, transit,
        source_age, current, history, raised
    }
    struct Journey {
        key, feed, code, trigger, sender, facility, find, classes, control_id, urgency, event_time, trace, first_at, sends,
        sends_total, open, in_backlog, timer, pending_end, found
    }
    struct Incident {
        id, state, severity, code, since, findings, lapses, calm_since, claimed_by, muted_until
    }
    struct State {
        plan, seq, now, started, waypoints, feeds, journeys, journey_timers, totals, stray_acks,
        late_acks, journeys_shed, incidents, resolved, next_incident
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
