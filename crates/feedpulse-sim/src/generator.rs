//! The seeded message generator: HL7 v2 messages whose truth is known because we made them.

use crate::clock::SECOND_US;
use crate::gen_kinds::{Case, Written, write_segments};
use crate::gen_vary::{Charset, Variation, encode, shape};
use crate::hospital::SimError;
use crate::rng::Rng;

/// Patients of one generator; each keeps name, number, address and visit from message to message.
const PATIENTS: u64 = 500;

/// The kinds of message that the hospital sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Admit.
    AdtA01,
    /// Discharge.
    AdtA03,
    /// Update of patient information.
    AdtA08,
    /// Merge of two patients.
    AdtA40,
    /// Unsolicited result.
    OruR01,
    /// New appointment.
    SiuS12,
    /// New document with content.
    MdmT02,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::AdtA01,
        Self::AdtA03,
        Self::AdtA08,
        Self::AdtA40,
        Self::OruR01,
        Self::SiuS12,
        Self::MdmT02,
    ];

    /// MSH-9 in full.
    pub fn msh9(self) -> &'static str {
        match self {
            Self::AdtA01 => "ADT^A01^ADT_A01",
            Self::AdtA03 => "ADT^A03^ADT_A03",
            Self::AdtA08 => "ADT^A08^ADT_A01",
            Self::AdtA40 => "ADT^A40^ADT_A39",
            Self::OruR01 => "ORU^R01^ORU_R01",
            Self::SiuS12 => "SIU^S12^SIU_S12",
            Self::MdmT02 => "MDM^T02^MDM_T02",
        }
    }
}

/// Who sends, to whom, and what is woven in.
#[derive(Clone, PartialEq)]
pub struct Profile {
    /// MSH-3.
    pub app: String,
    /// MSH-4.
    pub facility: String,
    /// MSH-5.
    pub to_app: String,
    /// MSH-6.
    pub to_facility: String,
    /// Put before the number in MSH-10 and in order numbers, so that two generators never collide.
    pub id_prefix: String,
    /// MSH-15 and MSH-16; both empty is original mode.
    pub ack_types: (String, String),
    /// Tokens woven into PID-3, PID-5, PID-11 and PID-13 (by patient), OBX-5 and NTE-3 (in turn), so that a
    /// test can grep for them. Every message has one; that all have come up takes some messages.
    pub canaries: Vec<String>,
    /// Share of results that carry a critical value (OBX-8 HH or LL), 0 to 1.
    pub critical_share: f64,
}

/// Without the canaries: a log of this must not look like a leak of patient data.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("app", &self.app)
            .field("facility", &self.facility)
            .field("id_prefix", &self.id_prefix)
            .finish_non_exhaustive()
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            app: "EHR".to_owned(),
            facility: "CENTRAL".to_owned(),
            to_app: "PORTAL".to_owned(),
            to_facility: "WEB".to_owned(),
            id_prefix: "E".to_owned(),
            ack_types: (String::new(), String::new()),
            canaries: Vec::new(),
            critical_share: 0.05,
        }
    }
}

/// One generated transport unit and the truth about it.
#[derive(Clone, PartialEq)]
pub struct Message {
    /// MSH-10 of the first message; empty when the bytes are not HL7.
    pub control_id: String,
    /// MSH-10 of every message in `bytes`, in order (several for a batch; none when not HL7).
    pub control_ids: Vec<String>,
    /// What it is (of a batch: the kind of each).
    pub kind: Kind,
    /// The bytes without MLLP framing.
    pub bytes: Vec<u8>,
    /// OBR-3.1 of a result (of the first one in a batch); `None` when it was cut off.
    pub order_filler: Option<String>,
    /// A result with OBX-8 HH or LL.
    pub critical: bool,
    /// OBR-25 of a result: `F`, `P` or `C`.
    pub result_status: Option<char>,
    /// When the event happened, unix microseconds (EVN-2, OBR-22, TXA-6).
    pub event_us: i64,
    /// When the message was made, unix microseconds (MSH-7).
    pub at_us: i64,
    /// How it was varied.
    pub variation: Variation,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("control_id", &self.control_id)
            .field("kind", &self.kind)
            .field("bytes", &format_args!("<{} bytes>", self.bytes.len()))
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}

/// Makes messages; the same seed, profile and calls make the same bytes.
#[derive(Debug, Clone)]
pub struct Generator {
    rng: Rng,
    profile: Profile,
    patients: u64,
    messages: u64,
    orders: u64,
}

