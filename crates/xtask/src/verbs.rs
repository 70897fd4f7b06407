//! The verbs: what each runs, in which order, and how their options are read.

use crate::cmd::{self, cargo, in_ci, run};
use crate::error::{Error, Result};
use crate::{chart, image, parts, pins, plugins};
use std::process::Command;

const HELP: &str = "\
Developer commands of Feedpulse: cargo xtask VERB [OPTION]…

  check             formatting, lints of every target, the tidy tests
  test              real parts, then every test, the plugins' tests, the chart
                      --no-parts   fetch nothing; what needs a part is skipped
                      -p CRATE     only that crate's tests
                      --seed N     the seed of the simulated tests
  sim [--seeds N] [--from SEED]
                    simulated hospitals, judged by an oracle, release build; a failing seed is
                    printed and plays again exactly
  eval [--histories DIR] [--only TEXT] [--json] [--write]
                    labelled histories through the engine and through the rules of today, release
                    build: what was found, how fast, what was falsely said
                      --write      makes docs/detection.md anew
  bench [GROUP] [--json]
                    the benchmarks, release build
  demo [OPTION]…    the demo, release build
  plugins           build the WASM checks in plugins/
  parts             fetch the real parts that the tests use (Kafka, a collector, …)
  chart             lint, render and validate the Helm chart with the real tools
  image [--out FILE] [--binary FILE]
                    a static binary and an OCI image of it, from scratch

Exit codes: 0 good, 1 a step failed, 64 wrong usage, 65 unusable input, 69 something is missing,
74 input or output failed. CI=true makes a skipped test a failed one.
Real parts are kept in $FEEDPULSE_CACHE, or `feedpulse` in the user's cache folder.
";

/// Runs the verb that the words name; without one, prints the help.
///
/// # Errors
/// What the verb failed with; its [`Error::code`] is the exit code.
pub fn dispatch(words: &[String]) -> Result<()> {
    let Some((verb, rest)) = words.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    match verb.as_str() {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "check" => no_options(verb, rest).and_then(|()| check()),
        "test" => test(&TestOptions::parse(rest)?),
        "sim" => sim(rest),
        "eval" => eval(rest),
        "bench" => bench(rest),
        "demo" => run(cargo().args(["run", "--release", "--", "demo"]).args(rest)),
        "plugins" => no_options(verb, rest).and_then(|()| plugins::build()),
        "parts" => no_options(verb, rest).and_then(|()| fetch_parts()),
        "chart" => no_options(verb, rest).and_then(|()| only_chart()),
        "image" => image::image(&image::Options::parse(rest)?),
        other => Err(Error::Usage(format!("there is no verb `{other}`; `cargo xtask` lists them"))),
    }
}

fn no_options(verb: &str, rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(word) => Err(Error::Usage(format!("`{verb}` takes no `{word}`"))),
    }
}

/// Formatting, lints, tidy: what needs no test run.
fn check() -> Result<()> {
    lints()?;
    run(cargo_for_tests().args(["test", "-q", "-p", "xtask", "--lib", "tidy::"]))
}

fn lints() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo_for_tests();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run(&mut clippy)?;
    plugins::lints()
}

/// Cargo as every check and test uses it, so that they share one set of build results.
pub(crate) fn cargo_for_tests() -> Command {
    let mut cargo = cargo();
    // librdkafka's TLS: the system's OpenSSL compiles in no time, the vendored one in minutes.
    let probe = Command::new("pkg-config").args(["--exists", "openssl"]).output();
    if probe.is_ok_and(|out| out.status.success()) {
        cargo.env("OPENSSL_NO_VENDOR", "1");
    }
    if in_ci() {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

#[derive(Debug, Default, PartialEq, Eq)]
struct TestOptions {
    no_parts: bool,
    package: Option<String>,
    seed: Option<u64>,
}

impl TestOptions {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                let missing = || Error::Usage(format!("`{word}` needs a value"));
                words.next().cloned().ok_or_else(missing)
            };
            match word.as_str() {
                "--no-parts" => options.no_parts = true,
                "-p" | "--package" => options.package = Some(value()?),
                "--seed" => {
                    let text = value()?;
                    let bad = |_| Error::Usage(format!("`--seed {text}`: not a whole number"));
                    options.seed = Some(text.parse().map_err(bad)?);
                }
                other => return Err(Error::Usage(format!("`test` takes no `{other}`"))),
            }
        }
        Ok(options)
    }
}

impl TestOptions {
    /// Only the integration tests and the chart's checks use real parts.
    fn uses_parts(&self) -> bool {
        self.package.as_deref().is_none_or(|package| package == "feedpulse-tests")
    }
}

fn fetch_parts() -> Result<()> {
    let reports = parts::fetch_all()?;
    let absent: Vec<String> = reports.iter().filter_map(parts::Report::skip_line).collect();
    if absent.is_empty() { Ok(()) } else { Err(Error::Missing(absent.join("\n"))) }
}

