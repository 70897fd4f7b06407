//! What a case plays: its messages, then the rows of `NAME.rows.json`, made by production's own code,
//! and ticks. Used where an author tests and where a version is tried before it is loaded.

use super::bed::{self, Message};
use feedpulse_core::class::{AckClass, AckClasses};
use feedpulse_core::effect::JourneyEnd;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::label::Label;
use feedpulse_core::sighting::{
    AckCode, AckSeen, LinkEvent, MessageSeen, Outcome, ReasonClass, Seen, Urgency,
};
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::{DecodeConfig, Decoder};
use feedpulse_hl7::rows::{About as Meta, RowMeta, RowSpec, Told};
use feedpulse_wasm::{
    About, Batch, CaseRow, CheckFinding, Fault, Finding, Manifest, MessageAccess, Row, Worker,
};
use std::sync::Arc;

/// One step behind the messages.
#[derive(Clone, Copy)]
enum Step {
    /// The row at this place.
    Row {
        /// Its place among the rows.
        place: usize,
        /// When, milliseconds after the case's clock.
        after_ms: u64,
    },
    /// A tick, so many milliseconds after the case's clock.
    Tick(u64),
}

/// All that a case plays.
pub(crate) struct Play {
    /// Its rows in order, messages first.
    pub(crate) rows: Vec<Message>,
    /// How many of them are the messages that come first.
    first: usize,
    steps: Vec<Step>,
    feed: String,
    now_ms: u64,
}

impl Play {
    /// Of messages at hand, on a feed, from a wall clock in milliseconds since 1970.
    pub(crate) fn new(messages: Vec<Message>, feed: Option<&str>, now_ms: u64) -> Self {
        let feed = feed.unwrap_or("case").to_owned();
        Self { first: messages.len(), rows: messages, steps: Vec::new(), feed, now_ms }
    }

    /// Adds rows, as production makes them for this check.
    ///
    /// # Errors
    /// Which row says what no row can say.
    pub(crate) fn add(&mut self, rows: &[CaseRow], manifest: &Manifest) -> Result<(), String> {
        let mut spec = bed::rows(manifest).map_err(|e| e.error.to_string())?;
        for (n, row) in rows.iter().enumerate() {
            let Some(about) = row.about else {
                self.steps.push(Step::Tick(row.after_ms));
                continue;
            };
            let place = self.rows.len();
            let wrong = |why: String| format!("rows[{n}], about {about}: {why}");
            if !manifest.about.contains(&about) {
                return Err(wrong("`about` in plugin.toml does not ask for such rows".to_owned()));
            }
            let made = self.made(row, about, &mut spec, manifest).map_err(wrong)?;
            self.rows.push(made);
            self.steps.push(Step::Row { place, after_ms: row.after_ms });
        }
        Ok(())
    }

