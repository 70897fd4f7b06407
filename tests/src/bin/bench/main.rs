//! The benchmarks: `cargo xtask bench [GROUP] [--json] [--rounds N]`.
//!
//! Each group is one file with its figures. Peers run interleaved with what they are compared with,
//! in an order shuffled anew in each round, and every figure is a median over the rounds: what else
//! the machine does hits all of them alike, so a ratio means more than an absolute number. Nothing
//! here fails because it is slow; a missed target is printed.
//!
//! Groups that need only the processor are measured in processor time of their thread; those that
//! wait for disks, sockets and processes in time on the wall.
#![deny(unsafe_code)]

mod capture;
mod checks;
mod checks_hostile;
mod checks_input;
mod checks_whole;
mod count;
mod decode;
mod detectors;
mod engine;
mod figure;
mod harness;
mod hearts;
mod input;
mod ledger;
mod native_rule;
mod process;
mod proxy;
mod store;
mod telemetry;
mod traffic;
mod wasm;
mod wire_process;

use figure::{Figure, Report};
use harness::Harness;
use std::error::Error;
use std::process::ExitCode;

/// What a group gives back; an error says what could not be measured and what to do.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

const USAGE: &str = "\
cargo xtask bench [GROUP] [--json] [--rounds N]
  groups: decode wasm checks telemetry engine detectors store proxy process capture; without one all of them
  --json      one object a figure, one a line
  --rounds N  10 to 1000, default 12; every figure is a median over so many rounds";

type Group = fn(&mut Harness) -> Result<Vec<Figure>>;

const GROUPS: [(&str, Group); 10] = [
    (decode::GROUP, decode::run),
    (wasm::GROUP, wasm::run),
    (checks::GROUP, checks::run),
    (telemetry::GROUP, telemetry::run),
    (engine::GROUP, engine::run),
    (detectors::GROUP, detectors::run),
    (store::GROUP, store::run),
    (proxy::GROUP, proxy::run),
    (process::GROUP, process::run),
    (capture::GROUP, capture::run),
];

#[derive(Debug)]
struct Options {
    group: Option<String>,
    json: bool,
    rounds: usize,
}

impl Options {
    fn parse(words: &[String]) -> std::result::Result<Self, String> {
        let mut options = Self { group: None, json: false, rounds: 12 };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--json" => options.json = true,
                "--rounds" => {
                    let rounds = words.next().and_then(|n| n.parse().ok());
                    options.rounds = rounds
                        .filter(|n| (10..=1000).contains(n))
                        .ok_or("--rounds wants a number from 10 to 1000")?;
                }
                name if GROUPS.iter().any(|(group, _)| *group == name) => {
                    options.group = Some(name.to_owned());
                }
                other => return Err(format!("there is no group or option `{other}`")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // This program is also the wire that it measures, as a process of its own.
    if let [verb, rest @ ..] = words.as_slice()
        && verb == wire_process::VERB
    {
        return feedpulse_wire::main(rest);
    }
    if let [verb, rest @ ..] = words.as_slice()
        && verb == capture::VERB
    {
        return capture::inside(rest);
    }
    match Options::parse(&words) {
        Ok(options) => bench(&options),
        Err(what) => {
            eprintln!("bench: {what}\n{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn bench(options: &Options) -> ExitCode {
    let mut report = Report::new(options.json);
    let mut broken = false;
    for (name, run) in GROUPS {
        if options.group.as_ref().is_some_and(|one| one != name) {
            continue;
        }
        match run(&mut Harness::new(options.rounds)) {
            Ok(figures) => report.print(&figures),
            Err(error) if error.is::<figure::Missing>() => eprintln!("bench {name}: {error}"),
            Err(error) => {
                broken = true;
                eprintln!("bench {name}: {error}");
            }
        }
    }
    report.end();
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> std::result::Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options = parse("decode --json --rounds 20").unwrap();
        assert_eq!(options.group.as_deref(), Some("decode"));
        assert!(options.json && options.rounds == 20);
        assert_eq!(parse("").unwrap().group, None);
        for bad in ["nothing", "--rounds", "--rounds 9", "--rounds 1001", "--quick"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
