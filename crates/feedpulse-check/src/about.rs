//! Rows about ACKs, outcomes and connections: their words as types.
//!
//! Each is read from the declared field that holds it, so a check asks `row.field(0).about()` where
//! its manifest declares `@about` first. What each kind of row gives is in `wit/README.md`.

use crate::Field;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($case:ident $word:literal $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $case,)* }

        impl $name {
            /// Every one that this version of the kit knows.
            pub const ALL: &[Self] = &[$(Self::$case,)*];

            /// As it stands in a row.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$case => $word,)* }
            }

            fn read(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$case),)* _ => None }
            }
        }
    };
}

words! {
    /// What a row is about, `@about`.
    About {
        Message "message" "A message that is not an ACK.";
        Ack "ack" "An ACK; HL7 paths are read from it.";
        Outcome "outcome" "What became of a message.";
        Connection "connection" "Something happened to a connection.";
    }
}

words! {
    /// How a message ended, `@outcome`.
    Outcome {
        Accepted "accepted" "AA, or the silence that its sender asked to mean success.";
        Committed "committed" "CA and nothing more was due; or stored by a broker.";
        Filed "filed" "A receipt says that the user can see it.";
        Errored "errored" "AE or CE, or a dead letter.";
        Rejected "rejected" "AR or CR.";
        NoAck "no_ack" "No ACK in time.";
        ConnectionLost "connection_lost" "The connection ended before the ACK.";
        Refused "refused" "The receiver could not be reached with it.";
        Unknown "unknown" "Nobody can say.";
        PartlyDelivered "partly_delivered" "Some ends of its route have it, others do not.";
        Filtered "filtered" "It was not sent on, as stated or as learned for its type.";
        Expired "expired" "Nothing more was seen of it, and its route says that it should have been.";
    }
}

impl Outcome {
    /// Whether nobody needs to look at it.
    #[must_use]
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Accepted | Self::Committed | Self::Filed | Self::Filtered)
    }
}

words! {
    /// MSA-1, `@ack-code` (HL7 table 0008).
    AckCode {
        AA "AA" "Application accept.";
        AE "AE" "Application error.";
        AR "AR" "Application reject.";
        CA "CA" "Commit accept.";
        CE "CE" "Commit error.";
        CR "CR" "Commit reject.";
        Other "other" "Something else, or empty.";
    }
}

words! {
    /// Why a message was refused, `@reason`.
    Reason {
        Structure "structure" "Segment sequence, required field.";
        Unsupported "unsupported" "Type, event, processing id or version.";
        UnknownKey "unknown_key" "Patient, visit or order not found.";
        DuplicateKey "duplicate_key" "It exists already.";
        Locked "locked" "A record is locked.";
        Internal "internal" "Internal error, database, disk, time-out.";
        Unavailable "unavailable" "The receiver says that it is not available.";
        Other "other" "A reason that no rule knows.";
    }
}

words! {
    /// What happened to a connection, `@event`.
    Event {
        Opened "opened" "The sender connected and the receiver answered.";
        Closed "closed" "It ended in order.";
        Refused "refused" "The receiver's host answered and refused.";
        Unreachable "unreachable" "Timed out, no route, no name.";
        Reset "reset" "It ended by a reset; `@by` says whose.";
        HalfOpen "half_open" "One side takes nothing more and says nothing; `@by` says which.";
        TimedOut "timed_out" "Such a connection was given up; `@by` says which side was gone.";
        Idle "idle" "Nothing in either direction for a while.";
        FrameOpen "frame_open" "Bytes came, but no frame was closed for a while.";
        NotMllp "not_mllp" "What flows is not MLLP.";
    }
}

/// Reads of a declared pseudo field; none where rows of the kind at hand do not give it, or where the
/// host is newer and says a word that this version does not know.
impl Field<'_> {
    /// `@about`.
    ///
    /// ```
    /// use feedpulse_check::{About, Check, Finding, Findings, Level, Row};
    ///
    /// /// `fields = ["@about", "@event"]`, `about = ["connection"]`
    /// struct Resets;
    ///
    /// impl Check for Resets {
    ///     fn new(_settings: &str) -> Result<Self, String> {
    ///         Ok(Self)
    ///     }
    ///     fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
    ///         let reset = row.field(1).event() == Some(feedpulse_check::Event::Reset);
    ///         if row.field(0).about() == Some(About::Connection) && reset {
    ///             out.push(Finding::new("reset", Level::Info));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let rows: &[&[&str]] = &[&["connection", "opened"], &["connection", "reset"]];
    /// assert_eq!(feedpulse_check::testing::run::<Resets>("{}", "portal", rows).unwrap().len(), 1);
    /// ```
    #[must_use]
    pub fn about(self) -> Option<About> {
        About::read(self.text())
    }

    /// `@outcome`.
    #[must_use]
    pub fn outcome(self) -> Option<Outcome> {
        Outcome::read(self.text())
    }

    /// `@ack-code`.
    #[must_use]
    pub fn ack_code(self) -> Option<AckCode> {
        AckCode::read(self.text())
    }

    /// `@reason`.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        Reason::read(self.text())
    }

    /// `@event`.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        Event::read(self.text())
    }

    /// `@ack-ms`, `@elapsed-ms`, `@received-ms`, `@tries`, `@bytes`: whole numbers.
    #[must_use]
    pub fn count(self) -> Option<u64> {
        self.text().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Row;
    use crate::path::Declared;

    #[test]
    fn each_word_is_read_and_others_are_none() {
        let declared = Declared::of("fields = []");
        let row = |fields| Row { feed: "adt", now_ms: 0, index: 0, fields, declared: &declared };
        for about in About::ALL {
            assert_eq!(row(about.word()).field(0).about(), Some(*about));
        }
        for outcome in Outcome::ALL {
            assert_eq!(row(outcome.word()).field(0).outcome(), Some(*outcome));
        }
        assert_eq!(Outcome::ALL.len(), 12);
        let one = row("outcome\u{1f}AE\u{1f}unknown_key\u{1f}1200\u{1f}\u{1f}reset");
        assert_eq!(one.field(1).ack_code(), Some(AckCode::AE));
        assert_eq!(one.field(2).reason(), Some(Reason::UnknownKey));
        assert_eq!((one.field(3).count(), one.field(4).count()), (Some(1200), None));
        assert_eq!(one.field(5).event(), Some(Event::Reset));
        assert_eq!(row("teleported").field(0).outcome(), None);
        assert!(Outcome::Filtered.is_well() && !Outcome::PartlyDelivered.is_well());
    }
}
