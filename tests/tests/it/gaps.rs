//! What the commands on the ledger say of messages with chosen fates: each row of the gap report, the
//! comparison with a list, the look-up by an analyst's own numbers, and that no patient data is anywhere.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which fail that way")]

use feedpulse_sim::AckCode::{Ae, Ar};
use feedpulse_tests::clinic::Answer::{Later, Refuse, Silence};
use feedpulse_tests::clinic::{Answer, CANARIES, Clinic, Fate, Lab};
use feedpulse_tests::product::{Product, Setup, Waypoint, command, command_with};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

const UNKNOWN_KEY: &str = "ERR|||204^Unknown key identifier^HL70357|E\r";
const DUPLICATE: &str = "ERR|PID^1^3^205&Duplicate key identifier&HL70357\r";
const LOCKED: &str = "ERR|||206^Application record locked^HL70357|E\r";
const DOWN: &str = "ERR|||207^^HL70357|E||||interface is shutting down\r";

/// A clinic with a tap before its engine and one before its portal, whose time limits are short.
pub(crate) struct Watched {
    pub(crate) clinic: Clinic,
    pub(crate) product: Product,
}

impl Watched {
    /// `more` is further YAML.
    pub(crate) fn start(more: &str) -> Self {
        let clinic = Clinic::open().unwrap();
        let settings = "key: preset, ack_time: 1s, no_ack_after: 2s".to_owned();
        let waypoint =
            |name, to| Waypoint { settings: settings.clone(), ..Waypoint::new(name, to) };
        let mut setup = Setup::new(vec![
            waypoint("engine-in", clinic.engine()),
            waypoint("portal-in", clinic.portal()),
        ]);
        setup.more = format!(
            "expire_after: 5s\nroutes:\n  - {{name: to-portal, waypoints: [engine-in, portal-in]}}\n\
             feeds:\n  - {{name: lab-results, route: to-portal, senders: [LAB], types: [ORU]}}\n{more}"
        );
        let product = Product::start(&setup);
        clinic.send_on_to(product.listener(1));
        Self { clinic, product }
    }

    /// Sends a result with a fate.
    pub(crate) fn send(&self, lab: &Lab, fate: Fate) {
        self.clinic.decide(lab, fate);
        self.again(lab);
    }

    /// Sends a result whose order has a fate already.
    pub(crate) fn again(&self, lab: &Lab) {
        self.clinic.send(lab, self.product.listener(0)).unwrap();
    }

    /// Waits until so many sendings were never answered in time.
    pub(crate) fn wait_unanswered(&mut self, sendings: u64) {
        self.product.wait("time-outs", |product| {
            let found = product.status()?["totals"]["outcomes"]["no_ack"].as_u64()?;
            (found >= sendings).then_some(())
        });
    }

    /// Waits until every journey has ended and the ledger has them.
    pub(crate) fn wait_ended(&mut self) {
        self.product.wait("the end of all journeys", |product| {
            (product.metric("feedpulse_journeys_open")? == 0.0).then_some(())
        });
    }

    /// `feedpulse gaps` on its store, since an hour ago.
    pub(crate) fn gaps(&self, more: &[&str]) -> Output {
        gaps(&self.product.store(), more)
    }

    /// The same as JSON, once it has so many rows.
    pub(crate) fn report(&mut self, rows: usize) -> Value {
        self.wait_report(|report| report["rows"].as_array().is_some_and(|all| all.len() == rows))
    }

    /// The same as JSON, once it is as wanted.
    pub(crate) fn wait_report(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let folder = self.product.store();
        self.product.wait("the report", |_| {
            let report = gaps(&folder, &["--format", "json"]);
            serde_json::from_slice(&report.stdout).ok().filter(&wanted)
        })
    }
}

