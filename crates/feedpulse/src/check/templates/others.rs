//! JavaScript, TypeScript, Python and Go. Their kits lie in `plugins/sdk` and are copied whole, without
//! their own tests.

use super::{File, Language};
use crate::check::build::go::Go;
use crate::check::build::js::Js;
use crate::check::build::python::Python;

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
    builder: &Go,
};
