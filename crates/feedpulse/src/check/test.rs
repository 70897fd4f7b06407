//! `feedpulse check test`: runs a check's cases under the limits of production.
//!
//! Each case runs twice, all messages in one batch and each in a batch of its own: the findings must
//! be the same, as nobody knows how a stream falls into batches.

pub(crate) mod report;

use super::bed::{self, Bed, Message, NOW_MS};
use super::cases::{self, Case, Expected};
use crate::cli::{DATA, Failure, IO, NO_INPUT};
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Batch, CheckFinding, Fault, Finding, Settings, StartError, Worker};
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
    let now_ms = expected.now_ms.unwrap_or(NOW_MS);
    let mut messages = Vec::new();
    for (path, bytes) in &case.files {
        let tray = bed::tray(bed.manifest(), bytes, now_ms)?;
        if let Some(why) = tray.unreadable.first() {
            let error =
                anyhow!("{}: holds something that is no HL7 message: {why}", path.display());
            return Err(Failure::new(DATA, error));
        }
        if tray.messages.is_empty() {
            let error = anyhow!(
                "{}: holds no message; a case is HL7 text that begins with MSH",
                path.display()
            );
            return Err(Failure::new(DATA, error));
        }
        messages.extend(tray.messages);
    }
    let settings = Settings {
        config: expected.config(),
        grants: expected.grants().map_err(wrong)?,
        ..Settings::default()
    };
    let unwanted = messages.iter().filter(|m| m.fields.is_none()).count();
    let mut outcome =
        Outcome { messages, found: Vec::new(), faults: Vec::new(), refused: None, unwanted };
    match bed.plugin.author_worker(settings.clone()) {
        Ok(worker) => play(worker, &expected, &mut outcome, usize::MAX),
        Err(StartError::Config { said, .. }) => outcome.refused = Some(said),
        Err(e) => outcome.refused = Some(e.to_string()),
    }
    if outcome.refused.is_none()
        && outcome.faults.is_empty()
        && let Ok(worker) = bed.plugin.author_worker(settings)
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

/// Hands the messages over, at most so many at a time, then the ticks.
fn play(mut worker: Worker, expected: &Expected, outcome: &mut Outcome, most: usize) {
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
