//! JavaScript, TypeScript, Python and Go. Their kits lie in `plugins/sdk` and are copied whole.

use super::{File, Language};
use crate::check::build::go::Go;
use crate::check::build::js::Js;
use crate::check::build::python::Python;

/// Brings esbuild and componentize-qjs.
pub(in crate::check) const NPM: &str = "npm install";
/// Brings componentize-py.
pub(in crate::check) const PIP: &str =
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";

/// Files of a folder in JavaScript or TypeScript: its own, and the kit that both share.
macro_rules! with_js_kit {
    ($($path:literal: $from:literal),* $(,)?) => {
        files! {
            $($path: $from,)*
            "sdk/js/index.d.ts": "../../plugins/sdk/js/index.d.ts",
            "sdk/js/package.json": "../../plugins/sdk/js/package.json",
            "sdk/js/testing.d.ts": "../../plugins/sdk/js/testing.d.ts",
            "sdk/js/src/about.js": "../../plugins/sdk/js/src/about.js",
            "sdk/js/src/component.js": "../../plugins/sdk/js/src/component.js",
            "sdk/js/src/finding.js": "../../plugins/sdk/js/src/finding.js",
            "sdk/js/src/host.js": "../../plugins/sdk/js/src/host.js",
            "sdk/js/src/index.js": "../../plugins/sdk/js/src/index.js",
            "sdk/js/src/manifest.js": "../../plugins/sdk/js/src/manifest.js",
            "sdk/js/src/message.js": "../../plugins/sdk/js/src/message.js",
            "sdk/js/src/path.js": "../../plugins/sdk/js/src/path.js",
            "sdk/js/src/row.js": "../../plugins/sdk/js/src/row.js",
            "sdk/js/src/runtime.js": "../../plugins/sdk/js/src/runtime.js",
            "sdk/js/src/settings.js": "../../plugins/sdk/js/src/settings.js",
            "sdk/js/src/testing.js": "../../plugins/sdk/js/src/testing.js",
            "sdk/js/src/text.js": "../../plugins/sdk/js/src/text.js",
            "sdk/js/src/timestamp.js": "../../plugins/sdk/js/src/timestamp.js",
        }
    };
}

/// For QuickJS.
pub(super) const JAVASCRIPT: Language = Language {
    name: "js",
    aliases: &["javascript"],
    source: "src/check.js",
    files: with_js_kit! { "package.json": "templates/js/package.json" },
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
    files: with_js_kit! {
        "package.json": "templates/ts/package.json",
        "tsconfig.json": "templates/ts/tsconfig.json",
    },
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
    files: files! {
        "requirements.txt": "templates/python/requirements.txt",
        "sdk/python/feedpulse_check/__init__.py": "../../plugins/sdk/python/feedpulse_check/__init__.py",
        "sdk/python/feedpulse_check/about.py": "../../plugins/sdk/python/feedpulse_check/about.py",
        "sdk/python/feedpulse_check/component.py": "../../plugins/sdk/python/feedpulse_check/component.py",
        "sdk/python/feedpulse_check/finding.py": "../../plugins/sdk/python/feedpulse_check/finding.py",
        "sdk/python/feedpulse_check/host.py": "../../plugins/sdk/python/feedpulse_check/host.py",
        "sdk/python/feedpulse_check/message.py": "../../plugins/sdk/python/feedpulse_check/message.py",
        "sdk/python/feedpulse_check/path.py": "../../plugins/sdk/python/feedpulse_check/path.py",
        "sdk/python/feedpulse_check/py.typed": "../../plugins/sdk/python/feedpulse_check/py.typed",
        "sdk/python/feedpulse_check/row.py": "../../plugins/sdk/python/feedpulse_check/row.py",
        "sdk/python/feedpulse_check/runtime.py": "../../plugins/sdk/python/feedpulse_check/runtime.py",
        "sdk/python/feedpulse_check/settings.py": "../../plugins/sdk/python/feedpulse_check/settings.py",
        "sdk/python/feedpulse_check/testing.py": "../../plugins/sdk/python/feedpulse_check/testing.py",
        "sdk/python/feedpulse_check/text.py": "../../plugins/sdk/python/feedpulse_check/text.py",
        "sdk/python/feedpulse_check/timestamp.py": "../../plugins/sdk/python/feedpulse_check/timestamp.py",
    },
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
    files: files! {
        "go.mod": "templates/go/go.mod",
        "sdk/go/about.go": "../../plugins/sdk/go/about.go",
        "sdk/go/abi_wasip1.go": "../../plugins/sdk/go/abi_wasip1.go",
        "sdk/go/check.go": "../../plugins/sdk/go/check.go",
        "sdk/go/checktest/manifest.go": "../../plugins/sdk/go/checktest/manifest.go",
        "sdk/go/checktest/message.go": "../../plugins/sdk/go/checktest/message.go",
        "sdk/go/checktest/run.go": "../../plugins/sdk/go/checktest/run.go",
        "sdk/go/finding.go": "../../plugins/sdk/go/finding.go",
        "sdk/go/go.mod": "../../plugins/sdk/go/go.mod",
        "sdk/go/host.go": "../../plugins/sdk/go/host.go",
        "sdk/go/host_native.go": "../../plugins/sdk/go/host_native.go",
        "sdk/go/host_wasip1.go": "../../plugins/sdk/go/host_wasip1.go",
        "sdk/go/path.go": "../../plugins/sdk/go/path.go",
        "sdk/go/row.go": "../../plugins/sdk/go/row.go",
        "sdk/go/settings.go": "../../plugins/sdk/go/settings.go",
        "sdk/go/text.go": "../../plugins/sdk/go/text.go",
        "sdk/go/tick/export_wasip1.go": "../../plugins/sdk/go/tick/export_wasip1.go",
        "sdk/go/tick/tick.go": "../../plugins/sdk/go/tick/tick.go",
        "sdk/go/timestamp.go": "../../plugins/sdk/go/timestamp.go",
    },
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
    use super::*;
    use std::path::Path;

    /// Every file below a folder, as paths from the kits' folder.
    fn walk(folder: &Path, root: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else {
                into.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

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

    #[test]
    fn the_kits_are_copied_whole() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk");
        for (kit, languages) in
            [("js", &[JAVASCRIPT, TYPESCRIPT][..]), ("python", &[PYTHON]), ("go", &[GO])]
        {
            let mut files = Vec::new();
            walk(&root.join(kit), &root, &mut files);
            // their own tests stay here, and what an interpreter left
            let copied = |file: &String| {
                let part = |part: &str| file.split('/').any(|p| p == part);
                let skipped = ["test", "tests", "__pycache__", ".mypy_cache", "node_modules"];
                !skipped.iter().any(|name| part(name)) && !file.ends_with("_test.go")
            };
            for file in files.into_iter().filter(copied) {
                for language in languages {
                    let listed = language.files.iter().any(|f| f.path == format!("sdk/{file}"));
                    assert!(listed, "{file} is not among the files of {}", language.name);
                }
            }
        }
    }
}
