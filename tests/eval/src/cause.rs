//! What caused an incident: what a history says, and what the engine's hint says.

use feedpulse_core::cause;
use feedpulse_core::effect::{Confidence as Sure, IncidentChange};
use serde::Deserialize;

/// Classes of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseClass {
    /// A host, disk, power or other hardware.
    Hardware,
    /// A deploy, upgrade or restart of software.
    Software,
    /// Routes, firewalls, names, load balancers.
    Network,
    /// Somebody means harm.
    Attack,
    /// A person's doing or a configuration.
    Human,
    /// The site itself: fire, water, power of the region.
    Site,
    /// More work than capacity.
    Overload,
    /// What is in the messages.
    Data,
    /// Nobody can say.
    Unknown,
}

/// How sure a hint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// One of several that fit.
    Low,
    /// The one that fits best.
    High,
}

/// The engine's cause hint, and the signs that it weighed.
#[must_use]
pub fn cause_of(change: &IncidentChange) -> Option<((CauseClass, Confidence), String)> {
    let hint = change.story.cause.as_ref()?;
    let class = match hint.class {
        cause::CauseClass::Host => CauseClass::Hardware,
        cause::CauseClass::Software => CauseClass::Software,
        cause::CauseClass::Network => CauseClass::Network,
        cause::CauseClass::Attack => CauseClass::Attack,
        cause::CauseClass::Config => CauseClass::Human,
        cause::CauseClass::Site => CauseClass::Site,
        cause::CauseClass::Overload => CauseClass::Overload,
        cause::CauseClass::Data => CauseClass::Data,
    };
    let sure = hint.confidence == Sure::High;
    let clues: Vec<&str> = hint.clues.iter().chain(&hint.against).map(|clue| clue.text()).collect();
    Some(((class, if sure { Confidence::High } else { Confidence::Low }), clues.join("; ")))
}
