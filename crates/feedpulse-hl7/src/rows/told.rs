//! What a row says that is no field of HL7: of messages, ACKs, outcomes and connections. All of it
//! is numbers, names of the configuration, opaque keys and words of closed sets.

use feedpulse_core::class::AckClasses;
use feedpulse_core::effect::JourneyEnd;
use feedpulse_core::key::MessageKey;
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{AckCode, AckSeen, LinkEvent, MessageSeen, ReasonClass, Urgency};
use feedpulse_core::time::Timestamp;
use std::fmt::{self, Write as _};

use super::REPETITION;

/// What a row says beside the message's own fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowMeta<'a> {
    /// `@received-ms`: milliseconds since the epoch, by our clock.
    pub received_ms: i64,
    /// `@key`: the journey key, in 32 hexadecimal digits.
    pub key: Option<MessageKey>,
    /// `@urgency`: `routine`, `correction` or `critical`.
    pub urgency: Urgency,
    /// `@waypoint`: its name.
    pub waypoint: &'a str,
    /// `@about`, and what rows of that kind say.
    pub about: About,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum About {
    /// A message that is not an ACK.
    #[default]
    Message,
    /// An ACK.
    Ack {
        /// `@ack-code`: MSA-1.
        code: AckCode,
        /// `@reason`.
        reason: ReasonClass,
        /// `@ack-ms`: since the message that it names was seen; None when that is not known.
        after_ms: Option<u64>,
    },
    /// What became of a message.
    Outcome(Told),
    /// Something that happened to a connection.
    Connection(LinkEvent),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// `@type`: MSH-9.1 and MSH-9.2.
    pub kind: (Label, Label),
    /// `@outcome`.
    pub end: JourneyEnd,
    /// `@ack-code`: of the try that decided, if an ACK came.
    pub ack: Option<AckCode>,
    /// `@ack-ms`: how long that ACK took.
    pub ack_ms: Option<u64>,
    /// `@reason`: of that ACK.
    pub reason: ReasonClass,
    /// `@ack-classes`.
    pub classes: AckClasses,
    /// `@tries`: sendings seen, over all waypoints.
    pub tries: u32,
    /// `@elapsed-ms`: from first sight to end.
    pub elapsed_ms: u64,
}

impl RowMeta<'_> {
    /// Of a decoded message.
    #[must_use]
    pub fn of(at: Timestamp, seen: &MessageSeen) -> Self {
        let (key, urgency) = (seen.journey_key, seen.urgency);
        Self { key, urgency, ..Self::at(at, About::Message) }
    }

    /// Of an ACK: the key of the message that it names and the time since, where they are known.
    #[must_use]
    pub fn of_ack(
        at: Timestamp,
        ack: &AckSeen,
        key: Option<MessageKey>,
        after_ms: Option<u64>,
    ) -> Self {
        let about = About::Ack { code: ack.code, reason: ack.reason, after_ms };
        Self { key, ..Self::at(at, about) }
    }

    /// Of anything at a time.
    #[must_use]
    pub fn at(at: Timestamp, about: About) -> Self {
        Self { received_ms: at.as_micros().div_euclid(1000), about, ..Self::default() }
    }
}

macro_rules! pseudo {
    ($($name:ident $word:literal;)*) => {
        /// A declared field that says one of these things, beside those that messages always had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Pseudo { $($name,)* }

        impl Pseudo {
            /// From its declared name.
            pub(super) fn named(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

pseudo! {
    About "@about"; Waypoint "@waypoint"; AckCode "@ack-code"; AckMs "@ack-ms"; Reason "@reason";
    Outcome "@outcome"; AckClasses "@ack-classes"; Tries "@tries"; ElapsedMs "@elapsed-ms";
    Event "@event"; By "@by"; Bytes "@bytes";
}

impl Pseudo {
    /// Writes what a row says here; nothing where rows of its kind say nothing.
    pub(super) fn write(self, meta: &RowMeta<'_>, out: &mut String) -> fmt::Result {
        match (self, meta.about) {
            (Self::About, about) => out.write_str(about.name()),
            (Self::Waypoint, _) => super::told_name(meta.waypoint, out),
            (Self::AckCode, About::Ack { code, .. }) => out.write_str(code.name()),
            (Self::AckCode, About::Outcome(told)) => {
                out.write_str(told.ack.map_or("", AckCode::name))
            }
            (Self::AckMs, About::Ack { after_ms, .. }) => number(after_ms, out),
            (Self::AckMs, About::Outcome(told)) => number(told.ack_ms, out),
            (Self::Reason, About::Ack { reason, .. }) => out.write_str(reason.said().unwrap_or("")),
            (Self::Reason, About::Outcome(told)) => out.write_str(told.reason.said().unwrap_or("")),
            (Self::Outcome, About::Outcome(told)) => out.write_str(told.end.name()),
            (Self::AckClasses, About::Outcome(told)) => classes(told.classes, out),
            (Self::Tries, About::Outcome(told)) => write!(out, "{}", told.tries),
            (Self::ElapsedMs, About::Outcome(told)) => write!(out, "{}", told.elapsed_ms),
            (Self::Event, About::Connection(event)) => out.write_str(event_word(event)),
            (
                Self::By,
                About::Connection(
                    LinkEvent::Reset { by_receiver: receiver }
                    | LinkEvent::HalfOpen { receiver }
                    | LinkEvent::TimedOut { receiver },
                ),
            ) => out.write_str(if receiver { "receiver" } else { "sender" }),
            (Self::Bytes, About::Connection(LinkEvent::Closed { bytes })) => write!(out, "{bytes}"),
            _ => Ok(()),
        }
    }
}

impl About {
    /// Its word.
    const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Ack { .. } => "ack",
            Self::Outcome(_) => "outcome",
            Self::Connection(_) => "connection",
        }
    }
}

const fn event_word(event: LinkEvent) -> &'static str {
    match event {
        // No row is made of an address; the word is for the match to be whole.
        LinkEvent::Peer(_) => "peer",
        LinkEvent::HalfOpen { .. } => "half_open",
        LinkEvent::TimedOut { .. } => "timed_out",
        LinkEvent::Opened => "opened",
        LinkEvent::Refused => "refused",
        LinkEvent::Unreachable => "unreachable",
        LinkEvent::Reset { .. } => "reset",
        LinkEvent::Closed { .. } => "closed",
        LinkEvent::Idle => "idle",
        LinkEvent::FrameOpen => "frame_open",
        LinkEvent::NotMllp => "not_mllp",
    }
}

fn number(n: Option<u64>, out: &mut String) -> fmt::Result {
    n.map_or(Ok(()), |n| write!(out, "{n}"))
}

fn classes(classes: AckClasses, out: &mut String) -> fmt::Result {
    for (n, class) in classes.iter().enumerate() {
        if n > 0 {
            out.write_char(REPETITION)?;
        }
        out.write_str(class.name())?;
    }
    Ok(())
}
