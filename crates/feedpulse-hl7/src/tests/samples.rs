//! Public sample messages, when the environment variable FEEDPULSE_SAMPLES names their folder.

use super::{config, frame};
use crate::decode::Decoder;
use crate::inspect::Inspector;
use crate::split::split_file;
use feedpulse_core::defect::Verdict;
use feedpulse_core::sighting::Seen;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub(super) fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "hl7") {
            into.push(path);
        }
    }
}

#[test]
fn every_public_sample_is_accounted_for() {
    let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES") else {
        // Written to the stream itself: the test runner would keep back what a macro prints.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: FEEDPULSE_SAMPLES names no folder of public HL7 samples"
        );
        return;
    };
    let (mut paths, mut verdicts) = (Vec::new(), BTreeMap::<String, u32>::new());
    files(Path::new(&folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no .hl7 file in FEEDPULSE_SAMPLES");
    let (mut decoder, mut inspector) = (Decoder::new(config()), Inspector::new(config()));
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        let (mut covered, mut at) = (0, 0);
        for piece in split_file(&bytes) {
            assert!(bytes[at..piece.start].iter().all(|byte| *byte <= b' '), "bytes left out");
            at = piece.end;
            covered += 1;
            let text = &bytes[piece.start..piece.end];
            let (mut seen, mut entries) = (Vec::new(), Vec::new());
            let decoded = decoder.decode(&frame(text), &mut seen);
            // The end of a batch is none of its messages.
            seen.retain(|sighting| !matches!(sighting.what, Seen::Batch(_)));
            assert_eq!((decoded.messages + decoded.acks + decoded.unreadable) as usize, seen.len());
            assert!(!seen.is_empty() || decoded.batches > 0, "{}", path.display());
            inspector.inspect(text, &mut entries);
            assert_eq!(entries.len(), seen.len());
            for (entry, sighting) in entries.iter().zip(&seen) {
                let codes: Vec<_> =
                    entry.defects.iter().map(|d| (d.code.code(), d.offset)).collect();
                *verdicts.entry(format!("{:?}", entry.verdict)).or_default() += 1;
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                println!(
                    "{name} {:?} {} {} {} {codes:?}",
                    entry.verdict, entry.msh9, entry.segments, entry.terminator
                );
                if entry.verdict == Verdict::Unreadable {
                    assert!(
                        matches!(&sighting.what, Seen::Unreadable(why) if !why.defects.is_empty())
                    );
                    assert!(entry.defects.iter().all(|d| u64::from(d.offset) <= text.len() as u64));
                }
            }
        }
        assert!(covered > 0, "{} holds nothing", path.display());
    }
    println!("{} files: {verdicts:?}", paths.len());
}
