//! `feedpulse check test`: runs a check's cases under the limits of production.
//!
//! Each case runs twice, all messages in one batch and each in a batch of its own: the findings must
//! be the same, as nobody knows how a stream falls into batches.

pub(crate) mod report;

use super::bed::{self, Bed, Message, NOW_MS};
use super::cases::{self, Case, Expected};
use super::play::Play;
use crate::cli::{DATA, Failure, IO, NO_INPUT};
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Fault, Finding, Manifest, Settings, StartError};
use report::Verdict;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is tested.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// The check's folder (built first), or a component.
    #[arg(default_value = ".")]
    check: PathBuf,
    /// The folder with the cases, instead of cases/ beside the check.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write what is found now as what is expected.
    #[arg(long)]
    accept: bool,
    /// Show values of messages as they are.
    #[arg(long)]
    show_values: bool,
}

impl TestArgs {
    /// All cases of a folder.
    pub(crate) const fn of(check: PathBuf, show_values: bool) -> Self {
        Self { check, cases: None, only: None, accept: false, show_values }
    }
}

/// What a case gave.
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Message>,
    pub(crate) found: Vec<Finding>,
    pub(crate) faults: Vec<Fault>,
    /// The sentence by which the settings were refused, or why it did not start.
    pub(crate) refused: Option<String>,
    /// Rows that the check does not want.
    pub(crate) unwanted: usize,
}

/// Runs the command.
pub(crate) fn main(args: &TestArgs) -> Result<(), Failure> {
    let folder = args.cases.clone().unwrap_or_else(|| {
        let beside =
            if args.check.is_dir() { Some(args.check.as_path()) } else { args.check.parent() };
        beside.unwrap_or(Path::new("")).join("cases")
    });
    let bed = Bed::of(&args.check)?;
    let mut cases = cases::load(&folder)?;
    cases.retain(|case| args.only.as_ref().is_none_or(|text| case.name.contains(text)));
    if cases.is_empty() {
        return Err(Failure::new(
            NO_INPUT,
            anyhow!(
                "{}: no case is here; put messages into NAME.hl7 and what shall be found into \
                 NAME.expected.json ([] for nothing)",
                folder.display()
            ),
        ));
    }
    let manifest = bed.manifest();
    println!("{} {}: {}", manifest.name, manifest.version, report::count(cases.len(), "case"));
    let mut failed = 0;
    for case in &cases {
        let outcome = run(&bed, case)?;
        if args.accept {
            accept(case, &outcome)?;
            continue;
        }
        let verdict = report::judge(case, &outcome, args.show_values);
        if let Verdict::Failed(_) = verdict {
            failed += 1;
        }
        report::print(case, &outcome, &verdict);
    }
    if failed > 0 {
        let all = report::count(cases.len(), "case");
        return Err(Failure::new(1, anyhow!("{failed} of {all} failed")));
    }
    Ok(())
}

/// Runs one case, both ways.
fn run(bed: &Bed, case: &Case) -> Result<Outcome, Failure> {
    let wrong = |e: String| Failure::new(DATA, anyhow!("{}: {e}", case.expected_at.display()));
    let expected = case.expected.clone().unwrap_or_default();
    let settings = Settings {
        config: expected.config(),
        grants: expected.grants().map_err(wrong)?,
        ..Settings::default()
    };
    // settings may declare fields
    let declared = bed.manifest().with_settings(&settings.config);
    let declared = declared.unwrap_or_else(|_| bed.manifest().clone());
    let play = play(&declared, case, &expected)?;
    let unwanted = play.rows.iter().filter(|m| m.fields.is_none()).count();
    let (mut found, mut faults, mut refused) = (Vec::new(), Vec::new(), None);
    match bed.plugin.author_worker(settings.clone()) {
        Ok(mut worker) => (found, faults) = play.on(&mut worker, usize::MAX),
        Err(StartError::Config { said, .. }) => refused = Some(said),
        Err(e) => refused = Some(e.to_string()),
    }
    if refused.is_none()
        && faults.is_empty()
        && let Ok(mut worker) = bed.plugin.author_worker(settings)
    {
        let (singly, failed) = play.on(&mut worker, 1);
        if listed(&singly) != listed(&found) || !failed.is_empty() {
            refused = Some(
                "it finds other things when the messages come one by one than when they come \
                 together: remember with the host's state, not in the check"
                    .to_owned(),
            );
        }
    }
    bed.explain(&mut faults);
    Ok(Outcome { messages: play.rows, found, faults, refused, unwanted })
}

