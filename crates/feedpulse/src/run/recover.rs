//! Going on from where it was: the newest snapshot, then the log behind it.

use super::rows::RowBuffer;
use crate::cli::{Failure, IO};
use crate::config::Config;
use anyhow::anyhow;
use feedpulse_codec as codec;
use feedpulse_codec::OutboxRow;
use feedpulse_core::effect::Effects;
use feedpulse_core::engine::Engine;
use feedpulse_core::engine::state::State;
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_core::input::{Blind, DrillStep, Input};
use feedpulse_core::tap::Position;
use feedpulse_sinks::SinkHandle;
use feedpulse_store::{Options, Store};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::BTreeMap;

/// What was recovered.
#[derive(Debug)]
pub(crate) struct Start {
    /// The open store.
    pub store: Store,
    /// The engine as it was.
    pub engine: Engine,
    /// Rows of the ledger that the replay made and that it did not have.
    pub rows: RowBuffer,
    /// Where the taps go on.
    pub positions: Vec<Position>,
    /// Stretches of the log that were lost to damage, to be applied first.
    pub blind: Vec<Blind>,
}

/// Opens the store of a configuration and restores the engine.
///
/// # Errors
/// Another process has the folder, a later release wrote it, or it cannot be read.
pub(crate) fn recover(config: &Config) -> Result<Start, Failure> {
    let options = Options {
        log_bytes_max: config.log_bytes,
        ledger_bytes_max: config.ledger_bytes,
        ledger_days: config.ledger_days,
        ..Options::default()
    };
    let (store, recovered) = Store::open(&config.folder, options).map_err(|e| {
        Failure::new(IO, anyhow!(e).context(format!("open the store {}", config.folder.display())))
    })?;
    for damage in &recovered.damage {
        tracing::warn!("the store is damaged: {damage}");
    }
    let mut lanes: BTreeMap<(String, String), Position> = BTreeMap::new();
    keep(&mut lanes, recovered.positions);
    let mut engine = Engine::new();
    if let Some(snapshot) = &recovered.snapshot {
        let (positions, state) = read_snapshot(&snapshot.bytes).map_err(|e| {
            Failure::new(
                IO,
                anyhow!("the snapshot cannot be read: {e}; move the folder away to start anew"),
            )
        })?;
        keep(&mut lanes, positions);
        engine = Engine::restore(state);
    }
    let mut rows = RowBuffer::after(store.ledger_seq());
    let mut effects = Effects::default();
    let (mut applied, mut last, mut blind) = (0_u64, engine.checkpoint().now, Vec::new());
    for item in recovered.tail {
        let block = match item {
            Ok(block) => block,
            Err(damage) => {
                tracing::warn!("the log is damaged: {damage}");
                let (from, to) = (last, last);
                blind.push(Blind { waypoint: None, from, to, records: 0, bytes: damage.bytes });
                continue;
            }
        };
        let decoded = codec::decode_block(&block.bytes, EVIDENCE_NAMES).map_err(|e| {
            Failure::new(
                IO,
                anyhow!("the log cannot be read: {e}; move the folder away to start anew"),
            )
        })?;
        for (now, input) in decoded.inputs.iter().skip(block.skip as usize) {
            engine.apply(*now, input, &mut effects);
            // What these effects asked for was asked before: open incidents are said again below,
            // and the ledger takes the rows that it has not.
            for (id, effect) in effects.drain() {
                let _ = rows.take(id, effect);
            }
            (applied, last) = (applied + 1, *now);
        }
        keep(&mut lanes, decoded.positions);
        if let Some(open) = blind.last_mut().filter(|b| b.to == b.from) {
            open.to = last;
        }
    }
    if engine.checkpoint().seq > 0 {
        tracing::info!(inputs = engine.checkpoint().seq, replayed = applied, "recovered");
    }
    Ok(Start { store, engine, rows, positions: lanes.into_values().collect(), blind })
}

/// What notifiers were told, and what is owed to them.
pub(crate) fn outbox(store: &Store) -> Vec<OutboxRow> {
    store.outbox().unwrap_or_else(|error| {
        tracing::warn!("what notifiers were told is not known: {error}");
        Vec::new()
    })
}

/// Gives the sinks what was told and owed, and then every incident that the engine knows, open and
/// over: whoever was told of a begin may be owed the end.
pub(crate) fn notices(sinks: &SinkHandle, told: Vec<OutboxRow>, engine: &mut Engine) {
    sinks.restore(told);
    let mut known = engine.view().incidents;
    known.sort_by_key(|incident| incident.id);
    for incident in &known {
        sinks.reoffer(incident);
    }
    sinks.recovered();
}

/// What the process before left under way and nobody waits for any more: its drill.
pub(crate) fn left_behind(engine: &Engine) -> Option<Input> {
    let number = engine.checkpoint().drill.as_ref()?.number;
    Some(Input::Drill(Box::new(DrillStep::Close { number })))
}

fn keep(lanes: &mut BTreeMap<(String, String), Position>, positions: Vec<Position>) {
    for position in positions {
        lanes.insert((position.tap.clone(), position.lane.clone()), position);
    }
}

fn read_snapshot(bytes: &[u8]) -> Result<(Vec<Position>, State), String> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or("it is too short")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (positions, state) = rest.split_at_checked(length).ok_or("it is cut short")?;
    let positions = codec::decode(positions, EVIDENCE_NAMES).map_err(|e| e.to_string())?;
    let state = codec::decode(state, EVIDENCE_NAMES).map_err(|e| e.to_string())?;
    Ok((positions, state))
}

/// The site key: the configured one, else the one kept in the store's folder, else a new one.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn site_key(config: &Config) -> Result<[u8; 16], Failure> {
    if let Some(key) = config.key {
        return Ok(key);
    }
    let path = config.folder.join("site.key");
    let fail = |e: std::io::Error| Failure::new(IO, anyhow!("{}: {e}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(text) => crate::config::resolve::parse_key(&text).ok_or_else(|| {
            Failure::new(IO, anyhow!("{}: not 32 hexadecimal digits", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0_u8; 16];
            // The system call, not a device file: an image from scratch may have none.
            let got = getrandom(&mut key, GetRandomFlags::empty()).map_err(|e| fail(e.into()))?;
            debug_assert_eq!(got, key.len(), "up to 256 bytes come whole (getrandom(2))");
            let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(&path, &text).map_err(fail)?;
            Ok(key)
        }
        Err(error) => Err(fail(error)),
    }
}

fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
