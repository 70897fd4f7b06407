//! The plugin interface: a released version never changes, which its recorded hash shows.

use super::{assert_none, at_root, tracked};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const HASHES: &str = "wit/HASHES";

/// The SHA-256 of each released folder: of its files' names and contents, in order of name.
fn hashes() -> BTreeMap<String, String> {
    let mut folders: BTreeMap<String, Sha256> = BTreeMap::new();
    let mut files = tracked();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &files {
        let Some((folder, name)) = file.path.strip_prefix("wit/").and_then(|p| p.split_once('/'))
        else {
            continue;
        };
        let hash = folders.entry(folder.to_owned()).or_default();
        hash.update(format!("{name}\0{}\0", file.content.len()));
        hash.update(&file.content);
    }
    let text = |hash: Sha256| {
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
            text
        })
    };
    folders.into_iter().map(|(folder, hash)| (folder, text(hash))).collect()
}

#[test]
fn released_interfaces_match_their_hash() {
    let now = hashes();
    if now.is_empty() {
        return; // No version was made yet.
    }
    let recorded = std::fs::read_to_string(at_root(HASHES)).unwrap_or_default();
    let recorded: BTreeMap<String, String> = recorded
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("  "))
        .map(|(hash, folder)| (folder.to_owned(), hash.to_owned()))
        .collect();
    let mut problems = Vec::new();
    for (folder, hash) in &now {
        match recorded.get(folder) {
            Some(known) if known == hash => {}
            Some(_) => problems.push(format!(
                "wit/{folder} was changed after its release; make a new version's folder instead. \
                 (Before the first release only: record {hash})"
            )),
            None => problems.push(format!("{HASHES} lacks the line:\n{hash}  {folder}")),
        }
    }
    for folder in recorded.keys().filter(|folder| !now.contains_key(*folder)) {
        problems.push(format!("{HASHES} names wit/{folder}, which is gone"));
    }
    assert_none(&problems);
}