/// The chart alone; here, unlike in `test`, a missing tool is an error everywhere.
fn only_chart() -> Result<()> {
    let absent = chart::TOOLS.iter().filter_map(|name| pins::find(name));
    let absent = absent.filter(|pin| pins::locate(pin).is_none()).map(pins::skip_line);
    let absent: Vec<_> = absent.collect();
    if absent.is_empty() { chart::check() } else { Err(Error::Missing(absent.join("\n"))) }
}

fn test(options: &TestOptions) -> Result<()> {
    if !options.no_parts && options.uses_parts() {
        parts::fetch_all()?;
    }
    let skipped = skipped(options);
    if in_ci() && !skipped.is_empty() {
        return Err(Error::Missing(format!(
            "in CI nothing may be skipped:\n{}",
            skipped.join("\n")
        )));
    }
    let tests = || cargo_tests(options);
    // In CI the lints come first; the tidy tests are among all the others.
    let mut steps: Vec<Step> = if in_ci() { vec![&lints] } else { Vec::new() };
    steps.push(&tests);
    if options.package.is_none() {
        steps.extend([&plugins::test as Step, &chart::check]);
    }
    let result = run_all(&steps);
    for line in &skipped {
        eprintln!("{line}");
    }
    result
}

/// One step of a verb.
type Step<'a> = &'a dyn Fn() -> Result<()>;

/// Runs every step: one that fails does not hide what the later ones have to say.
fn run_all(steps: &[Step]) -> Result<()> {
    let mut failures: Vec<Error> = steps.iter().filter_map(|step| step().err()).collect();
    let Some(last) = failures.pop() else { return Ok(()) };
    failures.iter().for_each(|e| eprintln!("xtask: {e}"));
    Err(last)
}

/// The sentences for the parts that this run goes without.
fn skipped(options: &TestOptions) -> Vec<String> {
    if !options.uses_parts() {
        return Vec::new();
    }
    pins::PINS.iter().filter(|pin| pins::locate(pin).is_none()).map(pins::skip_line).collect()
}

fn cargo_tests(options: &TestOptions) -> Result<()> {
    let mut test = cargo_for_tests();
    test.args(["test", "--no-fail-fast"]);
    match &options.package {
        Some(package) => test.args(["-p", package]),
        None => test.arg("--workspace"),
    };
    if let Ok(dir) = parts::dir() {
        test.env("FEEDPULSE_PARTS", dir);
    }
    if let Some(seed) = options.seed {
        test.env("FEEDPULSE_SEED", seed.to_string());
    }
    run(&mut test)
}

fn sim(rest: &[String]) -> Result<()> {
    let mut sim = cargo();
    sim.args(["run", "--release", "-q", "-p", "feedpulse-tests-sim", "--bin", "sim", "--"]);
    run(sim.args(rest))
}

fn eval(rest: &[String]) -> Result<()> {
    let mut eval = cargo();
    eval.args(["run", "--release", "-q", "-p", "feedpulse-tests-eval", "--bin", "eval", "--"]);
    run(eval.args(rest))
}

/// Reloads of `bench reload`.
const RELOADS: &str = "1000";

fn bench(rest: &[String]) -> Result<()> {
    if let [group] = rest
        && group == "reload"
    {
        // It needs the inside of the product, so it is a test of it; a short run is among the others.
        let mut bench = cargo();
        bench.args(["test", "--release", "-q", "-p", "feedpulse", "--bin", "feedpulse"]);
        bench.args(["reloads_under_full_load", "--", "--nocapture"]);
        return run(bench.env("FEEDPULSE_RELOADS", RELOADS));
    }
    let packages =
        ["-p", "feedpulse-tests", "--bin", "bench", "-p", "feedpulse", "--bin", "feedpulse"];
    run(cargo_for_tests().args(["build", "--release", "-q"]).args(packages))?;
    let release = cmd::target().join("release");
    let mut bench = Command::new(release.join("bench"));
    run(bench.args(rest).env("FEEDPULSE_BIN", release.join("feedpulse")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_of_test_are_read() {
        let o = TestOptions::parse(&words("--no-parts -p feedpulse-hl7 --seed 7")).unwrap();
        let package = Some("feedpulse-hl7".to_owned());
        assert_eq!(o, TestOptions { no_parts: true, package, seed: Some(7) });
    }

    #[test]
    fn a_failed_step_fails_the_run_and_hides_no_later_one() {
        let ran = std::cell::Cell::new(0);
        let good = || {
            ran.set(ran.get() + 1);
            Ok(())
        };
        let bad = || Err(Error::Failed("bad".to_owned()));
        assert!(run_all(&[&good, &good]).is_ok());
        assert_eq!(run_all(&[&good, &bad, &good]).unwrap_err().code(), 1);
        assert_eq!(ran.get(), 4);
    }

    #[test]
    fn wrong_usage_is_exit_code_64() {
        for line in ["test --seed x", "test --seed", "test extra", "parts now", "nonsense"] {
            let e = dispatch(&words(line)).unwrap_err();
            assert_eq!(e.code(), 64, "{line}: {e}");
        }
    }
}
