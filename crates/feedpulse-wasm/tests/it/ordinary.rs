//! Ordinary messages are the negative case of every check: what is said of them with default settings
//! is known, was looked at one by one, and stands in `tests/data/checks.tsv`.

use crate::cases::judge;
use crate::support::{checks, plugin, roomy, root};
use feedpulse_sim::{Generator, Kind, Profile, Rng, Variation};
use feedpulse_wasm::{Settings, Worker};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A message and where it is from.
type Sample = (String, Vec<u8>);

/// The checks that say something without settings.
fn workers() -> Vec<(String, Worker)> {
    let mut all = Vec::new();
    for name in checks() {
        if !["troublemaker", "rules"].contains(&name.as_str()) {
            let settings = Settings { limits: roomy(), ..Settings::default() };
            let worker = plugin(&name).worker(settings).unwrap();
            all.push((name, worker));
        }
    }
    all
}

/// HL7 files below a folder, each split before its MSH, as a file tap would.
fn corpus(folder: &Path, into: &mut Vec<Sample>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            corpus(&path, into);
            continue;
        }
        if path
            .extension()
            .is_none_or(|e| !["hl7", "txt", "dat"].contains(&e.to_str().unwrap_or("")))
        {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let from: Vec<_> = path.iter().rev().take(2).map(|p| p.to_string_lossy()).collect();
        let from = format!("{}/{}", from[1], from[0]);
        let begins = |at: &usize| {
            bytes[*at..].starts_with(b"MSH") && (*at == 0 || matches!(bytes[at - 1], b'\r' | b'\n'))
        };
        let starts: Vec<usize> = (0..bytes.len()).filter(begins).collect();
        for (n, start) in starts.iter().enumerate() {
            let end = starts.get(n + 1).copied().unwrap_or(bytes.len());
            into.push((from.clone(), bytes[*start..end].to_vec()));
        }
    }
}

/// What all checks say of messages: source, code, place, how often. Each source is a feed of its own:
/// files of strangers may well use the same control ids.
fn told(samples: &[Sample]) -> Vec<String> {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (_, worker) in &mut workers() {
        for (from, message) in samples {
            for f in judge(worker, from, vec![message.clone()]) {
                *told.entry(format!("{from}\t{}\t{}", f.code, f.at)).or_default() += 1;
            }
        }
    }
    told.iter().map(|(what, n)| format!("{what}\t{n}")).collect()
}

#[test]
fn our_corpus_raises_what_is_known_and_nothing_else() {
    let mut samples = Vec::new();
    corpus(&root().join("tests/data/messages"), &mut samples);
    assert!(samples.len() >= 30, "{}", samples.len());
    let known = fs::read_to_string(root().join("tests/data/checks.tsv")).unwrap_or_default();
    let known: Vec<&str> =
        known.lines().skip(1).filter_map(|l| l.rsplit_once('\t').map(|(l, _)| l)).collect();
    let told = told(&samples);
    assert_eq!(told, known, "\n{}\n", told.join("\n"));
}

/// A hospital's day, in all its variations of line ends, sets of characters and missing parts.
#[test]
fn the_simulated_hospital_raises_nothing() {
    let mut generator = Generator::new(5, Profile::default()).unwrap();
    let mut rng = Rng::new(5);
    let mut samples = Vec::new();
    for n in 0..1400_i64 {
        let kind = Kind::ALL[usize::try_from(n).unwrap() % Kind::ALL.len()];
        let at = 1_767_225_600_000_000 + n * 1_000_000;
        // one from which parts are missing may rightly lack somebody to call
        let varied = Variation { sparse: false, ..Variation::single(&mut rng) };
        let variation = if n % 2 == 0 { Variation::default() } else { varied };
        let message = generator.message(kind, at, at, variation);
        samples.push(("hospital".to_owned(), message.bytes));
    }
    let told = told(&samples);
    assert!(told.is_empty(), "\n{}\n", told.join("\n"));
}

/// Public samples, read where the environment variable FEEDPULSE_SAMPLES names their folder: no fault,
/// and what is said is printed to be looked at (`--nocapture`).
#[test]
fn public_samples_are_looked_at() {
    let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES") else { return };
    let mut samples = Vec::new();
    corpus(Path::new(&folder), &mut samples);
    eprintln!("{} messages\n{}", samples.len(), told(&samples).join("\n"));
}
