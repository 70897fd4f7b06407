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

/// The kit of a language, as the build script found it.
macro_rules! kit {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/kit-", $name, ".rs"))
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
    /// Files of every new folder of this language.
    pub(crate) files: &'static [File],
    /// The files of its SDK.
    pub(crate) kit: &'static [File],
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
    },
    kit: kit!("rust"),
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
    fn every_language_has_its_kit_without_what_is_not_for_authors() {
        for (language, file) in [
            ("rust", "sdk/rust/feedpulse-check/src/testing/message.rs"),
            ("js", "sdk/js/src/index.js"),
            ("ts", "sdk/js/index.d.ts"),
            ("python", "sdk/python/feedpulse_check/py.typed"),
            ("go", "sdk/go/tick/tick.go"),
        ] {
            let kit = by_name(language).unwrap().kit;
            assert!(kit.iter().any(|f| f.path == file), "{language}: {file}");
            let other = kit.iter().find(|f| {
                let part = |part: &str| f.path.split('/').any(|p| p == part);
                part("tests") || part("test") || part("__pycache__") || f.path.ends_with("_test.go")
            });
            assert!(other.is_none(), "{language}: {:?}", other.map(|f| f.path));
        }
    }

    #[test]
    fn the_sdk_has_the_same_dependencies_as_here() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| std::fs::read_to_string(here.join(path)).unwrap();
        let listed = |text: &str| {
            let (_, part) = text.split_once("[dependencies]\n").unwrap();
            let part = part.split("\n[").next().unwrap();
            part.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let workspace = read("../../Cargo.toml");
        let kit = listed(&read("../feedpulse-check/Cargo.toml"));
        let names = kit.iter().map(|line| line.split(['.', ' ']).next().unwrap());
        let wanted: Vec<&str> = names
            .map(|name| workspace.lines().find(|l| l.starts_with(&format!("{name} = "))).unwrap())
            .collect();
        assert_eq!(listed(include_str!("../../templates/rust/sdk/Cargo.toml")), wanted);
    }
}