/// `feedpulse gaps` on a store, since an hour ago.
pub(crate) fn gaps(store: &Path, more: &[&str]) -> Output {
    let mut all = vec!["gaps", "--store", store.to_str().unwrap(), "--from", "1h"];
    all.extend(more);
    command(&all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn refused(err: &'static str) -> Vec<Answer> {
    vec![Refuse(Ae, err)]
}

/// Sends the first part of the traffic: what needs no waiting.
fn traffic(at: &Watched) {
    let lab = Lab::new;
    at.send(&lab("LAB0001", 1), Fate::default());
    at.send(&Lab { flag: "HH", ..lab("LAB0002", 2) }, Fate::at_portal(refused(UNKNOWN_KEY)));
    at.send(&lab("LAB0003", 3), Fate::at_portal(refused(DUPLICATE)));
    at.send(&lab("LAB0004", 4), Fate::at_portal([Silence]));
    at.send(&lab("LAB0005", 5), Fate::at_portal([Later(Box::new(Answer::Accept))]));
    at.send(&lab("LAB0006", 6), Fate::at_portal([Later(Box::new(Refuse(Ae, LOCKED)))]));
    at.send(&lab("LAB0007", 7), Fate { kept_back: true, ..Fate::default() });
    at.send(&lab("LAB0008", 8), Fate { resends: 1, ..Fate::at_portal(refused(DOWN)) });
    at.send(&lab("LAB0009", 9), Fate::at_portal(refused(UNKNOWN_KEY)));
    // The same order under a new control id, before its journey has ended.
    at.again(&lab("LAB0010", 9));
    at.send(&lab("LAB0011", 11), Fate::at_portal(refused(LOCKED)));
    at.send(&lab("LAB0013", 13), Fate::at_portal([Refuse(Ar, DOWN)]));
    // The engine answers late and keeps it: what lacks it in the end is the portal.
    let late = vec![Later(Box::new(Answer::Accept))];
    at.send(&lab("LAB0014", 14), Fate { engine: late, kept_back: true, ..Fate::default() });
    at.send(&lab("00077", 77), Fate { engine: refused(UNKNOWN_KEY), ..Fate::default() });
}

/// What a row must say: class, where, urgency, reason, whether the engine had renamed it, tries, and
/// whether it is closed.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, bool, u64, bool);

fn expected() -> BTreeMap<&'static str, Row> {
    let portal = "portal-in";
    [
        ("LAB0002", ("refused", portal, "critical", Some("unknown_key"), true, 1, false)),
        ("LAB0003", ("refused", portal, "routine", Some("duplicate_key"), true, 1, false)),
        ("LAB0004", ("never_answered", portal, "routine", None, true, 1, false)),
        ("LAB0005", ("accepted_late", portal, "routine", None, true, 1, true)),
        ("LAB0006", ("refused", portal, "routine", Some("locked"), true, 1, false)),
        ("LAB0007", ("never_seen_next", portal, "routine", None, false, 1, false)),
        ("LAB0011", ("refused", portal, "routine", Some("locked"), true, 2, true)),
        ("LAB0013", ("refused", portal, "routine", Some("unavailable"), true, 1, false)),
        ("LAB0014", ("never_seen_next", portal, "routine", None, false, 1, false)),
        ("00077", ("refused", "engine-in", "routine", Some("unknown_key"), false, 1, false)),
    ]
    .into()
}

fn check_rows(at: &Watched, report: &Value) {
    let rows = report["rows"].as_array().unwrap();
    let mut wanted = expected();
    for row in rows {
        let id = row["control_id"].as_str().unwrap();
        let (class, waypoint, urgency, reason, renamed, tries, closed) = wanted.remove(id).unwrap();
        let word = |key: &str| row[key].as_str();
        assert_eq!(word("class"), Some(class), "{row}");
        assert_eq!(word("waypoint"), Some(waypoint), "{row}");
        assert_eq!(word("urgency"), Some(urgency), "{row}");
        assert_eq!(word("reason"), reason, "{row}");
        let there = at.clinic.renamed(id).filter(|_| renamed);
        assert_eq!(word("control_id_there"), there.as_deref(), "{row}");
        assert_eq!(
            (row["tries"].as_u64(), word("closed").is_some()),
            (Some(tries), closed),
            "{row}"
        );
        for (key, value) in [("feed", "lab-results"), ("type", "ORU^R01"), ("sender", "LAB")] {
            assert_eq!(word(key), Some(value), "{row}");
        }
        assert_eq!(word("facility"), Some("NORTH"), "{row}");
    }
    assert!(wanted.is_empty(), "not reported: {wanted:?}");
    assert_eq!(rows[0]["control_id"], "LAB0002", "urgent ones first");
    assert_eq!((report["open"].as_u64(), report["open_urgent"].as_u64()), (Some(8), Some(1)));
    // LAB0001, 8 and 9 with its second id were accepted: three messages; a message counts once.
    let counts: BTreeMap<&str, u64> = report["counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| (count["class"].as_str().unwrap(), count["messages"].as_u64().unwrap()))
        .collect();
    let classes = [
        ("accepted", 3),
        ("accepted_late", 1),
        ("never_answered", 1),
        ("never_seen_next", 2),
        ("refused", 6),
    ];
    assert_eq!(counts, classes.into(), "{report:#}");
    assert!(report["incomplete_before"].is_null(), "{report:#}");
}

/// Every file of a folder, whole.
pub(crate) fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.is_file() {
            into.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn assert_no_canary(what: &str, bytes: &[u8]) {
    let bytes = bytes.to_ascii_lowercase();
    for canary in CANARIES {
        let canary = canary.to_ascii_lowercase();
        assert!(memchr::memmem::find(&bytes, canary.as_bytes()).is_none(), "{canary} in {what}");
    }
}

/// The same rows as text and CSV, the worklist, and one feed alone; all end with 1.
fn check_forms(at: &Watched) -> Vec<Output> {
    let all = at.gaps(&[]);
    let said = text(&all.stdout);
    assert!(said.contains("8 messages are not accounted for, 1 of them urgent"), "{said}");
    let there = at.clinic.renamed("LAB0002").unwrap();
    for line in [
        format!(
            "critical   LAB0002 lab-results ORU^R01 NORTH: refused at portal-in as {there}, unknown_key"
        ),
        "LAB0004 lab-results ORU^R01 NORTH: never answered at portal-in".to_owned(),
        "LAB0007 lab-results ORU^R01 NORTH: never seen at the next waypoint at portal-in"
            .to_owned(),
        "lab-results: ORU^R01 at NORTH: 13: 3 accepted, 1 accepted late, 6 refused".to_owned(),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
    let csv = at.gaps(&["--format", "csv"]);
    let lines = text(&csv.stdout);
    assert_eq!(lines.lines().count(), 11, "{lines}");
    let columns = "first_seen,feed,type,facility,sender,urgency,control_id,control_id_there,class,\
                   waypoint,reason,tries,closed";
    assert_eq!(lines.lines().next(), Some(columns));
    let first = format!(
        ",lab-results,ORU^R01,NORTH,LAB,critical,LAB0002,{there},refused,portal-in,unknown_key,1,"
    );
    assert!(lines.lines().nth(1).unwrap().ends_with(&first), "{lines}");
    let open = at.gaps(&["--open", "--format", "csv"]);
    let lines = text(&open.stdout);
    assert_eq!(lines.lines().count(), 9, "{lines}");
    assert!(!lines.contains("LAB0005") && !lines.contains("LAB0011"), "{lines}");
    let feed = at.gaps(&["--feed", "lab-results", "--format", "csv"]);
    assert_eq!(text(&feed.stdout).lines().count(), 11);
    let none = at.gaps(&["--feed", "another", "--format", "csv"]);
    assert_eq!((text(&none.stdout).lines().count(), none.status.code()), (1, Some(0)));
    let before = at.gaps(&["--to", "30m"]);
    assert_eq!(before.status.code(), Some(0), "{}", text(&before.stderr));
    for output in [&all, &csv, &open, &feed] {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    }
    vec![all, csv, open, feed, none, before]
}

/// A list of the EHR: one id that never came, one in lower case, one without its zeros, one twice.
fn check_list(at: &Watched) -> Vec<Output> {
    let list = at.product.folder().join("list.csv");
    fs::write(&list, "when,MSH-10\n1,LAB0001\n1,LAB0001\n2,lab0002\n3,77\n4,LAB9999\n5,LAB0012\n")
        .unwrap();
    let list = list.to_str().unwrap();
    let told = at.gaps(&["--against", list, "--format", "json"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    let against = &report["against"];
    assert_eq!(
        (&against["ids"], &against["never_seen"]),
        (&5.into(), &serde_json::json!(["LAB9999"]))
    );
    let fates = |key: &str| -> BTreeMap<String, Value> {
        serde_json::from_value::<Vec<(String, Value)>>(against[key].clone())
            .unwrap()
            .into_iter()
            .collect()
    };
    let altered = fates("altered");
    assert_eq!(altered["lab0002"]["seen_as"], "LAB0002", "{against}");
    assert_eq!(
        (&altered["77"]["seen_as"], &altered["77"]["end"]),
        (&"00077".into(), &"errored".into())
    );
    let seen = fates("seen");
    assert_eq!(seen["LAB0001"], serde_json::json!({"listed": 2, "seen": 1, "end": "accepted"}));
    assert_eq!(seen["LAB0012"]["end"], "accepted");
    assert_eq!((altered.len(), seen.len()), (2, 2), "{against}");
    let shown = at.gaps(&["--against", list, "--column", "2"]);
    let said = text(&shown.stdout);
    assert!(said.contains("LAB9999: never reached a tap"), "{said}");
    assert!(said.contains("lab0002: seen as LAB0002, errored"), "{said}");
    let csv = at.gaps(&["--against", list, "--column", "msh-10", "--format", "csv"]);
    let lines = text(&csv.stdout);
    assert!(lines.contains("\nLAB0001,2,1,accepted,\n"), "{lines}");
    assert!(lines.contains("\nLAB9999,1,0,never reached a tap,\n"), "{lines}");
    let wrong = at.gaps(&["--against", list, "--column", "nowhere"]);
    assert_eq!(wrong.status.code(), Some(66));
    assert!(text(&wrong.stderr).contains("nowhere"), "{}", text(&wrong.stderr));
    vec![told, shown, csv, wrong]
}

/// By accession, visit, record number, and either control id, in whatever dress; never by argument.
fn check_find(at: &Watched) -> Vec<Output> {
    let store = at.product.store();
    let find =
        |input: &str| command_with(&["find", "--json", "--store", store.to_str().unwrap()], input);
    let lab = Lab::new("LAB0005", 5);
    let there = at.clinic.renamed("LAB0005").unwrap();
    let mut outputs = Vec::new();
    for identifier in [
        lab.accession(),
        lab.visit(),
        lab.record(),
        format!("  {}\n", lab.record().to_lowercase()),
        lab.id.clone(),
        there.clone(),
    ] {
        let found = find(&identifier);
        assert!(found.status.success(), "{identifier}: {}", text(&found.stderr));
        let journey: Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!((&journey["end"], &journey["feed"]), (&"no_ack".into(), &"lab-results".into()));
        let sent = |n: usize, key: &str| journey["sendings"][n][key].as_str().unwrap_or_default();
        assert_eq!((sent(0, "waypoint"), sent(0, "outcome")), ("engine-in", "accepted"));
        assert_eq!((sent(1, "control_id"), sent(1, "outcome")), (there.as_str(), "no_ack"));
        assert_eq!(journey["trace_id"].as_str().unwrap().len(), 32);
        outputs.push(found);
    }
    // An order that was sent twice has two journeys, the second under its new id.
    let twice = find(&Lab::new("", 11).accession());
    assert_eq!(text(&twice.stdout).lines().count(), 2);
    let nobody = find("NOBODY");
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0));
    let argument = command(&["find", "--store", store.to_str().unwrap(), "4711"]);
    assert_eq!(argument.status.code(), Some(64));
    assert!(text(&argument.stderr).contains("standard input"), "{}", text(&argument.stderr));
    let empty = find("\n");
    assert_eq!(empty.status.code(), Some(66), "{}", text(&empty.stderr));
    outputs.extend([twice, nobody, argument, empty]);
    outputs
}

#[test]
fn each_message_that_is_not_accounted_for_is_a_row_and_closes_when_it_arrives() {
    let mut at = Watched::start("");
    traffic(&at);
    at.wait_unanswered(4);
    at.clinic.release().unwrap();
    at.wait_ended();
    at.report(10);
    // After the journey of its order has ended, under a new control id.
    at.again(&Lab::new("LAB0012", 11));
    let report = at.wait_report(|report| report["open"] == 8);
    check_rows(&at, &report);
    let mut outputs = check_forms(&at);
    outputs.extend(check_forms(&at));
    outputs.extend(check_list(&at));
    outputs.extend(check_find(&at));
    for output in &outputs {
        assert_no_canary("an output", &output.stdout);
        assert_no_canary("an output", &output.stderr);
    }
    assert!(at.product.stop().success(), "{}", at.product.said());
    let mut kept = Vec::new();
    files(at.product.folder(), &mut kept);
    assert!(kept.iter().any(|(name, bytes)| name.contains("ledger") && !bytes.is_empty()));
    for (name, bytes) in &kept {
        assert_no_canary(name, bytes);
    }
}
