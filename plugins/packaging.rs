//! Builds a check's crate into one file: cargo for `wasm32-unknown-unknown`, then the core module
//! becomes a component, then the manifest goes in beside the code.
//!
//! Shared by `#[path]` by everything that builds checks (build scripts, developer commands, tests),
//! so that each builds them the same way. Its users depend on `wit-component`, `toml` and
//! `serde_json`. The file that comes out is the same on every machine with the same toolchain.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fmt, fs, thread};

/// The only target: no operating system, so nothing to import but the host's own functions.
const TARGET: &str = "wasm32-unknown-unknown";
/// Custom section that holds the manifest as JSON.
pub(crate) const SECTION: &str = "feedpulse:plugin";
/// Custom section that holds the cases as JSON.
pub(crate) const CASES: &str = "feedpulse:cases";

/// Why a check was not built: a sentence with the place and what to do.
#[derive(Debug)]
pub(crate) struct PackagingError(String);

impl fmt::Display for PackagingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PackagingError {}

/// Builds the Rust check in `folder` (which holds `Cargo.toml` and `plugin.toml`) and gives the
/// bytes of the component. `target` is cargo's target folder for it; checks may share one.
///
/// # Errors
/// When the WebAssembly target cannot be had, the crate does not compile, `plugin.toml` is not
/// TOML, or the module is not a check.
pub(crate) fn component(folder: &Path, target: &Path) -> Result<Vec<u8>, PackagingError> {
    let manifest = manifest_json(folder)?;
    let module = compile(folder, target, false)?;
    let mut component = encode(&module, &[]).map_err(|e| {
        fail(format!(
            "{}: {e}\n\
             does src/lib.rs end with `feedpulse_check::export!(…);`, and is the crate-type cdylib?",
            folder.display()
        ))
    })?;
    append_section(&mut component, SECTION, &manifest);
    if let Some(cases) = cases_json(folder)? {
        append_section(&mut component, CASES, &cases);
    }
    Ok(component)
}

/// Most cases that travel with a component.
const CASES_MAX: usize = 64;
/// Most bytes of all of them.
const CASES_BYTES: usize = 1 << 20;
/// What an expectation may say beside its findings; it travels as it is.
const STATED: [&str; 6] = ["settings", "grants", "feed", "now-ms", "ticks", "refuses"];

/// The cases of a check, for the host to try a version with before it runs it: each `cases/NAME.hl7`
/// or `NAME.rows.json`, or both, with `NAME.expected.json` beside them; and each folder `cases/NAME`
/// with `.hl7` files, `rows.json` and `expected.json`. None where there are none. They travel with the
/// component, so they hold made-up patients only. Of more than 64, or of more than 1 MiB in all, the
/// first travel.
///
/// # Errors
/// A file cannot be read, or an expectation or a list of rows is not JSON.
pub(crate) fn cases_json(folder: &Path) -> Result<Option<Vec<u8>>, PackagingError> {
    let root = folder.join("cases");
    let mut names: Vec<String> =
        listed(&root).into_iter().filter_map(|path| case_name(&path)).collect();
    names.sort();
    names.dedup();
    let (mut cases, mut bytes) = (Vec::new(), 2);
    for name in names.into_iter().take(CASES_MAX) {
        let Some(case) = case_json(&root, &name)? else { continue };
        bytes += case.to_string().len() + 1;
        if bytes > CASES_BYTES {
            break;
        }
        cases.push(case);
    }
    if cases.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(&cases).map(Some).map_err(|e| fail(format!("{}: {e}", folder.display())))
}

/// What is in a folder, sorted; nothing where there is none.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// The case that a file or folder belongs to, if it holds what is to be checked.
fn case_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if path.is_dir() {
        return Some(name.to_owned());
    }
    [".hl7", ".rows.json"].iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned)
}

