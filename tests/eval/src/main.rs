//! `eval [--histories DIR] [--only TEXT] [--json] [--write]`: plays labelled histories and prints
//! what was found, missed and falsely said; `eval --cost`: what the detectors cost.
#![forbid(unsafe_code)]

use feedpulse_tests_eval::history::read_all;
use feedpulse_tests_eval::{document_path, evaluate, histories_folder, report};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "eval [--histories DIR] [--only TEXT] [--json] [--write] [--cost]";

struct Options {
    histories: PathBuf,
    only: String,
    json: bool,
    write: bool,
    cost: bool,
}

fn options() -> Result<Options, String> {
    let folder = histories_folder();
    let mut options =
        Options { histories: folder, only: String::new(), json: false, write: false, cost: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; {USAGE}"));
        match word.as_str() {
            "--histories" => options.histories = PathBuf::from(value()?),
            "--only" => options.only = value()?,
            "--json" => options.json = true,
            "--cost" => options.cost = true,
            "--write" => options.write = true,
            other => return Err(format!("there is no `{other}`; {USAGE}")),
        }
    }
    let all = options.only.is_empty() && options.histories == histories_folder();
    if options.write && !all {
        return Err("--write takes the project's histories, all of them".to_owned());
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    if options.cost {
        println!("{}", feedpulse_tests_eval::cost::measure().text());
        return Ok(());
    }
    let mut histories = read_all(&options.histories)?;
    histories.retain(|history| history.name.contains(&options.only));
    let evaluation = evaluate(&histories)?;
    if options.json {
        for row in evaluation.tallies.rows() {
            println!("{}", serde_json::to_string(&row).map_err(|error| error.to_string())?);
        }
    } else {
        println!("{}", report::bars_table(&evaluation.tallies, &histories));
        print!("{}\n{}", report::table(&evaluation.tallies), {
            report::summary(&evaluation.tallies, &histories, &evaluation.flaws)
        });
        println!("\n{} histories, {} events", histories.len(), evaluation.events);
    }
    if options.write {
        let open = feedpulse_tests_eval::ahead::unexplained(&evaluation.tallies);
        if !open.is_empty() {
            let open = open.join(", ");
            return Err(format!(
                "say in tests/eval/src/ahead.rs why a rule of today is ahead: {open}"
            ));
        }
        let path = document_path();
        let text = report::document(&evaluation.tallies, &histories, &evaluation.flaws);
        let folder = path.parent().map(std::fs::create_dir_all).transpose();
        let written = folder.and_then(|_| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match options() {
        Err(error) => {
            eprintln!("eval: {error}");
            ExitCode::from(64)
        }
        Ok(options) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("eval: {error}");
                ExitCode::from(65)
            }
        },
    }
}
