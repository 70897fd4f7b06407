//! The `mllp` tap: reads the wire's ring and turns its records into frames and link events.
//!
//! # Nothing counted twice, nothing forgotten
//! Three positions are stored with each batch, all of them of the ring's instance: lane `""` is the
//! cursor behind the last record whose items are in the store; lane `needed` the cursor before the
//! first record that an open frame still needs (never ahead of the former); lane `seen-us` the time
//! of the last record. Only records before `needed` are released to the wire, and only when the
//! batch is durable. After a crash reading goes on at `needed`: records up to the first position
//! rebuild the state of the connections and of their open frames and yield nothing, since all that
//! they complete was stored; what comes behind yields items. A frame that was open at the crash is
//! rebuilt whole and counted once, when it closes.
//!
//! The records that open frames hold back are bounded (a quarter of the ring, see
//! [`MllpTapConfig::ring_bytes`]): a frame that stays open for
//! longer than that keeps its bytes in memory only. If the process dies then, the rest of the frame
//! is seen after the restart and counted as unreadable (`HD127`): never forgotten, never read in
//! part. If the wire was started anew meanwhile (another instance), the time between the last record
//! seen and the first of the new ring is told as a blind interval.

use crate::passing::TlsTold;
use crate::streams::{Sink, Streams};
use feedpulse_core::frame::WaypointId;
use feedpulse_core::label::Label;
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_wire::ring::{self, Batch, Reader, RingError, Seek};
use feedpulse_wire::{TlsFacts, connect};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

/// Open frames may hold back a quarter of the ring from being released.
const HOLD_SHARE: u64 = 4;
/// Bytes of records in one batch.
const BATCH_BYTES: usize = 256 << 10;
/// First and longest pause between attempts to reach the wire.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// While nothing is to be read, releases of durable batches are passed on this often.
const RELEASE_EVERY: Duration = Duration::from_millis(200);

const LANE: &str = "";
const NEEDED: &str = "needed";
const SEEN: &str = "seen-us";

/// What the tap reads and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MllpTapConfig {
    name: String,
    socket: PathBuf,
    waypoints: Vec<WaypointId>,
    frame_open_after: Duration,
    hold_max: u64,
}

/// Why a configuration is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MllpTapConfigError {
    /// Without a name its positions have no owner.
    #[error("an mllp tap needs a name")]
    NoName,
    /// Without listeners there is nothing to tap.
    #[error("mllp tap `{0}` has no waypoint: give one for each of the wire's listeners, in order")]
    NoWaypoint(String),
    /// A frame is never closed at once.
    #[error("mllp tap `{0}`: frame_open_after must be from 1 s to 10 min")]
    FrameOpenAfter(String),
}

impl MllpTapConfig {
    /// A tap on the wire at `socket`; `waypoints` are those of its listeners, in the wire's order.
    /// A frame counts as left open after 10 s.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(
        name: impl Into<String>,
        socket: impl Into<PathBuf>,
        waypoints: Vec<WaypointId>,
    ) -> Result<Self, MllpTapConfigError> {
        let name = name.into();
        if name.is_empty() {
            return Err(MllpTapConfigError::NoName);
        }
        if waypoints.is_empty() {
            return Err(MllpTapConfigError::NoWaypoint(name));
        }
        let frame_open_after = Duration::from_secs(10);
        let hold_max = ring::DEFAULT_CAPACITY as u64 / HOLD_SHARE;
        Ok(Self { name, socket: socket.into(), waypoints, frame_open_after, hold_max })
    }

    /// The size of the wire's ring, when it is not [`ring::DEFAULT_CAPACITY`]: a quarter of it may
    /// be held back by open frames.
    #[must_use]
    pub const fn ring_bytes(mut self, bytes: usize) -> Self {
        self.hold_max = bytes as u64 / HOLD_SHARE;
        self
    }

    /// Another time after which an open frame is told, from 1 s to 10 min.
    ///
    /// # Errors
    /// It is out of this range.
    pub fn frame_open_after(mut self, after: Duration) -> Result<Self, MllpTapConfigError> {
        if !(Duration::from_secs(1)..=Duration::from_mins(10)).contains(&after) {
            return Err(MllpTapConfigError::FrameOpenAfter(self.name));
        }
        self.frame_open_after = after;
        Ok(self)
    }
}

