//! `feedpulse check run`: what a check finds in recorded messages.

use super::bed::{self, Bed, Clock, Message};
use super::cases;
use super::named::Tried;
use super::show;
use super::test::report::advice;
use super::test::{as_expected, own_code};
use crate::cli::Failure;
use crate::files;
use crate::noun::count;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Batch, CheckFinding, Expected, Finding, Manifest, Worker};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of one batch, as in production.
const ROWS: usize = 64;

/// What is run.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The check: a .wasm file, a folder, builtin:NAME, or oci://….
    check: String,
    /// Files and folders of messages: MLLP-framed or plain, CR, LF or CRLF; `-` is standard input.
    #[arg(required = true)]
    messages: Vec<PathBuf>,
    #[command(flatten)]
    tried: Tried,
    /// The feed that the messages are said to come from.
    #[arg(long, default_value = "run")]
    feed: String,
    /// One JSON object a line for each finding and fault.
    #[arg(long)]
    json: bool,
    /// Show values of messages as they are; without it those that could tell of a patient are hidden.
    #[arg(long)]
    show_values: bool,
}

/// Sums of a run.
#[derive(Default)]
struct Sums {
    messages: usize,
    wanted: usize,
    found: usize,
    faults: usize,
    unreadable: usize,
    acks: usize,
    /// Findings by the check's own code.
    codes: BTreeMap<String, usize>,
}

/// Runs the command.
pub(crate) fn main(args: &RunArgs) -> Result<(), Failure> {
    let bed = Bed::of(&args.check)?;
    let (mut worker, _) = bed.tried(&args.tried)?;
    let manifest = worker.manifest().clone();
    let mut sums = Sums::default();
    for path in files::list(&args.messages)? {
        let tray = bed::tray(&manifest, &files::read(&path)?, Clock::Messages)?;
        for why in &tray.unreadable {
            eprintln!("{}: left out what is no HL7 message: {why}", path.display());
        }
        sums.unreadable += tray.unreadable.len();
        sums.acks += tray.acks;
        for (n, messages) in tray.messages.chunks(ROWS).enumerate() {
            one(&bed, &mut worker, args, (path.as_path(), n * ROWS), messages, &mut sums);
        }
    }
    if !args.json {
        say(&manifest, &sums);
    }
    if sums.faults > 0 {
        return Err(Failure::new(1, anyhow!("the check failed {} times", sums.faults)));
    }
    Ok(())
}

/// One batch.
fn one(
    bed: &Bed,
    worker: &mut Worker,
    args: &RunArgs,
    (path, first): (&Path, usize),
    messages: &[Message],
    sums: &mut Sums,
) {
    let rows = bed::wanted(messages);
    sums.messages += messages.len();
    sums.wanted += rows.len();
    let access = Some(bed::whole(messages));
    let now_ms = messages.last().map_or(0, |message| message.at_ms);
    let batch = Batch { feed: &args.feed, now_ms, monotonic_ms: 0, rows: &rows, access };
    for judged in worker.check(&batch) {
        let row = match &judged {
            CheckFinding::Found(found) => found.row,
            CheckFinding::Faulty(fault) => fault.row,
        };
        let row = row.and_then(|row| usize::try_from(row).ok());
        let message = row.and_then(|row| messages.get(row));
        let number = row.map(|row| first + row + 1);
        match judged {
            CheckFinding::Found(found) => {
                sums.found += 1;
                *sums.codes.entry(own_code(&found).to_owned()).or_default() += 1;
                told(worker.manifest(), args, (path, number), message, &found);
            }
            CheckFinding::Faulty(mut fault) => {
                sums.faults += 1;
                bed.explain(std::slice::from_mut(&mut fault));
                let (kind, cause) = (fault.kind.name(), &fault.cause);
                if args.json {
                    let line =
                        json!({"file": path, "message": number, "fault": kind, "cause": cause});
                    println!("{line}");
                } else {
                    println!("{}: {kind}: {cause}\n  {}", place(path, number), advice(&fault));
                }
            }
        }
    }
}

/// `FILE:MESSAGE`, counted from 1.
fn place(path: &Path, number: Option<usize>) -> String {
    number
        .map_or_else(|| path.display().to_string(), |n| format!("{}: message {n}", path.display()))
}

/// Prints a finding.
fn told(
    manifest: &Manifest,
    args: &RunArgs,
    (path, number): (&Path, Option<usize>),
    message: Option<&Message>,
    found: &Finding,
) {
    if args.json {
        let mut line = as_expected(found);
        if let Some(object) = line.as_object_mut() {
            object.remove("row");
            object.insert("file".to_owned(), json!(path));
            object.insert("message".to_owned(), json!(number));
            object.insert("type".to_owned(), json!(message.map(|m| m.kind.as_str())));
            if let Some(text) = &found.text {
                object.insert("text".to_owned(), json!(text));
            }
        }
        println!("{line}");
        return;
    }
    let level = format!("{:?}", found.level).to_lowercase();
    let title = manifest.codes.get(own_code(found)).map_or("", |code| code.title.as_str());
    let kind = message.map_or("", |m| m.kind.as_str());
    println!("{} {kind}: {level}: {} ({})", place(path, number), title, found.code);
    for line in
        message.map(|m| show::lines(&m.bytes, &found.at, args.show_values)).unwrap_or_default()
    {
        println!("    {line}");
    }
    if !found.attrs.is_empty() {
        println!("    {}", cases::words(&Expected::of(found)));
    }
    if let Some(text) = found.text.as_ref().filter(|_| args.show_values) {
        println!("    {text}");
    }
}

/// The last lines: sums, and how often each thing was found that can be, also those that never were.
fn say(manifest: &Manifest, sums: &Sums) {
    let Sums { messages, wanted, found, faults, unreadable, acks, codes } = sums;
    println!(
        "{}, {wanted} handed over, {}, {}",
        count(*messages, "message"),
        count(*found, "finding"),
        count(*faults, "fault")
    );
    for (code, words) in &manifest.codes {
        println!("{:>8}  {code}: {}", codes.get(code).unwrap_or(&0), words.title);
    }
    if *wanted == 0 && *messages > 0 {
        println!(
            "none of them is of a type that the check wants: {}",
            manifest.message_types.join(", ")
        );
    }
    if *unreadable + *acks > 0 {
        println!("left out: {acks} answers, {unreadable} that are no HL7");
    }
}
