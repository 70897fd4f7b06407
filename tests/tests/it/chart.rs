//! What the charts say, held without a server: configurations that Feedpulse takes, probes that keep
//! out of the way, and values that cannot work refused with a sentence.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::manifests::{all_charts, chart, containers, find, parse, pod_of, rendered};
use feedpulse_tests::product::{binary, command};
use serde_json::Value;
use std::process::Command;

/// Environment variables that a configuration of the examples refers to.
const SECRETS: [&str; 2] = ["KAFKA_PASSWORD", "EGRESS_PROXY"];

#[test]
fn every_rendered_configuration_is_valid() {
    let Some(charts) = all_charts() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feedpulse.yaml");
    let schema = command(&["validate", "--schema"]).stdout;
    let knows_capture = String::from_utf8(schema).unwrap().contains("\"capture\"");
    let mut modes = 0;
    for chart in &charts {
        for values in chart.values().unwrap() {
            if values.ends_with("capture-values.yaml") && !knows_capture {
                continue;
            }
            let objects = parse(&chart.render(&values, &[]).unwrap());
            let config = objects.iter().find(|o| o["kind"] == "ConfigMap").unwrap();
            std::fs::write(&file, config["data"]["feedpulse.yaml"].as_str().unwrap()).unwrap();
            let mut validate = Command::new(binary());
            validate.arg("validate").arg(&file);
            validate.envs(SECRETS.map(|name| (name, "http://proxy.example:3128")));
            let done = validate.output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            // What is wrong with a registry that is not there is all that is wrong with its example.
            let unreachable = said.lines().count() == 1 && said.contains("registry.example cannot");
            assert!(done.status.success() || unreachable, "{}: {said}", values.display());
            modes += 1;
        }
    }
    assert!(modes >= 8, "{modes}");
}

/// Every pod that a chart renders, with the name of its values.
fn every_pod() -> Vec<(String, Value)> {
    let mut pods = Vec::new();
    for chart in all_charts().unwrap_or_default() {
        for values in chart.values().unwrap() {
            let objects = parse(&chart.render(&values, &[]).unwrap());
            let deployments = objects.iter().filter(|o| o["kind"] == "Deployment");
            pods.extend(deployments.map(|d| (values.display().to_string(), pod_of(d))));
        }
    }
    pods
}

#[test]
fn no_probe_of_ours_can_take_an_engine_out_of_its_service() {
    for (name, pod) in every_pod() {
        for container in containers(&pod).filter(|c| c["name"] != "engine") {
            let own = container["name"].as_str().unwrap();
            assert!(own.starts_with("feedpulse-"), "{name}: {own} could be the engine's own name");
            if own == "feedpulse-wire" {
                let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
                assert!(probes.iter().all(|probe| container[probe].is_null()), "{name}");
                assert!(container["resources"]["limits"]["cpu"].is_null(), "{name}: throttled");
                continue;
            }
            assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz", "{name}");
            let beside =
                containers(&pod).any(|c| c["name"] == "feedpulse-wire" || c["name"] == "engine");
            assert_eq!(container["readinessProbe"].is_null(), beside, "{name}");
            assert_eq!(container["startupProbe"].is_null(), beside, "{name}");
        }
    }
}

#[test]
fn the_store_stays_below_its_volume() {
    let Some(charts) = all_charts() else { return };
    for (size, mib) in [("64Mi", 64), ("2Gi", 2048), ("50Gi", 51_200)] {
        let set = format!("persistence.size={size}");
        let objects = parse(&rendered(&charts[0], "proxy", &[&set]));
        let config = find(&objects, "ConfigMap", "feedpulse")["data"]["feedpulse.yaml"].clone();
        let config = &parse(config.as_str().unwrap())[0];
        let part = |key: &str| config["store"][key].as_u64().unwrap();
        let all = part("log_mib") + part("ledger_mib");
        assert!(all * 5 <= mib * 4 && all > mib / 2, "{size}: {all}");
    }
}

#[test]
fn a_fixed_user_is_said_or_left_to_the_platform() {
    let Some(charts) = all_charts() else { return };
    for (fixed, user) in [("true", Value::from(65532)), ("false", Value::Null)] {
        for (chart, name, set) in [
            (&charts[0], "proxy", format!("fixedUser={fixed}")),
            (chart(&charts, "engine"), "classic", format!("feedpulse.fixedUser={fixed}")),
        ] {
            let objects = parse(&rendered(chart, name, &[&set]));
            let pod = pod_of(objects.iter().find(|o| o["kind"] == "Deployment").unwrap());
            for container in containers(&pod).filter(|c| c["name"] != "engine") {
                assert_eq!(container["securityContext"]["runAsUser"], user);
                assert_eq!(container["securityContext"]["runAsNonRoot"], true);
            }
            assert!(pod["spec"]["securityContext"]["runAsUser"].is_null());
        }
    }
}

#[test]
fn values_that_cannot_work_are_refused_with_a_sentence() {
    let Some(charts) = all_charts() else { return };
    let refused = |chart: &str, values: &str, sets: &[&str], why: &str| {
        let chart = feedpulse_tests::manifests::chart(&charts, chart);
        let mut helm = chart.command();
        helm.args(["template", "feedpulse"]).arg(chart.folder()).arg("--values");
        helm.arg(chart.folder().join(format!("ci/{values}-values.yaml")));
        helm.args(["--kube-version", "1.34.4"]);
        helm.args(sets.iter().flat_map(|set| ["--set", *set]));
        let done = helm.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains(why), "{sets:?}: {said}");
    };
    refused("feedpulse", "kafka", &["mode=edge"], "mode");
    refused("feedpulse", "kafka", &["config=null"], "config");
    refused("feedpulse", "kafka", &["persistence.size=1Mi"], "at least 64Mi");
    refused("feedpulse", "kafka", &["config.ops.listen=0.0.0.0:1"], "the probes ask port 9464");
    refused("feedpulse", "kafka", &["patchOnly=true"], "another's pod");
    refused("feedpulse", "proxy", &["config.mllp.listeners=null"], "leave it out");
    refused("feedpulse", "proxy", &["proxy.listeners[0].name=admissions"], "name");
    refused("feedpulse", "proxy", &["proxy.paths.adt=direct"], "set proxy.path");
    refused(
        "feedpulse",
        "proxy",
        &["proxy.path=direct", "engine.selector=null"],
        "engine.selector",
    );
    refused("feedpulse", "strict", &["proxy.path=direct"], "no way past Feedpulse");
    refused("feedpulse", "strict", &["networkPolicy.senders=null"], "who may send");
    refused("feedpulse", "beside", &["networkPolicy.enabled=true"], "whole pod");
    refused("feedpulse", "beside", &["engine.selector=null"], "engine.selector");
    refused("feedpulse", "beside", &["proxy.listeners[0].outbound=true"], "needs `forward");
    let other = "feedpulse.proxy.listeners[0].name=out,feedpulse.proxy.listeners[0].port=1024,feedpulse.proxy.listeners[0].direct=1";
    refused("engine", "classic", &[other], "no inbound leg in");
    refused("engine", "classic", &["feedpulse.proxy.drain=soon"], "drain");
}
