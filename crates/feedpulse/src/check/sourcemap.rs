//! Places in a JavaScript bundle as places in the author's own source.
//!
//! The bundler's source map (ECMA-426, version 3) travels in the component, in a custom section, with
//! the names of source files from the check's folder and without their text. A check that fails names
//! `bundle.js:LINE:COLUMN`; an author is told `src/check.ts:LINE:COLUMN` instead. Places in the kit are
//! left out where one in the check's own source is there.

use feedpulse_wasm::custom_section;
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};

/// Name of the custom section.
pub(crate) const SECTION: &str = "feedpulse:source-map";
/// What places in the bundle begin with.
const BUNDLE: &str = "bundle.js:";
/// Most places that are told.
const MOST: usize = 3;
/// Longest map that is read, bytes.
const MAX_BYTES: usize = 4 << 20;

/// One mapped position: all from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    column: i64,
    source: i64,
    line: i64,
    source_column: i64,
}

/// A source map, ready to be asked.
pub(crate) struct SourceMap {
    sources: Vec<String>,
    /// By line of the bundle, sorted by column.
    lines: Vec<Vec<Segment>>,
}

/// A bundler's map with names from the check's folder and nothing that is not needed. `work` is the
/// folder that holds the map.
pub(crate) fn small(map: &[u8], folder: &Path, work: &Path) -> Vec<u8> {
    let map: Value = serde_json::from_slice(map).unwrap_or_default();
    let sources = map["sources"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let sources: Vec<String> = sources.map(|source| from(folder, &work.join(source))).collect();
    json!({"version": 3, "sources": sources, "mappings": map["mappings"]}).to_string().into_bytes()
}

/// A path from a folder; outside of it, from the `sdk` or `node_modules` that it is in.
fn from(folder: &Path, path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    if let Ok(inside) = plain.strip_prefix(folder) {
        return inside.display().to_string();
    }
    let parts: Vec<_> = plain.components().collect();
    let known =
        parts.iter().rposition(|p| matches!(p.as_os_str().to_str(), Some("sdk" | "node_modules")));
    // else the name alone: where things lie on the builder's machine is nobody's business
    let start = known.unwrap_or(parts.len().saturating_sub(1));
    parts.get(start..).unwrap_or_default().iter().collect::<PathBuf>().display().to_string()
}

impl SourceMap {
    /// That of a component; none when it carries none, or none that can be read.
    pub(crate) fn of(wasm: &[u8]) -> Option<Self> {
        let map = custom_section(wasm, SECTION).filter(|map| map.len() <= MAX_BYTES)?;
        Self::parse(&serde_json::from_slice(map).ok()?)
    }

    fn parse(map: &Value) -> Option<Self> {
        let sources = map["sources"].as_array()?.iter();
        let sources = sources.map(|s| s.as_str().unwrap_or_default().to_owned()).collect();
        let (mut source, mut line, mut source_column) = (0, 0, 0);
        let mut lines = Vec::new();
        for text in map["mappings"].as_str()?.split(';') {
            let mut column = 0;
            let mut segments = Vec::new();
            for segment in text.split(',').filter(|segment| !segment.is_empty()) {
                let numbers = vlq(segment)?;
                column += numbers.first()?;
                let [_, s, l, c, ..] = numbers[..] else { continue };
                (source, line, source_column) = (source + s, line + l, source_column + c);
                segments.push(Segment { column, source, line, source_column });
            }
            segments.sort_by_key(|segment| segment.column);
            lines.push(segments);
        }
        Some(Self { sources, lines })
    }

    /// Where a place of the bundle comes from: line and column from 1.
    fn place(&self, line: usize, column: i64) -> Option<(&str, i64, i64)> {
        let segments = self.lines.get(line.checked_sub(1)?)?;
        let before = segments.iter().rev().find(|s| s.column < column).or(segments.first())?;
        let source = self.sources.get(usize::try_from(before.source).ok()?)?;
        Some((source, before.line + 1, before.source_column + 1))
    }

    /// A cause with places of the source. `(a bundle.js:1:2, b bundle.js:3:4)` at its end, as the kit
    /// writes it, loses those of the kit.
    pub(crate) fn explained(&self, cause: &str) -> String {
        let Some((words, places)) = cause.rsplit_once(" (").filter(|(_, p)| p.contains(BUNDLE))
        else {
            return self.replaced(cause);
        };
        let all: Vec<String> =
            places.trim_end_matches(')').split(", ").map(|place| self.replaced(place)).collect();
        let own = |place: &&String| !place.contains("sdk/js/") && !place.contains("target/check/");
        let mut told: Vec<&str> = all.iter().filter(own).map(String::as_str).collect();
        if told.is_empty() {
            told = all.iter().map(String::as_str).collect();
        }
        told.truncate(MOST);
        format!("{words} ({})", told.join(", "))
    }

    /// A text in which places of the bundle are places of the source.
    fn replaced(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(BUNDLE) {
            let (before, place) = rest.split_at(at);
            out.push_str(before);
            let numbers = place.get(BUNDLE.len()..).unwrap_or_default();
            let end =
                numbers.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(numbers.len());
            let (numbers, tail) = numbers.split_at(end);
            let (line, column) = numbers.split_once(':').unwrap_or((numbers, "1"));
            let found = line.parse().ok().and_then(|l| self.place(l, column.parse().unwrap_or(1)));
            match found {
                Some((source, line, column)) => out.push_str(&format!("{source}:{line}:{column}")),
                None => out.push_str(&format!("{BUNDLE}{numbers}")),
            }
            rest = tail;
        }
        out + rest
    }
}

/// Numbers in Base64 VLQ: five bits a digit, the lowest first, the sign in the lowest bit of all.
fn vlq(text: &str) -> Option<Vec<i64>> {
    let (mut all, mut value, mut shift) = (Vec::new(), 0_i64, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value |= i64::from(digit & 31) << shift;
        if digit & 32 == 0 {
            all.push(if value & 1 == 1 { -(value >> 1) } else { value >> 1 });
            (value, shift) = (0, 0);
        } else if shift < 40 {
            shift += 5;
        } else {
            return None;
        }
    }
    (shift == 0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        assert_eq!(vlq("AAgBC"), Some(vec![0, 0, 16, 1]));
        assert_eq!(vlq("D"), Some(vec![-1]));
        assert_eq!((vlq("g"), vlq("!")), (None, None));
    }

    #[test]
    fn places_of_the_bundle_become_places_of_the_source() {
        // line 1 of the bundle is the kit's line 5, line 2 is line 17 of the check, from column 3 on
        let map = json!({"sources": ["sdk/js/src/component.js", "src/check.ts"], "mappings": "AAIA;ACYE,IAAI"});
        let map = SourceMap::parse(&map).unwrap();
        let said = "TypeError: no (yes) of x (check bundle.js:2:1, guarded bundle.js:1:9)";
        assert_eq!(map.explained(said), "TypeError: no (yes) of x (check src/check.ts:17:3)");
        assert_eq!(
            map.explained("x (a bundle.js:1:9)"),
            "x (a sdk/js/src/component.js:5:1)",
            "all that there is"
        );
        assert_eq!(map.explained("x (a bundle.js:99:9)"), "x (a bundle.js:99:9)");
        assert_eq!(map.explained("no place"), "no place");
        assert_eq!(map.place(2, 6), Some(("src/check.ts", 17, 7)));
    }

    #[test]
    fn names_tell_nothing_of_the_builders_machine() {
        let folder = Path::new("/home/ann/checks/mine");
        let name = |source: &str| from(folder, &folder.join("target/check").join(source));
        assert_eq!(name("../../src/check.ts"), "src/check.ts");
        assert_eq!(name("../../../node_modules/dayjs/x.js"), "node_modules/dayjs/x.js");
        assert_eq!(name("../../../shared.ts"), "shared.ts");
    }
}
