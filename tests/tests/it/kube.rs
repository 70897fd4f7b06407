//! The charts on a real API server: what it says to every mode's manifests, which pods it admits, and
//! the way past Feedpulse.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::manifests::{
    all_charts, chart, containers, find, parse, pod_of, rendered, target_port,
};
use feedpulse_tests::parts::Kubernetes;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use xtask::chart::Chart;

/// Dry runs in the server: defaults, validation and admission, and nothing is kept.
const DRY: [&str; 4] = ["apply", "--server-side", "--dry-run=server", "--filename=-"];

/// The server, which then knows the kinds of the Prometheus operator.
fn server() -> Option<std::sync::Arc<Kubernetes>> {
    let server = Kubernetes::shared()?;
    server.learn(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/monitoring-crds.yaml"));
    Some(server)
}

fn dry_run(server: &Kubernetes, namespace: &str, rendered: &str) {
    let arguments: Vec<&str> = ["--namespace", namespace].into_iter().chain(DRY).collect();
    server.ok(&arguments, rendered);
}

/// The pods that these manifests become.
fn pods(rendered: &str) -> Vec<Value> {
    let objects = parse(rendered);
    objects.iter().filter(|object| object["kind"] == "Deployment").map(pod_of).collect()
}

const CREATE: [&str; 3] = ["create", "--dry-run=server", "--filename=-"];

fn admit(server: &Kubernetes, namespace: &str, pod: &Value) {
    let arguments: Vec<&str> = ["--namespace", namespace].into_iter().chain(CREATE).collect();
    server.ok(&arguments, &pod.to_string());
}

/// Every values file of every chart with its name, and what it renders.
fn everything(charts: &[Chart]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for chart in charts {
        for values in chart.values().unwrap() {
            all.push((values.display().to_string(), chart.render(&values, &[]).unwrap()));
        }
    }
    all
}

#[test]
fn every_mode_but_capture_is_admitted_where_pods_are_restricted() {
    let (Some(charts), Some(server)) = (all_charts(), server()) else { return };
    server.namespace("strict", "restricted", &["default", "feedpulse"]);
    let mut modes = Vec::new();
    for (name, rendered) in everything(&charts) {
        if name.ends_with("capture-values.yaml") {
            continue;
        }
        dry_run(&server, "strict", &rendered);
        for pod in pods(&rendered) {
            admit(&server, "strict", &pod);
            modes.push(name.clone());
        }
    }
    assert!(modes.len() >= 7, "{modes:?}");
}

#[test]
fn kustomize_folders_are_admitted_where_pods_are_restricted() {
    let Some(server) = server() else { return };
    server.namespace("kustomized", "restricted", &["default", "feedpulse"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize");
    for name in ["kafka", "proxy", "example"] {
        let built = server.ok(&["kustomize", folder.join(name).to_str().unwrap()], "");
        dry_run(&server, "kustomized", &built);
        let pods = pods(&built);
        assert!(!pods.is_empty(), "{name}");
        for pod in pods {
            admit(&server, "kustomized", &pod);
        }
    }
}

#[test]
fn capture_is_refused_by_baseline_and_restricted_and_needs_an_exempt_namespace() {
    let (Some(charts), Some(server)) = (all_charts(), server()) else { return };
    for level in ["baseline", "restricted", "privileged"] {
        server.namespace(&format!("capture-{level}"), level, &["default"]);
    }
    for user in ["root", "nonroot"] {
        let set = format!("feedpulse.capture.user={user}");
        let rendered = rendered(chart(&charts, "engine"), "capture", &[&set]);
        let pod = &pods(&rendered)[0];
        let refusal = |level: &str| {
            let namespace = format!("capture-{level}");
            let arguments: Vec<&str> =
                ["--namespace", &namespace].into_iter().chain(CREATE).collect();
            server.refused(&arguments, &pod.to_string())
        };
        let said = refusal("baseline");
        assert!(
            said.contains("violates PodSecurity \"baseline:latest\": non-default capabilities"),
            "{said}"
        );
        let named = "container \"feedpulse-capture\" must not include \"NET_RAW\"";
        assert!(said.contains(named), "{said}");
        // That is all that baseline has against it.
        assert!(!said.contains("host") && !said.contains("privileged container"), "{said}");
        let said = refusal("restricted");
        assert!(said.contains("violates PodSecurity \"restricted:latest\""), "{said}");
        assert!(said.contains(named), "{said}");
        let own = if user == "root" { "runAsUser=0" } else { "allowPrivilegeEscalation != false" };
        assert!(said.contains(own), "{said}");
        admit(&server, "capture-privileged", pod);
        dry_run(&server, "capture-privileged", &rendered);
    }
}

/// `helm` on the server; what it printed.
fn helm(chart: &Chart, server: &Kubernetes, namespace: &str, words: &[&str]) -> String {
    let mut helm = chart.command();
    helm.arg("--kubeconfig").arg(server.kubeconfig()).args(["--namespace", namespace]).args(words);
    let done = helm.output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn get(server: &Kubernetes, namespace: &str, what: &str) -> Value {
    let json = server.ok(&["--namespace", namespace, "get", what, "--output=json"], "");
    serde_json::from_str(&json).unwrap()
}

#[test]
fn one_patch_or_one_upgrade_leads_past_feedpulse_and_restarts_nothing() {
    let (Some(charts), Some(server)) = (all_charts(), server()) else { return };
    let example = chart(&charts, "engine");
    server.namespace("bypass", "restricted", &["default"]);
    let folder = example.folder().to_str().unwrap();
    helm(example, &server, "bypass", &["install", "hospital", folder]);
    let deployment = get(&server, "bypass", "deployment/engine");
    let leads_to = || {
        let now = get(&server, "bypass", "deployment/engine");
        assert_eq!(
            now["metadata"]["generation"], deployment["metadata"]["generation"],
            "a restart"
        );
        let service = get(&server, "bypass", "service/engine");
        assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
        target_port(&service, 2575, &pod_of(&now))
    };
    let (tapped, direct) = (Some(12575), Some(2575));
    assert_eq!(leads_to(), tapped);
    let patch = |name: &str| json!({ "spec": { "ports": [{ "port": 2575, "targetPort": name }] } });
    let words = ["--namespace", "bypass", "patch", "service", "engine", "--patch"];
    let turn = |name: &str| {
        let patch = patch(name).to_string();
        server.ok(&[&words[..], &[patch.as_str()]].concat(), "");
    };
    turn("in-direct");
    assert_eq!(leads_to(), direct);
    turn("in-tapped");
    assert_eq!(leads_to(), tapped);
    for (path, port) in [("direct", direct), ("tapped", tapped)] {
        let set = format!("feedpulse.proxy.path={path}");
        helm(
            example,
            &server,
            "bypass",
            &["upgrade", "hospital", folder, "--reuse-values", "--set", &set],
        );
        assert_eq!(leads_to(), port);
    }
    // A leg by itself.
    let set = "feedpulse.proxy.paths.in=direct";
    helm(
        example,
        &server,
        "bypass",
        &["upgrade", "hospital", folder, "--reuse-values", "--set", set],
    );
    assert_eq!(leads_to(), direct);
}

#[test]
fn the_notes_of_mode_proxy_hold_the_patch_that_leads_past_it() {
    let (Some(charts), Some(server)) = (all_charts(), server()) else { return };
    let ours = &charts[0];
    server.namespace("notes", "restricted", &["default"]);
    let values = ours.folder().join("ci/proxy-values.yaml");
    let words = ["install", "feedpulse", ours.folder().to_str().unwrap(), "--values"];
    let said = helm(ours, &server, "notes", &[&words[..], &[values.to_str().unwrap()]].concat());
    let command = said.lines().find_map(|line| line.trim().strip_prefix("kubectl -n notes patch"));
    let command = format!("--namespace notes patch{}", command.unwrap());
    let service = || get(&server, "notes", "service/feedpulse");
    let own = pod_of(&get(&server, "notes", "deployment/feedpulse"));
    assert_eq!(target_port(&service(), 2576, &own), Some(2576));
    assert_eq!(service()["spec"]["ports"][1]["targetPort"], "oru-tapped");
    // As a shell reads what a person copies.
    let split =
        Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().unwrap();
    let split = String::from_utf8(split.stdout).unwrap();
    server.ok(&split.lines().collect::<Vec<_>>(), "");
    let engine = json!({ "metadata": { "labels": { "app": "engine" } }, "spec": {} });
    assert_eq!(target_port(&service(), 2575, &engine), Some(2575));
    assert_eq!(target_port(&service(), 2576, &engine), Some(2576));
    assert_eq!(target_port(&service(), 2575, &own), None, "no longer Feedpulse's pod");
}

#[test]
fn a_patch_adds_feedpulse_to_an_engine_whose_manifests_are_not_ours() {
    let (Some(charts), Some(server)) = (all_charts(), server()) else { return };
    let ours = &charts[0];
    server.namespace("vendor", "restricted", &["default"]);
    let theirs = rendered(chart(&charts, "engine"), "classic", &[]);
    let mut engine = find(&parse(&theirs), "Deployment", "engine").clone();
    let spec = &mut engine["spec"]["template"]["spec"];
    spec["containers"].as_array_mut().unwrap().truncate(1);
    spec["volumes"] = json!([{ "name": "scratch", "emptyDir": {} }]);
    let create = ["--namespace", "vendor", "create", "--filename=-"];
    server.ok(&create, &engine.to_string());
    let patch = rendered(ours, "beside", &["patchOnly=true"]);
    for _ in 0..2 {
        let words =
            ["--namespace", "vendor", "patch", "deployment", "engine", "--patch-file=/dev/stdin"];
        server.ok(&words, &patch);
        let pod = pod_of(&get(&server, "vendor", "deployment/engine"));
        let mut names: Vec<_> = containers(&pod).filter_map(|c| c["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["engine", "feedpulse-analyser", "feedpulse-wire"]);
        assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 5);
        admit(&server, "vendor", &pod);
    }
}
