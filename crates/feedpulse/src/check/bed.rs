//! Where a check is tried: the host of production with its limits, messages from files instead of a
//! stream, and nobody else about.

use super::named::{self, Named, Tried};
use super::sourcemap::SourceMap;
use crate::cli::{DATA, Failure};
use crate::config::document::Part;
use crate::run::checks::Granted;
use crate::version::{self, Refusal};
use anyhow::anyhow;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::sighting::{Seen, Sighting};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::index::Message as Indexed;
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_hl7::split::split_file;
use feedpulse_wasm::{
    About, Fault, Manifest, MessageAccess, Plugin, Row, Runtime, Settings, Worker,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The time of tries: 2023-11-14T22:13:20Z in milliseconds since 1970, so that they give the same again.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// A check, ready to be tried.
pub(crate) struct Bed {
    /// The loaded check.
    pub(crate) plugin: Plugin,
    /// What was named, with the component.
    pub(crate) named: Named,
    runtime: Runtime,
}

/// The clock of messages that are read from files.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    /// It stands, milliseconds since 1970.
    At(u64),
    /// It shows the time at which each message says that it was made (MSH-7), and never goes back.
    Messages,
}

/// One message of a file.
#[derive(Clone)]
pub(crate) struct Message {
    /// As it stands in the file.
    pub(crate) bytes: Vec<u8>,
    /// When it is said to have come, milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// MSH-9, with the usual delimiters.
    pub(crate) kind: String,
    /// Its row; none when the check does not want this type.
    pub(crate) fields: Option<String>,
    /// What names it in rows about it.
    pub(crate) key: Option<MessageKey>,
    /// What the row is about.
    pub(crate) about: About,
}

/// What a file holds.
#[derive(Default)]
pub(crate) struct Tray {
    pub(crate) messages: Vec<Message>,
    /// Answers, which checks do not see.
    pub(crate) acks: usize,
    /// Stretches that are no HL7, each with the reason.
    pub(crate) unreadable: Vec<String>,
}

impl Bed {
    /// Of a check, however it is named.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(crate) fn of(check: &str) -> Result<Self, Failure> {
        Self::named(named::find(check)?)
    }

    /// Of one that was found.
    ///
    /// # Errors
    /// Why this host does not load it.
    pub(crate) fn named(mut named: Named) -> Result<Self, Failure> {
        let failed =
            |e: &dyn std::fmt::Display| Failure::new(DATA, anyhow!("{}: {e}", named.plugin));
        let (runtime, plugin) = match named.loaded.take() {
            Some(loaded) => loaded,
            None => {
                let runtime = Runtime::for_author(false).map_err(|e| failed(&e))?;
                let plugin = runtime.load(&named.wasm).map_err(|e| failed(&e))?;
                (runtime, plugin)
            }
        };
        beat(&runtime);
        Ok(Self { plugin, named, runtime })
    }

    /// Another check under the same engine and heartbeat.
    ///
    /// # Errors
    /// Why it is not loaded.
    pub(crate) fn another(&self, wasm: &[u8]) -> Result<Plugin, Failure> {
        self.runtime.load(wasm).map_err(|e| Failure::new(DATA, anyhow!("{e}")))
    }

    /// A check under an engine that counts instructions.
    ///
    /// # Errors
    /// Why it is not loaded.
    pub(crate) fn counting(wasm: &[u8]) -> Result<Plugin, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::new(DATA, anyhow!("{e}"));
        let runtime = Runtime::for_author(true).map_err(|e| failed(&e))?;
        let plugin = runtime.load(wasm).map_err(|e| failed(&e))?;
        beat(&runtime);
        Ok(plugin)
    }

    /// Says in faults which lines of the source are meant, where the component knows.
    pub(crate) fn explain(&self, faults: &mut [Fault]) {
        if faults.is_empty() {
            return;
        }
        let Some(map) = SourceMap::of(&self.named.wasm) else { return };
        for fault in faults {
            fault.cause = map.explained(&fault.cause).into();
        }
    }

    /// What it says about itself, without what settings declare.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.plugin.manifest()
    }

    /// An instance with settings; its manifest holds what they declare.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn worker(&self, settings: Settings, part: &Part) -> Result<Worker, Refusal> {
        version::settings::start(&self.plugin, settings, part, version::settings::For::Author)
    }

    /// An instance with the settings that the command line names, and these.
    ///
    /// # Errors
    /// As [`Bed::worker`], for people.
    pub(crate) fn tried(&self, tried: &Tried) -> Result<(Worker, Settings), Failure> {
        let (settings, part) = self.named.tried(tried)?;
        let refused =
            |refusal: Refusal| Failure::new(DATA, anyhow!(refusal.about(&self.manifest().name)));
        let worker = self.worker(settings.clone(), &part).map_err(refused)?;
        Ok((worker, settings))
    }
}

