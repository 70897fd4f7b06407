//! Order groups: the ORC and OBR that belong together, and the OBX under them.

use crate::index::{Message, Name, Segment, valued};

const ORC: Name = Name::new(*b"ORC");
const OBR: Name = Name::new(*b"OBR");
const OBX: Name = Name::new(*b"OBX");

/// Most groups of one message that are looked at.
pub(crate) const GROUPS_MAX: usize = 16;

/// One order group.
#[derive(Clone, Copy, Default)]
pub(crate) struct Group {
    orc: Option<Segment>,
    obr: Option<Segment>,
    /// The OBX-11 that says most, as it stands.
    pub(crate) result: Option<Segment>,
}

/// The first groups of a message, in order.
pub(crate) struct Groups {
    list: [Group; GROUPS_MAX],
    used: usize,
}

impl Groups {
    /// Reads them: an ORC begins a group, and so does an OBR behind another OBR.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let mut groups = Self { list: [Group::default(); GROUPS_MAX], used: 0 };
        for segment in message.segments() {
            match segment.name {
                ORC => {
                    if !groups.begin() {
                        break;
                    }
                    groups.last().orc = Some(*segment);
                }
                OBR => {
                    let joins = groups.used > 0 && groups.last().obr.is_none();
                    if !joins && !groups.begin() {
                        break;
                    }
                    groups.last().obr = Some(*segment);
                }
                OBX if groups.used > 0 => groups.observe(message, *segment),
                _ => {}
            }
        }
        groups
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.list.iter().take(self.used)
    }

    fn begin(&mut self) -> bool {
        let more = self.used < GROUPS_MAX;
        self.used += usize::from(more);
        more
    }

    fn last(&mut self) -> &mut Group {
        &mut self.list[self.used.saturating_sub(1).min(GROUPS_MAX - 1)]
    }

    /// Keeps the result of the group that is furthest: a corrected one says more than a final one.
    fn observe(&mut self, message: &Message<'_>, segment: Segment) {
        let group = self.last();
        let rank = |s: Segment| crate::facts::status(message.field_of(s, 11));
        if group.result.is_none_or(|held| rank(segment) > rank(held)) {
            group.result = Some(segment);
        }
    }
}

impl Group {
    /// ORC-`n`; empty when absent.
    pub(crate) fn orc<'a>(&self, message: &Message<'a>, n: usize) -> &'a [u8] {
        self.orc.map_or(&[], |segment| message.field_of(segment, n))
    }

    /// OBR-`n`; empty when absent.
    pub(crate) fn obr<'a>(&self, message: &Message<'a>, n: usize) -> &'a [u8] {
        self.obr.map_or(&[], |segment| message.field_of(segment, n))
    }

    /// ORC-`n` or else OBR-`n`: the placer (2) and filler (3) numbers stand in both.
    pub(crate) fn either<'a>(&self, message: &Message<'a>, n: usize) -> &'a [u8] {
        let orc = self.orc(message, n);
        if valued(orc) { orc } else { self.obr(message, n) }
    }

    /// The filler number, or else the placer number.
    pub(crate) fn number<'a>(&self, message: &Message<'a>) -> &'a [u8] {
        let filler = self.either(message, 3);
        if valued(filler) { filler } else { self.either(message, 2) }
    }
}
