//! The store's thread and the engine's way to it: inputs are logged in groups, one sync each.
//!
//! A disk that fails or is too slow stops the recording and nothing else: blocks are then dropped,
//! the failure becomes a finding, and recording starts again from a fresh snapshot.

use super::rows::{RowBlock, RowBuffer};
use super::side::SideBox;
use crate::clock;
use feedpulse_codec as codec;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::{Effect, IncidentChange, Rollup};
use feedpulse_core::engine::state::State;
use feedpulse_core::input::{Input, OwnState};
use feedpulse_core::label::Label;
use feedpulse_core::metrics::{Counter, Gauge, Registry};
use feedpulse_core::tap::{Done, Position};
use feedpulse_core::time::Timestamp;
use feedpulse_sinks::notify::outbox::{Done as NoticeDone, Keep, Keeper, Kept};
use feedpulse_store::{LedgerBlock, OutboxChange, Rows, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::time::{Duration, Instant};

/// Blocks that wait for the disk.
const QUEUE: usize = 256;
/// Of them, rows of the outbox: they leave room for the engine's.
const OUTBOX_QUEUE: usize = 128;
/// Old rows and segments are removed this often.
const PRUNE: Duration = Duration::from_secs(3_600);
/// The engine waits this long for a slow disk, then it goes on without recording.
const SLOW: Duration = Duration::from_secs(2);
/// A failing store is tried again after this.
const RETRY: Duration = Duration::from_secs(2);

/// Rows for the tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Incidents, latest state each.
    pub incidents: BTreeMap<u64, IncidentChange>,
    /// Intervals.
    pub rollups: Vec<Rollup>,
    /// Latest position of each lane.
    pub positions: Vec<Position>,
}

impl Tables {
    /// Keeps what an effect wants stored.
    pub(crate) fn add(&mut self, effect: Effect) {
        match effect {
            // A drill is no history.
            Effect::Incident(change) if change.story.drill => {}
            Effect::Incident(change) | Effect::File(change) => {
                self.incidents.insert(change.id, *change);
            }
            Effect::Rollup(rollup) => self.rollups.push(*rollup),
            Effect::Journey(_) | Effect::Amend(_) => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.rollups.is_empty() && self.positions.is_empty()
    }
}

enum Job {
    Block { first_seq: u64, count: u32, bytes: Vec<u8>, dones: Vec<TapDone> },
    Snapshot { seq: u64, bytes: Vec<u8> },
    Ledger(RowBlock),
    Tables(Tables),
    Outbox(Box<Keep>),
    End,
}

/// What a tap wants to hear once its batch is durable.
pub(crate) struct TapDone {
    /// Whether it releases the wire's ring.
    pub wire: bool,
    /// The call.
    pub call: Done,
}

/// The engine's end.
pub(crate) struct Recorder {
    jobs: SyncSender<Job>,
    failing: Arc<AtomicBool>,
    /// Blocks were dropped: a snapshot must come first.
    behind: bool,
    /// Latest position of each lane: in every snapshot, and in the tables.
    positions: BTreeMap<(String, String), Position>,
    moved: bool,
    /// Positions that came without an input, and what is to be called once they are durable: the
    /// log holds inputs, so they go with the next one, at the latest with the next tick.
    waiting: (Vec<Position>, Vec<TapDone>),
    dropped: Counter,
}

/// The notifiers' end: what they told and owe.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    jobs: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Mailbox {
    /// Takes what is to be kept, and never waits: without room it is not kept, and says so.
    pub(crate) fn keeper(&self) -> Keeper {
        let (jobs, waiting) = (self.jobs.clone(), Arc::clone(&self.waiting));
        Arc::new(move |keep| {
            let room = waiting.fetch_add(1, Ordering::AcqRel) < OUTBOX_QUEUE;
            if !room || jobs.try_send(Job::Outbox(Box::new(keep))).is_err() {
                waiting.fetch_sub(1, Ordering::AcqRel);
            }
        })
    }

    /// Ends the desk once it has done all that waits. Waits for room.
    pub(crate) fn end(&self) {
        let _ = self.jobs.send(Job::End);
    }
}

/// The disk's end; [`Desk::run`] goes on a thread of its own.
pub(crate) struct Desk {
    jobs: Receiver<Job>,
    store: Store,
    /// For the outbox, in order; written once the inputs before it are durable.
    owed: Vec<Keep>,
    /// How many of them are in the queue.
    waiting: Arc<AtomicUsize>,
    failing: Arc<AtomicBool>,
    side: SideBox,
    synced: Counter,
    recording: Gauge,
    dropped: Counter,
}