/// What a case plays.
fn play(manifest: &Manifest, case: &Case, expected: &Expected) -> Result<Play, Failure> {
    let now_ms = expected.now_ms.unwrap_or(NOW_MS);
    let mut messages = Vec::new();
    for (path, bytes) in &case.files {
        let tray = bed::tray(manifest, bytes, now_ms)?;
        let failed = |e: String| Err(Failure::new(DATA, anyhow!("{}: {e}", path.display())));
        if let Some(why) = tray.unreadable.first() {
            return failed(format!("holds something that is no HL7 message: {why}"));
        }
        if tray.messages.is_empty() {
            let hint = if tray.acks == 0 {
                "a case is HL7 text that begins with MSH"
            } else {
                "ACKs stand in NAME.rows.json, as rows about \"ack\""
            };
            return failed(format!("holds no message; {hint}"));
        }
        messages.extend(tray.messages);
    }
    let mut play = Play::new(messages, expected.feed.as_deref(), now_ms);
    if let Some((path, rows)) = &case.rows {
        let wrong = |e: String| Failure::new(DATA, anyhow!("{}: {e}", path.display()));
        play.add(rows, manifest).map_err(wrong)?;
    }
    play.tick(&expected.ticks);
    Ok(play)
}

/// Findings in the form of an expectation, in a stable order.
fn listed(found: &[Finding]) -> Vec<Value> {
    let mut all: Vec<Value> = found.iter().map(as_expected).collect();
    all.sort_by_key(|v| (v["row"].as_u64(), v.to_string()));
    all
}

/// A finding in the form of an expectation.
pub(crate) fn as_expected(found: &Finding) -> Value {
    let mut object = serde_json::Map::new();
    if let Some(row) = found.row {
        object.insert("row".to_owned(), json!(row));
    }
    object.insert("code".to_owned(), json!(own_code(found)));
    object.insert("level".to_owned(), json!(found.level));
    if !found.at.is_empty() {
        object.insert("at".to_owned(), json!(found.at));
    }
    if !found.attrs.is_empty() {
        object.insert("attrs".to_owned(), json!(cases::attrs_of(found)));
    }
    Value::Object(object)
}

/// The code without the check's name.
pub(crate) fn own_code(found: &Finding) -> &str {
    found.code.rsplit('/').next().unwrap_or_default()
}

/// Writes what was found as what is expected, keeping settings and the like.
fn accept(case: &Case, outcome: &Outcome) -> Result<(), Failure> {
    let at = case.expected_at.display();
    if let Some(fault) = outcome.faults.first() {
        let error = anyhow!("{}: not accepted: {}: {}", case.name, fault.kind.name(), fault.cause);
        return Err(Failure::new(1, error));
    }
    let lines: Vec<String> = listed(&outcome.found).iter().map(|v| format!("  {v}")).collect();
    let array =
        if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", lines.join(",\n")) };
    let old = std::fs::read_to_string(&case.expected_at).unwrap_or_default();
    let text = match serde_json::from_str::<Value>(&old) {
        Ok(Value::Object(mut object)) => {
            match &outcome.refused {
                Some(said) => object.insert("refuses".to_owned(), json!(said)),
                None => object.insert("findings".to_owned(), Value::Array(listed(&outcome.found))),
            };
            serde_json::to_string_pretty(&Value::Object(object)).unwrap_or(array)
        }
        _ => array,
    };
    std::fs::write(&case.expected_at, text + "\n")
        .map_err(|e| Failure::new(IO, anyhow!("{at}: {e}")))?;
    println!("  wrote {at}: {}", report::count(outcome.found.len(), "finding"));
    Ok(())
}
