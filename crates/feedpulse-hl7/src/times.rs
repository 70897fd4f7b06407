//! When a message's event happened, by the best statement that its type has.
//!
//! | type | first, then, last |
//! |---|---|
//! | ORU, OUL, OPU | OBR-22 (released), ORC-9 where ORC-1 = RE, MSH-7 |
//! | other orders | ORC-9 (the event behind ORC-1), MSH-7 |
//! | MDM | TXA-22 component 15 (signed, HL7 v2.5.1 §9.6.1.22), EVN-2, MSH-7 |
//! | ADT and the rest with EVN | EVN-2 (recorded), MSH-7 |
//! | SIU, VXU | MSH-7 |
//!
//! MSH-7 is when the message was made: often stamped anew by each engine, so it comes last.

use crate::dtm::Dtm;
use crate::index::{Message, Name, Notes, Span, valued};
use crate::keys::is_order_or_result;
use feedpulse_core::defect::DefectCode;
use feedpulse_core::lag::Withheld;
use feedpulse_core::time::EventTime;
use jiff::tz::TimeZone;

const OBR: Name = Name::new(*b"OBR");
const ORC: Name = Name::new(*b"ORC");
const EVN: Name = Name::new(*b"EVN");
const TXA: Name = Name::new(*b"TXA");

/// The times of a message.
pub(crate) struct Times {
    /// The best statement of its event.
    pub(crate) event: Option<EventTime>,
    /// Why there is none.
    pub(crate) withheld: Option<Withheld>,
    /// MSH-7.
    pub(crate) made: Option<EventTime>,
    /// EVN-2.
    pub(crate) recorded: Option<EventTime>,
}

struct Reader<'a, 'n> {
    message: &'a Message<'a>,
    notes: &'n mut Notes,
    unreadable: bool,
}

impl Reader<'_, '_> {
    fn read(&mut self, field: &[u8], at: usize) -> Option<Dtm> {
        if !valued(field) {
            return None;
        }
        let dtm = Dtm::read(self.message.first(field));
        if dtm.is_err() {
            self.notes.add(DefectCode::BadTime, at);
            self.unreadable = true;
        }
        dtm.ok()
    }

    fn field(&mut self, name: Name, n: usize) -> Option<Dtm> {
        let segment = self.message.named(name).next()?;
        let span: Span = self.message.field_span(segment, n);
        self.read(span.of(self.message.frame), span.start as usize)
    }
}

/// Reads them. A time that cannot be read is a defect, and the next one is tried.
pub(crate) fn of(message: &Message<'_>, site: Option<&TimeZone>, notes: &mut Notes) -> Times {
    let mut reader = Reader { message, notes, unreadable: false };
    let made = reader.read(message.header(7), message.header_at(7));
    let code = message.first(message.header(9));
    let recorded = match code {
        b"SIU" | b"VXU" => None,
        _ => reader.field(EVN, 2),
    };
    let best = match code {
        b"ORU" | b"OUL" | b"OPU" => reader.field(OBR, 22).or_else(|| {
            // ORC-9 is the time of whatever ORC-1 says: only RE is the result itself.
            let released = message.field(ORC, 0, 1) == b"RE";
            if released { reader.field(ORC, 9) } else { None }
        }),
        b"MDM" => signed(message, &mut reader).or(recorded),
        code if is_order_or_result(code) => reader.field(ORC, 9).or(recorded),
        _ => recorded,
    };
    let unreadable = reader.unreadable;
    let offset = made.and_then(|dtm| dtm.offset_secs);
    let stated = best.or(made);
    let event = stated.and_then(|dtm| dtm.event_time(offset, site));
    let withheld = match (event, stated) {
        (Some(_), _) => None,
        (None, Some(_)) => Some(Withheld::NoZone),
        (None, None) if unreadable => Some(Withheld::Unreadable),
        (None, None) => Some(Withheld::NoTime),
    };
    let instant = |dtm: Dtm| dtm.event_time(offset, site);
    Times { event, withheld, made: made.and_then(instant), recorded: recorded.and_then(instant) }
}

/// TXA-22 is a PPN: who authenticated, and in component 15 when.
fn signed(message: &Message<'_>, reader: &mut Reader<'_, '_>) -> Option<Dtm> {
    let segment = message.named(TXA).next()?;
    let span = message.field_span(segment, 22);
    let field = span.of(message.frame);
    reader.read(message.component(field, 15), span.start as usize)
}
