//! What the kernel knows of a TCP connection and no read or write tells: that its peer no longer answers.
//!
//! A host that lost its power, a route that broke, a balancer that forgot an idle connection: none of them
//! says a word, and the connection stays open here for a quarter of an hour (data waits for its TCP ACK,
//! `tcp_retries2`) or two (nothing waits; keepalive). The kernel counts meanwhile, and [`gone_for`] reads the
//! counts (tcp(7), `TCP_INFO`). A peer whose application hangs is not gone: its kernel answers.
//!
//! Safety argument: `getsockopt` writes at most the length that it is given, into memory that is this
//! function's own; every bit pattern is a valid `tcp_info`, which holds integers only. A descriptor that is no
//! TCP socket is an error and no more.

use std::os::fd::{AsFd, RawFd};
use std::time::Duration;

use rustix::net::sockopt;

/// Repeats of data, or keepalive probes, in a row that got no answer.
const UNANSWERED: u8 = 3;
/// And nothing else came for this long.
const LEAST: Duration = Duration::from_secs(10);
/// A connection without traffic is probed this often.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// The kernel takes no more probes than this.
const PROBES_MAX: u32 = 127;

/// For how long the peer of a TCP socket has answered nothing, if it must be taken for gone.
pub(crate) fn gone_for(socket: RawFd) -> Option<Duration> {
    let info = info(socket)?;
    let since = Duration::from_millis(info.tcpi_last_ack_recv.into());
    let repeats = info.tcpi_unacked > 0 && info.tcpi_retransmits >= UNANSWERED;
    ((repeats || info.tcpi_probes >= UNANSWERED) && since >= LEAST).then_some(since)
}

#[expect(
    unsafe_code,
    reason = "no crate in use reads TCP_INFO; the argument is in the module's text"
)]
fn info(socket: RawFd) -> Option<libc::tcp_info> {
    // SAFETY: zeroes are a valid value of a struct of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    let place = (&raw mut info).cast();
    // SAFETY: `place` is valid for writes of `length` bytes, and `length` for reads and writes.
    let result = unsafe {
        libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut length)
    };
    (result == 0).then_some(info)
}

/// Has a connection without traffic probed each minute, so that a peer which is gone is known, and gives it
/// up when the kernel would have by its own settings. A failure is no reason not to forward.
pub(crate) fn probe(socket: impl AsFd) -> rustix::io::Result<()> {
    let (idle, every) = (sockopt::tcp_keepidle(&socket)?, sockopt::tcp_keepintvl(&socket)?);
    let give_up = idle + every * sockopt::tcp_keepcnt(&socket)?;
    let first = idle.min(PROBE_EVERY);
    let left = give_up.saturating_sub(first);
    // As often as that, unless so many probes are more than the kernel takes.
    let least = Duration::from_secs(left.as_secs().div_ceil(PROBES_MAX.into()));
    let every = every.min(PROBE_EVERY).max(least).max(Duration::from_secs(1));
    let probes = u32::try_from(left.as_secs().div_ceil(every.as_secs())).unwrap_or(PROBES_MAX);
    sockopt::set_tcp_keepidle(&socket, first)?;
    sockopt::set_tcp_keepintvl(&socket, every)?;
    sockopt::set_tcp_keepcnt(&socket, probes.clamp(1, PROBES_MAX))?;
    sockopt::set_socket_keepalive(&socket, true)
}
