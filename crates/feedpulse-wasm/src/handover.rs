//! A new version of a check takes the place of the old one, between two batches.
//!
//! State belongs to the host, so it outlives the version that wrote it. Whether the next version can
//! read it only its author knows, and says so by the version: the same name and the same major
//! version keep the state; anything else starts without, and says so.

use crate::manifest::Manifest;
use crate::worker::Worker;

/// What became of the state of the version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// It goes on.
    Kept {
        /// Keys over all feeds.
        keys: usize,
        /// Bytes over all feeds.
        bytes: usize,
    },
    /// It is dropped: this is another check, or another major version.
    Dropped {
        /// Keys over all feeds.
        keys: usize,
        /// Bytes over all feeds.
        bytes: usize,
    },
}

impl Worker {
    /// Takes the place of the version before: its state, if both have the same name and the same
    /// major version, and its numbers, so that totals go on. The old one ends.
    ///
    /// Faults of the old version are not held against the new one.
    pub fn take_over(&mut self, old: Self) -> Handover {
        let fits = inherits(old.plugin().manifest(), self.plugin().manifest());
        let (keys, bytes) = self.inherit(old, fits);
        if fits { Handover::Kept { keys, bytes } } else { Handover::Dropped { keys, bytes } }
    }
}

/// Whether a version may read what another one wrote.
fn inherits(old: &Manifest, new: &Manifest) -> bool {
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    old.name == new.name && major(&old.version) == major(&new.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, version: &str) -> Manifest {
        let json = format!(
            r#"{{"name": "{name}", "version": "{version}", "wit": "feedpulse:check@0.1.0", "fields": ["MSH-10"],
            "codes": {{"a": {{"title": "t", "explanation": "e", "remedy": "r", "level": "info"}}}}}}"#
        );
        Manifest::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn state_goes_on_within_a_name_and_a_major_version() {
        let old = manifest("room", "1.2.3");
        for (name, version, fits) in [
            ("room", "1.2.3", true),
            ("room", "1.9.0-rc.1", true),
            ("room", "1.0.0", true),
            ("room", "2.0.0", false),
            ("room", "10.0.0", false),
            ("bed", "1.2.3", false),
        ] {
            assert_eq!(inherits(&old, &manifest(name, version)), fits, "{name} {version}");
        }
    }
}
