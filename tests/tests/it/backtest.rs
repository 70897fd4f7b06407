//! Settings against a ledger of the real product, beside the running process that writes it.

use crate::gaps::Watched;
use feedpulse_sim::AckCode::Ae;
use feedpulse_tests::clinic::{Answer, Fate, Lab};
use feedpulse_tests::product::command;
use serde_json::Value;
use std::fs;

const NEVER_ENROLLED: &str = "ERR|||204^Unknown key identifier^HL70357|E\r";

#[test]
fn a_running_product_is_told_again_and_its_noise_can_be_named() {
    let mut watched = Watched::start("");
    for number in 0..14 {
        let lab = Lab::new(&format!("N{number}"), number);
        watched.send(&lab, Fate::at_portal([Answer::Refuse(Ae, NEVER_ENROLLED)]));
    }
    let product = &mut watched.product;
    let told = product.wait("the refusals", |p| {
        p.incident("FP0103")
            .filter(|i| i["state"] == "open" && i["subject"] == "waypoint portal-in")
    });
    product.wait("its end", |p| p.incident("FP0103").filter(|i| i["state"] == "resolved"));
    watched.wait_ended();

    let product = &mut watched.product;
    let config = product.config();
    let labels = product.folder().join("labels.csv");
    fs::write(
        &labels,
        "from,to,subject,verdict\n2020-01-01 00:00,2040-01-01 00:00,portal-in,noise\n",
    )
    .unwrap();
    let (config, labels) = (config.to_str().unwrap(), labels.to_str().unwrap());
    let run = |more: &[&str]| {
        let base = ["backtest", "--config", config, "--since", "1h", "--json"];
        let done = command(&[&base[..], more].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    // The ledger takes its rows with the next tick.
    let said = product.wait("the rows", |_| Some(run(&[])).filter(|said| said["messages"] == 14));
    let all = said["would_have_told"].as_array().unwrap();
    let one = all.iter().find(|one| one["subject"] == "waypoint portal-in").unwrap();
    assert_eq!((&one["code"], &one["recorded"]), (&told["code"], &told["id"]), "{said:#}");
    assert!(one["later_s"].as_i64().unwrap().abs() <= said["tolerance_s"].as_i64().unwrap());
    assert_eq!(said["precision"]["precision"], Value::Null, "nobody judged");

    let judged = run(&["--labels", labels]);
    assert_eq!(judged["precision"]["precision"], 0.0);
    assert!(
        judged["yaml"].as_str().unwrap().contains("expected_reasons: [unknown_key]"),
        "{judged:#}"
    );
    assert_eq!(judged["with_all"]["noise_after"], 0, "{judged:#}");
    assert!(product.stop().success(), "{}", product.said());
}
