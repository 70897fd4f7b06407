//! What the builders of languages with a toolchain of their own have in common: where its programs
//! are, what they are told, and the folder in which they work.

use super::{BuildError, WIT, packaging};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A folder of a check on its way to a component.
pub(super) struct Workshop {
    /// The check's folder, absolute.
    pub(super) folder: PathBuf,
    /// Where files may be made: `target/check` in it.
    pub(super) work: PathBuf,
    /// The declared fields.
    pub(super) fields: Vec<String>,
}

impl Workshop {
    /// Makes the work folder, with the interface in `wit/check.wit`.
    pub(super) fn open(folder: &Path) -> Result<Self, BuildError> {
        let json =
            packaging::manifest_json(folder).map_err(|e| BuildError::Source(e.to_string()))?;
        let at = folder.join("plugin.toml");
        let manifest: serde_json::Value = serde_json::from_slice(&json)
            .map_err(|e| BuildError::Source(format!("{}: {e}", at.display())))?;
        let fields = manifest["fields"].as_array().into_iter().flatten();
        let fields = fields.filter_map(|f| f.as_str().map(str::to_owned)).collect();
        let folder = fs::canonicalize(folder).map_err(|e| unwritable(folder, &e))?;
        let shop = Self { work: folder.join("target/check"), folder, fields };
        shop.write("wit/check.wit", WIT)?;
        Ok(shop)
    }

    /// Writes a file into the work folder.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, BuildError> {
        let path = self.work.join(name);
        let parent = path.parent().unwrap_or(&self.work);
        fs::create_dir_all(parent).map_err(|e| unwritable(parent, &e))?;
        fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
        Ok(path)
    }

    /// Reads what a tool made there.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, BuildError> {
        let path = self.work.join(name);
        fs::read(&path).map_err(|e| BuildError::Source(format!("{}: {e}", path.display())))
    }

    /// The declared fields as a list in the notation that JSON, JavaScript and Python share.
    pub(super) fn field_list(&self) -> String {
        serde_json::Value::from(self.fields.clone()).to_string()
    }

    /// The kit of a language: `sdk/LANGUAGE` in the check's folder or above it.
    pub(super) fn sdk(&self, language: &str) -> Result<PathBuf, BuildError> {
        let inside = Path::new("sdk").join(language);
        self.above(&inside).ok_or_else(|| {
            BuildError::Source(format!(
                "{}: {} is missing: copy it from a folder that `feedpulse check new x --lang \
                 {language}` makes",
                self.folder.display(),
                inside.display()
            ))
        })
    }

    /// A program of a toolchain: `inside/NAME` in the check's folder or above it, else on `PATH`.
    pub(super) fn tool(&self, inside: &str, name: &str) -> Option<PathBuf> {
        self.above(&Path::new(inside).join(name)).or_else(|| which(name))
    }

    /// Runs a tool in the check's folder. Its errors show as they come; `what` says who failed.
    pub(super) fn run(&self, command: &mut Command, what: &str) -> Result<Vec<u8>, BuildError> {
        let at = self.folder.display();
        let done = packaging::run(command.current_dir(&self.folder), true)
            .map_err(|e| BuildError::Toolchain(format!("{at}: {what} cannot be started: {e}")))?;
        if done.success {
            return Ok(done.out);
        }
        // some tools tell their errors on standard output
        let out = String::from_utf8_lossy(&done.out);
        let said = if done.said.trim().is_empty() { out.trim() } else { "see above" };
        Err(BuildError::Source(format!("{at}: {what} failed: {said}")))
    }

    /// The nearest path of that name from the check's folder upwards.
    fn above(&self, inside: &Path) -> Option<PathBuf> {
        self.folder.ancestors().map(|folder| folder.join(inside)).find(|path| path.exists())
    }
}

/// A program on `PATH`.
pub(super) fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The world for a check that does or does not tick.
pub(super) const fn world(ticks: bool) -> &'static str {
    if ticks { "check-and-tick" } else { "check" }
}

fn unwritable(path: &Path, error: &std::io::Error) -> BuildError {
    BuildError::Write(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(folder: &Path) -> Workshop {
        fs::write(folder.join("plugin.toml"), "fields = [\"PID-3\", \"OBX-5.1\"]").unwrap();
        Workshop::open(folder).unwrap()
    }

    #[test]
    fn the_nearest_tool_and_kit_serve() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("checks/mine");
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::create_dir_all(root.path().join("sdk/js")).unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        let shop = shop(&folder);
        assert_eq!(shop.field_list(), r#"["PID-3","OBX-5.1"]"#);
        assert!(shop.work.join("wit/check.wit").is_file());
        assert!(shop.sdk("js").unwrap().ends_with("sdk/js"));
        let missing = shop.sdk("cobol").unwrap_err().to_string();
        assert!(missing.contains("sdk/cobol is missing"), "{missing}");
        fs::write(root.path().join("bin/far"), "").unwrap();
        fs::write(folder.join("bin/near"), "").unwrap();
        fs::write(root.path().join("bin/near"), "").unwrap();
        assert!(shop.tool("bin", "near").unwrap().ends_with("checks/mine/bin/near"));
        assert!(shop.tool("bin", "far").is_some());
        assert_eq!(shop.tool("bin", "feedpulse-no-such-tool"), None);
    }

    #[test]
    fn a_tool_that_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let shop = shop(folder.path());
        let failed = |script: &str| {
            let mut command = Command::new("sh");
            shop.run(command.args(["-c", script]), "the bundler").unwrap_err().to_string()
        };
        assert!(failed("echo no; exit 1").ends_with("the bundler failed: no"));
        assert!(failed("echo no >&2; exit 1").ends_with("the bundler failed: see above"));
    }
}
