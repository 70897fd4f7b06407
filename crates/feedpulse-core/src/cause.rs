//! Why an incident is, probably: signs that the wire shows, what each speaks for, and what speaks
//! against it. A hint for the person who looks, with its reasons; never more than that.

use crate::effect::{Cause, Confidence};

/// Where the cause of an incident lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CauseClass {
    /// A host, its disk, its database or its processes.
    Host,
    /// Software was changed.
    Software,
    /// Routes, firewalls, balancers, names.
    Network,
    /// Somebody means harm.
    Attack,
    /// A person's setting: filters, certificates, clocks, time limits.
    Config,
    /// A site is gone: power, fire, line.
    Site,
    /// More comes than fits through.
    Overload,
    /// The content of messages.
    Data,
}

impl CauseClass {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::Software,
        Self::Network,
        Self::Attack,
        Self::Config,
        Self::Site,
        Self::Overload,
        Self::Data,
    ];

    /// Its name in JSON, alerts and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host or hardware",
            Self::Software => "software change",
            Self::Network => "network",
            Self::Attack => "attack",
            Self::Config => "human or config",
            Self::Site => "site disaster",
            Self::Overload => "overload",
            Self::Data => "data",
        }
    }
}

macro_rules! clues {
    ($($name:ident $text:literal for $class:ident $weight:literal $(against $($other:ident)+)?;)*) => {
        /// A sign on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Clue { $(#[doc = $text] $name,)* }

        impl Clue {
            /// Every sign.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it says, for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it speaks for, and how much (1 to 4).
            const fn speaks_for(self) -> (CauseClass, u32) {
                match self { $(Self::$name => (CauseClass::$class, $weight),)* }
            }

            /// What it speaks against.
            const fn speaks_against(self) -> &'static [CauseClass] {
                match self { $(Self::$name => &[$($(CauseClass::$other,)+)?],)* }
            }
        }
    };
}

clues! {
    PortClosed "the receiver's host answers, its port is closed: its program does not run" for Software 2 against Network;
    AllPortsClosed "every link of that system is refused" for Host 4 against Network;
    NoHost "the receiver's host does not answer, others do" for Host 2;
    ManyHostsGone "several systems do not answer at once" for Network 4 against Host;
    TakesAndIsSilent "the receiver takes bytes and answers nothing: its program hangs" for Software 2 against Network;
    SlowBefore "its answers had become slower before" for Overload 3;
    Slow "answers take longer and still come" for Overload 2 against Network;
    OutBelowIn "messages still get through, fewer than come" for Overload 3;
    Deployed "software was changed shortly before" for Software 4;
    Configured "a setting was changed shortly before" for Config 4;
    NewVersion "messages say a new version since" for Software 3;
    InternalErrors "the receiver says internal error, database, disk or time-out" for Host 3 against Data;
    SaysUnavailable "the receiver says that it is not available" for Host 2 against Data;
    BadStructure "the receiver complains about structure or version" for Software 3;
    UnknownKeys "the receiver does not know the patient, visit or order" for Data 3;
    DuplicateKeys "the receiver says duplicate" for Data 2;
    OneType "one type of message only is refused" for Data 4 against Network Host;
    OneTypeSilent "one type of message only has stopped" for Config 3 against Network Host;
    PlannedBefore "a planned downtime has just ended" for Config 4;
    LostInside "messages are accepted and not sent on" for Software 2 against Network;
    Overtaken "messages pass others that came before and still wait: some are lost inside" for Software 3 against Network Overload;
    Floods "messages come several times, although their answers come in time" for Software 2;
    OneMessage "one message only, all others wait behind it" for Data 4 against Network Host;
    OneFacility "one facility only" for Network 2;
    Breaks "connections break and are made again" for Network 3;
    SilentConnected "the sender is connected and silent" for Config 3 against Network;
    SeveralSilent "several feeds stopped together, and are still connected: the system that sends them has stopped" for Software 3 against Network Site;
    SilentGone "the sender is not connected" for Network 2;
    AllSilent "every sender is silent" for Site 3;
    TlsFails "TLS handshakes fail from one moment on" for Config 4;
    ClockWrong "the sender's clock is off by whole hours, or fast" for Config 4;
    Charset "bytes that its character set does not have" for Software 3;
    TooEarly "messages are sent again before their answer is due" for Config 3;
    BehindByOne "answers lag one message behind after a time-out" for Config 4;
    NotHl7 "many frames that are no HL7 at all" for Software 2;
    OutOfOrder "events come out of order" for Config 2;
    Killed "a program was killed shortly before" for Host 3;
    ProbeRefused "a probe of it is refused as well" for Software 1 against Network;
    ProbeUnanswered "a probe of it gets no answer either" for Host 1;
    NameUnknown "its name is not found in DNS" for Network 4;
    CertificateOver "its certificate has expired" for Config 4;
    CertificateRefused "its certificate is not accepted" for Config 3;
    ServerErrors "its web server answers with server errors (5xx)" for Software 2 against Network;
    QueueFull "a queue that a probe reads is over its limit or grows" for Overload 2;
    PartStopped "a channel of the engine does not run" for Config 3;
    ReaderStopped "the engine reads its topic no more" for Software 3 against Network;
    ReaderBehind "the engine reads its topic too slowly" for Overload 3;
    HalfOpen "connections are half-open: bytes get no TCP answer, and a new connection works: something between forgets idle ones" for Network 4 against Software Host;
    Vanished "connections that were open got no TCP answer any more: the host or the way to it is gone, not its program" for Host 1 against Software;
    NewShape "messages have segments, fields or codes that they had not before, or lack some, since" for Software 3;
}