impl Generator {
    /// A generator for one sending application.
    ///
    /// # Errors
    /// [`SimError::Config`] when a canary is empty, longer than 60 bytes or not made of ASCII letters, digits,
    /// `-` and `_` (others could not be found again by a plain search), or an identifier holds a delimiter.
    pub fn new(seed: u64, profile: Profile) -> Result<Self, SimError> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        let bad_canary = |c: &&String| c.is_empty() || c.len() > 60 || !c.bytes().all(plain);
        if let Some(at) = profile.canaries.iter().position(|c| bad_canary(&c)) {
            return Err(SimError::config(format!(
                "canary {at}: give 1 to 60 ASCII letters, digits, '-' or '_'"
            )));
        }
        let names = [
            ("app", &profile.app),
            ("facility", &profile.facility),
            ("to_app", &profile.to_app),
            ("to_facility", &profile.to_facility),
            ("id_prefix", &profile.id_prefix),
        ];
        for (what, value) in names {
            if value.len() > 20 || !value.bytes().all(plain) {
                return Err(SimError::config(format!(
                    "{what}: give up to 20 ASCII letters, digits, '-' or '_'"
                )));
            }
        }
        let patients = Rng::fork(seed, "patients").next_u64();
        Ok(Self { rng: Rng::new(seed), profile, patients, messages: 0, orders: 0 })
    }

    /// One message of `kind` about an event at `event_us`, made at `at_us` (unix microseconds). Results are
    /// final (OBR-25 `F`).
    pub fn message(
        &mut self,
        kind: Kind,
        event_us: i64,
        at_us: i64,
        variation: Variation,
    ) -> Message {
        let order = self.new_order(kind);
        self.build(kind, (event_us, at_us), variation, order, 'F')
    }

    /// A regression: a final result and then, for the same filler number, a preliminary one.
    pub fn regression(&mut self, at_us: i64) -> (Message, Message) {
        let order = self.new_order(Kind::OruR01);
        let plain = Variation::default();
        let first = self.build(Kind::OruR01, (at_us, at_us), plain, order.clone(), 'F');
        let later = at_us + SECOND_US / 1000;
        let second = self.build(Kind::OruR01, (later, later), plain, order, 'P');
        (first, second)
    }

    fn new_order(&mut self, kind: Kind) -> Option<String> {
        (kind == Kind::OruR01).then(|| {
            self.orders += 1;
            format!("{}R{:08}", self.profile.id_prefix, self.orders)
        })
    }

    fn next_id(&mut self) -> String {
        self.messages += 1;
        format!("{}{:09}", self.profile.id_prefix, self.messages)
    }

    fn build(
        &mut self,
        kind: Kind,
        (event_us, at_us): (i64, i64),
        variation: Variation,
        order: Option<String>,
        status: char,
    ) -> Message {
        let mut critical = false;
        let mut parts = Vec::new();
        let mut control_ids = Vec::new();
        for n in 0..variation.shape.messages() {
            let control_id = self.next_id();
            let case = Case {
                profile: &self.profile,
                kind,
                control_id: &control_id,
                // Every message of a batch is an order of its own.
                filler: order.as_ref().map(|o| if n == 0 { o.clone() } else { format!("{o}-{n}") }),
                status,
                event_us,
                at_us,
                serial: self.messages,
                patients: self.patients,
                patient: self.rng.below(PATIENTS),
                variation,
            };
            let Written { segments, critical: this } = write_segments(&case, &mut self.rng);
            critical |= this;
            parts.push(encode(&segments, variation));
            control_ids.push(control_id);
        }
        let (bytes, readable) = shape(parts, variation, &mut self.rng);
        if !readable {
            control_ids.clear();
        }
        // A cut may have taken the critical value or the order number with it.
        let holds = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        let critical = critical && (holds("|HH|") || holds("|LL|"));
        let status_kept = kind == Kind::OruR01 && holds(&format!("|LAB|{status}"));
        Message {
            control_id: control_ids.first().cloned().unwrap_or_default(),
            control_ids,
            kind,
            order_filler: order.filter(|order| holds(order)),
            critical,
            result_status: status_kept.then_some(status),
            bytes,
            event_us,
            at_us,
            variation,
        }
    }
}

/// When the first message of a corpus was made: 2026-01-01T00:00:00Z.
const CORPUS_START_US: i64 = 1_767_225_600 * SECOND_US;

/// `n` well-formed messages of mixed kinds for volume: CR-ended, four encoding characters, one charset in
/// three, one message per unit. Same seed, same bytes. The first is of 2026-01-01T00:00:00Z; each next one
/// is 50 ms later.
pub fn corpus(seed: u64, n: usize) -> Vec<Message> {
    corpus_with(seed, n, |rng| {
        let charset = *rng.pick(&[Charset::Ascii, Charset::Utf8, Charset::Latin1]);
        Variation { charset, ..Variation::default() }
    })
}

/// Like [`corpus`], with a random [`Variation`] of any shape: every terminator, delimiter set and charset,
/// escapes, missing fields, batches, several messages in a unit, cut ones, and bytes that are no HL7.
pub fn corpus_varied(seed: u64, n: usize) -> Vec<Message> {
    corpus_with(seed, n, Variation::any)
}

fn corpus_with(seed: u64, n: usize, vary: impl Fn(&mut Rng) -> Variation) -> Vec<Message> {
    let mut generator =
        Generator::new(seed, Profile::default()).expect("the default profile is well formed");
    let mut rng = Rng::fork(seed, "corpus");
    (0..n)
        .map(|i| {
            let at = CORPUS_START_US + i as i64 * 50_000;
            let variation = vary(&mut rng);
            // The mix of a hospital: mostly updates and results, few merges.
            let kind = match rng.below(100) {
                0..=14 => Kind::AdtA01,
                15..=24 => Kind::AdtA03,
                25..=49 => Kind::AdtA08,
                50..=51 => Kind::AdtA40,
                52..=84 => Kind::OruR01,
                85..=94 => Kind::SiuS12,
                _ => Kind::MdmT02,
            };
            generator.message(kind, at - rng.below(5_000_000) as i64, at, variation)
        })
        .collect()
}

#[cfg(test)]
mod tests;
