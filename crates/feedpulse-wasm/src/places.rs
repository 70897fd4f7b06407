//! Where a Rust check can panic, read from the component when it is loaded.
//!
//! `panicked at FILE:LINE:COLUMN` is the one line that a check may write without a grant, since it
//! helps its author and quotes no message. A guest could forge it: a name in place of the file, a
//! number in place of the line. So only places pass that the compiler left in the module's own data,
//! as `core::panic::Location` (pointer and length of the file's name, line, column), before the
//! guest saw any message. A module with more than [`MAX_PLACES`] of them gets none through: a choice
//! of one among many would say too much by itself.

use std::collections::HashSet;
use wasmparser::{DataKind, Operator, Parser, Payload};

/// What stands before a place.
const PREFIX: &str = "panicked at ";
/// Most places that can be told apart: 11 bits.
const MAX_PLACES: usize = 2048;
/// Longest file name, bytes.
const MAX_FILE: usize = 200;
/// Largest line and column.
const MAX_LINE: u32 = 100_000;
/// See [`MAX_LINE`].
const MAX_COLUMN: u32 = 1_000;

/// The places, as `FILE:LINE:COLUMN`.
#[derive(Debug, Default)]
pub(crate) struct Places(HashSet<Box<str>>);

impl Places {
    /// Of a component; none when it is not Rust's, or when there are too many.
    pub(crate) fn of(wasm: &[u8]) -> Self {
        let mut places = HashSet::new();
        for module in modules(wasm) {
            for (_, data) in &module {
                let aligned = data.windows(16).step_by(4);
                places.extend(aligned.filter_map(|words| place(&module, words)));
                if places.len() > MAX_PLACES {
                    return Self::default();
                }
            }
        }
        Self(places)
    }

    /// Whether a line says that the guest panicked at one of them, and nothing else.
    pub(crate) fn holds(&self, line: &str) -> bool {
        line.strip_prefix(PREFIX).is_some_and(|place| self.0.contains(place))
    }
}

/// A module's data: where in memory, and what.
type Image<'a> = Vec<(u32, &'a [u8])>;

/// The data of each core module in a component. Reading ends at the first thing that is not valid;
/// the engine's own validation says so louder.
fn modules(wasm: &[u8]) -> Vec<Image<'_>> {
    let mut modules: Vec<Image<'_>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::ModuleSection { .. }) => modules.push(Vec::new()),
            Ok(Payload::DataSection(section)) => {
                let Some(module) = modules.last_mut() else { continue };
                for data in section.into_iter().flatten() {
                    let DataKind::Active { memory_index: 0, offset_expr } = data.kind else {
                        continue;
                    };
                    if let Ok(Operator::I32Const { value }) =
                        offset_expr.get_operators_reader().read()
                    {
                        module.push((value.cast_unsigned(), data.data));
                    }
                }
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    modules
}

/// Reads four words of data as a place in a source file.
fn place(module: &Image<'_>, words: &[u8]) -> Option<Box<str>> {
    let word = |n: usize| {
        let bytes = words.get(4 * n..4 * n + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (pointer, length, line, column) = (word(0)?, word(1)?, word(2)?, word(3)?);
    if !(1..=MAX_LINE).contains(&line) || !(1..=MAX_COLUMN).contains(&column) {
        return None;
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_FILE)?;
    let (start, data) = module
        .iter()
        .find(|(start, data)| (*start..*start + data.len() as u32).contains(&pointer))?;
    let from = usize::try_from(pointer - start).ok()?;
    let name = std::str::from_utf8(data.get(from..from + length)?).ok()?;
    // some releases of Rust end the name with a zero
    let name = name.strip_suffix('\0').unwrap_or(name);
    let in_file =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+');
    (name.len() > 3 && name.ends_with(".rs") && name.chars().all(in_file))
        .then(|| format!("{name}:{line}:{column}").into())
}

#[cfg(test)]
#[path = "places/tests.rs"]
mod tests;
