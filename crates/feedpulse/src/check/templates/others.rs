//! JavaScript, TypeScript, Python and Go. Their kits lie in `plugins/sdk` and are copied whole, without
//! their own tests.

use super::{File, Language};
use crate::check::build::go::Go;
use crate::check::build::js::Js;
use crate::check::build::python::Python;

/// Brings esbuild and componentize-qjs.
pub(in crate::check) const NPM: &str = "npm install";
/// Brings componentize-py.
pub(in crate::check) const PIP: &str =
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";

/// For QuickJS.
pub(super) const JAVASCRIPT: Language = Language {
    name: "js",
    aliases: &["javascript"],
    source: "src/check.js",
    files: files! { "package.json": "templates/js/package.json" },
    kit: kit!("js"),
    example: files! {
        "src/check.js": "templates/js/src/check.js",
        "test/check.test.js": "templates/js/test/check.test.js",
    },
    incident: files! { "src/check.js": "templates/js/src/incident.js" },
    budget: (20, 4),
    setup: NPM,
    builder: &Js { source: "src/check.js" },
};

/// The same with types, which the bundler takes out.
pub(super) const TYPESCRIPT: Language = Language {
    name: "ts",
    aliases: &["typescript"],
    source: "src/check.ts",
    files: files! {
        "package.json": "templates/ts/package.json",
        "tsconfig.json": "templates/ts/tsconfig.json",
    },
    kit: kit!("js"),
    example: files! {
        "src/check.ts": "templates/ts/src/check.ts",
        "test/check.test.ts": "templates/ts/test/check.test.ts",
    },
    incident: files! { "src/check.ts": "templates/ts/src/incident.ts" },
    budget: (20, 4),
    setup: NPM,
    builder: &Js { source: "src/check.ts" },
};

/// For CPython.
pub(super) const PYTHON: Language = Language {
    name: "python",
    aliases: &["py"],
    source: "check.py",
    files: files! { "requirements.txt": "templates/python/requirements.txt" },
    kit: kit!("python"),
    example: files! {
        "check.py": "templates/python/check.py",
        "tests/test_check.py": "templates/python/tests/test_check.py",
    },
    incident: files! { "check.py": "templates/python/incident.py" },
    budget: (20, 16),
    setup: PIP,
    builder: &Python,
};

/// For the stock compiler.
pub(super) const GO: Language = Language {
    name: "go",
    aliases: &["golang"],
    source: "main.go",
    files: files! { "go.mod": "templates/go/go.mod" },
    kit: kit!("go"),
    example: files! {
        "main.go": "templates/go/main.go",
        "main_test.go": "templates/go/main_test.go",
    },
    incident: files! { "main.go": "templates/go/incident.go" },
    budget: (10, 10),
    setup: "",
    builder: &Go,
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_kit_knows_the_words_of_the_rust_kit() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let rust = read("crates/feedpulse-check/src/about.rs");
        // `Case "word" "What it means.";`
        let word = |line: &str| {
            let (case, rest) = line.trim().split_once(" \"")?;
            let is_case = case.chars().all(|c| c.is_ascii_alphanumeric()) && line.ends_with(';');
            is_case.then(|| rest.split('"').next().map(str::to_owned))?
        };
        let words: Vec<String> = rust.lines().filter_map(word).collect();
        assert!(words.len() > 35 && words.iter().any(|w| w == "half_open"), "{words:?}");
        for kit in
            ["js/src/about.js", "js/index.d.ts", "python/feedpulse_check/about.py", "go/about.go"]
        {
            let text = read(&format!("plugins/sdk/{kit}"));
            for word in &words {
                assert!(text.contains(&format!("\"{word}\"")), "{word} is not in {kit}");
            }
        }
    }
}