/// Weighs the signs.
#[must_use]
pub fn weigh(clues: &[Clue]) -> Option<Cause> {
    let score = |class: CauseClass| -> u32 {
        let mine = clues.iter().map(|clue| clue.speaks_for()).filter(|(c, _)| *c == class);
        mine.map(|(_, weight)| weight).sum()
    };
    let mut scores = CauseClass::ALL.map(|class| (score(class), class));
    // The first of equal ones stays first: the order of the classes decides, the same each time.
    scores.sort_by_key(|(score, _)| core::cmp::Reverse(*score));
    let [(best, class), (second, _), ..] = scores;
    if best == 0 {
        return None;
    }
    let (mine, others): (Vec<Clue>, Vec<Clue>) =
        clues.iter().partition(|clue| clue.speaks_for().0 == class);
    let against: Vec<Clue> =
        others.into_iter().filter(|clue| clue.speaks_against().contains(&class)).collect();
    let confidence = match best {
        4.. if second + 2 <= best && against.is_empty() => Confidence::High,
        3.. if second < best && against.is_empty() => Confidence::Medium,
        _ => Confidence::Low,
    };
    Some(Cause { class, confidence, clues: mine, against })
}

#[cfg(test)]
mod tests {
    use super::{CauseClass, Clue, weigh};
    use crate::effect::Confidence;

    #[test]
    fn signs_are_weighed_and_what_speaks_against_is_kept() {
        for (clues, class, confidence) in [
            (&[Clue::PortClosed][..], CauseClass::Software, Confidence::Low),
            (&[Clue::PortClosed, Clue::AllPortsClosed], CauseClass::Host, Confidence::High),
            (&[Clue::OneMessage], CauseClass::Data, Confidence::High),
            (&[Clue::Slow, Clue::OutBelowIn], CauseClass::Overload, Confidence::High),
            (&[Clue::InternalErrors, Clue::Deployed], CauseClass::Software, Confidence::Medium),
            (&[Clue::SilentConnected], CauseClass::Config, Confidence::Medium),
            (&[Clue::NoHost, Clue::TakesAndIsSilent], CauseClass::Host, Confidence::Low),
            (&[Clue::PortClosed, Clue::PlannedBefore], CauseClass::Config, Confidence::High),
        ] {
            let cause = weigh(clues).expect("a class");
            assert_eq!((cause.class, cause.confidence), (class, confidence), "{clues:?}");
        }
        let cause = weigh(&[Clue::Breaks, Clue::PortClosed]).expect("a class");
        assert_eq!((cause.class, cause.against), (CauseClass::Network, vec![Clue::PortClosed]));
        assert_eq!(weigh(&[]), None);
    }
}
