//! What a message is to the history of an order or a patient, and what it can be found by: keyed
//! hashes only.

use crate::index::{Message, Name, nth_opt, valued};
use crate::keys::trigger;
use crate::orders::Groups;
use crate::text::unescape;
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::Label;
use feedpulse_core::order::{
    OrderMarks, PatientEvent, PatientMark, RESULTS_MAX, ResultMark, ResultStatus,
};
use feedpulse_core::sighting::{FindKeys, Protocol};
use feedpulse_core::time::{EventTime, Precision};

const PID: Name = Name::new(*b"PID");
const PV1: Name = Name::new(*b"PV1");
const MRG: Name = Name::new(*b"MRG");
const SFT: Name = Name::new(*b"SFT");
const DSC: Name = Name::new(*b"DSC");

/// Domains of short hashes: one byte per use.
const FIND: u8 = b'I';
const TEST: u8 = b'T';
const PATIENT: u8 = b'P';
pub(crate) const BATCH: u8 = b'B';

/// The short hash that an identifier is found by, as an analyst types it: trimmed, in upper case,
/// without its authority. None when it is empty.
#[must_use]
pub fn find_key(site: &SiteKey, identifier: &[u8]) -> Option<u64> {
    let identifier = identifier.trim_ascii();
    valued(identifier).then(|| site.short(FIND, &[&identifier.to_ascii_uppercase()]))
}

/// Filler and placer number, visit and patient of a message, as it is found by.
pub(crate) fn find(
    message: &Message<'_>,
    groups: &Groups,
    site: &SiteKey,
    scratch: &mut Vec<u8>,
) -> FindKeys {
    let group = groups.iter().next();
    let fields = [
        group.map_or(&[][..], |g| g.either(message, 3)),
        group.map_or(&[][..], |g| g.either(message, 2)),
        message.field(PV1, 0, 19),
        message.field(PID, 0, 3),
    ];
    FindKeys(fields.map(|field| {
        let raw = message.component(field, 1).trim_ascii();
        if !valued(raw) {
            return 0;
        }
        let plain = unescape(raw, message.delimiters(), scratch).trim_ascii();
        if plain.iter().any(u8::is_ascii_lowercase) {
            return find_key(site, plain).unwrap_or(0);
        }
        site.short(FIND, &[plain])
    }))
}

/// Product and version (SFT-3, SFT-2) of the software that wrote a message. Its first SFT stands
/// right behind MSH (HL7 v2.5.1 §2.14.12); it is looked for nowhere else, so that messages without
/// one pay nothing.
pub(crate) fn software(message: &Message<'_>) -> Option<Box<Label>> {
    let sft = *message.segments().get(1).filter(|segment| segment.name == SFT)?;
    let part = |n| Some(message.component(message.field_of(sft, n), 1).trim_ascii());
    let parts = [part(3), part(2)].map(|part| part.filter(|p| valued(p)).unwrap_or_default());
    let text = parts.join(&b' ');
    let text = text.trim_ascii();
    (!text.is_empty()).then(|| Box::new(Label::from_bytes(text)))
}

/// How far a status of table 0123 or 0085 is; what is not known counts as preliminary.
pub(crate) fn status(status: &[u8]) -> ResultStatus {
    match status.trim_ascii() {
        b"F" | b"U" | b"V" => ResultStatus::Final,
        b"C" | b"W" | b"D" | b"X" => ResultStatus::Corrected,
        _ => ResultStatus::Preliminary,
    }
}

/// Its place in the history of its orders and its patient.
pub(crate) fn order(
    message: &Message<'_>,
    groups: &Groups,
    recorded: Option<EventTime>,
    site: &SiteKey,
) -> OrderMarks {
    let mut marks = OrderMarks { results: [None; RESULTS_MAX], patient: None };
    if matches!(message.first(message.header(9)), b"ORU" | b"OUL" | b"OPU") {
        for (mark, group) in marks.results.iter_mut().zip(groups.iter()) {
            let number = group.number(message);
            let own = group.obr(message, 25);
            let of_results = group.result.map_or(&[][..], |obx| message.field_of(obx, 11));
            let stated = if valued(own) { own } else { of_results };
            if !valued(number) || !valued(stated) {
                continue;
            }
            let test = message.component(group.obr(message, 4), 1);
            let parts = [message.component(number, 1), message.component(number, 2), test];
            *mark = Some(ResultMark { test: site.short(TEST, &parts), status: status(stated) });
        }
    }
    marks.patient = patient(message, recorded, site);
    marks
}

fn record(message: &Message<'_>, field: &[u8], site: &SiteKey) -> Option<u64> {
    let id = message.component(field, 1).trim_ascii();
    let authority = message.component(field, 4);
    let authority = nth_opt(authority, message.delimiters().subcomponent, 1);
    valued(id).then(|| site.short(PATIENT, &[id, authority]))
}

fn patient(
    message: &Message<'_>,
    recorded: Option<EventTime>,
    site: &SiteKey,
) -> Option<PatientMark> {
    let patient = record(message, message.field(PID, 0, 3), site)?;
    let other = || record(message, message.field(MRG, 0, 1), site).filter(|id| *id != patient);
    let adt = message.first(message.header(9)) == b"ADT";
    let event = match (adt, trigger(message)) {
        (
            true,
            b"A18" | b"A34" | b"A35" | b"A36" | b"A39" | b"A40" | b"A41" | b"A42" | b"A46" | b"A47"
            | b"A49",
        ) => other().map_or(PatientEvent::Other, |gone| PatientEvent::Merge { gone }),
        (true, b"A37") => {
            other().map_or(PatientEvent::Other, |back| PatientEvent::Unmerge { back })
        }
        (true, b"A08" | b"A28" | b"A31") => PatientEvent::Update,
        _ => PatientEvent::Other,
    };
    let at = recorded.filter(|t| t.precision >= Precision::Second).map(|t| t.at);
    Some(PatientMark { patient, event, at })
}

/// Special protocols that the message takes part in (HL7 v2.5.1 §2.10.1, §2.10.2).
pub(crate) fn protocol(message: &Message<'_>) -> Protocol {
    Protocol {
        sequence: valued(message.header(13).trim_ascii()),
        continuation: valued(message.header(14).trim_ascii())
            || valued(message.field(DSC, 0, 1).trim_ascii()),
    }
}
