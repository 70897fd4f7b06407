//! What is made of Kubernetes' own Go module: an API server, a `kubectl` of the same version (which
//! also is the kustomize that we test with), and the schemas of its kinds.

use super::recipes::{go, write};
use super::schemas as convert;
use crate::cmd::{self, run_logged};
use crate::error::{Error, Result};
use crate::pins::Pin;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The module's folder in Go's cache.
fn module(pin: &Pin, tmp: &Path) -> Result<PathBuf> {
    let mut download = go(tmp);
    download.args(["mod", "download", "-json", &format!("k8s.io/kubernetes@v{}", pin.version)]);
    let answer = cmd::output(&mut download)?;
    let answer: serde_json::Value = serde_json::from_str(&answer)
        .map_err(|e| Error::Data(format!("`go mod download -json` printed no JSON: {e}")))?;
    let folder = answer["Dir"].as_str();
    folder
        .map(PathBuf::from)
        .ok_or_else(|| Error::Data("`go mod download -json` named no folder (`Dir`)".to_owned()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))
}

/// The JSON schemas are made from the API description that the module holds.
pub(super) fn schemas(pin: &Pin, out: &Path) -> Result<()> {
    let spec = module(pin, out)?.join("api/openapi-spec/swagger.json");
    convert::write_all(&read(&spec)?, &out.join("schemas"))
}

/// Builds `kube-apiserver` and `kubectl`. The module replaces its own parts by folders that only its
/// repository has; each of them is also published as a module, of version 0.x for Kubernetes 1.x.
pub(super) fn programs(pin: &Pin, tmp: &Path, log: &Path) -> Result<()> {
    let folder = module(pin, tmp)?;
    write(&tmp.join("go.mod"), &go_mod(pin.version, &read(&folder.join("go.mod"))?))?;
    write(&tmp.join("go.sum"), &read(&folder.join("go.sum"))?)?;
    write(
        &tmp.join("tools.go"),
        "//go:build tools\n\npackage tools\n\nimport (\n\t_ \"k8s.io/kubernetes/cmd/kube-apiserver\"\n\
         \t_ \"k8s.io/kubernetes/cmd/kubectl\"\n)\n",
    )?;
    // Without its makefile a program does not know its version, and the server needs it.
    let stamp = ["component-base", "client-go/pkg"]
        .map(|at| format!("-X k8s.io/{at}/version.gitVersion=v{}", pin.version));
    let mut build = go(tmp);
    build.args(["build", "-mod=mod", "-trimpath", "-o", "out/"]);
    build.arg(format!("-ldflags=-s -w {}", stamp.join(" ")));
    build.args(["k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"]);
    run_logged(&mut build, log)
}

fn go_mod(version: &str, theirs: &str) -> String {
    let parts = version.trim_start_matches("1.");
    let language = theirs.lines().find(|line| line.starts_with("go ")).unwrap_or("go 1.24.0");
    let mut text = format!(
        "module feedpulse.example/kubernetes\n\n{language}\n\nrequire k8s.io/kubernetes v{version}\n\n"
    );
    let replaced = theirs.lines().filter_map(|line| line.split_once("=> ./staging/"));
    for name in replaced.map(|(name, _)| name.trim().trim_start_matches("replace ")) {
        let _ = writeln!(text, "replace {name} => {name} v0.{parts}"); // A String takes it.
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_repository_become_modules() {
        let theirs = "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/api v0.0.0\n\n\
                      replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\
                      \tk8s.io/client-go => ./staging/src/k8s.io/client-go\n)\n";
        let ours = go_mod("1.34.4", theirs);
        assert!(ours.contains("\ngo 1.24.0\n"), "{ours}");
        assert!(ours.contains("\nreplace k8s.io/api => k8s.io/api v0.34.4\n"), "{ours}");
        assert!(ours.ends_with("replace k8s.io/client-go => k8s.io/client-go v0.34.4\n"), "{ours}");
    }
}
