//! Types, senders and facilities, interned: a message in flight holds a number, not 128 bytes.

use super::Engine;
use super::state::Kind;
use crate::sighting::MessageSeen;

/// Most kinds kept apart; messages of further ones count under the empty kind.
pub(super) const KINDS_MAX: usize = 4_096;

impl Engine {
    /// The number of a message's kind.
    pub(super) fn kind_of(&mut self, message: &MessageSeen) -> u32 {
        let kind = Kind {
            code: message.code,
            trigger: message.trigger,
            sender: message.sender,
            facility: message.sender_facility,
        };
        if let Some(number) = self.kinds.get(&kind) {
            return *number;
        }
        if self.s.kinds.is_empty() {
            self.s.kinds.push(Kind::default());
            self.kinds.insert(Kind::default(), 0);
        }
        if self.s.kinds.len() >= KINDS_MAX || kind == Kind::default() {
            return 0;
        }
        let number = u32::try_from(self.s.kinds.len()).unwrap_or(0);
        self.s.kinds.push(kind);
        self.kinds.insert(kind, number);
        number
    }

    /// A kind by its number.
    pub(super) fn kind(&self, number: u32) -> Kind {
        self.s.kinds.get(number as usize).copied().unwrap_or_default()
    }
}
