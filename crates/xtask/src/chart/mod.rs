//! Checks what is in `deploy/` with the real tools: the chart, the example of a chart that depends
//! on it, and the kustomize folders that are made from it. Each is linted, rendered, and validated
//! against the schemas of Kubernetes, once for each values file in its `ci/`.
//!
//! What the schemas cannot say (admission, dry runs) the integration tests ask a real API server.

mod kustomize;
mod render;

pub use render::{Chart, charts};

use crate::cmd::run;
use crate::error::{Error, Result};
use crate::pins;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Custom resources that our chart renders and Kubernetes' own description does not know.
const FOREIGN_KINDS: &str = "PodMonitor,PrometheusRule,ServiceMonitor";

/// The real parts that the checks use.
pub const TOOLS: [&str; 4] = ["helm", "kubeconform", "kubernetes-schemas", "kubectl"];

/// Where the tools are.
struct Tools {
    helm: PathBuf,
    kubeconform: PathBuf,
    schemas: PathBuf,
    kubectl: PathBuf,
}

impl Tools {
    fn find() -> Option<Self> {
        let found = TOOLS.map(|name| pins::find(name).and_then(pins::locate));
        let [Some(helm), Some(kubeconform), Some(schemas), Some(kubectl)] = found else {
            return None;
        };
        Some(Self { helm, kubeconform, schemas, kubectl })
    }
}

/// Checks everything; when a tool is absent the caller has already said so, and nothing is done.
///
/// # Errors
/// [`Error::Failed`] for a chart that does not lint, render or validate, and for kustomize folders
/// that are not what the chart renders; [`Error::Data`] when a chart has no values file.
pub fn check() -> Result<()> {
    let Some(tools) = Tools::find() else { return Ok(()) };
    for chart in charts(&tools.helm)? {
        for values in chart.values()? {
            run(&mut chart.lint(&values))?;
            validate(&tools, &values.display().to_string(), &chart.render(&values, &[])?)?;
        }
    }
    kustomize::check(&tools)
}

/// Makes what is made from the chart anew: the kustomize folders.
///
/// # Errors
/// As [`check`]; [`Error::Missing`] without the tools.
pub fn write() -> Result<()> {
    let missing = || Error::Missing("helm is not here; run `cargo xtask parts`".to_owned());
    kustomize::write(&Tools::find().ok_or_else(missing)?)
}

/// Validates rendered manifests; `what` names them in an error.
fn validate(tools: &Tools, what: &str, rendered: &str) -> Result<()> {
    if !rendered.contains("kind: ConfigMap") {
        return Err(Error::Failed(format!("{what} renders no configuration")));
    }
    let scratch = Scratch::new("manifests")?;
    let file = scratch.0.join("rendered.yaml");
    fs::write(&file, rendered).map_err(|e| Error::io("write", &file, &e))?;
    run(&mut validation(tools, &file)).map_err(|e| Error::Failed(format!("{what}: {e}")))
}

/// No `-ignore-missing-schemas`: a kind without a schema must be listed by name.
fn validation(tools: &Tools, file: &Path) -> Command {
    let location =
        format!("{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", tools.schemas.display());
    let mut kubeconform = Command::new(&tools.kubeconform);
    kubeconform.args(["-strict", "-summary", "-skip", FOREIGN_KINDS, "-schema-location"]);
    kubeconform.arg(location).arg(file);
    kubeconform
}

/// The version of Kubernetes that everything is checked against.
fn kubernetes() -> &'static str {
    pins::find("kubernetes-schemas").map_or("", |pin| pin.version)
}

/// A folder that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("feedpulse-{name}-{unique}"));
        let _ = fs::remove_dir_all(&path); // Of a process that was killed and had this number.
        fs::create_dir_all(&path).map_err(|e| Error::io("make the folder", &path, &e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // What stays behind is the system's to sweep.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The validator must be able to fail, or a green chart means nothing.
    #[test]
    fn a_misspelt_key_is_refused_by_the_real_validator() {
        let Some(tools) = Tools::find() else {
            assert!(!crate::cmd::in_ci(), "in CI the real parts must be here");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let verdict = |text: &str| {
            let file = dir.path().join("pod.yaml");
            std::fs::write(&file, text).unwrap();
            validation(&tools, &file).output().unwrap().status.success()
        };
        let good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  \
                    - {name: a, image: b, resources: {limits: {cpu: 1, memory: 64Mi}}}\n  \
                    initContainers: [{name: c, image: d, restartPolicy: Always}]\n";
        assert!(verdict(good));
        assert!(!verdict(&good.replace("restartPolicy", "restartPolice")));
        assert!(!verdict(&good.replace("apiVersion: v1", "apiVersion: v7")));
    }
}
