//! Words of lag: why a number is withheld.

/// Why a source age is not known. A lag is withheld with its reason rather than guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Withheld {
    /// The message states no time of its event.
    NoTime,
    /// Its time states no zone, and none is configured.
    NoZone,
    /// Its time is stated to the minute or day only.
    Coarse,
    /// Its time cannot be read.
    Unreadable,
    /// It lies in the future by our clock: the sender's clock or zone is wrong.
    Future,
    /// The sender's clock is known to be off by more than the number would mean.
    SenderClock,
    /// It lies so far back that it is no delay: a late entry or a replay.
    OutOfWindow,
    /// It was told when the message was first seen; this is a repeat.
    Repeat,
}

impl Withheld {
    /// Every reason, in order.
    pub const ALL: [Self; 8] = [
        Self::NoTime,
        Self::NoZone,
        Self::Coarse,
        Self::Unreadable,
        Self::Future,
        Self::SenderClock,
        Self::OutOfWindow,
        Self::Repeat,
    ];

    /// Its name in metrics, JSON and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTime => "no_time",
            Self::NoZone => "no_zone",
            Self::Coarse => "coarse",
            Self::Unreadable => "unreadable",
            Self::Future => "future",
            Self::SenderClock => "sender_clock",
            Self::OutOfWindow => "out_of_window",
            Self::Repeat => "repeat",
        }
    }
}
