//! `feedpulse check test`: runs a check's cases under the limits of production.
//!
//! Each case runs twice, all messages in one batch and each in a batch of its own: the findings must
//! be the same, as nobody knows how a stream falls into batches.

pub(crate) mod report;

use super::bed::{self, Bed, Clock, Message, NOW_MS};
use super::cases::{self, Case, Expectation};
use super::named::Tried;
use crate::cli::{DATA, Failure, IO, NO_INPUT};
use crate::config::document::Part;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Batch, CheckFinding, Expected, Fault, Finding, Manifest, Settings, Worker};
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
    let manifest = started.as_ref().map_or(bed.manifest(), Worker::manifest);
    let messages = messages(case, manifest, expected.now_ms.unwrap_or(NOW_MS))?;
    let unwanted = messages.iter().filter(|m| m.fields.is_none()).count();
    let mut outcome =
        Outcome { messages, found: Vec::new(), faults: Vec::new(), refused: None, unwanted };
    match started {
        Ok(worker) => play(worker, &expected, &mut outcome, usize::MAX),
        Err(refusal) => outcome.refused = Some(refusal.why),
    }
    if outcome.refused.is_none()
        && outcome.faults.is_empty()
        && let Ok(worker) = bed.worker(settings, part)
    {
        let mut single = Outcome {
            messages: outcome.messages.clone(),
            found: Vec::new(),
            faults: Vec::new(),
            refused: None,
            unwanted,
        };
        play(worker, &expected, &mut single, 1);
        if listed(&single.found) != listed(&outcome.found) || !single.faults.is_empty() {
            outcome.refused = Some(
                "it finds other things when the messages come one by one than when they come \
                 together: remember with the host's state, not in the check"
                    .to_owned(),
            );
        }
    }
    Ok(outcome)
}

/// The messages of a case.
fn messages(case: &Case, manifest: &Manifest, now_ms: u64) -> Result<Vec<Message>, Failure> {
    let mut messages = Vec::new();
    for (path, bytes) in &case.files {
        let tray = bed::tray(manifest, bytes, Clock::At(now_ms))?;
        let what = match tray.unreadable.first() {
            Some(why) => format!("holds something that is no HL7 message: {why}"),
            None if tray.messages.is_empty() => {
                "holds no message; a case is HL7 text that begins with MSH".to_owned()
            }
            None => {
                messages.extend(tray.messages);
                continue;
            }
        };
        return Err(Failure::new(DATA, anyhow!("{}: {what}", path.display())));
    }
    Ok(messages)
}

/// Hands the messages over, at most so many at a time, then the ticks.
fn play(mut worker: Worker, expected: &Expectation, outcome: &mut Outcome, most: usize) {
    let feed = expected.feed.as_deref().unwrap_or("case");
    let now_ms = expected.now_ms.unwrap_or(NOW_MS);
    let rows = bed::wanted(&outcome.messages);
    let access = bed::whole(&outcome.messages);
    let mut take = |judged: Vec<CheckFinding>| {
        for one in judged {
            match one {
                CheckFinding::Found(finding) => outcome.found.push(finding),
                CheckFinding::Faulty(fault) => outcome.faults.push(fault),
            }
        }
    };
    for rows in rows.chunks(most.min(rows.len()).max(1)) {
        let access = Some(access.clone());
        take(worker.check(&Batch { feed, now_ms, monotonic_ms: 0, rows, access }));
    }
    for later in &expected.ticks {
        take(worker.tick(feed, now_ms.saturating_add(*later), *later));
    }
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
