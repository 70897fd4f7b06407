//! Key rules: what identifies a message at a waypoint, as a keyed hash.
//!
//! | kind | fields |
//! |---|---|
//! | `F` | control id rule: MSH-10. Field rule: the listed fields. A field rule of one field joins with a control id rule, for engines that keep the original id in a field of their own |
//! | `R` | results and orders: ORC-3 or OBR-3 (filler), else ORC-2 or OBR-2 (placer), with authority; OBR-25; OBR-22, else ORC-9; ORC-1 unless the type is ORU |
//! | `D` | documents: TXA-12, trigger |
//! | `S` | scheduling: SCH-1, SCH-2, trigger, SCH-11 |
//! | `A` | ADT: PID-3 with authority, PV1-19, trigger, EVN-2, and MRG-1 |
//!
//! Values are compared decoded and trimmed. A rule whose identifiers are all empty falls back to
//! the control id.

use crate::index::{MSH, Message, Name, Segment, nth, nth_opt, valued};
use crate::orders::{Group, Groups};
use crate::path::{Path, Repetition};
use crate::text::unescape;
use feedpulse_core::key::{KeyHasher, MessageKey, SiteKey};
use feedpulse_core::sighting::ALSO_MAX;

const PID: Name = Name::new(*b"PID");
const PV1: Name = Name::new(*b"PV1");
const EVN: Name = Name::new(*b"EVN");
const MRG: Name = Name::new(*b"MRG");
const TXA: Name = Name::new(*b"TXA");
const SCH: Name = Name::new(*b"SCH");

/// How the journey key of a message is made at a waypoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// MSH-10. Right where nothing rewrites control ids.
    #[default]
    ControlId,
    /// These fields, in this order; of segments that repeat, the first.
    Fields(Vec<Path>),
    /// Business identifiers by message type; the table is in the module's text.
    Preset,
    /// As `Preset`, but every order group (ORC, OBR) of a message is a journey of its own: for engines
    /// that split one message into several, or join several into one. At most 16 groups count.
    EachOrder,
}

/// Domain of journey keys.
const DOMAIN: u8 = b'J';

/// The journey key that a control id rule gives to a message with this control id: what a receipt
/// or another system's log must be keyed by to join. None when it is empty.
#[must_use]
pub fn control_id_key(site: &SiteKey, control_id: &[u8]) -> Option<MessageKey> {
    let mut hasher = start(site, b'F');
    let control_id = control_id.trim_ascii();
    hasher.field(control_id);
    valued(control_id).then(|| hasher.finish()).flatten()
}

fn start(site: &SiteKey, kind: u8) -> KeyHasher {
    let mut hasher = site.hasher(DOMAIN);
    hasher.field(&[kind]);
    hasher
}

/// The journey key of a message under a rule; further ones go to `also`.
pub(crate) fn journey_key(
    message: &Message<'_>,
    groups: &Groups,
    rule: &KeyRule,
    site: &SiteKey,
    scratch: &mut Vec<u8>,
    also: &mut Vec<MessageKey>,
) -> Option<MessageKey> {
    let mut maker = Maker { message, hasher: start(site, b'F'), valued: false, scratch };
    match rule {
        KeyRule::ControlId => maker.field(message.header(10)),
        KeyRule::Fields(paths) => {
            for path in paths {
                let segment = message.named(path.segment).next();
                maker.field(segment.map_or(&[], |segment| at_path(message, segment, path)));
            }
        }
        KeyRule::Preset | KeyRule::EachOrder => {
            let kind = kind_of(message);
            if kind == b'R' && *rule == KeyRule::EachOrder {
                let first = each_order(message, groups, site, maker.scratch, also);
                if first.is_some() {
                    return first;
                }
            }
            maker.hasher = start(site, kind);
            match kind {
                b'R' => maker.orders(&groups.iter().next().copied().unwrap_or_default()),
                b'D' => maker.documents(),
                b'S' => maker.scheduling(),
                b'A' => maker.admissions(),
                _ => {}
            }
            if !maker.valued {
                maker.hasher = start(site, b'F');
                maker.field(message.header(10));
            }
        }
    }
    maker.finish()
}

/// A key for each order group that has a number: the first, and the further ones in `also`.
fn each_order(
    message: &Message<'_>,
    groups: &Groups,
    site: &SiteKey,
    scratch: &mut Vec<u8>,
    also: &mut Vec<MessageKey>,
) -> Option<MessageKey> {
    let mut first = None;
    for group in groups.iter() {
        let mut maker = Maker { message, hasher: start(site, b'R'), valued: false, scratch };
        maker.orders(group);
        let Some(key) = maker.finish() else { continue };
        if first.is_none() {
            first = Some(key);
        } else if first != Some(key) && !also.contains(&key) && also.len() < ALSO_MAX {
            also.push(key);
        }
    }
    first
}

