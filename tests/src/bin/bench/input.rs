//! The messages that are measured: three sizes, made by the simulated hospital's generator.

use crate::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use feedpulse_core::frame::{ConnectionId, Direction, Frame, Phi, WaypointId};
use feedpulse_core::key::SiteKey;
use feedpulse_core::time::Timestamp;
use feedpulse_sim::{Generator, Kind, Message, Profile, Rng, Variation, frame};

/// 2026-01-01T00:00:00Z in microseconds.
pub(crate) const START_US: i64 = 1_767_225_600_000_000;
/// Bytes of the document in the large message.
const DOCUMENT: usize = 750_000;
/// OBX segments of a long result.
const OBSERVATIONS: usize = 30;
/// What a read of a socket gives at most; a wire's record holds as much.
const READ: usize = 64 << 10;

/// Messages of one kind in the forms in which contenders want them.
pub(crate) struct Sample {
    /// Its name in figures.
    pub(crate) name: &'static str,
    /// The messages as text.
    pub(crate) texts: Vec<String>,
    /// The messages as a tap hands them over.
    pub(crate) frames: Vec<Frame>,
    /// The messages in MLLP blocks, in the pieces that reads would give.
    pub(crate) reads: Vec<Vec<u8>>,
}

impl Sample {
    fn new(name: &'static str, messages: impl IntoIterator<Item = Vec<u8>>) -> Result<Self> {
        let mut sample = Self { name, texts: Vec::new(), frames: Vec::new(), reads: Vec::new() };
        for bytes in messages {
            sample.reads.extend(frame(&bytes).chunks(READ).map(<[u8]>::to_vec));
            sample.texts.push(String::from_utf8(bytes.clone())?);
            sample.frames.push(as_frame(bytes));
        }
        Ok(sample)
    }

    /// How many messages.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Mean bytes of a message.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum::<usize>() / self.len()
    }
}

/// As a tap hands it over.
pub(crate) fn as_frame(bytes: Vec<u8>) -> Frame {
    Frame {
        bytes: Phi::new(bytes),
        at: Timestamp::from_micros(START_US),
        waypoint: WaypointId(0),
        connection: ConnectionId(1),
        direction: Direction::ToReceiver,
        trace: None,
    }
}

/// A site key of no site.
pub(crate) fn site_key() -> SiteKey {
    SiteKey::new(*b"benchmarks only!")
}

/// A generator with a seed of its own.
pub(crate) fn generator(seed: u64) -> Result<Generator> {
    Ok(Generator::new(seed, Profile::default())?)
}

/// The next message of a kind.
pub(crate) fn message(generator: &mut Generator, kind: Kind) -> Message {
    generator.message(kind, START_US, START_US, Variation::default())
}

/// Allergies, diagnosis and insurance, as an EHR sends them along.
const ADT_TAIL: &str = "AL1|1|DA|70618^PENICILLIN^RXNORM|SV|HIVES|20190304\r\
                        DG1|1||I10^ESSENTIAL HYPERTENSION^I10C||20260101|A\r\
                        IN1|1|PPO^PREFERRED|4711|HEALTH FUND|1 MAIN ST^^RIVERTON^^72673^US|||G-2209\r";

/// 64 different ADT: admit, discharge, update; about 600 bytes each.
pub(crate) fn adt() -> Result<Sample> {
    let mut generator = generator(1)?;
    let kinds = [Kind::AdtA01, Kind::AdtA08, Kind::AdtA03, Kind::AdtA08];
    let messages = kinds.iter().cycle().take(64).map(|kind| {
        let mut bytes = message(&mut generator, *kind).bytes;
        bytes.extend_from_slice(ADT_TAIL.as_bytes());
        bytes
    });
    Sample::new("ADT", messages.collect::<Vec<_>>())
}

/// 32 different results with 30 OBX each.
pub(crate) fn oru() -> Result<Sample> {
    let mut generator = generator(2)?;
    let messages: Result<Vec<_>> =
        (0..32).map(|_| long_result(&message(&mut generator, Kind::OruR01).bytes)).collect();
    Sample::new("ORU 30 OBX", messages?)
}

/// The result with its own OBX repeated up to 30, numbered anew.
fn long_result(bytes: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(bytes)?;
    let segments: Vec<&str> = text.split_terminator('\r').collect();
    let observations: Vec<&str> =
        segments.iter().copied().filter(|segment| segment.starts_with("OBX|")).collect();
    let rest = segments.iter().filter(|s| !s.starts_with("OBX|") && !s.starts_with("NTE|"));
    let mut long: String = rest.flat_map(|segment| [segment, "\r"]).collect();
    for (number, observation) in observations.iter().cycle().take(OBSERVATIONS).enumerate() {
        let (_, rest) = observation
            .strip_prefix("OBX|")
            .and_then(|fields| fields.split_once('|'))
            .ok_or("the generator made a result whose OBX has no second field")?;
        long.push_str(&format!("OBX|{}|{rest}\r", number + 1));
    }
    if long.matches("\rOBX|").count() != OBSERVATIONS {
        return Err("the generator made a result without OBX".into());
    }
    Ok(long.into_bytes())
}

/// One document of 1 MB in base64 (HL7 v2.5.1 §2.A.24 ED).
pub(crate) fn mdm() -> Result<Sample> {
    let mut bytes = message(&mut generator(3)?, Kind::MdmT02).bytes;
    let mut rng = Rng::new(3);
    let document: Vec<u8> = (0..DOCUMENT).map(|_| rng.next_u64().to_le_bytes()[0]).collect();
    bytes.extend_from_slice(b"OBX|99|ED|11502-2^DOCUMENT^LN||^AP^PDF^Base64^");
    bytes.extend_from_slice(STANDARD.encode(document).as_bytes());
    bytes.extend_from_slice(b"||||||F\r");
    Sample::new("MDM 1 MB", [bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_they_are_called() {
        let (adt, oru, mdm) = (adt().unwrap(), oru().unwrap(), mdm().unwrap());
        assert!((550..750).contains(&adt.bytes()), "{}", adt.bytes());
        assert!((1500..5000).contains(&oru.bytes()), "{}", oru.bytes());
        assert!((1_000_000..1_010_000).contains(&mdm.bytes()), "{}", mdm.bytes());
        assert_eq!((adt.len(), adt.reads.len()), (64, 64), "an ADT is one read");
        assert_eq!(mdm.reads.len(), 16);
    }
}
