//! The engine's thread: frames are decoded, offered to the checks, recorded and applied; effects
//! go out. Everything here is bounded and nothing waits for the outside.

use super::checks::offer::CheckRows;
use super::drill::Drills;
use super::recorder::{Recorder, Tables, TapDone};
use super::rows::RowBuffer;
use super::side::SideBox;
use crate::clock;
use feedpulse_core::effect::{Effect, EffectId, Effects, IncidentState};
use feedpulse_core::engine::Engine;
use feedpulse_core::families;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::input::Input;
use feedpulse_core::metrics::{Family, Registry};
use feedpulse_core::sighting::Sighting;
use feedpulse_core::tap::{Intake, IntakeClosed, Position, TapBatch, Tapped};
use feedpulse_core::time::Timestamp;
use feedpulse_core::view::View;
use feedpulse_hl7::decode::Decoder;
use feedpulse_sinks::SinkHandle;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Batches that wait for the engine.
pub(crate) const WORK_QUEUE: usize = 64;
/// Batches taken in one step.
const STEP_MAX: usize = 64;
/// A snapshot is written after this many inputs, or this long.
const SNAPSHOT_INPUTS: u64 = 1_000_000;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(300);

/// A picture older than this means that the engine's thread is stuck.
const STUCK_AFTER_SECS: i64 = 30;

/// What enters the engine's thread.
#[derive(Debug)]
pub(crate) enum Work {
    /// From a tap.
    Batch(TapBatch),
    /// A second has passed.
    Tick,
}

/// A tap's way in.
#[derive(Clone, Debug)]
pub(crate) struct Queue(pub mpsc::Sender<Work>);

impl Intake for Queue {
    async fn put(&mut self, batch: TapBatch) -> Result<(), IntakeClosed> {
        self.0.send(Work::Batch(batch)).await.map_err(|_| IntakeClosed)
    }
}

/// The latest picture of the engine, for pages and metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Arc<View>>>);

impl Shared {
    /// The latest.
    pub(crate) fn get(&self) -> Arc<View> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, view: View) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Whether the engine's thread has taken a tick lately; `started` stands for the first one.
    pub(crate) fn is_alive(&self, started: Timestamp) -> bool {
        let view = self.get();
        let since = if view.inputs == 0 { started } else { view.now };
        clock::now().micros_since(since) < STUCK_AFTER_SECS * 1_000_000
    }

    /// All numbers: the engine's and the shells'.
    pub(crate) fn families(&self, registry: &Registry) -> Vec<Family> {
        families::gather(&self.get(), registry)
    }
}

/// Everything that the engine's thread owns.
pub(crate) struct Pipeline {
    /// The engine.
    pub engine: Engine,
    /// One decoder for each waypoint, in plan order.
    pub decoders: Vec<Decoder>,
    /// Rows for the checks.
    pub checks: CheckRows,
    /// The store's thread; None = nothing is recorded.
    pub recorder: Option<Recorder>,
    /// Rows of the ledger that wait.
    pub rows: RowBuffer,
    /// Where effects go.
    pub sinks: SinkHandle,
    /// The picture for the others.
    pub shared: Shared,
    /// Inputs of other threads.
    pub side: SideBox,
    /// Where a drill's incident is followed.
    pub drills: Drills,
    /// Somebody who wants to see the effects (the demo's story); never waited for.
    pub watcher: Option<std::sync::mpsc::SyncSender<(EffectId, Effect)>>,
}

/// Buffers of one step, reused.
#[derive(Default)]
struct Step {
    inputs: Vec<(Timestamp, Input)>,
    sightings: Vec<Sighting>,
    positions: Vec<Position>,
    dones: Vec<TapDone>,
    effects: Effects,
    tables: Tables,
    ticks: u32,
}

