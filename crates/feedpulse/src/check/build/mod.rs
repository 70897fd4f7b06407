//! `feedpulse check build`: a folder becomes one `.wasm` file.
//!
//! A [`Builder`] per language compiles; the rest is the same for all: to a component, the manifest
//! beside the code, and the look of the host that will load it.

pub(crate) mod go;
pub(crate) mod js;
mod nowasi;
pub(crate) mod python;
pub(crate) mod rust;
mod tools;

#[expect(
    dead_code,
    reason = "build scripts take its shorter way, from folder to component at once"
)]
#[path = "../../../../../plugins/packaging.rs"]
mod packaging;

use super::templates::{self, LANGUAGES, Language};
use crate::cli::{DATA, Failure, IO, NO_INPUT, UNAVAILABLE};
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Grant, Manifest, Plugin, Runtime};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The interface, for languages whose compiler does not write it into the module.
const WIT: &str = include_str!("../../../../../wit/check@0.1.0/check.wit");

/// What is built.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// The check's folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes instead of DIR/NAME.wasm.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Compiles checks of one language.
pub(crate) trait Builder: Sync {
    /// Compiles the check in the folder. What the compiler says goes to standard error as it comes
    /// ([`packaging::run`] with `live`).
    ///
    /// # Errors
    /// A toolchain that is missing, with the command that installs it, or what is wrong in the source.
    fn compile(&self, folder: &Path) -> Result<Code, BuildError>;
}

/// What a compiler made.
pub(crate) enum Code {
    /// A core module that says its world itself, as wit-bindgen's guests do.
    Module(Vec<u8>),
    /// A core module that does not. `world` is one of `wit/`; `adapters` meet the imports that are
    /// not the world's (the name of their module, and a core module without imports of its own).
    Bare {
        /// The module.
        module: Vec<u8>,
        /// `check` or `check-and-tick`.
        world: &'static str,
        /// What meets the other imports.
        adapters: Vec<(&'static str, Vec<u8>)>,
    },
    /// A component, without its manifest.
    Component(Vec<u8>),
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// Something must be installed first; the sentence holds the command.
    #[error("{0}")]
    Toolchain(String),
    /// The source or the manifest is wrong.
    #[error("{0}")]
    Source(String),
    /// A file cannot be written.
    #[error("{0}")]
    Write(String),
    /// There is no check.
    #[error("{0}")]
    NoCheck(String),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let code = match &error {
            BuildError::Toolchain(_) => UNAVAILABLE,
            BuildError::Source(_) => DATA,
            BuildError::Write(_) => IO,
            BuildError::NoCheck(_) => NO_INPUT,
        };
        Self::new(code, anyhow!("{error}"))
    }
}

/// A component that this host would load.
pub(crate) struct Built {
    /// Where it was written.
    pub(crate) file: PathBuf,
    /// The component.
    pub(crate) wasm: Vec<u8>,
    /// What it says about itself.
    pub(crate) manifest: Manifest,
    /// The host that looked at it, and the check there: compiling it once more can take seconds.
    pub(crate) loaded: (Runtime, Plugin),
}

/// Runs the command.
pub(crate) fn main(args: &BuildArgs) -> Result<(), Failure> {
    let built = build(&args.dir, args.out.as_deref())?;
    print!("{}", built.summary());
    Ok(())
}

/// Builds the check of a folder and writes `NAME.wasm` (or `out`).
///
/// # Errors
/// What is missing or wrong, and what to do.
pub(crate) fn build(folder: &Path, out: Option<&Path>) -> Result<Built, BuildError> {
    let language = language(folder)?;
    let json = packaging::manifest_json(folder).map_err(|e| BuildError::Source(e.to_string()))?;
    let at = folder.join("plugin.toml");
    // before the compiler runs: a wrong manifest shows at once
    let manifest =
        Manifest::parse(&json).map_err(|e| BuildError::Source(format!("{}: {e}", at.display())))?;
    if let Some(schema) = &manifest.settings {
        crate::config::schema::valid(schema).map_err(|e| {
            let at = folder.join(packaging::SCHEMA);
            BuildError::Source(format!("{}: no JSON Schema: {e}", at.display()))
        })?;
    }
    let mut wasm = component(language.builder.compile(folder)?)?;
    packaging::append_section(&mut wasm, packaging::SECTION, &json);
    let cases = packaging::cases_json(folder).map_err(|e| BuildError::Source(e.to_string()))?;
    if let Some(cases) = cases {
        packaging::append_section(&mut wasm, packaging::CASES, &cases);
    }
    let runtime = Runtime::for_author(false).map_err(|e| BuildError::Source(e.to_string()))?;
    let plugin = runtime.load(&wasm).map_err(|e| {
        let hint = if e.to_string().contains("no exported") {
            "\nthe source must export the check: in Rust src/lib.rs ends with \
             `feedpulse_check::export!(fn check);`"
        } else {
            ""
        };
        BuildError::Source(format!("it is built, but no host would load it: {e}{hint}"))
    })?;
    let file = out.map_or_else(|| folder.join(format!("{}.wasm", manifest.name)), Path::to_owned);
    std::fs::write(&file, &wasm)
        .map_err(|e| BuildError::Write(format!("{}: {e}", file.display())))?;
    Ok(Built { file, wasm, manifest, loaded: (runtime, plugin) })
}