    /// Whether there is nothing to play.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.steps.is_empty()
    }

    /// Adds ticks at the end.
    pub(crate) fn tick(&mut self, after_ms: &[u64]) {
        self.steps.extend(after_ms.iter().map(|after| Step::Tick(*after)));
    }

    /// Plays it, at most so many rows at a time; the id of a row is its place.
    pub(crate) fn on(&self, worker: &mut Worker, most: usize) -> (Vec<Finding>, Vec<Fault>) {
        let mut judged = Vec::new();
        let access: Arc<dyn MessageAccess> = bed::whole(&self.rows);
        let mut hand = |worker: &mut Worker, rows: &mut Vec<Row>, after_ms: u64| {
            for rows in rows.chunks(most.clamp(1, rows.len().max(1))) {
                let (feed, access) = (self.feed.as_str(), Some(Arc::clone(&access)));
                let now_ms = self.now_ms.saturating_add(after_ms);
                let batch = Batch { feed, now_ms, monotonic_ms: after_ms, rows, access };
                judged.extend(worker.check(&batch));
            }
            rows.clear();
        };
        // rows of one kind and one moment are one batch, as in production
        let mut rows = bed::wanted(self.rows.get(..self.first).unwrap_or_default());
        let mut of = (About::Message, 0);
        let mut ticked = Vec::new();
        for step in &self.steps {
            match *step {
                Step::Row { place, after_ms } => {
                    let Some(row) = self.rows.get(place) else { continue };
                    if of != (row.about, after_ms) {
                        hand(worker, &mut rows, of.1);
                        of = (row.about, after_ms);
                    }
                    let id = u64::try_from(place).unwrap_or(u64::MAX);
                    rows.extend(row.fields.clone().map(|fields| Row { id, fields }));
                }
                Step::Tick(after_ms) => {
                    hand(worker, &mut rows, of.1);
                    let now_ms = self.now_ms.saturating_add(after_ms);
                    ticked.extend(worker.tick(&self.feed, now_ms, after_ms));
                }
            }
        }
        hand(worker, &mut rows, of.1);
        judged.extend(ticked);
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for one in judged {
            match one {
                CheckFinding::Found(finding) => found.push(finding),
                CheckFinding::Faulty(fault) => faults.push(fault),
            }
        }
        (found, faults)
    }

    /// A row of the list.
    fn made(
        &self,
        row: &CaseRow,
        about: About,
        spec: &mut RowSpec,
        manifest: &Manifest,
    ) -> Result<Message, String> {
        let key = match row.of {
            None => None,
            Some(of) => Some(self.key_of(of)?),
        };
        let at_ms = self.now_ms.saturating_add(row.after_ms);
        let at = millis(at_ms);
        let waypoint = row.said.get("@waypoint").map_or("", String::as_str);
        let said = Said(row);
        match about {
            About::Message | About::Ack => {
                let text = row.hl7.as_deref().unwrap_or_default();
                let ack_ms = said.number("@ack-ms")?;
                carried(text, about, at, |indexed, seen| {
                    let meta = match seen {
                        Carried::Message(seen) => RowMeta::of(at, seen),
                        Carried::Ack(ack) => RowMeta::of_ack(at, ack, key, ack_ms),
                    };
                    let wanted = match seen {
                        Carried::Message(s) => manifest.wants(s.code.as_str(), s.trigger.as_str()),
                        Carried::Ack(_) => true,
                    };
                    let meta = RowMeta { waypoint, ..meta };
                    let mut fields = String::new();
                    spec.join(indexed, &meta, &mut fields);
                    let bytes = indexed.bytes().to_vec();
                    let fields = wanted.then_some(fields);
                    Message { bytes, at_ms, kind: bed::kind(indexed), fields, key: meta.key, about }
                })
            }
            About::Outcome | About::Connection => {
                let told = match about {
                    About::Outcome => Meta::Outcome(said.outcome()?),
                    _ => Meta::Connection(said.event()?),
                };
                let urgency = said.word("@urgency", &URGENCIES, |u| u.name())?.unwrap_or_default();
                let meta = RowMeta { key, urgency, waypoint, ..RowMeta::at(at, told) };
                let mut fields = String::new();
                spec.join_told(&meta, &mut fields);
                let wanted = match told {
                    Meta::Outcome(Told { kind: (code, trigger), .. }) => {
                        manifest.wants(code.as_str(), trigger.as_str())
                    }
                    _ => true,
                };
                let (bytes, fields) = (Vec::new(), wanted.then_some(fields));
                Ok(Message { bytes, at_ms, kind: about.name().to_owned(), fields, key, about })
            }
        }
    }

    /// What names the message of a row.
    fn key_of(&self, place: u64) -> Result<MessageKey, String> {
        let at = usize::try_from(place).ok().and_then(|place| self.rows.get(place));
        let Some(row) = at else {
            return Err(format!("`of`: row {place} does not come before it"));
        };
        // a message without a key in it still has one in the rows about it
        Ok(row.key.unwrap_or_else(|| MessageKey::from_u128(u128::from(place) + 1)))
    }
}

const URGENCIES: [Urgency; 3] = [Urgency::Routine, Urgency::Correction, Urgency::Critical];
const ACK_CODES: [AckCode; 7] =
    [AckCode::AA, AckCode::AE, AckCode::AR, AckCode::CA, AckCode::CE, AckCode::CR, AckCode::Other];

/// What a row says by name.
struct Said<'a>(&'a CaseRow);

