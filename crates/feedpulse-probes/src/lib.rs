//! Probes of what surrounds the stream: ports, certificates, web pages, mail, queues of an engine.
//!
//! [`ProbeConfig`] says what to look at, [`Probe`] looks once ([`Probe::look`]), [`Runner`] looks at
//! all of them again and again, at most [`IN_FLIGHT`] at once. What was seen is plain data
//! ([`Reading`](feedpulse_core::probe::Reading)); what it means is the engine's business. Read the
//! modules in this order: `config`, `probe`, `run`, then one kind after the other; `reach` (names,
//! connections), `tls` and `http` are what they share, over the crate `feedpulse-http`.
//!
//! # Limits
//! Nothing here waits longer than a probe's `timeout` (at most a minute), follows a redirect, uses a
//! proxy of the environment, or reads more than [`BODY_MAX`] bytes of an answer. Errors are classes;
//! they quote no address, no header and no body.
#![forbid(unsafe_code)]

mod config;
mod dns;
mod http;
mod mail;
mod mllp;
mod numeric;
mod probe;
mod prom;
mod reach;
mod run;
mod smtp;
mod spf;
mod tcp;
mod tls;
mod web;

#[cfg(test)]
mod tests;

pub use config::{
    Access, ConfigError, Expected, Mail, Mllp, Numeric, ProbeConfig, ProxyConfig, Smtp, Source,
    Tcp, Tls, Web, What,
};
pub use feedpulse_http::Secret;
pub use http::BODY_MAX;
pub use probe::{Look, Probe};
pub use run::{Clock, IN_FLIGHT, Numbers, Put, Runner};
