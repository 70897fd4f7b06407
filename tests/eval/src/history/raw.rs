//! The format of a history file, as serde reads it. What each key means is in
//! `tests/histories/README.md`.

use crate::civil::{Date, Offset, Span, When};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

/// A name that must be found elsewhere in the file; its place is kept for the error.
pub(super) type Name = Spanned<String>;

/// A number within bounds, so that no history runs for ever.
macro_rules! bounded {
    ($name:ident, $inner:ty, $least:literal, $most:literal, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let value = <$inner>::deserialize(from)?;
                let wrong = || {
                    let (least, most): ($inner, $inner) = ($least, $most);
                    de::Error::custom(format!("{}: {least} to {most}, not {value}", $what))
                };
                ($least..=$most).contains(&value).then_some(Self(value)).ok_or_else(wrong)
            }
        }
    };
}

bounded!(Share, f64, 0.0, 1.0, "a share");
bounded!(Rate, f64, 0.0, 1_000_000.0, "messages an hour");
bounded!(Sigma, f64, 0.0, 3.0, "a deviation of a logarithm");
bounded!(Few, u32, 1, 1_000, "a small number");
bounded!(Many, u32, 1, 1_000_000, "a number of messages");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) about: String,
    pub(super) start: Spanned<When>,
    pub(super) length: Span,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default = "one")]
    pub(super) tick: Spanned<u32>,
    #[serde(default)]
    pub(super) calm: bool,
    #[serde(default)]
    pub(super) never: Vec<Name>,
    pub(super) events: Option<Name>,
    #[serde(default)]
    pub(super) site: Site,
    #[serde(default)]
    pub(super) link: Vec<Link>,
    #[serde(default)]
    pub(super) feed: Vec<Feed>,
    #[serde(default)]
    pub(super) fault: Vec<Fault>,
    #[serde(default)]
    pub(super) expect: Vec<Expect>,
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    #[serde(default)]
    pub(super) offsets: Vec<Since>,
    #[serde(default)]
    pub(super) holidays: Vec<Date>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    pub(super) from: Spanned<When>,
    pub(super) offset: Offset,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub(super) name: Name,
    pub(super) ack_objective: Option<Span>,
    pub(super) no_ack_after: Option<Span>,
    pub(super) ack_median: Option<Span>,
    pub(super) ack_spread: Option<Sigma>,
    pub(super) timeout: Option<Span>,
    pub(super) reconnect: Option<Span>,
    pub(super) retry: Option<super::Retry>,
    #[serde(default)]
    pub(super) shared: bool,
    #[serde(default)]
    pub(super) keep_socket: bool,
    #[serde(default)]
    pub(super) peers: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Feed {
    pub(super) name: Name,
    pub(super) path: Vec<Name>,
    pub(super) sender: Option<String>,
    pub(super) types: Vec<String>,
    #[serde(default)]
    pub(super) facilities: Vec<String>,
    pub(super) per_hour: Option<Rate>,
    pub(super) pattern: Option<super::Pattern>,
    pub(super) day_sigma: Option<Sigma>,
    pub(super) urgent: Option<Share>,
    pub(super) transit: Option<Span>,
    pub(super) urgent_transit: Option<Span>,
    pub(super) source_age: Option<Span>,
    pub(super) silence: Option<Span>,
    #[serde(default)]
    pub(super) rejects: Vec<Reject>,
    pub(super) copies: Option<Few>,
    pub(super) batch: Option<Many>,
    pub(super) batch_at: Option<Span>,
    pub(super) cluster: Option<Few>,
    #[serde(default)]
    pub(super) any_sender: bool,
    #[serde(default)]
    pub(super) shape: Vec<Name>,
    #[serde(default)]
    pub(super) optional: Vec<Optional>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Optional {
    pub(super) part: Name,
    pub(super) share: Share,
    pub(super) run: Option<Few>,
    pub(super) hours: Option<[u8; 2]>,
    pub(super) facility: Option<String>,
    pub(super) from: Option<Spanned<When>>,
    pub(super) to: Option<Spanned<When>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reject {
    pub(super) reason: super::Reason,
    pub(super) share: Share,
    pub(super) code: Option<super::Ack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) kind: super::FaultKind,
    pub(super) from: Spanned<When>,
    pub(super) to: Option<Spanned<When>>,
    pub(super) times: Option<Few>,
    pub(super) every: Option<Span>,
    pub(super) link: Option<Name>,
    pub(super) feed: Option<Name>,
    #[serde(rename = "type")]
    pub(super) kind_of: Option<String>,
    pub(super) facility: Option<String>,
    pub(super) share: Option<Share>,
    pub(super) code: Option<super::Ack>,
    pub(super) reason: Option<super::Reason>,
    pub(super) ack: Option<Span>,
    pub(super) ramp: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) capacity: Option<Rate>,
    pub(super) count: Option<Many>,
    pub(super) over: Option<Span>,
    pub(super) gap: Option<Span>,
    pub(super) period: Option<Span>,
    pub(super) down: Option<Span>,
    pub(super) copies: Option<Few>,
    pub(super) by: Option<Offset>,
    pub(super) version: Option<String>,
    pub(super) unreadable: Option<Share>,
    pub(super) away: Option<Span>,
    pub(super) connected: Option<bool>,
    pub(super) old: Option<Span>,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) adds: Vec<Name>,
    #[serde(default)]
    pub(super) drops: Vec<Name>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) class: Name,
    pub(super) from: Spanned<When>,
    pub(super) to: Spanned<When>,
    pub(super) times: Option<Few>,
    pub(super) every: Option<Span>,
    #[serde(default)]
    pub(super) codes: Vec<Name>,
    #[serde(default)]
    pub(super) also: Vec<Name>,
    #[serde(default)]
    pub(super) subject: Vec<String>,
    pub(super) cause: Option<crate::cause::CauseClass>,
    pub(super) within: Option<Span>,
    pub(super) severity: Option<super::Loud>,
}
