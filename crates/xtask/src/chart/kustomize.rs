//! The folders of `deploy/kustomize` that are made from the chart, so that both are one thing: of
//! `NAME/values.yaml` come `feedpulse.yaml` (the configuration) and, for a mode with a pod of its
//! own, `resources.yaml`, else `patch.yaml`. The `kustomization.yaml` beside them is written by hand.

use super::render::{Chart, charts, copy_folder, sorted};
use super::{Scratch, Tools, validate};
use crate::cmd;
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "deploy/kustomize";

/// What helm alone says of an object: who manages it, and what makes its pods anew.
const OF_HELM: [&str; 3] = ["helm.sh/chart:", "app.kubernetes.io/managed-by:", "checksum/config:"];

/// Checks that the made files are what the chart renders, that each folder builds, and that what it
/// builds is valid and, for a mode with a pod of its own, what helm renders.
pub(super) fn check(tools: &Tools) -> Result<()> {
    let ours = our_chart(tools)?;
    let mut stale = Vec::new();
    for folder in folders()? {
        for (path, text) in made(&ours, &folder)? {
            if fs::read_to_string(&path).unwrap_or_default() != text {
                stale.push(path.display().to_string());
            }
        }
    }
    if !stale.is_empty() {
        let files = stale.join(", ");
        return Err(Error::Failed(format!("run `cargo xtask chart --write`: {files}")));
    }
    for folder in sorted(&cmd::root().join(FOLDER))? {
        let text = fs::read_to_string(folder.join("kustomization.yaml"))
            .map_err(|e| Error::io("read", &folder, &e))?;
        if text.contains("kind: Component") {
            continue; // Built by what uses it.
        }
        let built = build(tools, &folder)?;
        validate(tools, &folder.display().to_string(), &built)?;
        if folder.join("values.yaml").exists() {
            same_as_helm(tools, &ours, &folder, &built)?;
        }
    }
    Ok(())
}

/// Writes the made files.
pub(super) fn write(tools: &Tools) -> Result<()> {
    let ours = our_chart(tools)?;
    for folder in folders()? {
        for (path, text) in made(&ours, &folder)? {
            fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))?;
        }
    }
    Ok(())
}

fn our_chart(tools: &Tools) -> Result<Chart> {
    let first = charts(&tools.helm)?.into_iter().next();
    first.ok_or_else(|| Error::Data("there is no chart".to_owned()))
}

/// The folders that are made from values.
fn folders() -> Result<Vec<PathBuf>> {
    let mut all = sorted(&cmd::root().join(FOLDER))?;
    all.retain(|folder| folder.join("values.yaml").exists());
    Ok(all)
}

/// The files of a folder and what they must hold.
fn made(chart: &Chart, folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let values = folder.join("values.yaml");
    let rendered = chart.render(&values, &[])?;
    let mut files = vec![(folder.join("feedpulse.yaml"), configuration(&rendered)?)];
    let is_config = |document: &&str| document.contains("\nkind: ConfigMap\n");
    let rest: Vec<&str> = documents(&rendered).filter(|d| !is_config(d)).collect();
    if rest.iter().any(|document| document.contains("\nkind: Deployment\n")) {
        let text: Vec<String> = rest.iter().map(|document| without_helm(document)).collect();
        files.push((folder.join("resources.yaml"), text.join("---\n")));
    } else {
        let patch = chart.render(&values, &["patchOnly=true"])?;
        let patch: Vec<String> = documents(&patch).map(without_helm).collect();
        files.push((folder.join("patch.yaml"), patch.concat()));
    }
    Ok(files)
}

fn documents(rendered: &str) -> impl Iterator<Item = &str> {
    rendered.split("---\n").filter(|document| document.contains("\nkind: "))
}

/// The value of `feedpulse.yaml` in the ConfigMap, which is its last key.
fn configuration(rendered: &str) -> Result<String> {
    let none = || Error::Failed("the chart renders no configuration".to_owned());
    let (_, block) = rendered.split_once("  feedpulse.yaml: |\n").ok_or_else(none)?;
    let lines = block.lines().map_while(|line| line.strip_prefix("    "));
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

/// A document without what helm alone says, and without the keys that are then empty.
fn without_helm(document: &str) -> String {
    let helm = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("# Source:") || OF_HELM.iter().any(|key| line.starts_with(key))
    };
    let lines: Vec<&str> = document.lines().filter(|line| !helm(line)).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let next = lines.get(number + 1).map_or(0, |next| indent(next));
        if line.trim() != "annotations:" || next > indent(line) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn build(tools: &Tools, folder: &Path) -> Result<String> {
    cmd::output(Command::new(&tools.kubectl).arg("kustomize").arg(folder))
}

/// Both go through the same printer; the name of the configuration has a hash in one of them.
fn same_as_helm(tools: &Tools, chart: &Chart, folder: &Path, built: &str) -> Result<()> {
    let scratch = Scratch::new("kustomize")?;
    let copy = scratch.0.join("helm");
    copy_folder(folder, &copy)?;
    let write = |name: &str, text: &str| {
        let path = copy.join(name);
        fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))
    };
    write("helm.yaml", &chart.render(&folder.join("values.yaml"), &[])?)?;
    write("kustomization.yaml", "resources: [helm.yaml]\n")?;
    let theirs = without_helm(&build(tools, &copy)?);
    let ours = without_hash(built);
    if sorted_documents(&ours) == sorted_documents(&theirs) {
        return Ok(());
    }
    let differing: Vec<_> = ours.lines().zip(theirs.lines()).filter(|(a, b)| a != b).collect();
    let first = differing.first().map_or_else(String::new, |(a, b)| format!("`{a}` for `{b}`"));
    let what = "builds something else than helm renders from its values.yaml:";
    Err(Error::Failed(format!("{} {what} {first}", folder.display())))
}

/// Objects in one order: a ConfigMap's place follows from its name.
fn sorted_documents(text: &str) -> Vec<String> {
    let mut all: Vec<String> = text.split("---\n").map(|d| d.trim().to_owned()).collect();
    all.sort();
    all
}

/// `feedpulse-0123456789`, as kustomize names a generated ConfigMap, becomes `feedpulse`.
fn without_hash(built: &str) -> String {
    let plain = |line: &str| match line.split_once("name: feedpulse-") {
        Some((before, hash))
            if hash.len() == 10
                && hash.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase()) =>
        {
            format!("{before}name: feedpulse\n")
        }
        _ => format!("{line}\n"),
    };
    built.lines().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_alone_says_is_dropped() {
        let text = "# Source: a\nkind: X\nmetadata:\n  annotations:\n    checksum/config: 1\n  \
                    labels:\n    helm.sh/chart: f-1\n    app: f\n";
        assert_eq!(without_helm(text), "kind: X\nmetadata:\n  labels:\n    app: f\n");
        let kept = "metadata:\n  annotations:\n    a: b\n";
        assert_eq!(without_helm(kept), kept);
    }

    #[test]
    fn a_hash_is_not_a_name() {
        let built =
            "  name: feedpulse-4tk2b9fh5m\n  name: feedpulse-config\n  name: feedpulse-ops\n";
        assert_eq!(
            without_hash(built),
            "  name: feedpulse\n  name: feedpulse-config\n  name: feedpulse-ops\n"
        );
    }

    #[test]
    fn the_configuration_is_taken_out_of_its_block() {
        let text = "data:\n  feedpulse.yaml: |\n    a:\n      b: 1\n---\nkind: Y\n";
        assert_eq!(configuration(text).unwrap(), "a:\n  b: 1\n");
        assert!(configuration("kind: Y\n").is_err());
    }
}
