//! The wire: a tiny process that forwards the bytes between a sender and a receiver, unchanged and
//! first, and then offers a copy of them to whoever analyses.
//!
//! The copies travel over a bounded ring in shared memory ([`ring`]). Nothing here ever waits for
//! the analysing process: when the ring is full the copy is shed and counted, so that process can
//! be stopped, killed or upgraded without a cut connection. It finds the ring again through a Unix
//! socket ([`connect`]) and goes on from the last record that it released.
//!
//! What the wire changes for sender and receiver, compared with no wire between them:
//! * the sender's connection is accepted before the receiver is dialled; when the dial fails the
//!   sender is reset within [`ListenerConfig::connect_timeout`] ([`OnUpstreamDown::CloseListener`]
//!   makes later attempts refused, as they would be without a wire);
//! * with `CloseListener` the receiver sees a connection without a byte when the wire probes it;
//! * each side talks TCP with the wire's host: up to 64 KiB per direction, and the kernel's socket
//!   buffers, may be accepted from one side before the other side has them. A reset overtakes what
//!   the other side has not yet taken, as it does in any TCP stream;
//! * TCP keepalive is on: a connection without traffic is probed each minute, so that a peer that
//!   vanished is known ([`Event::HalfOpen`]), and is given up when the kernel's own settings would
//!   give it up. No other time limit applies to an established connection. A balancer that
//!   forgets idle connections, and counts such probes, no longer does.
//!
//! Memory is bounded: the ring, one read buffer of 64 KiB for the whole process, and for each
//! direction in which the peer does not take its bytes at most 64 KiB more, of all together at most
//! [`WireConfig::buffer_bytes`]; beyond that what is not taken stays in the socket that it came from.
//! An idle connection holds nothing. Where the wire speaks TLS itself ([`ListenerConfig::tls`],
//! [`ListenerConfig::forward_tls`]) a connection has buffers of its own, of fixed size.
//!
//! Another wire may take over ([`WireConfig::take_over`]): listening sockets, ring and connections
//! go on in the new process.
#![deny(unsafe_code)]

mod args;
mod buffers;
mod clock;
mod command;
mod config;
mod dial;
mod follow;
mod forward;
mod handover;
mod harden;
mod log;
mod luggage;
mod proxy_header;
mod record;
mod relay;
pub mod ring;
mod run;
mod secured;
mod start;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod tls_look;
mod upgrade;
mod vitals;

pub use args::ArgsError;
pub use command::main;
pub use config::{
    ListenerConfig, OnUpstreamDown, ProxyVersion, ReceiverTls, SenderTls, WireConfig,
};
pub use handover::{ConnectError, HandoverError, connect, stats};
pub use record::{Direction, Event, MAX_PAYLOAD, Payload, Record, RefusedBy, Side, Unreachable};
pub use run::{WireError, run, run_until};
pub use tls::TlsError;
pub use tls_look::{MAX_HANDSHAKE, TlsFacts, TlsLook};
pub use upgrade::TakeOverError;
