//! The real parts that tests and the chart's checks use: one table of names and pinned versions,
//! and the rule that says where each of them is on this machine.
//!
//! Read by `cargo xtask parts`, which fetches them, and by the integration tests, which start them.

use std::path::{Path, PathBuf};

/// One real part.
#[derive(Debug, PartialEq, Eq)]
pub struct Pin {
    /// The word that tests use for it.
    pub name: &'static str,
    /// The version that is fetched, or `distribution` where the system's packages decide.
    pub version: &'static str,
    /// Its folder in the parts folder; holds the version, so that a new pin is a new folder.
    pub folder: &'static str,
    /// Its program or folder inside that folder; none when only `PATH` counts.
    pub inside: Option<&'static str>,
    /// Programs that serve as well when `PATH` has them, best first.
    pub on_path: &'static [&'static str],
    /// Programs needed to run it.
    pub runs_with: &'static [&'static str],
    /// Programs needed to fetch it.
    pub fetched_with: &'static [&'static str],
    /// What does not run without it.
    pub used_by: &'static str,
    /// One way to get what is missing.
    pub remedy: &'static str,
}

/// Go 1.24 or newer is what the pinned modules ask for.
const GO: &str = "install Go 1.24 or newer, then run `cargo xtask parts`";
const DEBIAN: &str = "`cargo xtask parts` unpacks Debian's package; elsewhere put it on PATH";