/// One case as it travels; none without an expectation, which is for `feedpulse check test --accept`.
fn case_json(root: &Path, name: &str) -> Result<Option<serde_json::Value>, PackagingError> {
    use serde_json::{Value, json};
    let text = |path: &Path| {
        fs::read_to_string(path).map_err(|e| fail(format!("{}: {e}", path.display())))
    };
    let read = |path: &Path| -> Result<Option<Value>, PackagingError> {
        if !path.is_file() {
            return Ok(None);
        }
        serde_json::from_str(&text(path)?)
            .map(Some)
            .map_err(|e| fail(format!("{}: {e}", path.display())))
    };
    let beside = |end: &str| root.join(format!("{name}.{end}"));
    let inside = root.join(name);
    let (messages, rows, expected) = if inside.is_dir() {
        let is_hl7 = |path: &PathBuf| path.extension().is_some_and(|e| e == "hl7");
        let files: Vec<PathBuf> = listed(&inside).into_iter().filter(is_hl7).collect();
        (files, inside.join("rows.json"), inside.join("expected.json"))
    } else {
        let file = beside("hl7");
        let files = if file.is_file() { vec![file] } else { Vec::new() };
        (files, beside("rows.json"), beside("expected.json"))
    };
    let Some(expected) = read(&expected)? else { return Ok(None) };
    let mut case = json!({"name": name});
    let mut texts = Vec::new();
    for file in &messages {
        texts.push(text(file)?);
    }
    case["messages"] = Value::from(texts.join("\n\n"));
    // only what is there, so that an older host still reads the case of an older kind
    if let Some(rows) = read(&rows)? {
        case["rows"] = rows;
    }
    let findings = match expected {
        Value::Object(mut all) => {
            for key in STATED {
                if let Some(stated) = all.remove(key) {
                    case[key] = stated;
                }
            }
            all.remove("findings").unwrap_or_else(|| json!([]))
        }
        findings => findings,
    };
    case["expected"] = with_texts(findings);
    Ok(Some(case))
}

/// Findings with the values of their attributes as the host writes them.
fn with_texts(mut findings: serde_json::Value) -> serde_json::Value {
    for finding in findings.as_array_mut().into_iter().flatten() {
        let attrs = finding.get_mut("attrs").and_then(serde_json::Value::as_object_mut);
        for value in attrs.into_iter().flat_map(|all| all.values_mut()) {
            if !value.is_string() {
                *value = serde_json::Value::String(value.to_string());
            }
        }
    }
    findings
}

/// A core module that carries its world (wit-bindgen writes it there) as a component. Imports that
/// are not the world's are met by the adapters: the name of their module, and a core module.
///
/// # Errors
/// Why the module does not fit its world.
pub(crate) fn encode(module: &[u8], adapters: &[(&str, &[u8])]) -> Result<Vec<u8>, PackagingError> {
    let mut encoder = wit_component::ComponentEncoder::default().module(module);
    for (name, adapter) in adapters {
        encoder = encoder.and_then(|encoder| encoder.adapter(name, adapter));
    }
    encoder
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|e| fail(format!("the compiled module is not a check: {e:#}")))
}

/// The JSON Schema of a check's settings, beside its manifest, where it has one.
pub(crate) const SCHEMA: &str = "settings.schema.json";

/// `plugin.toml` as JSON text, with the schema of the settings in it.
///
/// # Errors
/// When it is not there, or is not TOML, or the schema is not JSON: with line and column.
pub(crate) fn manifest_json(folder: &Path) -> Result<Vec<u8>, PackagingError> {
    let path = folder.join("plugin.toml");
    let text = fs::read_to_string(&path)
        .map_err(|e| fail(format!("{}: {e}; every check has a manifest", path.display())))?;
    let mut value: serde_json::Value =
        toml::from_str(&text).map_err(|e| fail(format!("{}: {e}", path.display())))?;
    let schema = folder.join(SCHEMA);
    if schema.exists() {
        let wrong = |e: &dyn fmt::Display| fail(format!("{}: {e}", schema.display()));
        let text = fs::read_to_string(&schema).map_err(|e| wrong(&e))?;
        value["settings"] = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
    }
    serde_json::to_vec(&value).map_err(|e| fail(format!("{}: {e}", path.display())))
}