/// Why the tap ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum MllpTapError {
    /// Another process was handed the ring: two taps on one wire would take it from each other.
    #[error("another process has taken over the wire's ring: is a second feedpulse running?")]
    TakenOver,
}

/// The tap.
#[derive(Debug)]
pub struct MllpTap {
    config: MllpTapConfig,
    resume: Resume,
    down: bool,
    tls_told: TlsTold,
}

/// Where the last run stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Resume {
    instance: u128,
    done: u64,
    needed: u64,
    seen_us: i64,
}

enum End {
    Stopped,
    Gone(&'static str),
    TakenOver,
}

impl MllpTap {
    /// With the positions that were stored for it (others are ignored).
    #[must_use]
    pub fn new(config: MllpTapConfig, positions: &[Position]) -> Self {
        let mut resume = Resume::default();
        for position in positions.iter().filter(|position| position.tap == config.name) {
            match position.lane.as_str() {
                LANE => (resume.instance, resume.done) = (position.epoch, position.offset),
                NEEDED => resume.needed = position.offset,
                SEEN => resume.seen_us = position.offset.cast_signed(),
                _ => {}
            }
        }
        resume.needed = resume.needed.min(resume.done);
        Self { config, resume, down: false, tls_told: TlsTold::default() }
    }

    /// Tells somebody what is seen of TLS that passes through, once for each connection, when its
    /// handshake is over.
    #[must_use]
    pub fn telling_tls(
        mut self,
        told: impl Fn(WaypointId, &TlsFacts) + Send + Sync + 'static,
    ) -> Self {
        self.tls_told = TlsTold::to(told);
        self
    }

