//! A streaming hash of bytes that does not depend on how they were cut into reads and writes.

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// FNV-1a with 128 bits and a byte count. It finds faults (a lost, added, moved or changed byte); it does not
/// resist somebody who forges bytes on purpose, and need not here: both ends belong to the same test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHash {
    state: u128,
    len: u64,
}

impl Default for StreamHash {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamHash {
    /// The hash of no bytes.
    pub fn new() -> Self {
        Self { state: OFFSET, len: 0 }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut state = self.state;
        for byte in bytes {
            state = (state ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
        self.state = state;
        self.len += bytes.len() as u64;
    }

    /// Bytes hashed so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when no byte was hashed yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash, with the length mixed in.
    pub fn value(&self) -> u128 {
        (self.state ^ u128::from(self.len)).wrapping_mul(PRIME)
    }

    /// The low 64 bits of [`value`](Self::value), folded.
    pub fn low64(&self) -> u64 {
        let value = self.value();
        (value ^ (value >> 64)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> StreamHash {
        let mut hash = StreamHash::new();
        hash.update(bytes);
        hash
    }

    #[test]
    fn cuts_do_not_matter_and_faults_do() {
        let mut cut = StreamHash::new();
        for part in [&b"MSH|"[..], b"", b"^~", b"\\&"] {
            cut.update(part);
        }
        assert_eq!(cut, of(b"MSH|^~\\&"));
        assert_eq!(cut.len(), 8);
        for other in [&b"MSH|^~\\"[..], b"MSH|^~\\&\0", b"MSH|~^\\&", b"mSH|^~\\&", b""] {
            assert_ne!(cut.value(), of(other).value());
        }
        assert!(of(b"").is_empty());
    }

    #[test]
    fn the_reference_vector_of_fnv_1a_128_holds() {
        assert_eq!(of(b"a").state, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