/// Starts a runtime's heartbeat, which ends with the process: these commands do not live long.
fn beat(runtime: &Runtime) {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let ticker = runtime.ticker();
    std::thread::spawn(move || ticker.run(&NEVER));
}

/// A reader of messages as production reads them, into the rows of a check.
pub(crate) fn rows(manifest: &Manifest) -> Result<RowSpec, Failure> {
    let fields: Vec<String> = manifest.fields.iter().map(ToString::to_string).collect();
    RowSpec::new(&fields).map_err(|e| Failure::new(DATA, anyhow!("plugin.toml: fields: {e}")))
}

/// Takes a file apart and makes the row of each message that the check wants.
///
/// # Errors
/// When a declared field cannot be read.
pub(crate) fn tray(manifest: &Manifest, bytes: &[u8], clock: Clock) -> Result<Tray, Failure> {
    let mut spec = rows(manifest)?;
    let mut now_ms = match clock {
        Clock::At(ms) => ms,
        Clock::Messages => 0,
    };
    let mut decoder = Decoder::new(DecodeConfig::new(SiteKey::new([0; 16])));
    let mut tray = Tray::default();
    let mut seen: Vec<Sighting> = Vec::new();
    for piece in split_file(bytes) {
        let frame = Frame {
            bytes: Phi::new(bytes.get(piece.start..piece.end).unwrap_or_default().to_vec()),
            at: moment(now_ms),
            waypoint: WaypointId(0),
            connection: ConnectionId(0),
            direction: Direction::ToReceiver,
            trace: None,
        };
        seen.clear();
        let Tray { messages, acks, .. } = &mut tray;
        decoder.decode_with(&frame, &mut seen, &mut |message, sighting| match &sighting.what {
            Seen::Message(what) => {
                let wanted = manifest.wants(what.code.as_str(), what.trigger.as_str());
                if let (Clock::Messages, Some(made)) = (clock, what.made) {
                    let made = u64::try_from(made.at.as_micros() / 1000).unwrap_or(0);
                    now_ms = now_ms.max(made);
                }
                let meta = RowMeta::of(moment(now_ms), what);
                messages.push(Message {
                    at_ms: now_ms,
                    bytes: message.bytes().to_vec(),
                    kind: kind(message),
                    fields: wanted.then(|| joined(&mut spec, message, &meta)),
                    key: meta.key,
                    about: About::Message,
                });
            }
            _ => *acks += 1,
        });
        for sighting in &seen {
            if let Seen::Unreadable(what) = &sighting.what {
                let why = what.defects.first().map_or("no HL7", |d| d.code.text());
                tray.unreadable.push(why.to_owned());
            }
        }
    }
    Ok(tray)
}

fn moment(ms: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000))
}

fn joined(spec: &mut RowSpec, message: &Indexed<'_>, meta: &RowMeta) -> String {
    let mut fields = String::new();
    spec.join(message, meta, &mut fields);
    fields
}

/// MSH-9 for people: type and trigger.
pub(crate) fn kind(message: &Indexed<'_>) -> String {
    let field = message.header(9);
    let part = |n| String::from_utf8_lossy(message.component(field, n)).into_owned();
    match (part(1), part(2)) {
        (code, trigger) if trigger.is_empty() => code,
        (code, trigger) => format!("{code}^{trigger}"),
    }
}

/// These messages for a check that was granted a look at them, by the code that answers it in
/// production; the id of a row is its place.
pub(crate) fn whole(messages: &[Message]) -> Arc<dyn MessageAccess> {
    let bytes = messages.iter().map(|m| Phi::new(m.bytes.clone()));
    Arc::new(Granted(bytes.collect()))
}

/// The rows of messages that the check wants; the id of a row is the message's place.
pub(crate) fn wanted(messages: &[Message]) -> Vec<Row> {
    let row = |(id, m): (u64, &Message)| Some(Row { id, fields: m.fields.clone()? });
    (0..).zip(messages).filter_map(row).collect()
}
