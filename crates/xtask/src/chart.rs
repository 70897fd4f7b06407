//! Checks the Helm chart with the real tools: lint, render, and validation of what was rendered
//! against the schemas of Kubernetes, once for each values file in the chart's `ci/`.

use crate::cmd::{self, run};
use crate::error::{Error, Result};
use crate::pins;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CHART: &str = "deploy/helm/feedpulse";

/// Custom resources that our chart renders and Kubernetes' own description does not know.
const FOREIGN_KINDS: &str = "ServiceMonitor";

/// The real parts that the checks use.
pub const TOOLS: [&str; 3] = ["helm", "kubeconform", "kubernetes-schemas"];

struct Tools {
    helm: PathBuf,
    kubeconform: PathBuf,
    schemas: PathBuf,
}

/// Checks the chart; when a tool is absent the caller has already said so, and nothing is done.
///
/// # Errors
/// [`Error::Failed`] for a chart that does not lint, render or validate; [`Error::Data`] when the
/// chart has no values file to check it with.
pub fn check() -> Result<()> {
    let [Some(helm), Some(kubeconform), Some(schemas)] =
        TOOLS.map(|name| pins::find(name).and_then(pins::locate))
    else {
        return Ok(());
    };
    let tools = Tools { helm, kubeconform, schemas };
    let chart = cmd::root().join(CHART);
    for values in values_files(&chart.join("ci"))? {
        check_one(&tools, &chart, &values)?;
    }
    Ok(())
}

fn values_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("read", folder, &e))?;
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    files.retain(|p| p.to_string_lossy().ends_with("-values.yaml"));
    files.sort();
    if files.is_empty() {
        return Err(Error::Data(format!("{} holds no *-values.yaml", folder.display())));
    }
    Ok(files)
}

fn check_one(tools: &Tools, chart: &Path, values: &Path) -> Result<()> {
    // A helm that was built without its makefile believes in a Kubernetes of long ago.
    let kubernetes = pins::find("kubernetes-schemas").map_or("", |pin| pin.version);
    let helm = |verb: &[&str]| {
        let mut helm = Command::new(&tools.helm);
        helm.args(verb).arg(chart).arg("--values").arg(values);
        helm.args(["--kube-version", kubernetes]);
        helm
    };
    run(&mut helm(&["lint", "--strict"]))?;
    let rendered = cmd::output(&mut helm(&["template", "feedpulse"]))?;
    if !rendered.contains("kind: Deployment") {
        return Err(Error::Failed(format!("{} renders no Deployment", values.display())));
    }
    let file = std::env::temp_dir().join(format!("feedpulse-chart-{}.yaml", std::process::id()));
    fs::write(&file, rendered).map_err(|e| Error::io("write", &file, &e))?;
    let result = run(&mut validation(tools, &file));
    fs::remove_file(&file).map_err(|e| Error::io("remove", &file, &e))?;
    result
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

    /// The validator must be able to fail, or a green chart means nothing.
    #[test]
    fn a_misspelt_key_is_refused_by_the_real_validator() {
        let find = |name| pins::find(name).and_then(pins::locate);
        let (Some(kubeconform), Some(schemas)) = (find("kubeconform"), find("kubernetes-schemas"))
        else {
            assert!(!cmd::in_ci(), "in CI the real parts must be here");
            return;
        };
        let tools = Tools { helm: PathBuf::new(), kubeconform, schemas };
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
