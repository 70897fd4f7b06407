//! The command line. Exit codes follow sysexits: 64 usage, 65 bad data, 66 no input, 69 a part is
//! unavailable, 70 internal, 74 I/O, 78 configuration. 1 is an answer: something is not accounted
//! for, or nothing was found.

use crate::noun::count;
use crate::{
    backtest, check, config, demo, desk, drill, explain, find, gaps, init, learn, probe, replay,
    run,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A health sidecar for HL7 v2 streams: knows before the clients know.
#[derive(Parser, Debug)]
#[command(name = "feedpulse", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Watch the feeds of a configuration file.
    Run(RunArgs),
    /// Show everything on a simulated hospital over real loopback sockets; needs nothing else.
    Demo(DemoArgs),
    /// Check a configuration file; all errors at once, with line, column and hint.
    Validate(ValidateArgs),
    /// Run the same engine over recorded messages and captures (pcap, pcapng): files and folders.
    Replay(ReplayArgs),
    /// Say which messages are not accounted for: refused, unanswered, lost; exit code 1 if any.
    Gaps(gaps::GapsArgs),
    /// Show the journeys of an accession, visit or record number (or control id) given on standard input.
    Find(find::FindArgs),
    /// Say what a finding (FP0104) or a defect (HD104) means and what to do.
    Explain {
        /// The code; without it all are listed.
        code: Option<String>,
    },
    #[command(flatten)]
    Desk(desk::Desk),
    /// Look once, now, with a probe of a configuration, and say what it sees; exit code 1 if it is bad.
    Probe(probe::ProbeArgs),
    /// Write the configuration of what was seen: in files, on a topic, or live.
    Init(InitArgs),
    /// Learn what is usual from older messages, so that day one is not blind.
    Learn(learn::LearnArgs),
    /// Say what these settings would have told of the recorded time, and which would tell less.
    Backtest(backtest::BacktestArgs),
    /// Prove that an alert arrives at the real notifiers, end to end, and how long it takes.
    Drill(drill::DrillArgs),
    /// Write, build, try and look at checks of your own.
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Forward bytes between senders and receivers, and offer copies; nothing else.
    #[command(disable_help_flag = false)]
    Wire {
        /// --socket PATH --listen NAME=ADDR,forward=HOST:PORT[,on_upstream_down=close_listener]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct RunArgs {
    /// The configuration file (YAML).
    #[arg(long, short)]
    config: PathBuf,
}

/// What the demo does.
#[derive(Args, Debug, Clone)]
pub(crate) struct DemoArgs {
    /// No colours and no live lines: for scripts and servers.
    #[arg(long)]
    pub headless: bool,
    /// How long, such as 90s. The script of trouble is stretched to it; at least 60 s.
    #[arg(long = "for", value_name = "TIME", default_value = "90s")]
    pub time: jiff::SignedDuration,
    /// End with one JSON object on standard output; the story goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Fixes what the hospital sends.
    #[arg(long, default_value_t = 1, env = "FEEDPULSE_SEED")]
    pub seed: u64,
    /// Go on (calm) after the script, until interrupted.
    #[arg(long)]
    pub stay: bool,
    /// Further configuration: a YAML file whose otlp and notifiers are used.
    #[arg(long, value_name = "FILE")]
    pub with: Option<PathBuf>,
    /// Tokens woven into the made-up patient data, to prove that they go nowhere.
    #[arg(long, value_name = "TOKEN")]
    pub canary: Vec<String>,
    /// Run checks of your own on the simulated stream: .wasm files that `check build` made.
    #[arg(long, value_name = "FILE")]
    pub check: Vec<PathBuf>,
    /// Keep the store here instead of in a temporary folder.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct ValidateArgs {
    /// The configuration file.
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Print the JSON Schema of the file instead.
    #[arg(long)]
    schema: bool,
}

/// What is replayed, and how it is told.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Files and folders; `-` is standard input.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// One summary object.
    #[arg(long, conflicts_with = "jsonl")]
    pub json: bool,
    /// One line for each frame.
    #[arg(long)]
    pub jsonl: bool,
    /// Key rule and zone come from this configuration's first waypoint; of captures, waypoints, routes
    /// and feeds too, where a listener's `forward` (or `listen`) is an endpoint of the capture.
    #[arg(long, short)]
    pub config: Option<PathBuf>,
}

