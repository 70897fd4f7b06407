//! How each real part is made, by the ordinary clients of the package registries.
//!
//! A recipe gets an empty temporary folder and leaves the part in its `out`.

use super::kubernetes;
use crate::cmd::{self, run_logged};
use crate::error::{Error, Result};
use crate::pins::Pin;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes one part in `tmp/out`.
pub(super) fn make(pin: &Pin, tmp: &Path, log: &Path) -> Result<()> {
    let out = tmp.join("out");
    fs::create_dir_all(&out).map_err(|e| Error::io("make the folder", &out, &e))?;
    match pin.name {
        "kafka" => kafka(pin, tmp, log),
        "collector" => collector(pin, tmp, log),
        "prometheus" | "promtool" => debian("prometheus", tmp, log),
        // Not the distribution's: it looks for its templates where only an installation puts them.
        "alertmanager" => {
            go_install("github.com/prometheus/alertmanager/cmd/alertmanager", pin, tmp, log)
        }
        "aiosmtpd" => pip(&[&format!("aiosmtpd=={}", pin.version)], tmp, log),
        "check-js" => npm(&CHECK_JS, tmp, log),
        "check-python" => pip(&CHECK_PYTHON, tmp, log),
        "chromium" => chromium(log),
        "registry" => {
            go_install("github.com/distribution/distribution/v3/cmd/registry", pin, tmp, log)
        }
        "helm" => go_install("helm.sh/helm/v3/cmd/helm", pin, tmp, log),
        "kubeconform" => go_install("github.com/yannh/kubeconform/cmd/kubeconform", pin, tmp, log),
        "kubernetes-schemas" => kubernetes::schemas(pin, &out),
        "kubectl" | "kube-apiserver" => kubernetes::programs(pin, tmp, log),
        "etcd" => debian("etcd-server", tmp, log),
        other => Err(Error::Failed(format!("there is no recipe for {other}"))),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io("write", path, &e))
}

fn kafka(pin: &Pin, tmp: &Path, log: &Path) -> Result<()> {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>feedpulse</groupId><artifactId>kafka</artifactId><version>1</version>\
         <dependencies>{}{}</dependencies></project>\n",
        dependency("org.apache.kafka", "kafka_2.13", pin.version),
        // Kafka logs through slf4j; the simple binding writes to standard error.
        dependency("org.slf4j", "slf4j-simple", "1.7.36"),
    );
    write(&tmp.join("pom.xml"), &pom)?;
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=out/libs"]);
    run_logged(maven.current_dir(tmp), log)
}

/// A Go command as every recipe wants it: no C toolchain, no stamp of the surrounding repository,
/// niceness left to the caller.
pub(super) fn go(tmp: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(tmp).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
    go
}

fn go_install(package: &str, pin: &Pin, tmp: &Path, log: &Path) -> Result<()> {
    let mut install = go(tmp);
    install.env("GOBIN", tmp.join("out"));
    install.args(["install", "-trimpath", "-ldflags=-s -w"]);
    run_logged(install.arg(format!("{package}@v{}", pin.version)), log)
}

/// The collector's own builder writes the sources of a collector with just what the tests use.
///
/// Its last step (`go mod tidy`) also resolves the dependencies of other modules' tests, one of
/// which the Go module proxy lacks; so that failure is let pass and the build resolves what it
/// needs by itself (`-mod=mod`).
fn collector(pin: &Pin, tmp: &Path, log: &Path) -> Result<()> {
    let v = pin.version;
    let config = format!(
        "dist:\n  name: otelcol-feedpulse\n  output_path: ./source\n  version: {v}\n\
         receivers:\n  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v{v}\n\
         exporters:\n  - gomod: go.opentelemetry.io/collector/exporter/debugexporter v{v}\n  \
         - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v{v}\n"
    );
    write(&tmp.join("builder.yaml"), &config)?;
    let mut builder = go(tmp);
    builder.arg("run").arg(format!("go.opentelemetry.io/collector/cmd/builder@v{v}"));
    builder.args(["--skip-compilation", "--config", "builder.yaml"]);
    let generated = run_logged(&mut builder, log);
    let source = tmp.join("source");
    if !source.join("go.mod").exists() {
        return generated;
    }
    let mut build = go(&source);
    build.args(["build", "-mod=mod", "-trimpath", "-ldflags=-s -w"]);
    run_logged(build.args(["-o", "../out/otelcol-feedpulse", "."]), log)
}

