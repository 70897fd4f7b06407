//! How urgent a message is, from what stands in it. Only segments of orders and results are read.

use crate::index::{Message, Name, Segment, nth_opt};
use crate::keys::{is_order_or_result, trigger};
use crate::path::TypeMatch;
use feedpulse_core::sighting::Urgency;

const OBX: Name = Name::new(*b"OBX");
const OBR: Name = Name::new(*b"OBR");
const ORC: Name = Name::new(*b"ORC");
const TQ1: Name = Name::new(*b"TQ1");

/// Critical: OBX-8 HH, LL or AA (table 0078), a STAT order (TQ1-9; OBR-27.6, ORC-7.6; OBR-5), a type
/// that the site names. Correction: OBX-11 or OBR-25 C, W or D; what stood under a wrong identifier or
/// patient (HL7 v2.5.1 §3.3: merges A18, A34 to A36, A39 to A42, unlinking A37, moves A43 to A45,
/// changes A46 to A51); cancels A11 to A13; documents with errors (§9.6: edited T07 and T08, replaced
/// T09 and T10, cancelled T11).
pub(crate) fn of(message: &Message<'_>, site: &[TypeMatch]) -> Urgency {
    let msh9 = message.header(9);
    let code = message.first(msh9);
    let trigger = trigger(message);
    if site.iter().any(|rule| rule.matches(code, trigger)) {
        return Urgency::Critical;
    }
    let by_type = match (code, trigger) {
        (
            b"ADT",
            b"A11" | b"A12" | b"A13" | b"A18" | b"A34" | b"A35" | b"A36" | b"A37" | b"A39" | b"A40"
            | b"A41" | b"A42" | b"A43" | b"A44" | b"A45" | b"A46" | b"A47" | b"A48" | b"A49"
            | b"A50" | b"A51",
        )
        | (b"MDM", b"T07" | b"T08" | b"T09" | b"T10" | b"T11") => Urgency::Correction,
        _ => Urgency::Routine,
    };
    if !is_order_or_result(code) && !code.is_empty() {
        return by_type;
    }
    let mut most = by_type;
    for segment in message.segments() {
        most = most.max(match segment.name {
            OBX => observation(message, *segment),
            OBR => request(message, *segment),
            ORC if timing_is_stat(message, message.field_of(*segment, 7)) => Urgency::Critical,
            TQ1 if any_first(message, message.field_of(*segment, 9), is_stat) => Urgency::Critical,
            _ => Urgency::Routine,
        });
        if most == Urgency::Critical {
            break;
        }
    }
    most
}

fn observation(message: &Message<'_>, segment: Segment) -> Urgency {
    let flags = message.field_of(segment, 8);
    if !flags.is_empty() && any_first(message, flags, |flag| matches!(flag, b"HH" | b"LL" | b"AA"))
    {
        return Urgency::Critical;
    }
    correction(message.field_of(segment, 11))
}

fn request(message: &Message<'_>, segment: Segment) -> Urgency {
    let stat = is_stat(message.first(message.field_of(segment, 5)))
        || timing_is_stat(message, message.field_of(segment, 27));
    if stat { Urgency::Critical } else { correction(message.field_of(segment, 25)) }
}

fn correction(status: &[u8]) -> Urgency {
    match status {
        b"C" | b"W" | b"D" => Urgency::Correction,
        _ => Urgency::Routine,
    }
}

fn is_stat(priority: &[u8]) -> bool {
    matches!(priority, b"S" | b"STAT")
}

/// Priority is the sixth component of a TQ.
fn timing_is_stat(message: &Message<'_>, timing: &[u8]) -> bool {
    let d = message.delimiters();
    !timing.is_empty()
        && repetitions(timing, d.repetition)
            .any(|one| is_stat(nth_opt(crate::index::nth(one, d.component, 6), d.subcomponent, 1)))
}

fn any_first(message: &Message<'_>, field: &[u8], test: impl Fn(&[u8]) -> bool) -> bool {
    repetitions(field, message.delimiters().repetition)
        .any(|one| test(crate::index::nth(one, message.delimiters().component, 1)))
}

fn repetitions(field: &[u8], by: Option<u8>) -> impl Iterator<Item = &[u8]> {
    field.split(move |byte| Some(*byte) == by)
}
