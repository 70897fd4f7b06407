//! Keyed hashes that stand for identifiers: nobody without the site key can go back or guess.

use core::fmt;
use core::hash::Hasher as _;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The site's secret of 16 bytes. All processes of one site share it.
#[derive(Clone, Copy)]
pub struct SiteKey([u8; 16]);

impl SiteKey {
    /// From 16 secret bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A hasher for one key; `domain` keeps key spaces apart (one byte per use).
    #[must_use]
    pub fn hasher(&self, domain: u8) -> KeyHasher {
        let mut sip = SipHasher13::new_with_key(&self.0);
        sip.write(&[domain]);
        KeyHasher { sip, waiting: [0; WAITING], used: 0, valued: false }
    }

    /// The ack key of a control id: what MSH-10 of a message and MSA-2 of its ACK share.
    #[must_use]
    pub fn ack_key(&self, control_id: &[u8]) -> Option<MessageKey> {
        let mut hasher = self.hasher(b'A');
        hasher.field(control_id);
        hasher.finish()
    }

    /// A 64-bit keyed hash of some values, for look-ups that a collision cannot harm; never 0.
    #[must_use]
    pub fn short(&self, domain: u8, values: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher(domain);
        for value in values {
            hasher.field(value);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the low half of a 128-bit hash")]
        let low = hasher.digest() as u64;
        low.max(1)
    }

    /// A 64-bit seeded fingerprint (XXH3) of a message body, to tell a resend from a reused id. Only
    /// for that: it never leaves the store, and nothing is keyed by it.
    #[must_use]
    pub fn fingerprint(&self, body: &[u8]) -> u64 {
        let (low, high) = self.0.split_at(8);
        let word = |half: &[u8]| half.iter().fold(0_u64, |w, b| (w << 8) | u64::from(*b));
        xxhash_rust::xxh3::xxh3_64_with_seed(body, word(low) ^ word(high).rotate_left(32))
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(…)")
    }
}

/// Bytes of fields that are gathered before they are hashed: one write instead of two a field.
const WAITING: usize = 120;

/// Collects the fields of one key rule.
#[derive(Clone)]
pub struct KeyHasher {
    sip: SipHasher13,
    waiting: [u8; WAITING],
    used: usize,
    valued: bool,
}

impl KeyHasher {
    /// Adds a field; fields are length-delimited, so `("a","bc")` and `("ab","c")` differ.
    pub fn field(&mut self, value: &[u8]) {
        self.valued |= !value.is_empty();
        self.gather(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.gather(value);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.used + bytes.len() > WAITING {
            self.flush();
        }
        match self.waiting.get_mut(self.used..self.used + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            None => self.sip.write(bytes),
        }
    }

    fn flush(&mut self) {
        self.sip.write(self.waiting.get(..self.used).unwrap_or_default());
        self.used = 0;
    }

    /// The key, or nothing when every field was empty (an empty key would join strangers).
    #[must_use]
    pub fn finish(self) -> Option<MessageKey> {
        let valued = self.valued;
        let hash = self.digest();
        valued.then_some(MessageKey::from_u128(hash))
    }

    fn digest(mut self) -> u128 {
        self.flush();
        self.sip.finish128().as_u128()
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(…)")
    }
}

/// A 128-bit keyed hash (SipHash-1-3) of a message's identity under one key rule. Kept as two halves,
/// the high one first: a whole number would align every struct that holds one to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey([u64; 2]);

impl MessageKey {
    /// From its stored form.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
        let halves = [(value >> 64) as u64, value as u64];
        Self(halves)
    }

    /// Its stored form.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        let [high, low] = self.0;
        ((high as u128) << 64) | low as u128
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::SiteKey;

    #[test]
    fn fields_are_told_apart_whatever_their_length() {
        let key = SiteKey::new([3; 16]);
        let of = |fields: &[&[u8]]| {
            let mut hasher = key.hasher(b'J');
            for field in fields {
                hasher.field(field);
            }
            hasher.finish()
        };
        let long = [b'x'; 300];
        assert_ne!(of(&[b"a", b"bc"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[&long, b"y"]), of(&[&long[..299], b"xy"]));
        assert_eq!(of(&[&long, b"y"]), of(&[&long, b"y"]));
        assert_eq!(of(&[b"", b""]), None);
        assert_ne!(of(&[b"a"]), SiteKey::new([4; 16]).ack_key(b"a"));
    }
}
