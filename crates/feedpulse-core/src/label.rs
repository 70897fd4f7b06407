//! Short printable names taken from messages: bounded, sanitised, copied without allocating.

use core::fmt;

/// Longest label in bytes; longer text is cut and ends in `~`.
pub const LABEL_MAX: usize = 31;

/// A short name (application, facility, message type, code): at most [`LABEL_MAX`] printable ASCII
/// bytes. Anything else in the source becomes `?`, so no label can break a log, a page or a metric.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    bytes: [u8; LABEL_MAX],
    len: u8,
}

impl Label {
    /// The empty label.
    pub const EMPTY: Self = Self { bytes: [0; LABEL_MAX], len: 0 };

    /// From raw bytes, sanitised and cut.
    #[must_use]
    pub fn from_bytes(source: &[u8]) -> Self {
        let mut bytes = [0; LABEL_MAX];
        let len = source.len().min(LABEL_MAX);
        let (to, from) = (&mut bytes[..len], &source[..len]);
        to.copy_from_slice(from);
        // Nearly every label is clean: one pass without branches says so.
        let odd = from.iter().fold(false, |odd, b| odd | !(0x20..0x7f).contains(b));
        if odd {
            for byte in to.iter_mut().filter(|b| !(0x20..0x7f).contains(*b)) {
                *byte = b'?';
            }
        }
        if source.len() > LABEL_MAX {
            bytes[LABEL_MAX - 1] = b'~';
        }
        Self { bytes, len: u8::try_from(len).expect("LABEL_MAX fits in u8") }
    }

    /// As it is where it fits; a longer one is cut and ends in a hash of the whole, so that two
    /// which begin alike stay apart.
    #[must_use]
    pub fn distinct(source: &str) -> Self {
        if source.len() <= LABEL_MAX {
            return Self::from(source);
        }
        // FNV-1a of 32 bits: it tells names of one configuration apart, no more.
        let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = source.bytes().fold(0x811c_9dc5, fold);
        let kept = source.as_bytes().get(..LABEL_MAX - 9).unwrap_or_default();
        Self::from_bytes(&[kept, format!("~{hash:08x}").as_bytes()].concat())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("labels are ASCII")
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<&str> for Label {
    fn from(source: &str) -> Self {
        Self::from_bytes(source.as_bytes())
    }
}

impl Default for Label {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A message control id (MSH-10 or MSA-2). A pseudonym, not patient data: shown in the log of
/// sightings, gap reports and the authenticated pages; hashed in everything that leaves the site.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlId(Label);

impl ControlId {
    /// From the raw field.
    #[must_use]
    pub fn from_bytes(source: &[u8]) -> Self {
        Self(Label::from_bytes(source))
    }

    /// The id in clear, for the outputs that may show it.
    #[must_use]
    pub const fn clear(&self) -> &Label {
        &self.0
    }
}

impl fmt::Debug for ControlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlId(…)")
    }
}
