//! The layouts of probes, heartbeats and schedules, in plans, inputs and state.

use crate::layout::layout;
use feedpulse_core::engine::around::{
    Around, Beating, Group, GroupStatus, History, Part, ProbeState,
};
use feedpulse_core::probe::{
    About, Beat, Expect, HeartbeatPlan, Known, Offsets, ProbePlan, Probed, Reading, Saw,
};
use feedpulse_core::schedule::{Due, Rule, Schedule, Watch};

layout! {
    enum About { 0 = Itself, 1 = Waypoint(waypoint), 2 = Feed(name), 3 = System(name) }
    struct ProbePlan {
        name, about, severity, fails, recovers, ticket_before, page_before, over, under, breach,
        horizon, growth, allowed_lag, behind
    }
    struct HeartbeatPlan { name, about, severity, rule, grace, longest }
    struct Expect { schedule, grace }
    enum Rule { 0 = At(schedule), 1 = Every(every) }
    struct Schedule { minutes, hours, days, months, weekdays, either }

    struct Probed { probe, at, elapsed, readings }
    struct Reading { part, saw }
    enum Saw {
        0 = Check { code, failed },
        1 = Number(value),
        2 = Ends(at),
        3 = Known { what, value },
        4 = Group(offsets),
        5 = Beat(beat),
    }
    enum Known { 0 = Certificate, 1 = Address }
    struct Offsets { committed, low, end, age, members }
    enum Beat { 0 = Start, 1 = Ok, 2 = Fail }

    struct Around { probes, beats, feeds, raised, ticked }
    struct ProbeState { at, parts, well }
    struct Part { checks, value, raw, looks, breach_s, ends, known, group, absent }
    struct History { bits, since, holds, class }
    struct Beating { watch, last, started, failed, well }
    struct Watch { since, due }
    struct Due { at, last }
    struct Group { looks, commits, status, since, age }
    enum GroupStatus { 0 = Ok, 1 = Warning, 2 = Stalled, 3 = Stopped, 4 = Rewind }
}
