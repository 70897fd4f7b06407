//! Renders the charts of `deploy/helm`: ours, and the examples that depend on it.

use super::{Scratch, kubernetes};
use crate::cmd::{self, run};
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const HELM: &str = "deploy/helm";

/// A chart, in a copy of the folder of all charts: an example's dependency is packed into it, as
/// whoever copies the example does, and that shall not happen in the checkout.
pub struct Chart {
    helm: PathBuf,
    folder: PathBuf,
    scratch: Arc<Scratch>,
}

/// Our chart first, then every example, with its dependencies resolved.
///
/// # Errors
/// A folder cannot be copied, or a dependency is not there.
pub fn charts(helm: &Path) -> Result<Vec<Chart>> {
    let scratch = Arc::new(Scratch::new("charts")?);
    let copy = scratch.0.join("helm");
    copy_folder(&cmd::root().join(HELM), &copy)?;
    let chart =
        |folder: PathBuf| Chart { helm: helm.to_owned(), folder, scratch: Arc::clone(&scratch) };
    let mut all = vec![chart(copy.join("feedpulse"))];
    for folder in sorted(&copy.join("examples"))? {
        let example = chart(folder);
        run(example.command().args(["dependency", "update"]).arg(&example.folder))?;
        all.push(example);
    }
    Ok(all)
}

impl Chart {
    /// The chart's folder, in the copy.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its values files, `ci/*-values.yaml`, by name.
    ///
    /// # Errors
    /// [`Error::Data`] when there is none.
    pub fn values(&self) -> Result<Vec<PathBuf>> {
        values_files(&self.folder.join("ci"))
    }

    /// `helm`, with everything that it keeps beside the copy and not in the home folder.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut helm = Command::new(&self.helm);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(name, self.scratch.0.join("home"));
        }
        helm
    }

    /// A helm that was built without its makefile believes in a Kubernetes of long ago.
    pub(super) fn lint(&self, values: &Path) -> Command {
        let mut helm = self.command();
        helm.args(["lint", "--strict", "--quiet"]).arg(&self.folder).arg("--values").arg(values);
        helm.args(["--kube-version", kubernetes()]);
        helm
    }

    /// What it renders with a values file and `--set` of each of `sets`, as release `feedpulse`.
    ///
    /// # Errors
    /// [`Error::Failed`] when it does not render; helm has said why.
    pub fn render(&self, values: &Path, sets: &[&str]) -> Result<String> {
        let mut helm = self.command();
        helm.args(["template", "feedpulse"]).arg(&self.folder).arg("--values").arg(values);
        helm.args(["--kube-version", kubernetes()]);
        for set in sets {
            helm.args(["--set", set]);
        }
        cmd::output(&mut helm)
    }
}

impl std::fmt::Debug for Chart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chart({})", self.folder.display())
    }
}

fn values_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = sorted(folder)?;
    files.retain(|p| p.to_string_lossy().ends_with("-values.yaml"));
    if files.is_empty() {
        return Err(Error::Data(format!("{} holds no *-values.yaml", folder.display())));
    }
    Ok(files)
}

/// What a folder holds, by name.
pub(super) fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("read", folder, &e))?;
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    files.sort();
    Ok(files)
}

/// Copies a folder; links are followed.
pub(super) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::io("make the folder", to, &e))?;
    for path in sorted(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|e| Error::io("copy", &path, &e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_without_values_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("other.yaml"), "").unwrap();
        assert_eq!(values_files(dir.path()).unwrap_err().code(), 65);
        std::fs::write(dir.path().join("b-values.yaml"), "").unwrap();
        std::fs::write(dir.path().join("a-values.yaml"), "").unwrap();
        let names: Vec<_> = values_files(dir.path()).unwrap();
        assert_eq!(names, [dir.path().join("a-values.yaml"), dir.path().join("b-values.yaml")]);
    }
}
