//! What enters a step of the engine. The log stores exactly these; nothing else changes its state.

use crate::codes::{Code, Severity};
use crate::desk::{RemarkText, Taken};
use crate::finding::CheckFinding;
use crate::frame::WaypointId;
use crate::label::Label;
use crate::plan::Plan;
use crate::probe::Probed;
use crate::said::CheckWords;
use crate::sighting::Sighting;
use crate::time::Timestamp;
use std::sync::Arc;

/// One input.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a box would allocate for every message")]
pub enum Input {
    /// A new plan: the first input of a log, and one per configuration change.
    Configure(Arc<Plan>),
    /// Something was seen.
    Seen(Sighting),
    /// A WASM check concluded something.
    Found(CheckFinding),
    /// A stretch of time in which a waypoint was not fully seen.
    Blind(Blind),
    /// The state of a part of Feedpulse itself.
    Own(OwnState),
    /// A tap lives although it may have nothing to say; each second. Advances the waypoint's time.
    Alive(WaypointId),
    /// Time passes; each second. Deadlines are judged here.
    Tick,
    /// An operator did something.
    Operator(OperatorAction),
    /// A probe looked at what surrounds the stream, or a job said that it ran.
    Probed(Probed),
    /// What another engine learned of the same site, from older messages.
    Learned(Box<crate::engine::learned::Learned>),
    /// A step of a drill.
    Drill(Box<DrillStep>),
    /// A notifier's server took a notice.
    Taken(Taken),
    /// What a version of a check can say, before its first finding.
    Words(Box<CheckWords>),
}

/// A step of a drill: a fault on a stream of its own, to see that the alert arrives.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is in a box already")]
pub enum DrillStep {
    /// Begins it; nothing happens while another one is under way.
    Open {
        /// Its number, by which its other steps name it.
        number: u64,
        /// What fails.
        kind: DrillKind,
        /// How loud its incident is said to be.
        severity: Severity,
    },
    /// Something was seen on its stream.
    Seen {
        /// The drill's number.
        number: u64,
        /// What; its waypoint is the drill's own.
        sighting: Sighting,
    },
    /// Ends it, and its incident if that is still open.
    Close {
        /// The drill's number.
        number: u64,
    },
}

/// What fails in a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillKind {
    /// The receiver refuses connections.
    ReceiverDown,
    /// The receiver refuses messages.
    NackBurst,
    /// The sender sends no more.
    Silence,
    /// The receiver takes messages and does not answer.
    NoAck,
}

impl DrillKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::ReceiverDown, Self::NackBurst, Self::Silence, Self::NoAck];

    /// Its name on the command line and in notices.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReceiverDown => "receiver-down",
            Self::NackBurst => "nack-burst",
            Self::Silence => "silence",
            Self::NoAck => "no-ack",
        }
    }
}

/// A stretch of time in which copies were shed or nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind {
    /// Where; None = everywhere.
    pub waypoint: Option<WaypointId>,
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
    /// Copies shed, where known.
    pub records: u64,
    /// Bytes shed, where known.
    pub bytes: u64,
}

/// A part of Feedpulse says whether it works.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnState {
    /// Which part (`store`, `otlp`, `alertmanager`, …); the incident's subject.
    pub part: Label,
    /// The finding that a failure is.
    pub code: Code,
    /// Whether it fails now.
    pub failing: bool,
    /// A class of failure (`refused`, `timeout`, `full`, `http-500`), sanitised.
    pub detail: Label,
    /// What was dropped so far because of it.
    pub dropped: u64,
}

/// What an operator did.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorAction {
    /// Took an incident.
    Claim {
        /// The incident's number.
        incident: u64,
        /// By whom, as authenticated.
        by: Label,
    },
    /// Stops notices about an incident until a time.
    Mute {
        /// The incident's number.
        incident: u64,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody, or something, changed software or settings around the stream.
    Changed(crate::effect::Change),
    /// Gave an incident back.
    Release {
        /// The incident's number.
        incident: u64,
        /// Who did, as authenticated.
        by: Label,
    },
    /// Lets notices about an incident go out again.
    Unmute {
        /// The incident's number.
        incident: u64,
    },
    /// Wrote something down about an incident, also one that is over.
    Remark {
        /// The incident's number.
        incident: u64,
        /// Who did, as authenticated.
        by: Label,
        /// What.
        text: RemarkText,
    },
    /// Said whether an incident is worth a notice, also one that is over.
    Judge {
        /// The incident's number.
        incident: u64,
        /// It is.
        right: bool,
        /// Who said so, as authenticated.
        by: Label,
    },
}

impl OperatorAction {
    /// The incident that it is about.
    #[must_use]
    pub const fn incident(&self) -> Option<u64> {
        match self {
            Self::Claim { incident, .. }
            | Self::Mute { incident, .. }
            | Self::Release { incident, .. }
            | Self::Unmute { incident }
            | Self::Remark { incident, .. }
            | Self::Judge { incident, .. } => Some(*incident),
            Self::Changed(_) => None,
        }
    }

    /// Whether it may be about an incident that is over.
    #[must_use]
    pub const fn suits_resolved(&self) -> bool {
        matches!(self, Self::Remark { .. } | Self::Judge { .. })
    }
}