/// What is looked at to write a configuration.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// A file or folder of recorded messages, `kafka://BROKER/TOPIC`, or `live`.
    #[arg(long, value_name = "SOURCE")]
    pub from: String,
    /// With `live`: how long to listen.
    #[arg(value_name = "TIME", default_value = "10m")]
    pub time: jiff::SignedDuration,
    /// With `live`: where senders connect.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// With `live`: the receiver, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub forward: Option<String>,
}

/// A command failed: what to print, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code after sysexits.
    pub code: u8,
    /// The cause.
    pub error: anyhow::Error,
}

impl Failure {
    /// With a code of sysexits.
    pub(crate) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: 70, error }
    }
}

/// What is in the input is wrong.
pub(crate) const DATA: u8 = 65;
/// No such input.
pub(crate) const NO_INPUT: u8 = 66;
/// A part is not available.
pub(crate) const UNAVAILABLE: u8 = 69;
/// Input or output failed.
pub(crate) const IO: u8 = 74;
/// Configuration is wrong.
pub(crate) const CONFIG: u8 = 78;

/// Reads the command line and runs it.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("feedpulse: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let config = load(&args.config)?;
            run::main(config, args.config)
        }
        Command::Demo(args) => demo::main(&args),
        Command::Validate(args) => validate(&args),
        Command::Replay(args) => replay::main(&args),
        Command::Gaps(args) => gaps::main(&args),
        Command::Find(args) => find::main(&args),
        Command::Explain { code: None } => {
            print!("{}", explain::list());
            Ok(())
        }
        Command::Explain { code: Some(code) } => {
            let text = explain::explain(&code).map_err(|e| Failure::new(64, anyhow::anyhow!(e)))?;
            print!("{text}");
            Ok(())
        }
        Command::Desk(command) => desk::main(command),
        Command::Probe(args) => probe::main(&args),
        Command::Init(args) => init::main(&args),
        Command::Learn(args) => learn::main(&args),
        Command::Backtest(args) => backtest::main(&args),
        Command::Drill(args) => drill::main(&args),
        Command::Check(command) => check::main(command),
        // Only `wire --help` comes here; see main.rs.
        Command::Wire { .. } => Ok(()),
    }
}

fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    if args.schema {
        let schema = serde_json::to_string_pretty(&config::schema());
        println!("{}", schema.map_err(|e| Failure::new(70, e))?);
        return Ok(());
    }
    let Some(file) = &args.file else { return Ok(()) };
    let config = load(file)?;
    if !config.checks.is_empty() {
        // Each is compiled, held against its approval, tried on its cases and started.
        crate::run::checks::offline::Offline::new(&config, &config.plan)?;
    }
    println!(
        "{}: valid: {}, {}, {}, {}",
        file.display(),
        count(config.plan.waypoints.len(), "waypoint"),
        count(config.plan.routes.len(), "route"),
        count(config.plan.feeds.len(), "feed"),
        count(config.checks.len(), "check")
    );
    Ok(())
}

/// Reads a configuration file, or fails with all that is wrong in it.
pub(crate) fn load(file: &std::path::Path) -> Result<config::Config, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::new(NO_INPUT, anyhow::anyhow!("{}: {e}", file.display())))?;
    config::load(&text).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{p}", file.display())).collect();
        let count = problems.len();
        let noun = if count == 1 { "error" } else { "errors" };
        Failure::new(
            CONFIG,
            anyhow::anyhow!("{count} {noun} in the configuration\n{}", lines.join("\n")),
        )
    })
}
