//! Words of order: what a message's place in the history of an order or a patient is.

use crate::time::Timestamp;

/// Most order groups of one message whose status is followed.
pub const RESULTS_MAX: usize = 4;

/// Both kinds of place. Identifiers are keyed 64-bit hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderMarks {
    /// Its first order groups.
    pub results: [Option<ResultMark>; RESULTS_MAX],
    /// Its patient.
    pub patient: Option<PatientMark>,
}

/// The status of one order group of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultMark {
    /// Keyed hash of the filler number (else the placer number) and OBR-4.1.
    pub test: u64,
    /// OBR-25, else the highest OBX-11 of the group.
    pub status: ResultStatus,
}

/// How far a result is (HL7 tables 0123 and 0085), in the order that it may only go forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultStatus {
    /// `O I S A P R` and the like: not final.
    Preliminary,
    /// `F` (or `U`, `V`).
    Final,
    /// `C`, `W`, `D`, `X`: corrected, withdrawn.
    Corrected,
}

/// What a message does to a patient's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatientMark {
    /// Keyed hash of PID-3.1 and its authority.
    pub patient: u64,
    /// What it does.
    pub event: PatientEvent,
    /// When the event happened, by the sender's clock (EVN-2); None when not known to the second.
    pub at: Option<Timestamp>,
}

/// What a message does to a patient's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatientEvent {
    /// `A18 A34 A35 A36 A39 A40 A41 A42 A46 A47 A49`: the record of MRG-1 is merged into this one.
    Merge {
        /// Keyed hash of MRG-1.1 and its authority.
        gone: u64,
    },
    /// `A37`: a merge is taken back.
    Unmerge {
        /// Keyed hash of the record that lives again.
        back: u64,
    },
    /// `A08 A28 A31`: the record changed.
    Update,
    /// Anything else about the patient.
    Other,
}
