//! Decoding: how far above the cost of merely looking for CR, and how far below a whole parse.

use crate::figure::{Figure, Target};
use crate::harness::{Contender, Harness, Measured};
use crate::input::{self, Sample};
use crate::{Result, count};
use feedpulse_core::frame::Frame;
use feedpulse_core::sighting::Sighting;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder, KeyRule};
use feedpulse_hl7::index::{Index, Notes};
use feedpulse_hl7::mllp::{FrameEvent, Framer};
use hl7_parser::Message;
use memchr::memchr_iter;
use std::hint::black_box;

/// Its name.
pub(crate) const GROUP: &str = "decode";

/// Looks at every byte once, for CR, and counts.
const SCAN: &str = "memchr(CR)";
/// Frame, segments, header fields.
const INDEX: &str = "frame+index";
/// All that a sighting needs, under the preset key rule.
const DECODE: &str = "frame+index+header+keys";
/// The same, and the tap's own copy of the bytes out of the stream.
const COPY: &str = "frame+copy+index+header+keys";
/// As the product does: shapes of messages are counted, of a few a second.
const SHAPED: &str = "frame+index+header+keys, shapes counted";
/// The same where each message is looked at, as those of a quiet feed are.
const LOOKED: &str = "frame+index+header+keys, each one's shape counted";
/// Everything about the message as a tree.
const WHOLE: &str = "hl7-parser whole parse";

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for sample in [input::adt()?, input::oru()?, input::mdm()?] {
        check(&sample)?;
        let measured = harness.compare(contenders(&sample))?;
        figures.extend(table(&sample, &measured));
        figures.push(allocations(&sample));
    }
    Ok(figures)
}

/// The bars are those of an ADT; the other sizes are shown without.
fn table(sample: &Sample, measured: &Measured) -> Vec<Figure> {
    let bar = |target| (sample.name == "ADT").then_some(target);
    let most = |ratio| bar(Target::RatioAtMost(ratio));
    let name = |what: &str| format!("{} {} B, {what}", sample.name, sample.bytes());
    let ns = |what: &str, ours, peer, target| {
        measured.figure(GROUP, &name(&format!("{what}, ns")), (ours, peer), target)
    };
    vec![
        ns(INDEX, INDEX, SCAN, most(5.0)),
        ns(DECODE, DECODE, SCAN, most(8.0)),
        ns(DECODE, DECODE, WHOLE, most(0.01)),
        ns(COPY, COPY, SCAN, None),
        ns(SHAPED, SHAPED, DECODE, most(1.15)),
        ns(LOOKED, LOOKED, DECODE, None),
        measured.rate(
            GROUP,
            &name("decoded on one core, messages/s"),
            (DECODE, WHOLE),
            bar(Target::OursAtLeast(1e6)),
        ),
    ]
}

fn decoder() -> Decoder {
    decoder_of(false)
}

fn decoder_of(shapes: bool) -> Decoder {
    let config = DecodeConfig::new(input::site_key());
    Decoder::new(DecodeConfig { key_rule: KeyRule::Preset, shapes, ..config })
}

/// The same messages, far enough from each other that each is looked at.
fn apart(sample: &Sample) -> Vec<Frame> {
    let apart = |(n, frame): (i64, &Frame)| {
        let mut frame = input::as_frame(frame.bytes.expose().clone());
        frame.at = Timestamp::from_micros(frame.at.as_micros() + n * 1_000_000);
        frame
    };
    (0..).zip(&sample.frames).map(apart).collect()
}