/// Every real part, in the order in which they are fetched.
pub const PINS: [Pin; 17] = [
    Pin {
        name: "kafka",
        version: "3.9.1",
        folder: "kafka-3.9.1",
        inside: Some("libs"),
        on_path: &[],
        runs_with: &["java"],
        fetched_with: &["mvn", "java"],
        used_by: "the tests on a real Apache Kafka",
        remedy: "install a Java 17 runtime and Maven, then run `cargo xtask parts`",
    },
    Pin {
        name: "collector",
        version: "0.160.0",
        folder: "otelcol-0.160.0",
        inside: Some("otelcol-feedpulse"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the tests on a real OpenTelemetry Collector",
        remedy: GO,
    },
    Pin {
        name: "prometheus",
        version: "distribution",
        folder: "prometheus-distribution",
        inside: Some("usr/bin/prometheus"),
        on_path: &["prometheus"],
        runs_with: &[],
        fetched_with: &["apt-get", "dpkg-deb"],
        used_by: "the tests on a real Prometheus",
        remedy: DEBIAN,
    },
    Pin {
        name: "promtool",
        version: "distribution",
        folder: "prometheus-distribution",
        inside: Some("usr/bin/promtool"),
        on_path: &["promtool"],
        runs_with: &[],
        fetched_with: &["apt-get", "dpkg-deb"],
        used_by: "the checks of metrics and rules by promtool",
        remedy: DEBIAN,
    },
    Pin {
        name: "alertmanager",
        version: "0.28.1",
        folder: "alertmanager-0.28.1",
        inside: Some("alertmanager"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the tests on a real Alertmanager",
        remedy: GO,
    },
    Pin {
        name: "aiosmtpd",
        version: "1.4.6",
        folder: "aiosmtpd-1.4.6",
        inside: Some("packages"),
        on_path: &[],
        runs_with: &["python3"],
        fetched_with: &["python3"],
        used_by: "the tests on a real mail server",
        remedy: "install Python 3 with pip, then run `cargo xtask parts`",
    },
    Pin {
        name: "chromium",
        version: "distribution",
        folder: "chromium-distribution",
        inside: None,
        on_path: &["chromium", "chromium-browser", "google-chrome"],
        runs_with: &[],
        fetched_with: &["apt-get"],
        used_by: "the tests of pages in a real browser",
        remedy: "install Chromium (Debian: `apt-get install chromium` as root)",
    },
    Pin {
        name: "registry",
        version: "3.1.1",
        folder: "registry-3.1.1",
        inside: Some("registry"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the tests on a real OCI registry",
        remedy: GO,
    },
    Pin {
        name: "helm",
        version: "3.19.5",
        folder: "helm-3.19.5",
        inside: Some("helm"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the checks of the Helm chart",
        remedy: GO,
    },
    Pin {
        name: "kubeconform",
        version: "0.8.0",
        folder: "kubeconform-0.8.0",
        inside: Some("kubeconform"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the checks of the Helm chart",
        remedy: GO,
    },
    Pin {
        name: "kubernetes-schemas",
        version: "1.34.4",
        folder: "kubernetes-schemas-1.34.4",
        inside: Some("schemas"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the checks of the Helm chart",
        remedy: GO,
    },
    Pin {
        name: "kubectl",
        version: "1.34.4",
        folder: "kubernetes-1.34.4",
        inside: Some("kubectl"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the checks of the kustomize folders",
        remedy: GO,
    },
    Pin {
        name: "kube-apiserver",
        version: "1.34.4",
        folder: "kubernetes-1.34.4",
        inside: Some("kube-apiserver"),
        on_path: &[],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the tests on a real Kubernetes API server",
        remedy: GO,
    },
    Pin {
        name: "etcd",
        version: "distribution",
        folder: "etcd-distribution",
        inside: Some("usr/bin/etcd"),
        on_path: &["etcd"],
        runs_with: &[],
        fetched_with: &["apt-get", "dpkg-deb"],
        used_by: "the tests on a real Kubernetes API server",
        remedy: DEBIAN,
    },
    Pin {
        name: "check-js",
        version: "0.4.5",
        folder: "check-js-0.4.5",
        inside: Some("node_modules"),
        on_path: &[],
        runs_with: &["node"],
        fetched_with: &["npm"],
        used_by: "the tests of checks in JavaScript and TypeScript",
        remedy: "install Node.js 20 or newer with npm, then run `cargo xtask parts`",
    },
    Pin {
        name: "check-python",
        version: "0.25.1",
        folder: "check-python-0.25.1",
        inside: Some("packages"),
        on_path: &[],
        runs_with: &["python3"],
        fetched_with: &["python3"],
        used_by: "the tests of checks in Python",
        remedy: "install Python 3.11 or newer with pip, then run `cargo xtask parts`",
    },
    Pin {
        name: "go",
        version: "distribution",
        folder: "go-distribution",
        inside: None,
        on_path: &["go"],
        runs_with: &[],
        fetched_with: &["go"],
        used_by: "the tests of checks in Go",
        remedy: "install Go 1.24 or newer",
    },
];

/// Raise this when a recipe changes without its version: every fetched part is then made anew.
pub const RECIPES: &str = "1";

/// The file that marks a folder as whole; it holds [`RECIPES`].
pub const STAMP: &str = ".complete";

/// The part of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Pin> {
    PINS.iter().find(|p| p.name == name)
}

/// The folder of all parts: `$FEEDPULSE_PARTS`, else `parts` in `$FEEDPULSE_CACHE`, else in
/// `feedpulse` in the user's cache folder. None when not even a home folder is known.
#[must_use]
pub fn parts_dir() -> Option<PathBuf> {
    parts_dir_from(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
}

fn parts_dir_from(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(parts) = var("FEEDPULSE_PARTS") {
        return Some(parts);
    }
    if let Some(cache) = var("FEEDPULSE_CACHE") {
        return Some(cache.join("parts"));
    }
    // The XDG base directory rules: a relative path in the variable is to be ignored.
    let xdg = var("XDG_CACHE_HOME").filter(|p| p.is_absolute());
    let user = xdg.or_else(|| var("HOME").map(|home| home.join(".cache")))?;
    Some(user.join("feedpulse").join("parts"))
}

/// True when a folder was fetched whole by the recipes of this checkout.
#[must_use]
pub fn is_complete(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|s| s.trim() == RECIPES)
}

/// A program on `PATH`.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// Where a part is: its program, or its folder for one that has no program. None when it cannot
/// run on this machine as it is.
#[must_use]
pub fn locate(pin: &Pin) -> Option<PathBuf> {
    if pin.runs_with.iter().any(|program| which(program).is_none()) {
        return None;
    }
    if let Some(found) = pin.on_path.iter().find_map(|program| which(program)) {
        return Some(found);
    }
    let folder = parts_dir()?.join(pin.folder);
    let path = folder.join(pin.inside?);
    (is_complete(&folder) && path.exists()).then_some(path)
}

/// The sentence for a part that is absent: what is skipped and how to get it.
#[must_use]
pub fn skip_line(pin: &Pin) -> String {
    let absent = |tools: &[&'static str]| -> Vec<&'static str> {
        tools.iter().copied().filter(|tool| which(tool).is_none()).collect()
    };
    let mut tools = absent(pin.runs_with);
    tools.extend(absent(pin.fetched_with));
    tools.dedup();
    let lacks =
        if tools.is_empty() { String::new() } else { format!(" (no {})", tools.join(", ")) };
    format!(
        "SKIPPED {}: {} {} is not here{lacks}; {}",
        pin.used_by, pin.name, pin.version, pin.remedy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(vars: &[(&str, &str)]) -> Option<PathBuf> {
        parts_dir_from(|n| vars.iter().find(|(k, _)| *k == n).map(|(_, v)| PathBuf::from(v)))
    }

    #[test]
    fn the_nearest_variable_wins() {
        let all = [
            ("FEEDPULSE_PARTS", "/p"),
            ("FEEDPULSE_CACHE", "/c"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(dir(&all), Some("/p".into()));
        assert_eq!(dir(&all[1..]), Some("/c/parts".into()));
        assert_eq!(dir(&all[2..]), Some("/x/feedpulse/parts".into()));
        assert_eq!(dir(&all[3..]), Some("/h/.cache/feedpulse/parts".into()));
        assert_eq!(dir(&[("XDG_CACHE_HOME", "rel"), ("HOME", "/h")]), dir(&all[3..]));
        assert_eq!(dir(&[]), None);
    }

    #[test]
    fn the_version_is_part_of_the_folder() {
        for pin in &PINS {
            assert!(pin.folder.ends_with(pin.version), "{}: {}", pin.name, pin.folder);
            assert!(pin.inside.is_some() || !pin.on_path.is_empty(), "{} is nowhere", pin.name);
            assert_eq!(find(pin.name), Some(pin));
        }
    }

    #[test]
    fn a_folder_of_other_recipes_is_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_complete(dir.path()));
        std::fs::write(dir.path().join(STAMP), "0\n").unwrap();
        assert!(!is_complete(dir.path()));
        std::fs::write(dir.path().join(STAMP), format!("{RECIPES}\n")).unwrap();
        assert!(is_complete(dir.path()));
    }
}
