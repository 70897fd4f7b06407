//! The functions of a guest that led to a trap, for its author.

use std::fmt::Write as _;
use wasmtime::{Error, WasmBacktrace};

/// Most functions that are told.
const MOST: usize = 8;
/// Longest name of one, characters.
const MAX_NAME: usize = 80;
/// What begins names of the languages' own machinery, which tells an author nothing.
const MACHINERY: [&str; 12] = [
    "core::",
    "std::",
    "alloc::",
    "__rust",
    "rust_",
    "dlmalloc",
    "feedpulse:check/",
    "cabi_",
    "<alloc",
    "<core",
    "runtime.",
    "wit-component:",
];

/// `; in a, called by b, …`: innermost first, as far as the component has names; else nothing.
pub(crate) fn told(error: &Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names = trace.frames().iter().filter_map(|frame| frame.func_name()).map(readable);
    let mut all: Vec<String> = names.filter(|name| !is_machinery(name)).collect();
    // a function that calls itself stands there once
    all.dedup();
    all.truncate(MOST);
    let mut out = String::new();
    for (n, name) in all.iter().enumerate() {
        let _ = write!(out, "{}{name}", if n == 0 { "; in " } else { ", called by " });
    }
    out
}

fn is_machinery(name: &str) -> bool {
    MACHINERY.iter().any(|begin| name.starts_with(begin))
        || name.starts_with("_R")
        || name.starts_with("_ZN")
}

/// A name as its author wrote it.
fn readable(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        assert_eq!(
            readable("_ZN12troublemaker7endless17h0123456789abcdefE"),
            "troublemaker::endless"
        );
        assert_eq!(readable("main.finder.Check"), "main.finder.Check");
        assert!(is_machinery("core::panicking::panic") && !is_machinery("visit_check::check"));
    }
}
