//! `feedpulse check test`: runs a check's cases under the limits of production.
//!
//! Each case runs twice, all messages in one batch and each in a batch of its own: the findings must
//! be the same, as nobody knows how a stream falls into batches.

pub(crate) mod report;

use super::bed::{self, Bed, Clock, Message, NOW_MS};
use super::cases::{self, Case, Expectation};
use super::named::Tried;
use super::play::Play;
use crate::cli::{DATA, Failure, IO, NO_INPUT};
use crate::config::document::Part;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Expected, Fault, Finding, Manifest, Settings, Worker};
use report::Verdict;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is tested.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// The check: its folder (built first), a .wasm file, builtin:NAME, or oci://….
    #[arg(default_value = ".")]
    check: String,
    /// The folder with the cases. Default: cases/ beside the check, else those that it carries.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    #[command(flatten)]
    tried: Tried,
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
    pub(crate) fn of(check: &Path, show_values: bool) -> Self {
        let (check, tried) = (check.display().to_string(), Tried::default());
        Self { check, tried, cases: None, only: None, accept: false, show_values }
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
    let bed = Bed::of(&args.check)?;
    let given = bed.named.tried(&args.tried)?;
    let mut cases = cases::of(&bed.named, args.cases.as_deref())?;
    cases.retain(|case| args.only.as_ref().is_none_or(|text| case.name.contains(text)));
    if cases.is_empty() {
        let folder = args.cases.as_ref().or(bed.named.cases.as_ref());
        let folder = folder.map_or_else(|| bed.named.plugin.clone(), |f| f.display().to_string());
        let what = "no case is here; put messages into NAME.hl7 and what shall be found into \
                    NAME.expected.json ([] for nothing)";
        return Err(Failure::new(NO_INPUT, anyhow!("{folder}: {what}")));
    }
    let manifest = bed.manifest();
    println!("{} {}: {}", manifest.name, manifest.version, report::count(cases.len(), "case"));
    let mut failed = 0;
    for case in &cases {
        let outcome = run(&bed, case, &given)?;
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

/// Runs one case, both ways, with its own settings and grants or with those that were given.
fn run(bed: &Bed, case: &Case, given: &(Settings, Part)) -> Result<Outcome, Failure> {
    let wrong = |e: String| Failure::new(DATA, anyhow!("{}: {e}", case.expected_at.display()));
    let expected = case.expected.clone().unwrap_or_default();
    let part = case.settings.as_ref().unwrap_or(&given.1);
    let stated = expected.grants().map_err(wrong)?;
    let grants = if stated.is_empty() { given.0.grants.clone() } else { stated };
    let settings = Settings { config: part.json(), grants, ..Settings::default() };
    let started = bed.worker(settings.clone(), part);
    let declared = started.as_ref().map_or(bed.manifest(), Worker::manifest);
    let play = play(declared, case, &expected)?;
    let unwanted = play.rows.iter().filter(|m| m.fields.is_none()).count();
    let (mut found, mut faults, mut refused) = (Vec::new(), Vec::new(), None);
    match started {
        Ok(mut worker) => (found, faults) = play.on(&mut worker, usize::MAX),
        Err(refusal) => refused = Some(refusal.why),
    }
    if refused.is_none()
        && faults.is_empty()
        && let Ok(mut worker) = bed.worker(settings, part)
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
fn play(manifest: &Manifest, case: &Case, expected: &Expectation) -> Result<Play, Failure> {
    let now_ms = expected.now_ms.unwrap_or(NOW_MS);
    let mut messages = Vec::new();
    for (path, bytes) in &case.files {
        let tray = bed::tray(manifest, bytes, Clock::At(now_ms))?;
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
    serde_json::to_value(Expected::of(found)).unwrap_or_default()
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
