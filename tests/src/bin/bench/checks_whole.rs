//! The whole way of a message on one core: the tap's framer, decoding, the engine with the ACK, the rows,
//! and five checks in batches of 64.

use crate::Result;
use crate::checks::{BATCH, GROUP, sound, workers};
use crate::checks_input::{FIELDS, admission, batch};
use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness};
use crate::input::{self, START_US};
use crate::traffic::Traffic;
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{Direction, Frame};
use feedpulse_core::input::Input;
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::mllp::{FrameEvent, Framer};
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_sim::{AckCode, frame, make_ack, read_header};
use feedpulse_wasm::{Plugin, Row, Worker};
use std::hint::black_box;

const WHOLE: &str = "tap, decode, engine, five checks";
/// The control id of the admission, which each message replaces by its own.
const ID: &[u8] = b"MSG0000000000001";
/// From one message to the next, µs.
const STEP_US: i64 = 50;

/// Everything on the way, with its buffers.
struct Way {
    framer: Framer,
    decoder: Decoder,
    engine: Engine,
    effects: Effects,
    spec: RowSpec,
    workers: Vec<Worker>,
    rows: Vec<Row>,
    sightings: Vec<Sighting>,
    /// The message in its block, and where its control id is.
    block: Vec<u8>,
    id_at: usize,
    /// The answer, and where the control id is in it.
    ack: Vec<u8>,
    ack_id_at: usize,
    number: usize,
}

impl Way {
    fn new(plugin: &Plugin) -> Result<Self> {
        let message = admission();
        let header = read_header(&message).ok_or("the admission has no header")?;
        let ack = make_ack(&header, AckCode::Aa, "A1", START_US);
        let at =
            |bytes: &[u8]| bytes.windows(ID.len()).position(|w| w == ID).ok_or("no control id");
        let block = frame(&message);
        Ok(Self {
            framer: Framer::default(),
            decoder: Decoder::new(DecodeConfig::new(input::site_key())),
            engine: Traffic::engine(),
            effects: Effects::default(),
            spec: RowSpec::new(&FIELDS)?,
            workers: workers(plugin, 5)?,
            rows: Vec::new(),
            sightings: Vec::new(),
            id_at: at(&block)?,
            block,
            ack_id_at: at(&ack)?,
            ack,
            number: 0,
        })
    }

    /// A batch of messages, each answered at once.
    fn turn(&mut self) {
        self.rows.clear();
        for _ in 0..BATCH {
            self.number += 1;
            for (at, input) in Traffic::second(self.number) {
                self.engine.apply(at, &input, &mut self.effects);
            }
            let at = Timestamp::from_micros(START_US + self.number as i64 * STEP_US);
            let id = format!("MSG{:013}", self.number);
            let place = self.id_at..self.id_at + ID.len();
            self.block[place].copy_from_slice(id.as_bytes());
            let mut frames = Vec::with_capacity(1);
            let offset = self.framer.next_offset();
            self.framer.feed(offset, &self.block, &mut |event| {
                if let FrameEvent::Frame { bytes, .. } = event {
                    frames.push(Frame { at, ..input::as_frame(bytes.to_vec()) });
                }
            });
            for frame in frames {
                self.see(&frame);
            }
            let place = self.ack_id_at..self.ack_id_at + ID.len();
            self.ack[place].copy_from_slice(id.as_bytes());
            let answer = input::as_frame(self.ack.clone());
            self.see(&Frame { at, direction: Direction::ToSender, ..answer });
        }
        for worker in &mut self.workers {
            black_box(worker.check(&batch(&self.rows)));
        }
    }

    /// Decodes a frame, joins its row, and tells the engine.
    fn see(&mut self, frame: &Frame) {
        let (spec, rows) = (&mut self.spec, &mut self.rows);
        self.decoder.decode_with(frame, &mut self.sightings, &mut |message, sighting| {
            if let Seen::Message(seen) = &sighting.what {
                let mut fields = String::with_capacity(128);
                spec.join(message, &RowMeta::of(sighting.at, seen), &mut fields);
                rows.push(Row { id: rows.len() as u64, fields });
            }
        });
        for sighting in self.sightings.drain(..) {
            self.engine.apply(sighting.at, &Input::Seen(sighting), &mut self.effects);
        }
        black_box(self.effects.drain().count());
    }
}

/// Messages a second on one core.
pub(crate) fn figures(harness: &mut Harness, plugin: &Plugin) -> Result<[Figure; 1]> {
    let mut way = Way::new(plugin)?;
    let measured = harness.compare(vec![Contender::work(WHOLE, BATCH, || way.turn())])?;
    sound(&way.workers)?;
    let view = way.engine.view();
    if view.totals.seen != way.number as u64 {
        return Err(format!("{} sent, but {:?}", way.number, view.totals).into());
    }
    let rate = 1e9 / measured.median(WHOLE);
    let figure = "tap, decode, engine, ACK and five checks, messages/s a core";
    Ok([Figure::alone(GROUP, figure, rate, Some(Target::OursAtLeast(100_000.0)))])
}
