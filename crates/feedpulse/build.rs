//! Builds the checks that come with Feedpulse, so that a clean clone runs one without another step:
//! each crate in `plugins/` becomes one file in `OUT_DIR`, and `builtin.rs` there lists them. Beside it
//! `kit-LANGUAGE.rs` lists the files of each language's kit, which `check new` copies.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

#[path = "../../plugins/packaging.rs"]
mod packaging;

/// What every check is made of, from the root of the repository.
const SHARED: [&str; 4] = [
    "plugins/packaging.rs",
    "crates/feedpulse-check/Cargo.toml",
    "crates/feedpulse-check/src",
    "wit",
];
/// The kit of each language: where it lies, from the root of the repository, and where a copy goes.
const KITS: [(&str, &str, &str); 4] = [
    ("rust", "crates/feedpulse-check/src", "sdk/rust/feedpulse-check/src"),
    ("js", "plugins/sdk/js", "sdk/js"),
    ("python", "plugins/sdk/python", "sdk/python"),
    ("go", "plugins/sdk/go", "sdk/go"),
];
/// What a check itself is made of, from its folder.
const OWN: [&str; 4] = ["Cargo.toml", "Cargo.lock", "plugin.toml", "src"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?;
    let root = Path::new(&here).join("../..").canonicalize()?;
    println!("cargo::rerun-if-changed=build.rs");
    watch(&root, &SHARED)?;
    let mut list = String::from("&[\n");
    for folder in checks(&root.join("plugins"))? {
        let name =
            folder.file_name().and_then(|name| name.to_str()).ok_or("an odd name in plugins/")?;
        watch(&folder, &OWN)?;
        // Not every check has them, and cargo would build each time when one that it watches is missing.
        for some in ["cases", packaging::SCHEMA] {
            if folder.join(some).exists() {
                watch(&folder, &[some])?;
            }
        }
        match packaging::component(&folder, &out.join("plugins")) {
            Ok(component) => {
                let file = out.join(format!("{name}.wasm"));
                fs::write(&file, component)?;
                writeln!(list, "    ({name:?}, include_bytes!({file:?})),")?;
            }
            Err(e) => {
                // cargo shows what a failing build script says on standard error
                eprintln!("{e}");
                return Err(format!("the check {name} was not built").into());
            }
        }
    }
    list.push_str("]\n");
    fs::write(out.join("builtin.rs"), list)?;
    for (language, from, to) in KITS {
        watch(&root, &[from])?;
        let mut list = String::from("&[\n");
        kit(&root.join(from), to, &mut list)?;
        list.push_str("]\n");
        fs::write(out.join(format!("kit-{language}.rs")), list)?;
    }
    Ok(())
}

/// Lists the files of a kit: all but its own tests and what tools leave behind.
fn kit(folder: &Path, to: &str, list: &mut String) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| "an odd name in a kit")?;
        let to = format!("{to}/{name}");
        if ["test", "tests", "__pycache__", "node_modules"].contains(&name.as_str())
            || name.starts_with('.')
            || name.ends_with("_test.go")
        {
            continue;
        }
        if path.is_dir() {
            kit(&path, &to, list)?;
        } else {
            writeln!(list, "    File {{ path: {to:?}, text: include_str!({path:?}) }},")?;
        }
    }
    Ok(())
}

/// The folders of the checks that are crates, in order of name.
fn checks(plugins: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", plugins.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(plugins)? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}

/// Asks cargo to build again when one of these changes.
fn watch(folder: &Path, names: &[&str]) -> Result<(), Box<dyn Error>> {
    for name in names {
        let path = folder.join(name);
        // cargo would build each time when a path that it shall watch is not there
        if !path.exists() {
            return Err(format!("{} is missing: the checkout is not whole", path.display()).into());
        }
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}
