//! Where the versions of a check lie: with the binary, in a file, in a folder, or in a registry.

use super::Refusal;
use crate::config::document::{Document, Part};
use crate::config::resolve::Check;
use feedpulse_oci::{Client, Reference, Registry, Shelf};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest component, bytes.
const MAX_COMPONENT: u64 = 64 << 20;
/// Longest file with settings, bytes.
const MAX_SETTINGS: u64 = 1 << 20;
/// Most entries of a check's folder.
const MAX_ENTRIES: usize = 256;
/// Names of the file with settings in a check's folder.
const SETTINGS: [&str; 3] = ["settings.yaml", "settings.yml", "settings.json"];

/// The checks that come with the binary.
const BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// A component and its settings, as they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The component.
    pub wasm: Vec<u8>,
    /// The settings.
    pub settings: Part,
}

impl Content {
    /// SHA-256 of the component, hexadecimal.
    pub(crate) fn digest(&self) -> String {
        Sha256::digest(&self.wasm).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of everything that makes a version, and of what is approved for it: when this is the same,
    /// there is nothing to do.
    pub(crate) fn fingerprint(&self, check: &Check) -> [u8; 32] {
        let mut hash = Sha256::new();
        let approved = format!("{:?} {:?}", check.fields, check.grants);
        let settings = self.settings.json();
        for part in [&self.wasm[..], settings.as_bytes(), approved.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Where contents come from that do not lie on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Artifacts that were fetched before.
    pub shelf: Shelf,
    /// How registries are reached, by host.
    pub registries: BTreeMap<String, Registry>,
    /// The runtime whose threads do the waiting.
    pub runtime: tokio::runtime::Handle,
}

impl Remote {
    /// The component of a pinned artifact: from the shelf, else from its registry. Blocks; not to be
    /// called on a thread of the runtime.
    fn fetch(&self, text: &str) -> Result<Vec<u8>, Refusal> {
        let unreadable = |e: &dyn std::fmt::Display| Refusal::new("unreadable", e);
        let reference: Reference = text.parse().map_err(|e| unreadable(&e))?;
        let Some(pin) = reference.digest() else {
            return Err(unreadable(&format!("{text} is not pinned by a digest")));
        };
        if let Some(wasm) = self.shelf.find(pin) {
            return Ok(wasm);
        }
        let registry = self.registries.get(reference.host()).cloned().unwrap_or_default();
        let pulled = self.runtime.block_on(async {
            let client = Client::new(&registry)?;
            client.pull(&reference).await
        });
        let pulled = pulled.map_err(|e| unreadable(&e))?;
        if let Err(error) = self.shelf.keep(&pulled) {
            tracing::warn!("a check that was fetched cannot be kept for the next start: {error}");
        }
        Ok(pulled.wasm)
    }
}

/// Reads what a check is made of now.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read(check: &Check, remote: &Remote) -> Result<Content, Refusal> {
    let (wasm, beside) = find(&check.plugin, |reference| remote.fetch(reference))?;
    let settings = match (&check.config, check.config_file.clone().or(beside)) {
        (Some(stated), _) => stated.clone(),
        (None, Some(file)) => settings(&file)?,
        (None, None) => Part::made(Value::Object(Map::new())),
    };
    Ok(Content { wasm, settings })
}

/// What a plugin's name stands for, wherever one is given: the component, and the file with settings
/// that lies beside it in a folder. `fetch` gets what lies in a registry.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn find(
    plugin: &str,
    fetch: impl FnOnce(&str) -> Result<Vec<u8>, Refusal>,
) -> Result<(Vec<u8>, Option<PathBuf>), Refusal> {
    let path = Path::new(plugin);
    if let Some(name) = plugin.strip_prefix("builtin:") {
        Ok((builtin(name)?, None))
    } else if Reference::is_meant(plugin) {
        Ok((fetch(plugin)?, None))
    } else if path.is_dir() {
        let (wasm, settings) = of_folder(path)?;
        Ok((bytes(&wasm, MAX_COMPONENT)?, settings))
    } else {
        Ok((bytes(path, MAX_COMPONENT)?, None))
    }
}

/// The files and folders whose changes can change a check: those whose entries are watched.
pub(crate) fn places(check: &Check) -> Vec<PathBuf> {
    let path = PathBuf::from(&check.plugin);
    let local = !check.plugin.starts_with("builtin:") && !Reference::is_meant(&check.plugin);
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut places = Vec::new();
    if local && path.is_dir() {
        places.push(path);
    } else if local {
        places.push(parent(&path));
    }
    places.extend(check.config_file.as_deref().map(parent));
    places
}

/// A check that comes with the binary.
///
/// # Errors
/// None has this name.
pub(crate) fn builtin(name: &str) -> Result<Vec<u8>, Refusal> {
    let found = BUILTIN.iter().find(|(known, _)| *known == name);
    found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| {
        let names: Vec<_> = BUILTIN.iter().map(|(known, _)| *known).collect();
        let what = format!("no built-in check is called {name:?}; there are {}", names.join(", "));
        Refusal::new("unreadable", what)
    })
}