fn kind_of(message: &Message<'_>) -> u8 {
    let code = message.first(message.header(9));
    match code {
        b"MDM" => b'D',
        b"SIU" | b"SRM" => b'S',
        b"ADT" => b'A',
        _ if is_order_or_result(code) => b'R',
        _ => b'F',
    }
}

/// Types that carry OBR, ORC and OBX about orders and their results.
pub(crate) fn is_order_or_result(code: &[u8]) -> bool {
    matches!(
        code,
        b"ORU"
            | b"OUL"
            | b"OPU"
            | b"ORM"
            | b"OML"
            | b"OMG"
            | b"OMI"
            | b"OMD"
            | b"OMN"
            | b"OMS"
            | b"OMP"
            | b"RDE"
            | b"RDS"
            | b"RGV"
            | b"RAS"
    )
}

struct Maker<'a> {
    message: &'a Message<'a>,
    hasher: KeyHasher,
    /// Whether an identifier (not a trigger, status or time) was there.
    valued: bool,
    scratch: &'a mut Vec<u8>,
}

impl Maker<'_> {
    /// Adds an identifier.
    fn field(&mut self, raw: &[u8]) {
        self.valued |= valued(raw);
        self.extra(raw);
    }

    /// Adds what tells sightings of one identifier apart.
    fn extra(&mut self, raw: &[u8]) {
        let raw = if valued(raw) { raw.trim_ascii() } else { &[] };
        self.hasher.field(unescape(raw, self.message.delimiters(), self.scratch).trim_ascii());
    }

    fn first(&self, name: Name, field: usize) -> &[u8] {
        self.message.field(name, 0, field)
    }

    /// An EI: identifier and namespace, or the universal id where there is no namespace.
    fn entity(&mut self, raw: &[u8]) {
        let message = self.message;
        self.field(message.component(raw, 1));
        let namespace = message.component(raw, 2);
        let authority = if namespace.is_empty() { message.component(raw, 3) } else { namespace };
        self.extra(authority);
    }

    /// A CX: identifier and the assigning authority's namespace.
    fn check_digit(&mut self, raw: &[u8]) {
        let message = self.message;
        self.field(message.component(raw, 1));
        let authority = message.component(raw, 4);
        self.extra(nth_opt(authority, message.delimiters().subcomponent, 1));
    }

    fn finish(self) -> Option<MessageKey> {
        if self.valued { self.hasher.finish() } else { None }
    }

    fn orders(&mut self, group: &Group) {
        let message = self.message;
        self.entity(group.number(message));
        self.extra(group.obr(message, 25));
        let released = group.obr(message, 22);
        self.extra(if valued(released) { released } else { group.orc(message, 9) });
        if message.first(message.header(9)) != b"ORU" {
            self.extra(group.orc(message, 1));
        }
    }

    fn documents(&mut self) {
        let message = self.message;
        self.entity(message.field(TXA, 0, 12));
        self.extra(trigger(message));
    }

    fn scheduling(&mut self) {
        let message = self.message;
        self.entity(message.field(SCH, 0, 1));
        self.entity(message.field(SCH, 0, 2));
        self.extra(trigger(message));
        self.extra(message.field(SCH, 0, 11));
    }

    fn admissions(&mut self) {
        let message = self.message;
        self.check_digit(message.field(PID, 0, 3));
        self.check_digit(message.field(PV1, 0, 19));
        self.extra(trigger(message));
        self.extra(message.field(EVN, 0, 2));
        let merged = self.first(MRG, 1).is_empty();
        if !merged {
            self.check_digit(message.field(MRG, 0, 1));
        }
    }
}

/// MSH-9.2, or EVN-1 where a sender leaves it out.
pub(crate) fn trigger<'a>(message: &Message<'a>) -> &'a [u8] {
    let trigger = message.component(message.header(9), 2);
    if trigger.is_empty() { message.field(EVN, 0, 1) } else { trigger }
}

/// The value at a path within one segment, raw. `[*]` gives all repetitions as they stand.
pub(crate) fn at_path<'a>(message: &Message<'a>, segment: Segment, path: &Path) -> &'a [u8] {
    let field = message.field_of(segment, usize::from(path.field));
    if segment.name == MSH && path.field <= 2 {
        return field;
    }
    let d = message.delimiters();
    let repetition = match path.repetition {
        Repetition::Unstated => nth_opt(field, d.repetition, 1),
        Repetition::One(n) => nth_opt(field, d.repetition, usize::from(n)),
        Repetition::All => field,
    };
    let Some(component) = path.component else { return repetition };
    let component = nth(repetition, d.component, usize::from(component));
    match path.subcomponent {
        Some(n) => nth_opt(component, d.subcomponent, usize::from(n)),
        None => component,
    }
}