/// Unpacks a Debian package without installing it: no service is started, and no root is needed.
/// Fit for programs that need nothing but the C library.
fn debian(package: &str, tmp: &Path, log: &Path) -> Result<()> {
    let download =
        || run_logged(Command::new("apt-get").args(["download", package]).current_dir(tmp), log);
    if let Err(e) = download() {
        if !cmd::is_root() {
            return Err(e);
        }
        // A new machine has no package lists yet.
        run_logged(Command::new("apt-get").arg("update"), log)?;
        download()?;
    }
    let entries = fs::read_dir(tmp).map_err(|e| Error::io("read", tmp, &e))?;
    let deb =
        entries.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|x| x == "deb"));
    let deb = deb.ok_or_else(|| Error::Failed(format!("apt-get downloaded no {package}")))?;
    run_logged(Command::new("dpkg-deb").arg("-x").arg(deb).arg("out").current_dir(tmp), log)
}

/// The toolchain of checks in JavaScript and TypeScript, as the templates name it.
const CHECK_JS: [&str; 4] =
    ["componentize-qjs@0.4.5", "esbuild@0.28.2", "typescript@7.0.2", "@types/node@20.19.0"];
/// That of checks in Python, and what holds their types against the kit.
const CHECK_PYTHON: [&str; 2] = ["componentize-py==0.25.1", "mypy==2.4.1"];

/// Python packages and what they need, in a folder of their own.
fn pip(packages: &[&str], tmp: &Path, log: &Path) -> Result<()> {
    let mut install = Command::new("python3");
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--root-user-action=ignore", "--target", "out/packages"]);
    run_logged(install.args(packages).current_dir(tmp), log)
}

/// Packages of Node.js and what they need. No script of theirs runs: each brings its program built.
fn npm(packages: &[&str], tmp: &Path, log: &Path) -> Result<()> {
    write(&tmp.join("out/package.json"), "{ \"private\": true }\n")?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"]);
    run_logged(install.args(packages).current_dir(tmp.join("out")), log)
}

/// A browser needs many libraries, so it is installed as a package; only root gets here.
fn chromium(log: &Path) -> Result<()> {
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "-q", "--no-install-recommends", "chromium"]);
        run_logged(apt.env("DEBIAN_FRONTEND", "noninteractive"), log)
    };
    install().or_else(|_| {
        run_logged(Command::new("apt-get").arg("update"), log)?;
        install()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins;

    #[test]
    fn the_templates_name_the_same_toolchains() {
        let templates = cmd::root().join("crates/feedpulse/templates");
        let read = |name: &str| fs::read_to_string(templates.join(name)).unwrap();
        let (js, ts, python) =
            (read("js/package.json"), read("ts/package.json"), read("python/requirements.txt"));
        for (package, version) in CHECK_JS.iter().filter_map(|p| p.rsplit_once('@')) {
            let line = format!("\"{package}\": \"{version}\"");
            assert!(ts.contains(&line), "{line}");
            assert!(js.contains(&line) || ["typescript", "@types/node"].contains(&package));
        }
        assert!(python.contains(CHECK_PYTHON[0]));
        assert!(CHECK_JS[0].ends_with(pins::find("check-js").unwrap().version));
        assert!(CHECK_PYTHON[0].ends_with(pins::find("check-python").unwrap().version));
    }
}
