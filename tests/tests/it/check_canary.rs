//! A check that wants to carry patient data out, by every way that a check has: nothing arrives in
//! logs, metrics, spans, pages, JSON or the store.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::alerts::Hook;
use crate::gaps::Watched;
use feedpulse_sim::AckCode::Ae;
use feedpulse_tests::checks::{component, with_manifest};
use feedpulse_tests::clinic::Answer::Refuse;
use feedpulse_tests::clinic::{CANARIES, Fate, Lab};
use feedpulse_tests::parts::{Collector, MailServer, PASSWORD, USER, get};
use feedpulse_tests::product::Product;
use std::path::Path;

/// The thief reads whole messages, and may not speak in words of its own.
fn thief(folder: &Path) -> String {
    let grants = serde_json::json!(["get", "raw"]);
    let file = folder.join("thief.wasm");
    let wasm = with_manifest(component("troublemaker"), |m| m["grants"] = grants);
    std::fs::write(&file, wasm).unwrap();
    format!(
        "checks:\n  - name: thief\n    plugin: {file:?}\n    config: {{smuggle: true}}\n    \
         fields: [\"*\"]\n    grants: [get, raw]\n    waypoints: [engine-in, portal-in]\n"
    )
}

/// Every kind of notifier that speaks HTTP, all at one receiver.
fn notifiers(hook: &Hook, folder: &Path) -> String {
    let to = |path: &str| format!("http://{}/{path}", hook.address);
    let key = folder.join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    format!(
        "webhooks: [{{name: hook, url: {:?}, min_severity: ticket}}]\n\
         slack: [{{name: slack, url: {:?}, min_severity: ticket}}]\n\
         teams: [{{name: teams, url: {:?}, min_severity: ticket}}]\n\
         pagerduty: [{{name: pager, routing_key: {{file: {key:?}}}, url: {:?}, min_severity: ticket}}]\n\
         alertmanager: {{urls: [{:?}], min_severity: ticket}}\n",
        to("hook"),
        to("slack"),
        to("teams"),
        to("enqueue"),
        to("am")
    )
}

fn mail_to(server: &MailServer, folder: &Path) -> String {
    let (file, address, ca) = (folder.join("password"), server.address(), server.ca_file());
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    format!(
        "email:\n  - {{name: mail, server: \"{address}\", user: {USER}, password: {{file: {file:?}}}, \
         from: \"Feedpulse <feedpulse@north.example>\", to: [\"ana@north.example\"], ca_file: {ca:?}, \
         min_severity: ticket}}\n"
    )
}

/// Which kind of notifier a body is from.
fn kind(notice: &serde_json::Value) -> &'static str {
    match notice {
        n if n.is_array() => "alertmanager",
        n if n["routing_key"].is_string() => "pager",
        n if n["blocks"].is_array() => "slack",
        n if n["attachments"].is_array() => "teams",
        _ => "webhook",
    }
}

/// A sample of a family of numbers of the thief.
fn sample(product: &Product, family: &str, label: &str) -> f64 {
    let start = format!("{family}{{check=\"thief\"");
    let metrics = product.metrics();
    let line = metrics.lines().find(|l| l.starts_with(&start) && l.contains(label));
    line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}

