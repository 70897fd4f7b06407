//! The languages that a check can be written in, and the files that `check new` writes for each: the
//! one list of them. Text between double underscores (`__name__`) is filled in by [`super::new`].

use super::build::Builder;
use super::build::rust::Rust;

/// A file of a new folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Where it goes, from the root of the folder.
    pub(crate) path: &'static str,
    /// What is in it.
    pub(crate) text: &'static str,
}

/// Names where a file goes, and where its text lies below `crates/feedpulse`.
macro_rules! files {
    ($($path:literal: $from:literal),* $(,)?) => {
        &[$(File {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $from)),
        }),*]
    };
}

/// A language.
pub(crate) struct Language {
    /// As in `--lang`.
    pub(crate) name: &'static str,
    /// Other words for it in `--lang`.
    pub(crate) aliases: &'static [&'static str],
    /// The file whose presence says that a folder's check is written in this language.
    pub(crate) source: &'static str,
    /// Files of every new folder of this language, the SDK among them.
    pub(crate) files: &'static [File],
    /// The source with the example check.
    pub(crate) example: &'static [File],
    /// The source that begins with a message from an incident (`--from-message`).
    pub(crate) incident: &'static [File],
    /// What the example may use, for `[budget]`: microseconds a row and MiB.
    pub(crate) budget: (u32, u32),
    /// What brings its tools into a new folder, as a command; empty when nothing has to be brought.
    pub(crate) setup: &'static str,
    /// Compiles it.
    pub(crate) builder: &'static dyn Builder,
}

/// Files of every new folder, whatever the language.
pub(crate) const COMMON: &[File] = files! {
    "plugin.toml": "templates/common/plugin.toml",
    "README.md": "templates/common/README.md",
    ".gitignore": "templates/common/gitignore",
    "sdk/wit/check@0.1.0/check.wit": "../../wit/check@0.1.0/check.wit",
    "sdk/wit/README.md": "../../wit/README.md",
};

/// The cases of the example check.
pub(crate) const EXAMPLE_CASES: &[File] = files! {
    "cases/emergency.hl7": "templates/common/cases/emergency.hl7",
    "cases/emergency.expected.json": "templates/common/cases/emergency.expected.json",
    "cases/inpatient.hl7": "templates/common/cases/inpatient.hl7",
    "cases/inpatient.expected.json": "templates/common/cases/inpatient.expected.json",
};

/// The language of Feedpulse itself.
const RUST: Language = Language {
    name: "rust",
    aliases: &["rs"],
    source: "src/lib.rs",
    files: files! {
        "Cargo.toml": "templates/rust/Cargo.toml",
        "sdk/rust/feedpulse-check/Cargo.toml": "templates/rust/sdk/Cargo.toml",
        "sdk/rust/feedpulse-check/src/about.rs": "../feedpulse-check/src/about.rs",
        "sdk/rust/feedpulse-check/src/finding.rs": "../feedpulse-check/src/finding.rs",
        "sdk/rust/feedpulse-check/src/host.rs": "../feedpulse-check/src/host.rs",
        "sdk/rust/feedpulse-check/src/lib.rs": "../feedpulse-check/src/lib.rs",
        "sdk/rust/feedpulse-check/src/path.rs": "../feedpulse-check/src/path.rs",
        "sdk/rust/feedpulse-check/src/row.rs": "../feedpulse-check/src/row.rs",
        "sdk/rust/feedpulse-check/src/runtime.rs": "../feedpulse-check/src/runtime.rs",
        "sdk/rust/feedpulse-check/src/testing.rs": "../feedpulse-check/src/testing.rs",
        "sdk/rust/feedpulse-check/src/testing/message.rs": "../feedpulse-check/src/testing/message.rs",
        "sdk/rust/feedpulse-check/src/value.rs": "../feedpulse-check/src/value.rs",
    },
    example: files! { "src/lib.rs": "templates/rust/src/lib.rs" },
    incident: files! { "src/lib.rs": "templates/rust/src/incident.rs" },
    budget: (5, 2),
    setup: "",
    builder: &Rust,
};

pub(in crate::check) mod others;

/// Every language, in the order in which they are listed.
pub(crate) const LANGUAGES: &[Language] =
    &[RUST, others::JAVASCRIPT, others::TYPESCRIPT, others::PYTHON, others::GO];

/// The language of that name.
pub(crate) fn by_name(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|l| l.name == name || l.aliases.contains(&name))
}

/// The language in which a folder's check is written.
pub(crate) fn of_folder(folder: &std::path::Path) -> Option<&'static Language> {
    LANGUAGES.iter().find(|l| folder.join(l.source).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_whole_rust_sdk_is_in_the_list() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let rust = by_name("rs").unwrap();
        for folder in ["src", "src/testing"] {
            let folder = Path::new("feedpulse-check").join(folder);
            for entry in std::fs::read_dir(here.join("..").join(&folder)).unwrap() {
                let entry = entry.unwrap().path();
                let path = Path::new("sdk/rust").join(&folder).join(entry.file_name().unwrap());
                let listed = rust.files.iter().any(|f| Path::new(f.path) == path);
                assert!(entry.is_dir() || listed, "{} is not in templates.rs", path.display());
            }
        }
    }

    #[test]
    fn the_sdk_is_built_with_the_same_bindings_as_here() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = std::fs::read_to_string(here.join("../../Cargo.toml")).unwrap();
        let line = |text: &str| {
            let found = text.lines().find(|l| l.starts_with("wit-bindgen = ")).map(str::to_owned);
            found.unwrap_or_else(|| panic!("no wit-bindgen in {text}"))
        };
        assert_eq!(line(include_str!("../../templates/rust/sdk/Cargo.toml")), line(&workspace));
    }
}