    /// Runs until `stop`, or until nobody takes its batches.
    ///
    /// # Errors
    /// Another process took the ring over. Everything else (no wire, a wire that died) is told as
    /// an own state and tried again.
    pub async fn run(
        mut self,
        mut intake: impl Intake,
        stop: CancellationToken,
    ) -> Result<(), MllpTapError> {
        let mut streams: Option<Streams> = None;
        let mut pause = BACK_OFF.0;
        loop {
            let end = match self.attach().await {
                Ok(reader) => {
                    pause = BACK_OFF.0;
                    match self.session(reader, &mut streams, &mut intake, &stop).await {
                        Ok(end) => end,
                        Err(IntakeClosed) => return Ok(()),
                    }
                }
                Err(detail) => End::Gone(detail),
            };
            match end {
                End::Stopped => return Ok(()),
                End::TakenOver => return Err(MllpTapError::TakenOver),
                End::Gone(detail) => {
                    if self.tell_down(&streams, detail, &mut intake).await.is_err() {
                        return Ok(());
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Asks the wire for its ring. The class of failure is all that is told.
    async fn attach(&self) -> Result<Reader, &'static str> {
        let socket = self.config.socket.clone();
        match tokio::task::spawn_blocking(move || connect(&socket)).await {
            Ok(Ok(reader)) => Ok(reader),
            Ok(Err(error)) => Err(match error {
                feedpulse_wire::ConnectError::NotRunning { .. } => "no-wire",
                feedpulse_wire::ConnectError::Protocol(_) => "version",
                feedpulse_wire::ConnectError::Wire(_) => "wire-error",
                feedpulse_wire::ConnectError::Ring(_) => "ring",
            }),
            Err(_) => Err("connect"),
        }
    }

    fn streams(&self, instance: u128) -> Streams {
        let mut streams = Streams::new(
            self.config.waypoints.clone(),
            Label::from(self.config.name.as_str()),
            self.config.frame_open_after,
            instance,
        );
        streams.tls_told = self.tls_told.clone();
        streams
    }

    async fn tell_down(
        &mut self,
        streams: &Option<Streams>,
        detail: &str,
        intake: &mut impl Intake,
    ) -> Result<(), IntakeClosed> {
        if core::mem::replace(&mut self.down, true) {
            return Ok(());
        }
        let item = match streams {
            Some(streams) => streams.own(true, detail),
            None => self.streams(0).own(true, detail),
        };
        intake.put(TapBatch { items: vec![item], ..TapBatch::default() }).await
    }

    /// Takes up the ring: the same one goes on, another one starts anew.
    fn take_up(
        &mut self,
        reader: &mut Reader,
        streams: &mut Option<Streams>,
        items: &mut Vec<Tapped>,
    ) -> Result<Option<i64>, RingError> {
        let instance = reader.position().instance;
        let mut sink = Sink { items, rebuild: false };
        let mut blind_from = None;
        let known = self.resume.instance == instance;
        let from = match streams {
            Some(_) if known => self.resume.done,
            _ => self.resume.needed,
        };
        let resumed = known
            && matches!(
                reader.seek(ring::Position { instance, cursor: from })?,
                Seek::Resumed { .. }
            );
        if !resumed {
            if let Some(old) = streams.as_mut() {
                old.all_cut(&mut sink);
            }
            *streams = None;
            if self.resume.instance != 0 {
                blind_from = Some(self.resume.seen_us);
            }
            let cursor = reader.position().cursor;
            let seen_us = self.resume.seen_us;
            self.resume = Resume { instance, done: cursor, needed: cursor, seen_us };
        }
        let current = streams.get_or_insert_with(|| self.streams(instance));
        if core::mem::take(&mut self.down) {
            sink.push_own(current);
        }
        Ok(blind_from)
    }

    async fn session(
        &mut self,
        mut reader: Reader,
        streams: &mut Option<Streams>,
        intake: &mut impl Intake,
        stop: &CancellationToken,
    ) -> Result<End, IntakeClosed> {
        let mut items = Vec::new();
        let mut blind_from = match self.take_up(&mut reader, streams, &mut items) {
            Ok(blind_from) => blind_from,
            Err(error) => return Ok(ended(&error)),
        };
        let Some(streams) = streams.as_mut() else { return Ok(End::Gone("ring")) };
        let Ok(waiter) = Waiter::new(&reader) else { return Ok(End::Gone("no-descriptor")) };
        let release = Arc::new(AtomicU64::new(0));
        let (mut batch, mut released) = (Batch::new(), 0);
        loop {
            let durable = release.load(Ordering::Acquire);
            if durable > released {
                released = durable;
                if let Err(error) = reader.release(durable) {
                    return Ok(ended(&error));
                }
            }
            if stop.is_cancelled() {
                return Ok(End::Stopped);
            }
            batch.clear();
            let before = reader.position().cursor;
            let fault = reader.read(&mut batch, BATCH_BYTES).err();
            self.take(&batch, before, streams, &mut blind_from, &mut items);
            if !items.is_empty() || !batch.is_empty() {
                let batch = self.batch(core::mem::take(&mut items), &release);
                intake.put(batch).await?;
            }
            match fault {
                Some(RingError::Corrupt { .. }) => {
                    self.skip_corrupt(&mut reader, streams, &mut blind_from, &mut items);
                }
                Some(error) => return Ok(ended(&error)),
                None if batch.is_empty() => match waiter.wait(&reader, stop).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(End::Gone("wire-gone")),
                    Err(error) => return Ok(ended(&error)),
                },
                None => {}
            }
        }
    }

    /// Turns records into items.
    fn take(
        &mut self,
        batch: &Batch,
        mut cursor: u64,
        streams: &mut Streams,
        blind_from: &mut Option<i64>,
        items: &mut Vec<Tapped>,
    ) {
        for (behind, record) in batch.records() {
            let mut sink = Sink { items, rebuild: behind <= self.resume.done };
            if let Some(from) = blind_from.take() {
                streams.blind(from, record.at_us.max(from), (0, 0), &mut sink);
            }
            streams.apply(cursor, &record, &mut sink);
            cursor = behind;
            if !sink.rebuild {
                self.resume.seen_us = record.at_us;
            }
        }
        self.resume.done = self.resume.done.max(cursor);
        // Not `done`: in the middle of a rebuild, frames that open further on are not known yet.
        let floor = cursor.saturating_sub(self.config.hold_max);
        self.resume.needed = self.resume.needed.max(streams.needed_from(cursor).max(floor));
    }

    /// Goes on behind memory that no writer wrote; what is in between counts as not seen.
    fn skip_corrupt(
        &mut self,
        reader: &mut Reader,
        streams: &mut Streams,
        blind_from: &mut Option<i64>,
        items: &mut Vec<Tapped>,
    ) {
        let mut sink = Sink { items, rebuild: false };
        streams.all_cut(&mut sink);
        *blind_from = Some(self.resume.seen_us);
        if let Ok(newest) = reader.newest()
            && reader.seek(newest).is_ok()
        {
            self.resume.done = newest.cursor;
            self.resume.needed = newest.cursor;
        }
    }

    fn batch(&self, items: Vec<Tapped>, release: &Arc<AtomicU64>) -> TapBatch {
        let Resume { instance, done, needed, seen_us } = self.resume;
        let lane = |lane: &str, offset| Position {
            tap: self.config.name.clone(),
            lane: lane.to_owned(),
            epoch: instance,
            offset,
        };
        let release = Arc::clone(release);
        TapBatch {
            items,
            positions: vec![
                lane(LANE, done),
                lane(NEEDED, needed),
                lane(SEEN, seen_us.cast_unsigned()),
            ],
            done: Some(Box::new(move || {
                release.fetch_max(needed, Ordering::AcqRel);
            })),
        }
    }
}

impl Sink<'_> {
    fn push_own(&mut self, streams: &Streams) {
        self.items.push(streams.own(false, "connected"));
    }
}

fn ended(error: &RingError) -> End {
    match error {
        RingError::TakenOver => End::TakenOver,
        RingError::Corrupt { .. } => End::Gone("corrupt"),
        RingError::Capacity(_)
        | RingError::Header(_)
        | RingError::NotRead(_)
        | RingError::System { .. } => End::Gone("ring"),
    }
}

/// Waits for records, for the wire's end, or for the next release.
struct Waiter {
    wake: AsyncFd<OwnedFd>,
    wire: Option<AsyncFd<OwnedFd>>,
}

impl Waiter {
    fn new(reader: &Reader) -> std::io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may close or change their descriptor; \
                      an OwnedFd does neither, and this crate forbids unsafe code"
        )]
        let watch = |fd: OwnedFd| AsyncFd::with_interest(fd, Interest::READABLE);
        let wire = reader.wire_fd().map(|fd| fd.try_clone_to_owned()).transpose()?;
        Ok(Self {
            wake: watch(reader.as_fd().try_clone_to_owned()?)?,
            wire: wire.map(watch).transpose()?,
        })
    }

    /// False when the wire is gone and nothing is left to read.
    async fn wait(&self, reader: &Reader, stop: &CancellationToken) -> Result<bool, RingError> {
        if reader.arm()? {
            return Ok(true);
        }
        let gone = async {
            match &self.wire {
                Some(wire) => drop(wire.readable().await),
                None => std::future::pending().await,
            }
        };
        let mut is_gone = false;
        tokio::select! {
            biased;
            guard = self.wake.readable() => {
                reader.disarm();
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                }
                return Ok(true);
            }
            () = gone => is_gone = true,
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RELEASE_EVERY) => {}
        }
        reader.disarm();
        // What was written before the wire ended is still to be read.
        Ok(!is_gone || reader.arm()?)
    }
}