impl Said<'_> {
    /// A word of a closed list.
    fn word<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, String> {
        let Some(text) = self.0.said.get(name) else { return Ok(None) };
        let found = all.iter().copied().find(|one| word(*one) == text);
        let known = || all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| format!("{name} is one of {}", known()))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.0.said.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name} is a whole number"))
    }

    fn outcome(&self) -> Result<Told, String> {
        let mut ends: Vec<JourneyEnd> = Outcome::ALL
            .into_iter()
            .map(|o| if o.is_success() { JourneyEnd::Delivered(o) } else { JourneyEnd::Failed(o) })
            .collect();
        let partly = JourneyEnd::Partly(Outcome::Errored);
        ends.extend([partly, JourneyEnd::Filtered, JourneyEnd::Expired]);
        let end = self.word("@outcome", &ends, JourneyEnd::name)?;
        let end = end.ok_or("say how it ended: \"@outcome\"")?;
        let kind = self.0.said.get("@type").map_or("", String::as_str);
        let (code, trigger) = kind.split_once('^').unwrap_or((kind, ""));
        let mut classes = AckClasses::default();
        for name in self.0.said.get("@ack-classes").iter().flat_map(|all| all.split(',')) {
            let class = AckClass::ALL.iter().find(|class| class.name() == name);
            classes.add(*class.ok_or_else(|| format!("@ack-classes: there is no {name:?}"))?);
        }
        Ok(Told {
            kind: (Label::from_bytes(code.as_bytes()), Label::from_bytes(trigger.as_bytes())),
            end,
            ack: self.word("@ack-code", &ACK_CODES, AckCode::name)?,
            ack_ms: self.number("@ack-ms")?,
            reason: self.word("@reason", &ReasonClass::ALL, ReasonClass::name)?.unwrap_or_default(),
            classes,
            tries: self.number("@tries")?.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            elapsed_ms: self.number("@elapsed-ms")?.unwrap_or(0),
        })
    }

    fn event(&self) -> Result<LinkEvent, String> {
        let receiver =
            self.word("@by", &[true, false], |by| if by { "receiver" } else { "sender" })?;
        let bytes = self.number("@bytes")?;
        let by = receiver.unwrap_or(true);
        let events = [
            ("opened", LinkEvent::Opened),
            ("closed", LinkEvent::Closed { bytes: bytes.unwrap_or(0) }),
            ("refused", LinkEvent::Refused),
            ("unreachable", LinkEvent::Unreachable),
            ("reset", LinkEvent::Reset { by_receiver: by }),
            ("half_open", LinkEvent::HalfOpen { receiver: by }),
            ("timed_out", LinkEvent::TimedOut { receiver: by }),
            ("idle", LinkEvent::Idle),
            ("frame_open", LinkEvent::FrameOpen),
            ("not_mllp", LinkEvent::NotMllp),
        ];
        let event = self.word("@event", &events, |(word, _)| word)?;
        let (word, event) = event.ok_or("say what happened: \"@event\"")?;
        let sided = matches!(word, "reset" | "half_open" | "timed_out");
        if sided != receiver.is_some() {
            return Err(format!("{word} {} @by", if sided { "needs" } else { "has no" }));
        }
        if bytes.is_some() && word != "closed" {
            return Err(format!("{word} has no @bytes"));
        }
        Ok(event)
    }
}

/// What HL7 text was.
enum Carried<'a> {
    Message(&'a MessageSeen),
    Ack(&'a AckSeen),
}

/// Reads one message or ACK as a tap hands it over.
fn carried(
    text: &str,
    about: About,
    at: Timestamp,
    mut make: impl FnMut(&feedpulse_hl7::index::Message<'_>, &Carried<'_>) -> Message,
) -> Result<Message, String> {
    let frame = Frame {
        bytes: Phi::new(text.as_bytes().to_vec()),
        at,
        waypoint: WaypointId(0),
        connection: ConnectionId(0),
        direction: Direction::ToReceiver,
        trace: None,
    };
    let mut decoder = Decoder::new(DecodeConfig::new(SiteKey::new([0; 16])));
    let (mut seen, mut made) = (Vec::new(), None);
    decoder.decode_with(&frame, &mut seen, &mut |indexed, sighting| {
        let carried = match &sighting.what {
            Seen::Message(seen) if about == About::Message => Carried::Message(seen),
            Seen::Ack(ack) if about == About::Ack => Carried::Ack(ack),
            _ => return,
        };
        if made.is_none() {
            made = Some(make(indexed, &carried));
        }
    });
    made.ok_or_else(|| match about {
        About::Ack => "its \"hl7\" is no ACK: MSH, then MSA".to_owned(),
        _ => "its \"hl7\" is no message: it begins with MSH and has no MSA".to_owned(),
    })
}

fn millis(ms: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000))
}
