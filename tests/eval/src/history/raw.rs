//! The format of a history file, as serde reads it. What each key means is in
//! `tests/histories/README.md`.

use crate::civil::{Date, Offset, Span, When};
use serde::Deserialize;
use toml::Spanned;

/// A name that must be found elsewhere in the file; its place is kept for the error.
pub(super) type Name = Spanned<String>;

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
    pub(super) ack_spread: Option<f64>,
    pub(super) timeout: Option<Span>,
    pub(super) reconnect: Option<Span>,
    pub(super) retry: Option<super::Retry>,
    #[serde(default)]
    pub(super) shared: bool,
    #[serde(default)]
    pub(super) keep_socket: bool,
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
    pub(super) per_hour: Option<f64>,
    pub(super) pattern: Option<super::Pattern>,
    pub(super) day_sigma: Option<f64>,
    #[serde(default)]
    pub(super) urgent: f64,
    pub(super) transit: Option<Span>,
    pub(super) urgent_transit: Option<Span>,
    pub(super) silence: Option<Span>,
    #[serde(default)]
    pub(super) rejects: Vec<Reject>,
    pub(super) copies: Option<Spanned<u32>>,
    pub(super) batch: Option<u32>,
    pub(super) batch_at: Option<Span>,
    pub(super) cluster: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reject {
    pub(super) reason: super::Reason,
    pub(super) share: f64,
    pub(super) code: Option<super::Ack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) kind: super::FaultKind,
    pub(super) from: Spanned<When>,
    pub(super) to: Option<Spanned<When>>,
    pub(super) times: Option<u32>,
    pub(super) every: Option<Span>,
    pub(super) link: Option<Name>,
    pub(super) feed: Option<Name>,
    #[serde(rename = "type")]
    pub(super) kind_of: Option<String>,
    pub(super) facility: Option<String>,
    pub(super) share: Option<f64>,
    pub(super) code: Option<super::Ack>,
    pub(super) reason: Option<super::Reason>,
    pub(super) ack: Option<Span>,
    pub(super) ramp: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) capacity: Option<f64>,
    pub(super) count: Option<u32>,
    pub(super) over: Option<Span>,
    pub(super) gap: Option<Span>,
    pub(super) period: Option<Span>,
    pub(super) down: Option<Span>,
    pub(super) copies: Option<u32>,
    pub(super) by: Option<Offset>,
    pub(super) version: Option<String>,
    pub(super) unreadable: Option<f64>,
    pub(super) away: Option<Span>,
    pub(super) connected: Option<bool>,
    pub(super) old: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) class: Name,
    pub(super) from: Spanned<When>,
    pub(super) to: Spanned<When>,
    pub(super) times: Option<u32>,
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
