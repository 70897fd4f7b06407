//! Checks from and to a real OCI registry: TLS by an authority of its own, a login, pinned digests, and
//! a start without the registry.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_tests::checks::component;
use feedpulse_tests::parts::{PASSWORD, Registry, USER, free_address};
use feedpulse_tests::product::{Product, Setup, binary};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command of the binary where the environment names a proxy that nobody may use.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(arguments).env("FEEDPULSE_REGISTRY_PASSWORD", PASSWORD);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_check_is_pushed_pinned_pulled_and_run_from_a_registry() {
    let Some(mut registry) = Registry::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let wasm = component("result-status-regression");
    fs::write(here.join("check.wasm"), wasm).unwrap();
    let (ca, name) = (registry.ca_file(), format!("{}/checks/results:1", registry.host()));
    let ca = ca.to_str().unwrap();

    let nobody = run(here, &["check", "push", "check.wasm", &name, "--ca-file", ca]);
    assert!(
        nobody.status.code() == Some(69) && said(&nobody).contains("does not let us"),
        "{}",
        said(&nobody)
    );
    let stranger = run(here, &["check", "push", "check.wasm", &name, "--user", USER]);
    assert!(said(&stranger).contains("untrusted"), "{}", said(&stranger));
    let pushed =
        run(here, &["check", "push", "check.wasm", &name, "--ca-file", ca, "--user", USER]);
    assert!(pushed.status.success(), "{}", said(&pushed));
    // What is printed is the entry that runs it.
    let entry = String::from_utf8_lossy(&pushed.stdout).into_owned();
    let pinned = entry.split('"').find(|text| text.starts_with("oci://"));
    let pinned = pinned.or_else(|| entry.split_whitespace().find(|t| t.starts_with("oci://")));
    let pinned = pinned.unwrap_or_else(|| panic!("{entry}")).to_owned();
    assert!(pinned.contains("/checks/results:1@sha256:"), "{entry}");

    let auth = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{USER}:{PASSWORD}"),
    );
    let docker = here.join("config.json");
    fs::write(&docker, format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.host()))
        .unwrap();
    let docker = docker.to_str().unwrap();
    let way = ["--ca-file", ca, "--docker-config", docker, "--output", "back.wasm"];
    let pulled = run(here, &[&["check", "pull", &pinned], &way[..]].concat());
    assert!(pulled.status.success(), "{}", said(&pulled));
    assert_eq!(fs::read(here.join("back.wasm")).unwrap(), wasm);
    let wrong =
        pinned.replace("@sha256:", "@sha256:0").chars().take(pinned.len()).collect::<String>();
    let missing = run(here, &[&["check", "pull", &wrong], &way[..]].concat());
    assert_eq!(missing.status.code(), Some(65), "{}", said(&missing));

    let logins = (ca, docker);
    it_runs_from(&mut registry, here, &entry, logins);
}

/// In a configuration: by digest, with the login of the docker configuration.
fn it_runs_from(registry: &mut Registry, here: &Path, entry: &str, (ca, docker): (&str, &str)) {
    let store = here.join("store");
    let http = free_address().unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others = vec!["{name: in}".to_owned()];
    setup.store = Some(store.clone());
    setup.more = format!(
        "http: {{listen: \"{http}\", waypoints: [in]}}\n\
         registries:\n  - {{host: \"{}\", ca_file: {ca:?}, docker_config: {docker:?}}}\n{entry}",
        registry.host()
    );
    let version = |p: &mut Product| {
        let one = p.json("/api/v1/checks/versions")?.as_array()?.first()?.clone();
        one["version"].is_string().then_some(one)
    };
    let mut product = Product::start(&setup);
    product.wait("the check of the registry", version);
    assert!(product.stop().success());

    // Without the registry: from what was kept. A kept file that was changed is not used.
    registry.stop();
    product.start_run();
    product.wait("the check without its registry", version);
    assert!(product.stop().success());
    for entry in fs::read_dir(store.join("checks/oci")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "wasm") {
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    for entry in fs::read_dir(store.join("checks")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    product.start_run();
    product.wait("the rest without the check", |p| {
        p.incident("FP0307").filter(|i| i["state"] == "open")
    });
}