/// Each sees the same messages in the same order; a turn is all of them.
fn contenders(sample: &Sample) -> Vec<Contender<'_>> {
    let n = sample.len();
    let scan = || {
        for text in &sample.texts {
            black_box(memchr_iter(b'\r', text.as_bytes()).count());
        }
    };
    let (mut index, mut notes, mut framing) = (Index::new(), Notes::default(), Framing::default());
    let index = move || {
        framing.messages(sample, &mut |bytes| {
            notes.clear();
            black_box(index.first(bytes, &mut notes).is_ok());
        });
    };
    let (mut steps, mut copying) = (Steps::new(), Steps::new());
    let shaping = || Steps { decoder: decoder_of(true), ..Steps::new() };
    let (mut shaped, mut looked, apart) = (shaping(), shaping(), apart(sample));
    let whole = || {
        for text in &sample.texts {
            black_box(Message::parse(text).is_ok());
        }
    };
    vec![
        Contender::work(SCAN, n, scan),
        Contender::work(INDEX, n, index),
        Contender::work(DECODE, n, move || steps.decode(sample, &sample.frames)),
        Contender::work(SHAPED, n, move || shaped.decode(sample, &sample.frames)),
        Contender::work(LOOKED, n, move || looked.decode(sample, &apart)),
        Contender::work(COPY, n, move || copying.copy_and_decode(sample)),
        Contender::work(WHOLE, n, whole),
    ]
}

/// A framer on an endless stream of the sample's reads.
#[derive(Default)]
struct Framing {
    framer: Framer,
}

impl Framing {
    fn messages(&mut self, sample: &Sample, each: &mut impl FnMut(&[u8])) {
        for read in &sample.reads {
            let offset = self.framer.next_offset();
            self.framer.feed(offset, read, &mut |event| {
                if let FrameEvent::Frame { bytes, .. } = event {
                    each(bytes);
                }
            });
        }
    }
}

/// Framing and decoding with buffers that are kept.
struct Steps {
    framing: Framing,
    decoder: Decoder,
    sightings: Vec<Sighting>,
}

impl Steps {
    fn new() -> Self {
        let sightings = Vec::with_capacity(64);
        Self { framing: Framing::default(), decoder: decoder(), sightings }
    }

    /// Decodes frames that are there already, so that only the framer and the decoder are seen.
    fn decode(&mut self, sample: &Sample, frames: &[Frame]) {
        let Self { framing, decoder, sightings } = self;
        let mut frames = frames.iter();
        framing.messages(sample, &mut |bytes| {
            black_box(bytes);
            if let Some(frame) = frames.next() {
                sightings.clear();
                black_box(decoder.decode(frame, sightings));
            }
        });
    }

    /// Decodes what the framer found, copied out of the stream as a tap does.
    fn copy_and_decode(&mut self, sample: &Sample) {
        let Self { framing, decoder, sightings } = self;
        framing.messages(sample, &mut |bytes| {
            let frame: Frame = input::as_frame(bytes.to_vec());
            sightings.clear();
            black_box(decoder.decode(&frame, sightings));
        });
    }
}

/// Counted, not timed: one turn of warm decoders.
fn allocations(sample: &Sample) -> Figure {
    let mut steps = Steps { decoder: decoder_of(true), ..Steps::new() };
    steps.decode(sample, &sample.frames);
    let (ours, ()) = count::during(|| steps.decode(sample, &sample.frames));
    let (whole, ()) = count::during(|| {
        for text in &sample.texts {
            black_box(Message::parse(text).is_ok());
        }
    });
    let each = |counted: count::Counted| counted.allocations as f64 / sample.len() as f64;
    let figure = format!("{} {} B, {DECODE}, allocations once warm", sample.name, sample.bytes());
    // A message of many reads is held in a buffer that is given back behind it: memory before speed.
    let none = (sample.reads.len() == sample.len()).then_some(Target::OursAtMost(0.0));
    Figure::alone(GROUP, &figure, each(ours), none).beside(WHOLE, each(whole))
}

/// Whether all contenders read all messages, so that none is fast by giving up.
fn check(sample: &Sample) -> Result<()> {
    let mut decoder = decoder();
    let (mut framing, mut found) = (Framing::default(), 0);
    framing.messages(sample, &mut |bytes| found += usize::from(!bytes.is_empty()));
    for (frame, text) in sample.frames.iter().zip(&sample.texts) {
        let mut sightings = Vec::new();
        let decoded = decoder.decode(frame, &mut sightings);
        if (decoded.messages, decoded.unreadable) != (1, 0) {
            return Err(format!("{}: a message was not decoded", sample.name).into());
        }
        Message::parse(text).map_err(|_| format!("{}: hl7-parser refuses it", sample.name))?;
    }
    if found == sample.len() {
        Ok(())
    } else {
        Err(format!("{}: {found} frames of {}", sample.name, sample.len()).into())
    }
}
