//! A simulated hospital over real loopback sockets that knows the truth.
//!
//! It exists to judge Feedpulse, so it depends on no other Feedpulse crate: HL7 writing and reading, MLLP
//! framing and hashing are small and its own. It is a tool for `feedpulse demo`, for tests and for benches;
//! it is not a product path, and unlike the other libraries it owns the tasks of its actors (in `JoinSet`s
//! that end with [`Hospital::stop`] or when the hospital is dropped).
//!
//! - [`Generator`] and [`corpus`]: seeded HL7 v2 messages with known truth and canary values.
//! - [`Hospital`]: senders, an integration engine and a portal as actors; [`Control`] changes them at run time.
//! - [`Script`]: a script of trouble as data, played against a running hospital.
//! - [`Truth`]: what every actor did, and whether both ends of every connection saw the same bytes.
//! - [`blast`] and [`AckServer`]: closed-loop load for tests and benches.
//!
//! Everything that looks like patient data here is made up by a pseudo-random generator.
#![forbid(unsafe_code)]

mod client;
mod clock;
mod engine;
mod gen_kinds;
mod gen_vary;
mod generator;
mod hl7;
mod hospital;
mod identity;
mod inbox;
mod loadgen;
mod mllp;
mod portal;
mod rng;
mod script;
mod sender;
mod socket;
mod stream_hash;
mod truth;

pub use clock::{Clock, dtm};
pub use engine::{AckMode, EngineConfig};
pub use gen_vary::{Charset, Shape, Terminator, Variation};
pub use generator::{Generator, Kind, Message, Profile, corpus, corpus_varied};
pub use hl7::{Ack, AckCode, Header, make_ack, read_ack, read_header};
pub use hospital::{Control, Hospital, HospitalConfig, Routes, SimError};
pub use identity::{ConnectionEnd, Identity, StreamEnd, StreamLog};
pub use inbox::Inbox;
pub use loadgen::{AckReport, AckServer, BlastReport, blast};
pub use mllp::{Deframer, FrameTooLong, MAX_FRAME, frame};
pub use portal::{PortalConfig, PortalMode};
pub use rng::Rng;
pub use script::{Fault, FaultKind, InjectedEvent, Phase, Script};
pub use sender::SenderConfig;
pub use stream_hash::StreamHash;
pub use truth::{
    Answer, Counts, EngineRecord, Hop, Ledger, PortalRecord, Regression, RelayState, SentRecord,
    Truth,
};