/// Every file under a folder, as bytes.
fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, all);
        } else if path.is_file() {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn nothing_of_a_patient_gets_out_by_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let spans = folder.path().join("otlp.jsonl");
    let collector = Collector::start(&spans);
    let otlp = collector
        .as_ref()
        .map_or_else(String::new, |c| format!("otlp: {{endpoint: \"http://{}\"}}\n", c.grpc()));
    let hook = Hook::start();
    hook.take(true);
    let mail = MailServer::start();
    let mails = mail.as_ref().map_or_else(String::new, |server| mail_to(server, folder.path()));
    let told = notifiers(&hook, folder.path());
    let mut at = Watched::start(&format!("{}{otlp}{told}{mails}", thief(folder.path())));
    let refused = Refuse(Ae, "ERR|||204^CANARYNAME8X^HL70357|E||||CANARYRECORD8X\r");
    // The last digit of the control id says how the thief ends: well, with an error, with a panic.
    for (n, last) in (1..).zip([3, 7, 3, 7, 0, 3, 7, 1, 3, 2, 7, 3, 0, 7, 1]) {
        let lab = Lab::new(&format!("LAB8{n:02}{last}"), n);
        let fate = if n % 5 == 0 { Fate::at_portal([refused.clone()]) } else { Fate::default() };
        at.send(&lab, fate);
    }
    at.wait_ended();
    let mut n = 100;
    for (family, label) in [
        ("feedpulse_check_findings_total", "code=\"seen\""),
        ("feedpulse_check_faults_total", "cause=\"bad_finding\""),
        ("feedpulse_check_texts_dropped_total", ""),
        ("feedpulse_check_log_withheld_total", ""),
    ] {
        let (clinic, product) = (&at.clinic, &mut at.product);
        product.wait(family, |p| {
            // On a busy machine the thief may have been set aside for its time: there is more to take.
            n += 1;
            let lab = Lab::new(&format!("LAB7{n}3"), n);
            let _ = clinic.send(&lab, p.listener(0));
            (sample(p, family, label) >= 1.0).then_some(())
        });
    }
    at.wait_ended();
    let mut seen = vec![("metrics".to_owned(), at.product.metrics().into_bytes())];
    let ui = at.product.ui();
    let incidents = at.product.incidents();
    let pages = incidents.iter().map(|i| format!("/incidents/{}", i["id"]));
    let all = ["/", "/checks", "/api/v1/checks", "/api/v1/incidents", "/api/v1/feeds"];
    for path in all.into_iter().map(str::to_owned).chain(pages) {
        let answer = get(ui, &path).unwrap();
        assert!(answer.is_success(), "{path}");
        seen.push((path, answer.body.into_bytes()));
    }
    let page = seen.iter().find(|(name, _)| name == "/checks").unwrap();
    assert!(String::from_utf8_lossy(&page.1).contains("thief"), "the page shows it");
    // What people are told: of every kind of notifier at least one notice about the thief.
    let about = |n: &serde_json::Value| n.to_string().contains("check thief");
    at.product.wait("notices of every kind", |_| {
        let got = hook.got.lock().unwrap();
        let kinds = got.iter().filter(|(_, n)| about(n)).map(|(_, notice)| kind(notice));
        (kinds.collect::<std::collections::BTreeSet<_>>().len() == 5).then_some(())
    });
    if let Some(server) = &mail {
        let said =
            |mails: Vec<String>| mails.iter().any(|m| m.contains("check thief")).then_some(());
        at.product.wait("a mail", |_| server.mails().ok().and_then(said));
    }
    assert!(at.product.stop().success(), "{}", at.product.said());
    for (n, (_, notice)) in hook.got.lock().unwrap().iter().enumerate() {
        seen.push((format!("notice {n} ({})", kind(notice)), notice.to_string().into_bytes()));
    }
    for mail in mail.iter().flat_map(|server| server.mails().unwrap()) {
        let plain = mail.replace("=\r\n", "").replace("=\n", "");
        seen.push(("mail".to_owned(), plain.into_bytes()));
    }
    for name in ["run.err", "run.out"] {
        seen.push((name.to_owned(), std::fs::read(at.product.folder().join(name)).unwrap()));
    }
    if collector.is_some() {
        seen.push(("spans".to_owned(), std::fs::read(&spans).unwrap()));
    }
    files(&at.product.store(), &mut seen);
    for (name, bytes) in &seen {
        for canary in CANARIES {
            let there = memchr::memmem::find(bytes, canary.as_bytes()).is_some();
            assert!(!there, "{canary} is in {name}");
        }
    }
    if collector.is_some() {
        let spans = std::fs::read_to_string(&spans).unwrap();
        assert!(spans.contains("feedpulse.check.finding"), "what it may say is in the traces");
        assert!(spans.contains("troublemaker/seen"));
    }
}
