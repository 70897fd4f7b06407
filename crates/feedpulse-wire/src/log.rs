//! What the wire says to people: a line on standard error, never more, and never waited for.
//!
//! Standard error may be a pipe that nobody reads. A line goes out only when it can at once
//! (poll(2); a pipe that is writable takes `PIPE_BUF` bytes whole, pipe(7)); else it is lost. What
//! must not be lost is counted in the statistics and told in the ring. No line ever has a byte of
//! what is forwarded.

use std::cell::Cell;
use std::fmt::Arguments;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// The longest line; less than `PIPE_BUF`, which is 4096 on Linux.
const MAX_LINE: usize = 500;
/// A limit that was reached is told as left after this, so that the border is not told at each step.
const AT_LEAST: Duration = Duration::from_secs(10);

/// Says a line, if somebody takes it at once.
pub(crate) fn say(line: Arguments<'_>) {
    let mut text = format!("feedpulse-wire: {line}");
    if text.len() > MAX_LINE {
        let cut = (0..=MAX_LINE).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
    }
    text.push('\n');
    let out = rustix::stdio::stderr();
    let mut polled = [PollFd::new(&out, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|ready| ready == 1);
    if ready && polled[0].revents().contains(PollFlags::OUT) {
        let _ = rustix::io::write(out, text.as_bytes());
    }
}

/// A state that is said when it begins and when it is over, and counted in between.
#[derive(Default)]
pub(crate) struct Notice {
    since: Cell<Option<Instant>>,
    times: Cell<u64>,
}

impl Notice {
    /// It happened; the line is said if this is the first time since it was over.
    pub(crate) fn happened(&self, line: Arguments<'_>) {
        self.times.set(self.times.get() + 1);
        if self.since.get().is_none() {
            self.since.set(Some(Instant::now()));
            say(line);
        }
    }

    /// It does not happen now; how often it did, if that is to be said.
    pub(crate) fn over(&self) -> Option<u64> {
        self.since.get().filter(|since| since.elapsed() >= AT_LEAST)?;
        self.since.set(None);
        Some(self.times.replace(0))
    }
}
