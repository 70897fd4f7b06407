//! What TCP itself tells of the connections of an endpoint: how often bytes had to be sent again, how
//! long ACKs take, who does not read, who is gone. Counts and times only.

use super::half::Place;
use feedpulse_core::hist::Histogram;

/// A copy of a segment on a second interface comes within so long (µs); nobody sends again so soon.
const COPY_WITHIN: i64 = 200;
/// So many segments in a row that got no answer, and nothing for so long (µs), say that a side is gone:
/// as the wire has it.
const UNANSWERED: u32 = 3;
const GONE_AFTER: i64 = 10_000_000;

/// Counts of one endpoint; each pair is of the sender's side first, then of the receiver's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Segments with bytes that a side sent.
    pub data: [u64; 2],
    /// Of these, those that it sent again, or that later ones overtook.
    pub again: [u64; 2],
    /// How often a side had no room left, since whoever reads there does not.
    pub zero_windows: [u64; 2],
    /// How long that lasted, of those that are over, in µs.
    pub zero_window_us: [u64; 2],
    /// From bytes to their TCP ACK, from where the packets were captured to this side and back.
    pub round_trips: [Histogram; 2],
    /// Connections that a side reset.
    pub resets: [u64; 2],
    /// Connections on which a side went away without a word.
    pub half_open: [u64; 2],
    /// Attempts to connect that were refused.
    pub refused: u64,
    /// Attempts to connect that nobody answered.
    pub unanswered: u64,
    /// Connections that were open at some time.
    pub connections: u64,
}

/// What is remembered of one side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vitals {
    /// The last segment with bytes: sequence number, length, time in µs.
    last: Option<(u32, usize, i64)>,
    /// Bytes whose ACK is awaited: the offset behind them, and when they were sent.
    timed: Option<(u64, i64)>,
    /// Since when it has no room.
    closed: Option<i64>,
    /// What it sent again, or probed, since the other side was heard.
    repeats: u32,
    /// When it was heard.
    heard: Option<i64>,
    /// That it is gone was told.
    gone: bool,
}

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// The same packet was captured twice.
    pub(super) copy: bool,
    /// The other side is gone, for so long (µs).
    pub(super) other_gone: Option<i64>,
}

/// A segment as [`note`] needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at_us: i64,
    pub(super) side: usize,
    pub(super) seq: u32,
    pub(super) length: usize,
    pub(super) place: Place,
    /// None where the window says nothing (SYN, RST).
    pub(super) window: Option<u16>,
}

/// Takes note of a segment that a side sent; `server` is the side of the receiver, and counts go to
/// `quality` where the endpoint is looked at.
pub(super) fn note(
    vitals: &mut [Vitals; 2],
    sent: &Sent,
    server: usize,
    quality: Option<&mut Quality>,
) -> Noted {
    let Sent { at_us, side, seq, length, place, window } = *sent;
    let (mut unused, of) = (Quality::default(), |side| usize::from(side == server));
    let quality = quality.unwrap_or(&mut unused);
    let this = &mut vitals[side];
    let copy = length > 0
        && this.last.is_some_and(|(s, l, at)| (s, l) == (seq, length) && at_us - at < COPY_WITHIN);
    if copy {
        return Noted { copy, other_gone: None };
    }
    this.heard = Some(at_us);
    this.gone = false;
    match (window, this.closed) {
        (Some(0), None) => {
            this.closed = Some(at_us);
            quality.zero_windows[of(side)] += 1;
        }
        (Some(1..), Some(since)) => {
            this.closed = None;
            let lasted = u64::try_from(at_us - since).unwrap_or(0);
            quality.zero_window_us[of(side)] += lasted;
        }
        _ => {}
    }
    if length > 0 {
        this.last = Some((seq, length, at_us));
    }
    match place {
        Place::New(end) => {
            quality.data[of(side)] += 1;
            this.timed.get_or_insert((end, at_us));
        }
        Place::Again => {
            quality.data[of(side)] += 1;
            quality.again[of(side)] += 1;
            // Whether its ACK answers the first or the second is not known (Karn's algorithm).
            this.timed = None;
            this.repeats += 1;
        }
        Place::Probe => this.repeats += 1,
        Place::Empty => {}
    }
    let repeats = this.repeats;
    let other = &mut vitals[1 - side];
    other.repeats = 0;
    let silent = other.heard.map(|heard| at_us - heard);
    let other_gone = silent.filter(|s| repeats >= UNANSWERED && *s >= GONE_AFTER && !other.gone);
    if other_gone.is_some() {
        other.gone = true;
        quality.half_open[of(1 - side)] += 1;
    }
    Noted { copy, other_gone }
}

/// A side acknowledged everything before an offset: how long that took, if it was timed.
pub(super) fn acknowledged(
    vitals: &mut [Vitals; 2],
    by: usize,
    offset: u64,
    at_us: i64,
) -> Option<u64> {
    let other = &mut vitals[1 - by];
    let (_, sent) = other.timed.filter(|(end, _)| *end <= offset)?;
    other.timed = None;
    u64::try_from(at_us - sent).ok()
}

impl Vitals {
    /// It went away without a word, and was told.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }
}

impl Quality {
    /// Adds the counts of another endpoint.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.data, &other.data),
            (&mut self.again, &other.again),
            (&mut self.zero_windows, &other.zero_windows),
            (&mut self.zero_window_us, &other.zero_window_us),
            (&mut self.resets, &other.resets),
            (&mut self.half_open, &other.half_open),
        ];
        for (this, more) in pairs {
            for (this, more) in this.iter_mut().zip(more) {
                *this += more;
            }
        }
        for (this, more) in self.round_trips.iter_mut().zip(&other.round_trips) {
            this.merge(more);
        }
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.connections += other.connections;
    }
}