/// All ends.
pub(crate) fn recorder(
    store: Store,
    positions: Vec<Position>,
    side: SideBox,
    registry: &Registry,
) -> (Recorder, Mailbox, Desk) {
    let (jobs, receiver) = sync_channel(QUEUE);
    let failing = Arc::new(AtomicBool::new(false));
    let dropped = registry.counter(
        "feedpulse_store_dropped_total",
        "Inputs that were not recorded.",
        "{input}",
        &[],
    );
    let synced = registry.counter(
        "feedpulse_store_syncs_total",
        "Groups of inputs made durable.",
        "{sync}",
        &[],
    );
    let recording =
        registry.gauge("feedpulse_store_recording", "1 while inputs are recorded.", "1", 1.0, &[]);
    recording.set(1);
    let recorder = Recorder {
        jobs,
        failing: Arc::clone(&failing),
        behind: false,
        positions: positions.into_iter().map(|p| ((p.tap.clone(), p.lane.clone()), p)).collect(),
        moved: false,
        waiting: (Vec::new(), Vec::new()),
        dropped: dropped.clone(),
    };
    let waiting = Arc::<AtomicUsize>::default();
    let mailbox = Mailbox { jobs: recorder.jobs.clone(), waiting: Arc::clone(&waiting) };
    let (jobs, owed) = (receiver, Vec::new());
    let desk = Desk { jobs, store, owed, waiting, failing, side, synced, recording, dropped };
    (recorder, mailbox, desk)
}

impl Recorder {
    /// Records the inputs that come after `state`; takes the `dones` when they will be called later.
    pub(crate) fn block(
        &mut self,
        state: &State,
        inputs: &[(Timestamp, Input)],
        positions: &[Position],
        dones: &mut Vec<TapDone>,
    ) {
        self.waiting.0.extend_from_slice(positions);
        self.waiting.1.append(dones);
        if inputs.is_empty() {
            return;
        }
        let positions;
        (positions, *dones) = std::mem::take(&mut self.waiting);
        // A snapshot holds the positions as of its own last input, so it comes before these.
        if self.failing.load(Ordering::Acquire) {
            self.behind = true;
        } else if self.behind {
            let bytes = self.snapshot_bytes(state);
            self.behind = self.jobs.try_send(Job::Snapshot { seq: state.seq, bytes }).is_err();
        }
        for position in &positions {
            self.positions.insert((position.tap.clone(), position.lane.clone()), position.clone());
            self.moved = true;
        }
        let count = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
        if !self.behind {
            let bytes = codec::encode_block(state.seq + 1, inputs, &positions);
            let job =
                Job::Block { first_seq: state.seq + 1, count, bytes, dones: std::mem::take(dones) };
            match self.offer(job) {
                Ok(()) => return,
                Err(Job::Block { dones: back, .. }) => *dones = back,
                Err(_) => {}
            }
        }
        self.behind = true;
        self.dropped.add(u64::from(count));
        // The ring is released all the same, or the wire would have to shed. Kafka's offsets are
        // not committed: what was not recorded is read again.
        dones.retain(|done| done.wire);
    }

