//! A check that wants to carry out what it sees: by codes, attributes, places, words, log lines, errors,
//! panics, and by what it remembers of other feeds. Only what its manifest lists comes through.

use crate::support::{NOW_MS, at, roomy, troublemaker};
use feedpulse_wasm::{
    Batch, CheckFinding, Finding, Grant, Kind, Limits, MessageAccess, Path, Row, Settings,
};
use std::sync::Arc;

/// What no finding may hold, nor any part of it of four characters.
const SECRETS: [&str; 4] = ["CANARYNAME", "7263548190", "CANARYRAW", "CANARYGET"];

/// A row that the thief will take: MSH-10 with an identifier in it, and a name.
fn row(id: u64, last: char) -> Row {
    Row { id, fields: format!("SMUGGLE7263548190{last}\u{1f}CANARYNAME^JANE") }
}

struct Messages;

impl MessageAccess for Messages {
    fn get(&self, _row: u64, _path: &Path) -> Option<String> {
        Some("CANARYGET".to_owned())
    }

    fn raw(&self, _row: u64) -> Option<String> {
        Some("MSH|^~\\&|\rPID|1||CANARYRAW".to_owned())
    }
}

/// All that came out of a few batches of two feeds, as text.
fn loot(grants: &[Grant]) -> (String, Vec<Finding>, feedpulse_wasm::Status) {
    let limits = Limits { faults: 1_000, ..roomy() };
    let settings = Settings { grants: grants.to_vec(), limits, ..Settings::default() };
    let mut worker = troublemaker().worker(settings).unwrap();
    let (mut text, mut found) = (String::new(), Vec::new());
    for (n, feed) in (0..).zip(["adt", "oru", "adt", "oru"]) {
        // the last digit says how the call ends: well, with an error, with a panic
        let rows = ['3', '7', '0', '1', '2'].map(|last| row(100 + n, last));
        let access = (!grants.is_empty()).then(|| Arc::new(Messages) as Arc<dyn MessageAccess>);
        let out = worker.check(&Batch { feed, now_ms: NOW_MS, access, ..at(&rows, n * 1000) });
        text.push_str(&format!("{out:?}"));
        found.extend(out.into_iter().filter_map(|one| match one {
            CheckFinding::Found(finding) => Some(finding),
            CheckFinding::Faulty(_) => None,
        }));
        for line in worker.take_log() {
            text.push_str(&line.text);
        }
    }
    (text, found, worker.status())
}

#[test]
fn only_what_the_manifest_lists_comes_through() {
    for grants in [&[][..], &[Grant::Get, Grant::Raw]] {
        let (text, found, status) = loot(grants);
        for secret in SECRETS {
            for part in secret.as_bytes().windows(4) {
                let part = std::str::from_utf8(part).unwrap();
                assert!(!text.contains(part), "{part} of {secret} came out: {text}");
            }
        }
        assert!(!found.is_empty(), "the honest finding passes");
        for finding in &found {
            assert_eq!((&*finding.code, &finding.text), ("troublemaker/seen", &None));
            assert!(finding.attrs.is_empty(), "{finding:?}");
        }
        assert!(status.faults_of(Kind::BadFinding) > 50, "{status:?}");
        assert!(status.faults_of(Kind::Trapped) > 0 && status.faults_of(Kind::PluginError) > 0);
        assert!(status.texts_dropped > 0 && status.log_withheld > 0, "{status:?}");
    }
}
