//! What an operator hears when a check speaks: the words of its author, in the incident, at the
//! notifiers, in the log and by command; after a crash, and after the check was removed.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use crate::alerts::Hook;
use feedpulse_tests::checks::{component, with_manifest};
use feedpulse_tests::parts::{free_address, get, post};
use feedpulse_tests::product::{Product, Setup, command};
use serde_json::Value;
use std::net::SocketAddr;

/// Its code, as it is known outside.
const CODE: &str = "result-status-regression/order-status-regressed";

/// Posts a result of an order with a status.
fn result(http: SocketAddr, id: u32, order: &str, status: &str) {
    let text = format!(
        "MSH|^~\\&|LAB|H|P|C|20260101||ORU^R01|M{id}|P|2.5\rPID|1||CANARYRECORD9X\r\
         OBR|1|A|{order}||||||||||||||||||||||{status}\rOBX|1|NM|718-7||1|||||{status}\r"
    );
    let answer = post(http, "/hl7/in", "text/plain", text.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
}

fn told(hook: &Hook, event: &str) -> Option<Value> {
    let got = hook.got.lock().unwrap();
    got.iter()
        .map(|(_, notice)| notice)
        .find(|n| n["event"] == event && n["code"] == "FP0301")
        .cloned()
}

/// The incident, once its code was found so often.
fn incident(product: &mut Product, times: u64) -> Value {
    product.wait("the incident", |p| {
        p.incident("FP0301").filter(|i| i["check_codes"][0]["times"].as_u64() >= Some(times))
    })
}

#[test]
fn an_operator_hears_what_the_author_of_a_check_wrote() {
    let hook = Hook::start();
    hook.take(true);
    let http = free_address().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("check.wasm");
    let title = "A result <went> back";
    let wasm = with_manifest(component("result-status-regression"), |m| {
        let code = &mut m["codes"]["order-status-regressed"];
        code["title"] = title.into();
        code["remedy"] = "Ask the laboratory's\r\ninterface team.".into();
    });
    std::fs::write(&file, wasm).unwrap();
    let mut setup = Setup::new(Vec::new());
    setup.others = vec!["{name: in}".to_owned()];
    let check = format!("checks:\n  - {{name: results, plugin: {file:?}, fields: [\"*\"]}}\n");
    setup.more =
        format!("http: {{listen: \"{http}\", waypoints: [in]}}\n{}{check}", hook.configured());
    let mut product = Product::start(&setup);
    product.wait("the tap", |_| std::net::TcpStream::connect(http).ok());
    for n in 0..3 {
        result(http, 2 * n, &format!("F{n}"), "F");
        result(http, 2 * n + 1, &format!("F{n}"), "P");
    }
    let remedy = "Ask the laboratory's interface team.";
    let found = incident(&mut product, 3);
    assert_eq!((&found["title"], &found["remedy"]), (&title.into(), &remedy.into()), "{found}");
    let code = &found["check_codes"][0];
    assert_eq!((&code["code"], &code["waypoint"]), (&CODE.into(), &"in".into()), "{found}");
    assert!(code["at"].as_str().unwrap().starts_with("OBR"), "{found}");
    assert!(code["by"].as_str().unwrap().starts_with("result-status-regression "), "{found}");
    let notice = product.wait("the notice", |_| told(&hook, "open"));
    assert_eq!((&notice["title"], &notice["remedy"]), (&title.into(), &remedy.into()), "{notice}");
    let times = notice["check_codes"][0]["times"].as_u64().unwrap();
    assert!(times >= 1 && notice["summary"].as_str().unwrap().contains(CODE), "{notice}");
    let summary = notice["summary"].as_str().unwrap();
    assert!(summary.starts_with("A result <went> back (check results): "), "{summary}");

    let id = found["id"].to_string();
    let page = get(product.ui(), &format!("/incidents/{id}")).unwrap().body;
    for text in ["A result &#60;went&#62; back", "Ask the laboratory&#39;s interface team.", CODE] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let config = product.config();
    let ask = ["incident", &id, "--config", config.to_str().unwrap()];
    let shown = String::from_utf8(command(&ask).stdout).unwrap();
    assert!(shown.contains(&format!("What to do: {remedy}")), "{shown}");
    assert!(shown.contains(&format!("3 × ticket {CODE}: {title}")), "{shown}");
    assert!(product.said().contains("\"remedy\":\"Ask the laboratory's interface team.\""));

    // A crash forgets none of it, and what is found then is counted on.
    product.kill9();
    product.start_run();
    product.wait("the tap", |_| std::net::TcpStream::connect(http).ok());
    assert_eq!(incident(&mut product, 3)["remedy"], remedy);
    result(http, 90, "G", "F");
    result(http, 91, "G", "P");
    let found = incident(&mut product, 4);
    assert_eq!((&found["id"].to_string(), &found["title"]), (&id, &title.into()));

    // Without the check its incident is over, and still says what it said.
    assert!(product.stop().success(), "{}", product.said());
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&check, "")).unwrap();
    product.start_run();
    let over =
        product.wait("its end", |p| p.incident("FP0301").filter(|i| i["state"] == "resolved"));
    assert_eq!((&over["subject"], &over["remedy"]), (&"check results".into(), &remedy.into()));
    let notice = product.wait("the notice of its end", |_| told(&hook, "resolved"));
    assert_eq!((&notice["title"], &notice["remedy"]), (&title.into(), &remedy.into()), "{notice}");
    assert_eq!(notice["check_codes"][0]["times"], 4, "{notice}");
    assert!(product.stop().success(), "{}", product.said());
    let all = hook.got.lock().unwrap();
    assert!(!all.iter().any(|(_, notice)| notice.to_string().contains("CANARY")));
}