    /// Waits a while for a disk that is only slow: what is not recorded would be forgotten by a
    /// crash, and the ring holds what comes meanwhile. Gives the job back when it is not taken.
    fn offer(&self, mut job: Job) -> Result<(), Job> {
        let end = Instant::now() + SLOW;
        loop {
            job = match self.jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => back,
                Err(TrySendError::Disconnected(back)) => return Err(back),
            };
            if self.failing.load(Ordering::Acquire) || Instant::now() >= end {
                return Err(job);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Hands over the ledger's rows of all inputs so far; they wait while nothing is recorded.
    pub(crate) fn ledger(&mut self, rows: &mut RowBuffer, state: &State) {
        if self.behind || self.failing.load(Ordering::Acquire) {
            return;
        }
        if let Some(block) = rows.block(state)
            && let Err(Job::Ledger(block)) = self.offer(Job::Ledger(block))
        {
            rows.lost(&block);
        }
    }

    /// Asks for a snapshot of `state`.
    pub(crate) fn snapshot(&mut self, rows: &mut RowBuffer, state: &State) {
        // What a snapshot covers is not replayed: its rows come first.
        self.ledger(rows, state);
        if !self.behind {
            let bytes = self.snapshot_bytes(state);
            let _ = self.jobs.try_send(Job::Snapshot { seq: state.seq, bytes });
        }
    }

    /// A snapshot: length of the positions' bytes (u32, little-endian), the positions, the state.
    fn snapshot_bytes(&self, state: &State) -> Vec<u8> {
        let positions: Vec<Position> = self.positions.values().cloned().collect();
        let positions = codec::encode(&positions);
        let mut bytes = u32::try_from(positions.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        bytes.extend(positions);
        bytes.extend(codec::encode(state));
        bytes
    }

    /// Hands over table rows.
    pub(crate) fn tables(&mut self, tables: &mut Tables) {
        if std::mem::take(&mut self.moved) {
            tables.positions = self.positions.values().cloned().collect();
        }
        if !tables.is_empty() && !self.behind {
            let _ = self.jobs.try_send(Job::Tables(std::mem::take(tables)));
        }
    }

    /// The last snapshot, waiting for room: the process is ending.
    pub(crate) fn finish(mut self, rows: &mut RowBuffer, state: &State) {
        self.ledger(rows, state);
        if !self.failing.load(Ordering::Acquire) {
            let bytes = self.snapshot_bytes(state);
            let _ = self.jobs.send(Job::Snapshot { seq: state.seq, bytes });
        }
    }
}

impl Desk {
    /// Works until it is told to end, after what waits.
    pub(crate) fn run(mut self) {
        let mut group: Vec<Done> = Vec::new();
        let mut pruned = clock::now();
        let mut ended = false;
        while !ended {
            let now = clock::now();
            if now.since(pruned) >= PRUNE {
                pruned = now;
                if let Err(error) = self.store.prune(now) {
                    tracing::warn!("old rows cannot be removed: {error}");
                }
            }
            let job = match self.jobs.recv_timeout(RETRY) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.retry();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut next = Some(job);
            // Everything that waits shares one sync.
            while let Some(job) = next.take() {
                ended |= matches!(job, Job::End);
                self.work(job, &mut group);
                next = match self.jobs.try_recv() {
                    Ok(job) if group.len().max(self.owed.len()) < QUEUE => Some(job),
                    Ok(job) => {
                        self.settle(&mut group);
                        Some(job)
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
                };
            }
            self.settle(&mut group);
        }
    }

    /// Makes durable what was taken in: the inputs, then what notifiers owe because of them.
    fn settle(&mut self, group: &mut Vec<Done>) {
        self.sync(group);
        let owed = std::mem::take(&mut self.owed);
        if owed.is_empty() || self.failing.load(Ordering::Acquire) {
            return;
        }
        let (changes, dones): (Vec<_>, Vec<_>) =
            owed.into_iter().map(|keep| (outbox_change(keep.what), keep.done)).unzip();
        match self.store.commit(&Rows { outbox: &changes, ..Rows::default() }) {
            Ok(()) => dones.into_iter().for_each(NoticeDone::durable),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn work(&mut self, job: Job, group: &mut Vec<Done>) {
        if matches!(job, Job::Outbox(_)) {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        if self.failing.load(Ordering::Acquire) {
            if let Job::Block { count, .. } = &job {
                self.dropped.add(u64::from(*count));
            }
            return;
        }
        if !matches!(job, Job::Block { .. } | Job::Outbox(_)) {
            // Rows and positions must not be ahead of the log.
            self.sync(group);
        }
        let done = match job {
            Job::End => Ok(()),
            Job::Outbox(keep) => {
                self.owed.push(*keep);
                Ok(())
            }
            Job::Block { first_seq, count, bytes, dones } => {
                let done = self.store.append(first_seq, count, &bytes).map_err(|e| e.to_string());
                if done.is_ok() {
                    group.extend(dones.into_iter().map(|done| done.call));
                }
                done
            }
            Job::Snapshot { seq, bytes } => {
                self.store.write_snapshot(seq, &bytes).map_err(|e| e.to_string())
            }
            Job::Ledger(rows) => {
                let RowBlock { first_seq, count, times, bytes, .. } = &rows;
                let (first_seq, count, times) = (*first_seq, *count, *times);
                let block = LedgerBlock { first_seq, count, times, bytes };
                self.store.append_rows(&block).map_err(|e| e.to_string())
            }
            Job::Tables(tables) => {
                let incidents: Vec<IncidentChange> = tables.incidents.into_values().collect();
                let rows = Rows {
                    incidents: &incidents,
                    rollups: &tables.rollups,
                    positions: &tables.positions,
                    ..Rows::default()
                };
                self.store.commit(&rows).map_err(|e| e.to_string())
            }
        };
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    fn sync(&mut self, group: &mut Vec<Done>) {
        if self.failing.load(Ordering::Acquire) {
            group.clear();
            return;
        }
        match self.store.sync() {
            Ok(_) => {
                self.synced.add(1);
                for done in group.drain(..) {
                    done();
                }
            }
            Err(error) => {
                group.clear();
                self.fail(&error.to_string());
            }
        }
    }

    fn fail(&mut self, error: &str) {
        if !self.failing.swap(true, Ordering::AcqRel) {
            self.recording.set(0);
            tracing::error!("the store cannot record: {error}");
            self.report(true);
        }
    }

    fn retry(&mut self) {
        if self.failing.load(Ordering::Acquire) && self.store.try_recover().is_ok() {
            self.failing.store(false, Ordering::Release);
            self.recording.set(1);
            tracing::info!("the store records again");
            self.report(false);
        }
    }

    fn report(&self, failing: bool) {
        let class = self.store.failing().map_or("", |failing| failing.class.name());
        self.side.put(Input::Own(OwnState {
            part: Label::from("store"),
            code: Code::StoreDown,
            failing,
            detail: Label::from(class),
            dropped: self.dropped.get(),
        }));
    }
}

fn outbox_change(kept: Kept) -> OutboxChange {
    match kept {
        Kept::Row(row) => OutboxChange::Put(row),
        Kept::Gone { place, incident } => OutboxChange::Remove { place, incident },
    }
}
