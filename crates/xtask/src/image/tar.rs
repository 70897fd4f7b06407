//! Writes tar archives in the ustar format (POSIX.1-1988): plain files and folders, nothing else.

const BLOCK: usize = 512;

/// An archive in memory; every entry gets the same time.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    seconds: u64,
}

impl Writer {
    pub(super) fn new(seconds: u64) -> Self {
        Self { bytes: Vec::new(), seconds }
    }

    /// Adds a folder; its name ends in a slash.
    pub(super) fn folder(&mut self, name: &str, mode: u32, owner: u32) {
        self.header(name, b'5', mode, owner, 0);
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, mode: u32, owner: u32, content: &[u8]) {
        self.header(name, b'0', mode, owner, content.len());
        self.bytes.extend_from_slice(content);
        let padded = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(padded, 0);
    }

    /// The archive, closed by its two empty blocks.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, name: &str, kind: u8, mode: u32, owner: u32, size: usize) {
        debug_assert!(name.len() <= 100, "ustar keeps a name of up to 100 bytes in one field");
        let mut block = [0_u8; BLOCK];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, format!("{owner:07o}\0").as_bytes());
        put(116, format!("{owner:07o}\0").as_bytes());
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, format!("{:011o}\0", self.seconds).as_bytes());
        put(148, b"        "); // The checksum counts itself as spaces.
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}