/// The language of a folder.
fn language(folder: &Path) -> Result<&'static Language, BuildError> {
    let at = folder.display();
    if !folder.is_dir() {
        return Err(BuildError::NoCheck(format!(
            "{at}: no such folder; `feedpulse check new NAME` makes one"
        )));
    }
    templates::of_folder(folder).ok_or_else(|| {
        let known: Vec<String> =
            LANGUAGES.iter().map(|l| format!("{} ({})", l.source, l.name)).collect();
        BuildError::NoCheck(format!(
            "{at}: no check is here: it would have one of {}; `feedpulse check new NAME` makes one",
            known.join(", ")
        ))
    })
}

/// Whatever the compiler made, as a component.
fn component(code: Code) -> Result<Vec<u8>, BuildError> {
    let wrong = |e: packaging::PackagingError| {
        BuildError::Source(format!(
            "{e}\nthe source must export `checker`; in Rust src/lib.rs ends with \
             `feedpulse_check::export!(…);`"
        ))
    };
    match code {
        Code::Component(component) => Ok(component),
        Code::Module(module) => packaging::encode(&module, &[]).map_err(wrong),
        Code::Bare { mut module, world, adapters } => {
            embed(&mut module, world).map_err(|e| BuildError::Source(e.to_string()))?;
            let adapters: Vec<_> = adapters.iter().map(|(name, it)| (*name, &**it)).collect();
            packaging::encode(&module, &adapters).map_err(wrong)
        }
    }
}

/// Writes a world of `wit/` into a module.
fn embed(module: &mut Vec<u8>, world: &str) -> anyhow::Result<()> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("check.wit", WIT)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(module, &resolve, world, utf8)
}

impl Built {
    /// What was made, in lines for people.
    fn summary(&self) -> String {
        let m = &self.manifest;
        let mut out = format!("{}\n", self.file.display());
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "  {name:<8} {value}");
        };
        line("check", &format!("{} {} ({})", m.name, m.version, m.wit));
        line("size", &size(self.wasm.len()));
        line("fields", &m.fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        line("grants", &grants(m));
        line("codes", &m.codes.keys().cloned().collect::<Vec<_>>().join(", "));
        line("digest", &digest(&self.wasm));
        out
    }
}

/// What it asks for beyond its fields.
pub(crate) fn grants(manifest: &Manifest) -> String {
    if manifest.grants.is_empty() {
        return "none".to_owned();
    }
    manifest.grants.iter().copied().map(Grant::name).collect::<Vec<_>>().join(", ")
}

/// `sha256:…` of a component.
pub(crate) fn digest(wasm: &[u8]) -> String {
    Sha256::digest(wasm).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes for people.
pub(crate) fn size(bytes: usize) -> String {
    if bytes < 10_000 { format!("{bytes} bytes") } else { format!("{} kB", bytes.div_ceil(1000)) }
}

#[cfg(test)]
mod tests {
    use super::packaging::{CASES, append_section, cases_json};
    use feedpulse_wasm::{About, Case, Grant};
    use std::fs;

    #[test]
    fn every_case_with_an_expectation_travels_whole() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join("cases").join(name);
        fs::create_dir_all(at("both")).unwrap();
        for (name, text) in [
            ("alone.rows.json", r#"[{"about": "connection", "@event": "idle"}, {"tick": 5}]"#),
            (
                "alone.expected.json",
                r#"{"grants": ["get"], "now-ms": 7, "ticks": [9], "feed": "f"}"#,
            ),
            ("beside.hl7", "MSH|1"),
            ("beside.rows.json", "[]"),
            ("beside.expected.json", r#"[{"row": 0, "code": "c", "attrs": {"n": 3}}]"#),
            ("both/2.hl7", "MSH|3"),
            ("both/1.hl7", "MSH|2"),
            ("both/expected.json", r#"{"settings": {"a": 1}, "refuses": "no"}"#),
            ("open.hl7", "MSH|4"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        append_section(&mut wasm, CASES, &cases_json(root.path()).unwrap().unwrap());
        let cases = Case::read(&wasm).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["alone", "beside", "both"], "one without an expectation stays at home");
        let [alone, beside, both] = &cases[..] else { panic!() };
        assert_eq!((alone.rows.len(), alone.rows[0].about), (2, Some(About::Connection)));
        assert_eq!(
            (&alone.grants[..], alone.now_ms, &alone.ticks[..]),
            (&[Grant::Get][..], Some(7), &[9][..])
        );
        assert_eq!(alone.feed.as_deref(), Some("f"));
        assert_eq!(beside.expected[0].attrs.as_ref().unwrap()["n"], "3");
        assert_eq!(both.messages, "MSH|2\n\nMSH|3");
        assert_eq!(both.refuses.as_deref(), Some("no"));
        fs::write(at("alone.rows.json"), "[").unwrap();
        assert!(cases_json(root.path()).unwrap_err().to_string().contains("alone.rows.json"));
    }
}
