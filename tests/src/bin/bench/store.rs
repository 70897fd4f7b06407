//! The store's log: what its blocks and checksums cost beside the disk that it waits for.

use crate::Result;
use crate::figure::Figure;
use crate::harness::{Contender, Harness};
use crate::input::{self, START_US};
use feedpulse_codec::encode_block;
use feedpulse_core::input::Input;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_store::{Options, Store};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;
use tempfile::TempDir;

/// Its name.
pub(crate) const GROUP: &str = "store";

const RAW: &str = "write + fdatasync of the same bytes";
const STORE: &str = "append + sync";
/// Groups of one sample.
const GROUPS: u32 = 8;

/// See the module.
pub(crate) fn run(harness: &mut Harness) -> Result<Vec<Figure>> {
    let folder = folder()?;
    let inputs = inputs()?;
    let mut figures = Vec::new();
    for size in [1, 32, 256] {
        let group = &inputs[..size];
        let (store, _) =
            Store::open(&folder.path().join(format!("store-{size}")), Options::default())?;
        let store = RefCell::new(store);
        let mut raw = File::create(folder.path().join(format!("raw-{size}")))?;
        let block = encode_block(1, group, &[]);
        let measured = harness.compare(vec![
            Contender::new(STORE, || time(|| record(&mut store.borrow_mut(), group))),
            Contender::new(RAW, || {
                time(|| {
                    raw.write_all(&block)?;
                    Ok(raw.sync_data()?)
                })
            }),
        ])?;
        let name = format!("group of {size}: encode, append, sync, us a group");
        figures.push(measured.figure(GROUP, &name, (STORE, RAW), None));
        let rate = size as f64 / measured.median(STORE) * 1e6;
        let peer = size as f64 / measured.median(RAW) * 1e6;
        let name = format!("group of {size}: inputs made durable, inputs/s");
        figures.push(Figure::alone(GROUP, &name, rate, None).beside(RAW, peer));
    }
    Ok(figures)
}

/// A folder beside this program, so that it is on a disk: one for temporary files may be memory.
pub(crate) fn folder() -> Result<TempDir> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or("this program is in no folder")?;
    Ok(tempfile::tempdir_in(beside)?)
}

/// Microseconds on the wall for one group.
fn time(mut one: impl FnMut() -> Result<()>) -> Result<f64> {
    let before = Instant::now();
    for _ in 0..GROUPS {
        one()?;
    }
    Ok(before.elapsed().as_secs_f64() * 1e6 / f64::from(GROUPS))
}

fn record(store: &mut Store, group: &[(Timestamp, Input)]) -> Result<()> {
    let first = store.next_seq();
    let block = encode_block(first, group, &[]);
    store.append(first, u32::try_from(group.len())?, &block)?;
    store.sync()?;
    Ok(())
}

/// Sightings of different messages, as the recorder gets them.
fn inputs() -> Result<Vec<(Timestamp, Input)>> {
    let mut decoder = Decoder::new(DecodeConfig::new(input::site_key()));
    let mut sightings = Vec::new();
    for message in feedpulse_sim::corpus(5, 256) {
        decoder.decode(&input::as_frame(message.bytes), &mut sightings);
    }
    let at = Timestamp::from_micros(START_US);
    Ok(sightings.into_iter().map(|sighting| (at, Input::Seen(sighting))).collect())
}
