//! What the ACK ledger notes about answers and sendings, as a closed set: each class has its own code
//! and count.

use crate::codes::Code;

macro_rules! classes {
    ($($name:ident $word:literal $code:ident $text:literal;)*) => {
        /// One class.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum AckClass { $(#[doc = $text] $name,)* }

        impl AckClass {
            /// Every class, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in metrics, spans and reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The finding that it is.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* }
            }
        }
    };
}

classes! {
    Late "late_ack" LateAck "An ACK after its message had ended unanswered.";
    Stray "stray_ack" StrayAck "An ACK that names no message known here.";
    Duplicate "duplicate_ack" DuplicateAck "A further ACK to a message that was answered.";
    OffByOne "off_by_one" OffByOneAcks "ACKs that name the message before, in a run.";
    WithoutId "ack_without_id" AckWithoutId "An ACK with an empty MSA-2.";
    AlteredId "ack_altered_id" AckAlteredId "An MSA-2 that differs by case, zeros, blanks or length.";
    Garbage "garbage_ack" GarbageAck "An answer that is no ACK.";
    CommitOnly "commit_only" CommitOnly "CA, and the application ACK that is due never came.";
    NackThenAccepted "nack_then_accepted" NackThenAccepted "Refused, then accepted on a retry.";
    Retry "retry" Retry "The same id and the same body again.";
    IdReuse "id_reuse" IdReuse "The same id with another body.";
    HeadOfLine "head_of_line" HeadOfLine "A message refused again and again, all behind it waits.";
}

/// How many classes there are.
pub const CLASSES: usize = AckClass::ALL.len();

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AckClasses(pub u16);

impl AckClasses {
    /// Adds one.
    pub fn add(&mut self, class: AckClass) {
        self.0 |= 1 << class as u8;
    }

    /// Whether it is in the set.
    #[must_use]
    pub const fn has(self, class: AckClass) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// Those in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = AckClass> {
        AckClass::ALL.iter().copied().filter(move |class| self.has(*class))
    }
}
