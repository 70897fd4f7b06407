//! What the rows of a batch are about, and which fields each kind of row has.

use crate::path::Field;
use serde::Deserialize;
use std::fmt;

/// What a row is about. All rows of a batch are of one kind.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A message that is not an ACK.
    #[default]
    Message,
    /// An ACK. HL7 paths are read from the ACK itself.
    Ack,
    /// What became of a message, once nothing more is awaited for it.
    Outcome,
    /// Something that happened to a connection.
    Connection,
}

impl About {
    /// Every kind, in order.
    pub const ALL: [Self; 4] = [Self::Message, Self::Ack, Self::Outcome, Self::Connection];

    /// Its word in manifests and in `@about`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Ack => "ack",
            Self::Outcome => "outcome",
            Self::Connection => "connection",
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! pseudo {
    ($($name:ident $word:literal $text:literal $kinds:tt;)*) => {
        /// A declared field that no HL7 segment holds, beside those that every version had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Pseudo { $(#[doc = $text] $name,)* }

        impl Pseudo {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is declared.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            const fn kinds(self) -> &'static [About] {
                use About::{Ack, Connection, Message, Outcome};
                match self { $(Self::$name => &$kinds,)* }
            }
        }
    };
}

pseudo! {
    About "@about" "The kind of the row." [Message, Ack, Outcome, Connection];
    Waypoint "@waypoint" "Name of the waypoint." [Message, Ack, Outcome, Connection];
    AckCode "@ack-code" "MSA-1." [Ack, Outcome];
    AckMs "@ack-ms" "From sending to ACK." [Ack, Outcome];
    Reason "@reason" "Class of the reason." [Ack, Outcome];
    Outcome "@outcome" "How it ended." [Outcome];
    AckClasses "@ack-classes" "What the ACK ledger noted." [Outcome];
    Tries "@tries" "Sendings seen." [Outcome];
    ElapsedMs "@elapsed-ms" "From first sight to end." [Outcome];
    Event "@event" "What happened to the connection." [Connection];
    By "@by" "Which side reset it." [Connection];
    Bytes "@bytes" "Bytes to the receiver, of one that closed." [Connection];
}

impl Field {
    /// Whether rows of a kind can have a value here.
    #[must_use]
    pub fn is_of(&self, about: About) -> bool {
        match self {
            Self::Path(_) | Self::Shape => matches!(about, About::Message | About::Ack),
            Self::ReceivedMs => true,
            Self::Key | Self::Type => about != About::Connection,
            Self::Urgency => matches!(about, About::Message | About::Outcome),
            Self::Pseudo(pseudo) => pseudo.kinds().contains(&about),
        }
    }
}

/// The kinds that have a field, in words: `ack or outcome`.
pub(crate) fn having(field: &Field) -> String {
    let kinds: Vec<_> =
        About::ALL.into_iter().filter(|about| field.is_of(*about)).map(About::name).collect();
    kinds.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_fields() {
        let has = |about: About, text: &str| Field::parse(text).unwrap().is_of(about);
        for pseudo in Pseudo::ALL {
            assert_eq!(Field::parse(pseudo.name()), Ok(Field::Pseudo(*pseudo)));
        }
        assert!(has(About::Ack, "MSA-1") && has(About::Ack, "@ack-ms"));
        assert!(has(About::Outcome, "@tries") && !has(About::Outcome, "PID-3"));
        assert!(has(About::Connection, "@event") && !has(About::Connection, "@key"));
        assert!(!has(About::Message, "@outcome") && has(About::Message, "@urgency"));
        assert_eq!(having(&Field::Pseudo(Pseudo::Reason)), "ack or outcome");
    }
}
