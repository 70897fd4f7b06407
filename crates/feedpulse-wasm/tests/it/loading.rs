//! What is accepted as a check, and how it is kept compiled.

use crate::support::{component, runtime};
use feedpulse_wasm::{CacheUse, Field, LoadError, Manifest, ManifestError, Runtime, RuntimeError};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A component without code that imports one instance with one function, with a manifest.
fn importing(name: &str) -> Vec<u8> {
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    // a type section: one instance type that declares `f: func()`
    wasm.extend([7, 14, 1, 0x42, 2, 1, 0x40, 0, 1, 0, 4, 0, 1, b'f', 1, 0]);
    // an import section: one import, plain name, an instance of type 0
    let length = u8::try_from(name.len()).unwrap();
    wasm.extend([10, length + 5, 1, 0, length]);
    wasm.extend(name.as_bytes());
    wasm.extend([5, 0]);
    section(&mut wasm, MANIFEST);
    wasm
}

/// Appends a manifest.
fn section(wasm: &mut Vec<u8>, json: &str) {
    let name = b"feedpulse:plugin";
    let size = u16::try_from(json.len() + name.len() + 1).unwrap();
    let low = u8::try_from(size & 0x7f).unwrap() | 0x80;
    wasm.extend([0, low, u8::try_from(size >> 7).unwrap(), 16]);
    wasm.extend(name);
    wasm.extend(json.as_bytes());
}

/// The smallest that is valid.
const MANIFEST: &str = r#"{"name": "tiny", "version": "0.1.0", "wit": "feedpulse:check@0.1.0", "fields": ["MSH-10"],
    "codes": {"a": {"title": "t", "explanation": "e", "remedy": "r", "level": "info"}}}"#;

#[test]
fn the_manifest_is_read_without_running_anything() {
    let manifest = Manifest::read(component("result-status-regression")).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.fields.len()), ("result-status-regression", 7));
    assert!(matches!(manifest.fields[0], Field::Path(path) if path.to_string() == "OBR-3"));
    assert!(manifest.wants("ORU", "R01") && !manifest.wants("ADT", "A01"));
    assert!(manifest.grants.is_empty());
    for (name, code) in &manifest.codes {
        assert!(code.remedy.len() > 20, "{name} says what to do");
    }
}

#[test]
fn wasi_is_refused_in_a_sentence() {
    let error = runtime().load(&importing("wasi:io/poll@0.2.0")).unwrap_err();
    let LoadError::ForeignImports(names) = &error else { panic!("{error}") };
    assert_eq!(names, &["wasi:io/poll@0.2.0"]);
    assert!(error.to_string().contains("no WASI"), "{error}");
}

#[test]
fn what_does_not_fit_the_interface_is_refused() {
    let newer = runtime().load(&importing("feedpulse:check/teleport@0.1.0")).unwrap_err();
    assert!(matches!(&newer, LoadError::Interface(why) if why.contains("teleport")), "{newer}");
    let mut empty = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut empty, MANIFEST);
    let empty = runtime().load(&empty).unwrap_err();
    assert!(matches!(&empty, LoadError::Interface(why) if why.contains("checker")), "{empty}");
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let whole = component("troublemaker");
    let cut = runtime().load(&whole[..whole.len() / 2]).unwrap_err();
    assert!(
        matches!(cut, LoadError::Manifest(ManifestError::Damaged | ManifestError::NotOne)),
        "{cut}"
    );
    let elf = runtime().load(b"\x7fELF\x02\x01\x01\0\0\0").unwrap_err();
    assert!(matches!(elf, LoadError::Manifest(ManifestError::NotComponent)), "{elf}");
    let mut broken = b"\0asm\x0d\0\x01\0".to_vec();
    broken.extend([7, 1, 9]);
    section(&mut broken, MANIFEST);
    let broken = runtime().load(&broken).unwrap_err();
    assert!(matches!(broken, LoadError::Compile(_)), "{broken}");
}

#[test]
fn compiled_code_is_kept_and_a_damaged_file_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("compiled");
    let load = || {
        let runtime = Runtime::new(Some(&cache)).unwrap();
        runtime.load(component("troublemaker")).unwrap().cache_use()
    };
    assert_eq!(load(), CacheUse::Stored);
    assert_eq!(load(), CacheUse::Hit);
    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, &bytes).unwrap();
    assert_eq!(load(), CacheUse::Replaced, "one wrong bit is noticed");
    fs::write(file, &bytes[..middle]).unwrap();
    assert_eq!(load(), CacheUse::Replaced);
    assert_eq!(load(), CacheUse::Hit);
}

#[test]
fn compiled_code_that_somebody_else_sealed_is_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let cache = |name: &str| folder.path().join(name).join("compiled");
    let load = |name: &str, wasm: &[u8]| {
        let runtime = Runtime::new(Some(&cache(name))).unwrap();
        runtime.load(wasm).unwrap().cache_use()
    };
    let only = |name: &str| {
        let files: Vec<_> = fs::read_dir(cache(name)).unwrap().map(|e| e.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        file.clone()
    };
    let (one, other) = (component("troublemaker"), component("result-status-regression"));
    assert_eq!((load("a", one), load("b", one)), (CacheUse::Stored, CacheUse::Stored));
    let key = cache("a").with_extension("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    // Good code, from another store: it has another key.
    fs::copy(only("b"), only("a")).unwrap();
    assert_eq!(load("a", one), CacheUse::Replaced);
    // Good code of another check, put in this one's place.
    assert_eq!(load("c", other), CacheUse::Stored);
    let name = only("c").file_name().unwrap().to_owned();
    fs::copy(only("a"), cache("a").join(name)).unwrap();
    assert_eq!(load("a", other), CacheUse::Replaced);
    assert_eq!(load("a", other), CacheUse::Hit);
    // A link that leads out of the folder, though to good code.
    let place = only("b");
    fs::rename(&place, folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &place).unwrap();
    assert_eq!(load("b", one), CacheUse::Replaced);
    // A key that others can read is refused.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Runtime::new(Some(&cache("a"))).unwrap_err();
    assert!(error.to_string().contains("compiled.key"), "{error}");
}

#[test]
fn a_folder_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = Runtime::new(Some(folder.path())).unwrap_err();
    assert!(matches!(error, RuntimeError::Cache { .. }) && error.to_string().contains("0700"));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(tempfile::tempdir().unwrap().keep(), &link).unwrap();
    assert!(Runtime::new(Some(&link)).is_err(), "nor a link, wherever it leads");
}