impl Pipeline {
    /// Works until the queue closes; then writes a last snapshot.
    pub(crate) fn run(mut self, mut work: mpsc::Receiver<Work>) {
        let mut got = Vec::with_capacity(STEP_MAX);
        let mut step = Step::default();
        let (mut snapshot_at, mut snapshot_seq) = (clock::now(), self.engine.checkpoint().seq);
        while work.blocking_recv_many(&mut got, STEP_MAX) > 0 {
            let now = clock::now();
            for input in self.side.take() {
                step.inputs.push((now, input));
            }
            for one in got.drain(..) {
                match one {
                    Work::Tick => {
                        step.inputs.push((now, Input::Tick));
                        step.ticks += 1;
                        self.checks.flush();
                        self.checks.tick(now);
                    }
                    Work::Batch(batch) => self.take(batch, now, &mut step),
                }
            }
            self.checks.flush();
            self.advance(&mut step);
            // What became of messages in this step.
            self.checks.flush();
            let seq = self.engine.checkpoint().seq;
            let due =
                now.since(snapshot_at) >= SNAPSHOT_EVERY || seq - snapshot_seq >= SNAPSHOT_INPUTS;
            if due && let Some(recorder) = &mut self.recorder {
                recorder.snapshot(&mut self.rows, self.engine.checkpoint());
                (snapshot_at, snapshot_seq) = (now, seq);
            }
        }
        self.shared.set(self.engine.view());
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(&mut self.rows, self.engine.checkpoint());
        }
    }

    fn take(&mut self, batch: TapBatch, now: Timestamp, step: &mut Step) {
        for item in batch.items {
            match item {
                Tapped::Frame(frame) => {
                    let place = usize::from(frame.waypoint.0);
                    let Some(decoder) = self.decoders.get_mut(place) else { continue };
                    let checks = &mut self.checks;
                    decoder.decode_with(&frame, &mut step.sightings, &mut |message, sighting| {
                        checks.message(message, sighting);
                    });
                    step.inputs.extend(step.sightings.drain(..).map(|s| (now, Input::Seen(s))));
                }
                Tapped::Sighting(sighting) => {
                    self.checks.sighting(&sighting);
                    step.inputs.push((now, Input::Seen(sighting)));
                }
                Tapped::Blind(blind) => step.inputs.push((now, Input::Blind(blind))),
                Tapped::Alive(waypoint) => step.inputs.push((now, Input::Alive(waypoint))),
                Tapped::Own(own) => step.inputs.push((now, Input::Own(own))),
                Tapped::Probed(probed) => step.inputs.push((now, Input::Probed(probed))),
            }
        }
        let wire = batch.positions.iter().any(|p| p.tap == super::taps::WIRE_TAP);
        step.positions.extend(batch.positions);
        step.dones.extend(batch.done.map(|call| TapDone { wire, call }));
    }

    /// Records the inputs of a step, applies them, and sends the effects on their way.
    fn advance(&mut self, step: &mut Step) {
        if let Some(recorder) = &mut self.recorder {
            recorder.block(
                self.engine.checkpoint(),
                &step.inputs,
                &step.positions,
                &mut step.dones,
            );
        }
        // Without a store there is nothing to wait for.
        for done in step.dones.drain(..) {
            (done.call)();
        }
        step.positions.clear();
        for (now, input) in step.inputs.drain(..) {
            self.engine.apply(now, &input, &mut step.effects);
            for (id, effect) in step.effects.drain() {
                tell(&effect);
                self.drills.saw(&effect);
                self.sinks.offer(id, &effect);
                if let Effect::Journey(record) = &effect {
                    self.checks.outcome(record);
                }
                if let Some(watcher) = &self.watcher {
                    // The story may miss a line; the message stream may not miss a beat.
                    let _ = watcher.try_send((id, effect.clone()));
                }
                if let Some(effect) = self.rows.take(id, effect) {
                    step.tables.add(effect);
                }
            }
            // A block covers whole inputs, so it can be made here and not within one.
            if self.rows.is_full()
                && let Some(recorder) = &mut self.recorder
            {
                recorder.ledger(&mut self.rows, self.engine.checkpoint());
            }
        }
        if step.ticks > 0 {
            step.ticks = 0;
            let view = self.engine.view();
            super::admin::tell_live(&self.shared.get(), &view);
            self.shared.set(view);
            if let Some(recorder) = &mut self.recorder {
                recorder.ledger(&mut self.rows, self.engine.checkpoint());
                recorder.tables(&mut step.tables);
            }
            step.tables = Tables::default();
        }
    }
}

/// One log line for each incident that opens or ends; nothing is logged per message.
fn tell(effect: &Effect) {
    let Effect::Incident(incident) = effect else { return };
    let code = incident.code.text().code;
    let (severity, subject) = (incident.severity.name(), incident.subject_name.as_str());
    let author = incident.author();
    let (explanation, remedy) =
        (author.map(|w| w.explanation.as_str()), author.map(|w| w.remedy.as_str()));
    let drill = if incident.story.drill { "DRILL: " } else { "" };
    match incident.state {
        IncidentState::Pending => {}
        IncidentState::Open => {
            tracing::warn!(
                incident = incident.id,
                code,
                severity,
                subject,
                explanation,
                remedy,
                "{drill}{}",
                incident.summary
            );
        }
        IncidentState::Resolved => {
            tracing::info!(
                incident = incident.id,
                code,
                severity,
                subject,
                "{drill}resolved: {}",
                incident.summary
            );
        }
    }
}

/// A waypoint by its number.
#[must_use]
pub(crate) fn waypoint(number: usize) -> WaypointId {
    WaypointId(u16::try_from(number).unwrap_or(u16::MAX))
}