/// The file with settings in a folder, if there is one.
pub(crate) fn beside(folder: &Path) -> Option<PathBuf> {
    SETTINGS.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// The one component of a folder, and its settings where there are some. Names that start with a dot
/// are passed over: a ConfigMap's volume keeps its versions under such names.
fn of_folder(folder: &Path) -> Result<(PathBuf, Option<PathBuf>), Refusal> {
    let failed = |e: std::io::Error| unreadable(folder, &e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)?.take(MAX_ENTRIES) {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    let is_component = |name: &&String| name.ends_with(".wasm") || name.ends_with(".wasm.gz");
    let components: Vec<&String> = names.iter().filter(is_component).collect();
    match &components[..] {
        [one] => Ok((folder.join(one), beside(folder))),
        [] => Err(Refusal::new("unreadable", format!("{}: no .wasm in it", folder.display()))),
        _ => {
            let what = format!(
                "{}: more than one .wasm in it ({}); name one of them as the plugin",
                folder.display(),
                components.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            );
            Err(Refusal::new("unreadable", what))
        }
    }
}

/// The settings in a file, YAML or JSON.
///
/// # Errors
/// It cannot be read, or is no YAML: with line and column. What is in it is not repeated.
pub(crate) fn settings(file: &Path) -> Result<Part, Refusal> {
    let text = bytes(file, MAX_SETTINGS)?;
    let wrong = |what: String| Refusal::new("settings", what);
    let text =
        String::from_utf8(text).map_err(|_| wrong(format!("{}: not UTF-8", file.display())))?;
    Document::of_file(&text, file.display()).map(Part::whole).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{p}", file.display())).collect();
        wrong(lines.join("\n"))
    })
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, Refusal> {
    let mut all = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    file.take(most + 1).read_to_end(&mut all).map_err(|e| unreadable(path, &e))?;
    if all.len() as u64 > most {
        let what = format!("{}: more than {most} bytes", path.display());
        return Err(Refusal::new("unreadable", what));
    }
    Ok(all)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new("unreadable", format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote() -> (tokio::runtime::Runtime, Remote) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        let (shelf, registries) = (Shelf::new("/nowhere"), BTreeMap::new());
        (runtime, Remote { shelf, registries, runtime: handle })
    }

    fn check(plugin: &Path) -> Check {
        Check { name: "a".into(), plugin: plugin.display().to_string(), ..Check::default() }
    }

    #[test]
    fn a_folder_holds_one_component_and_its_settings() {
        let (_runtime, remote) = remote();
        let folder = tempfile::tempdir().unwrap();
        let read = |check: &Check| read(check, &remote);
        let check = check(folder.path());
        assert!(read(&check).unwrap_err().why.contains("no .wasm"));
        fs::write(folder.path().join("a.wasm"), "one").unwrap();
        fs::create_dir(folder.path().join("..2026_01")).unwrap();
        fs::write(folder.path().join(".hidden.wasm"), "none").unwrap();
        let plain = read(&check).unwrap();
        assert_eq!((&plain.wasm[..], plain.settings.json().as_str()), (&b"one"[..], "{}"));
        fs::write(folder.path().join("settings.yaml"), "limit: 3").unwrap();
        let settled = read(&check).unwrap();
        assert_eq!(settled.settings.json(), r#"{"limit":3}"#);
        assert_ne!(plain.fingerprint(&check), settled.fingerprint(&check));
        let stated = Check { config: Some(Part::made(serde_json::json!({}))), ..check.clone() };
        assert_eq!(
            read(&stated).unwrap().settings.json(),
            "{}",
            "what the configuration states wins"
        );
        let approved = Check { fields: Some(vec!["PID-3".into()]), ..check.clone() };
        assert_ne!(settled.fingerprint(&check), settled.fingerprint(&approved));
        fs::write(folder.path().join("b.wasm"), "two").unwrap();
        let both = read(&check).unwrap_err().why;
        assert!(both.contains("a.wasm, b.wasm"), "{both}");
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_path() {
        let (_runtime, remote) = remote();
        let folder = tempfile::tempdir().unwrap();
        let none = read(&check(&folder.path().join("none.wasm")), &remote).unwrap_err();
        assert!(none.class == "unreadable" && none.why.contains("none.wasm"), "{none}");
        fs::write(folder.path().join("a.wasm"), "one").unwrap();
        fs::write(folder.path().join("settings.yaml"), "a: [s3cret").unwrap();
        let broken = read(&check(folder.path()), &remote).unwrap_err();
        assert!(broken.class == "settings" && !broken.why.contains("s3cret"), "{broken}");
        let tagged = Check { plugin: "oci://r.example/a:1".into(), ..Check::default() };
        assert!(read(&tagged, &remote).unwrap_err().why.contains("digest"));
    }
}