/// Makes sure that the toolchain has the WebAssembly target; asks rustup for it once if it has not.
fn ensure_target() -> Result<(), PackagingError> {
    let installed = || {
        let out = clean("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
        out.is_ok_and(|out| {
            out.status.success()
                && Path::new(String::from_utf8_lossy(&out.stdout).trim_end()).is_dir()
        })
    };
    if installed() {
        return Ok(());
    }
    if clean("rustc").arg("--version").output().is_err() {
        return Err(fail(format!(
            "Rust is not here: rustc cannot be run. Install it (https://rustup.rs or your \
             distribution's packages), then run `rustup target add {TARGET}`"
        )));
    }
    let asked = clean("rustup").args(["target", "add", TARGET]).output();
    if installed() {
        return Ok(());
    }
    let why = match asked {
        Ok(out) => String::from_utf8_lossy(&out.stderr).trim().to_owned(),
        Err(e) => format!("rustup cannot be run: {e}"),
    };
    Err(fail(format!(
        "checks are compiled for {TARGET}, which this Rust toolchain lacks. \
         Run `rustup target add {TARGET}`, or install your distribution's package for it. ({why})"
    )))
}

/// Runs cargo on the crate and reads the one module that it makes. `live` = what cargo says is
/// shown while it runs.
///
/// # Errors
/// When the target cannot be had, or the crate does not compile, with the compiler's own words
/// (which `live` has shown already).
pub(crate) fn compile(folder: &Path, target: &Path, live: bool) -> Result<Vec<u8>, PackagingError> {
    ensure_target()?;
    let mut command = clean(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(folder)
        .args(["build", "--release", "--lib", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(folder));
    let done = run(&mut command, live)
        .map_err(|e| fail(format!("{}: cargo cannot be run: {e}", folder.display())))?;
    if !done.success {
        let hint = if is_offline(&done.said) {
            "\ncargo cannot reach its registry: connect once, or point cargo at a mirror \
             ([source] in .cargo/config.toml); after that the crates are kept"
        } else {
            ""
        };
        let said = if live { "see above" } else { done.said.trim_end() };
        return Err(fail(format!("{} does not compile:\n{said}{hint}", folder.display())));
    }
    let module = String::from_utf8_lossy(&done.out)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .rfind(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let Some(module) = module else {
        return Err(fail(format!(
            "{}: cargo made no .wasm file; Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`",
            folder.display()
        )));
    };
    fs::read(&module).map_err(|e| fail(format!("{}: {e}", module.display())))
}

/// What a compiler did.
pub(crate) struct Done {
    pub(crate) success: bool,
    /// Standard output.
    pub(crate) out: Vec<u8>,
    /// Standard error.
    pub(crate) said: String,
}

/// Runs a compiler; `live` = its standard error is shown while it runs, and kept as well.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(command: &mut Command, live: bool) -> std::io::Result<Done> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdout = child.stdout.take();
    // read beside standard error, so that neither pipe can fill up and stop the compiler
    let reader = thread::spawn(move || {
        let mut out = Vec::new();
        let _ = stdout.as_mut().map(|stdout| stdout.read_to_end(&mut out));
        out
    });
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = BufReader::new(stderr);
        loop {
            let start = said.len();
            if stderr.read_until(b'\n', &mut said)? == 0 {
                break;
            }
            if live {
                let _ = std::io::stderr().write_all(said.get(start..).unwrap_or_default());
            }
        }
    }
    let success = child.wait()?.success();
    let out = reader.join().unwrap_or_default();
    Ok(Done { success, out, said: String::from_utf8_lossy(&said).into_owned() })
}

/// Whether cargo failed for want of its registry.
fn is_offline(said: &str) -> bool {
    ["failed to download", "Could not resolve host", "failed to query", "offline mode", "--offline"]
        .iter()
        .any(|sign| said.contains(sign))
}

/// A command without what an outer cargo or build script left in the environment: flags, wrappers
/// and profiles meant for the host would break or slow a WebAssembly build. What says where crates
/// come from stays.
pub(crate) fn clean(program: impl Into<OsString>) -> Command {
    const KEEP: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
    ];
    const DROP: [&str; 13] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
    ];
    let mut command = Command::new(program.into());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let cargo = text.starts_with("CARGO") && !KEEP.iter().any(|keep| text.starts_with(keep));
        if cargo || DROP.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
}

/// rustc flags: 128-bit vectors, which every host of checks has and the kit's splitting uses; and this
/// machine's folders taken out of the file, since panics carry source paths.
fn flags(folder: &Path) -> OsString {
    let homes = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    // the last match wins in rustc, so the outermost folder comes first
    let mut one = |from: &Path, to: &str| {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    };
    if let Some(root) = folder.parent().and_then(Path::parent) {
        one(root, "/feedpulse");
    }
    if let Some(home) = homes {
        one(&home, "/cargo");
    }
    one(folder, "/check");
    flags
}

/// Appends a custom section: id 0, size, name, content (WebAssembly core specification §5.5.3; the
/// component format has the same).
pub(crate) fn append_section(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = leb128(name.len());
    body.extend(name.as_bytes());
    body.extend(content);
    wasm.push(0);
    wasm.extend(leb128(body.len()));
    wasm.extend(body);
}

/// An unsigned number in LEB128.
fn leb128(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = n.to_le_bytes()[0] & 0x7f;
        n >>= 7;
        if n == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// An error of this file.
fn fail(text: String) -> PackagingError {
    PackagingError(text)
}
