//! Rules for finding codes: four digits, one meaning, told to the operator in words.

use super::{assert_none, at_root, tracked};

const CODES: &str = "crates/feedpulse-core/src/codes.rs";

/// The finding codes in a text, in order: `FP` and four digits, and no longer word around them.
fn codes_in(text: &str) -> Vec<&str> {
    let mut codes = Vec::new();
    for (at, _) in text.match_indices("FP") {
        let Some(code) = text.get(at..at + 6) else { continue };
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let before = text.get(..at).and_then(|head| head.chars().next_back());
        let after = text.get(at + 6..).and_then(|tail| tail.chars().next());
        let digits = code.bytes().skip(2).all(|b| b.is_ascii_digit());
        if digits && !is_word(before) && !is_word(after) {
            codes.push(code);
        }
    }
    codes
}

/// The string literals of a piece of Rust that holds no comments, raw strings or characters.
fn literals(source: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut open: Option<String> = None;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        open = match (open.take(), c) {
            (None, '"') => Some(String::new()),
            (None, _) => None,
            (Some(text), '"') => {
                literals.push(text);
                None
            }
            (Some(mut text), '\\') => {
                text.extend(chars.next());
                Some(text)
            }
            (Some(mut text), other) => {
                text.push(other);
                Some(text)
            }
        };
    }
    literals
}

/// The entries of the `codes! { … }` table: `Name "FPnnnn" Severity "title" "means" "remedy";`,
/// each as its code and the texts after it.
fn entries(source: &str) -> Vec<(String, Vec<String>)> {
    let table = source.rsplit_once("codes! {").map_or("", |(_, table)| table);
    let table = table.split_once("\n}").map_or(table, |(table, _)| table);
    let mut entries: Vec<(String, Vec<String>)> = Vec::new();
    for literal in literals(table) {
        if codes_in(&literal) == [literal.as_str()] {
            entries.push((literal, Vec::new()));
        } else if let Some((_, texts)) = entries.last_mut() {
            texts.push(literal);
        }
    }
    entries
}

#[test]
fn codes_are_unique_and_documented() {
    let source = std::fs::read_to_string(at_root(CODES)).expect("the table of codes is there");
    let entries = entries(&source);
    assert!(entries.len() >= 5, "the table in {CODES} was not understood: {}", entries.len());
    let mut problems = Vec::new();
    for (index, (code, texts)) in entries.iter().enumerate() {
        if entries.iter().take(index).any(|(other, _)| other == code) {
            problems.push(format!("{code} is there twice"));
        }
        // Its title, what it means, what to do.
        if texts.len() != 3 || texts.iter().any(|text| text.trim().len() < 4) {
            problems.push(format!("{code} wants a title, a meaning and a remedy: {texts:?}"));
        }
    }
    assert_none(&problems);
}

#[test]
fn documents_name_only_codes_that_exist() {
    let source = std::fs::read_to_string(at_root(CODES)).expect("the table of codes is there");
    let entries = entries(&source);
    let known: Vec<_> = entries.iter().map(|(code, _)| code.as_str()).collect();
    let mut problems = Vec::new();
    for file in tracked().iter().filter(|f| f.has_extension("md") || f.has_extension("yaml")) {
        for code in codes_in(file.text().unwrap_or_default()) {
            if !known.contains(&code) {
                problems.push(format!("{}: {code} is not in {CODES}", file.path));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn codes_are_found_as_whole_words() {
    assert_eq!(codes_in("FP0123, (FP9999) XFP0001 FP12345 FP12a4 FP"), ["FP0123", "FP9999"]);
    let table = "macro codes! {$x} codes! {\n A \"FP0001\" Note \"t; u\" \"m\\\"\"\n \"r\"; \
                 B \"FP0002\" Page \"t\";\n}\n \"later\"";
    let found = entries(table);
    assert_eq!(found[0], ("FP0001".into(), vec!["t; u".into(), "m\"".into(), "r".into()]));
    assert_eq!(found[1], ("FP0002".into(), vec!["t".into()]));
    assert_eq!(found.len(), 2);
}
