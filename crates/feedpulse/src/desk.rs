//! The operators' commands: `incidents`, `incident`, `claim`, `release`, `mute`, `unmute`, `note`,
//! `confirm`, `dismiss`, `shadow`, `checks`, `change`. They talk to the running process over its admin socket.

mod checks;
mod text;

use crate::cli::{Failure, NO_INPUT, UNAVAILABLE};
use crate::run::admin::SOCKET;
use crate::{config, run};
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use feedpulse_web::AskError;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What is read when no configuration is named and this one is here.
const CONFIG: &str = "feedpulse.yaml";

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Desk {
    /// List the incidents of the running process: those that are not over.
    Incidents {
        /// Only open ones: those that people are told of.
        #[arg(long, conflicts_with = "all")]
        open: bool,
        /// Also the last ones that are over.
        #[arg(long)]
        all: bool,
        /// As the JSON of `GET /api/v1/incidents`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Tell the whole story of an incident: findings, cause, timeline, notes.
    Incident {
        /// Its number.
        number: u64,
        /// As the JSON of `GET /api/v1/incidents/N`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Take an incident: others see that somebody is on it.
    Claim(Act),
    /// Give an incident back.
    Release(Act),
    /// Stop notices about an incident for a while.
    Mute {
        /// Its number.
        number: u64,
        /// For how long, such as 2h; at most a week.
        #[arg(long = "for", value_name = "TIME")]
        time: jiff::SignedDuration,
        #[command(flatten)]
        door: Door,
    },
    /// Let notices about an incident go out again.
    Unmute {
        /// Its number.
        number: u64,
        #[command(flatten)]
        door: Door,
    },
    /// Write something down about an incident, also one that is over. No patient's data: it stands on
    /// the pages and in the store, and goes to no notifier.
    Note {
        /// Its number.
        number: u64,
        /// What: at most 280 characters.
        text: String,
        /// Who you are. Default: your user's name.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        door: Door,
    },
    /// Say that an incident was worth a notice.
    Confirm(Judge),
    /// Say that an incident was not worth a notice.
    Dismiss(Judge),
    /// Show the feeds that nobody is told about yet, what would have been told, and how much of it
    /// was right.
    Shadow {
        /// As the JSON of `GET /api/v1/shadow`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Show which version of each check runs, and what was kept out and why.
    Checks {
        /// As the JSON of `GET /api/v1/checks/versions`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        door: Door,
    },
    /// Tell Feedpulse that something around the stream was just changed: it stands in the timeline of
    /// what comes.
    Change {
        /// What kind: deploy, config, certificate, …
        kind: String,
        /// What, such as "engine 4.2": at most 31 characters, and nobody's data.
        what: String,
        #[command(flatten)]
        door: Door,
    },
}

/// An action that only says who acts.
#[derive(Args, Debug)]
pub(crate) struct Act {
    /// Its number.
    number: u64,
    /// Who you are. Default: your user's name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    door: Door,
}

/// A verdict.
#[derive(Args, Debug)]
pub(crate) struct Judge {
    /// Its number.
    number: u64,
    /// Who you are. Default: your user's name.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why: kept as a note.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    door: Door,
}

/// How the running process is found.
#[derive(Args, Debug)]
pub(crate) struct Door {
    /// Its configuration file: the socket is in its store's folder. Default: feedpulse.yaml here.
    #[arg(long, short, env = "FEEDPULSE_CONFIG")]
    config: Option<PathBuf>,
    /// Its socket instead.
    #[arg(long, conflicts_with = "config")]
    socket: Option<PathBuf>,
}

/// Runs a command.
pub(crate) fn main(command: Desk) -> Result<(), Failure> {
    match command {
        Desk::Incidents { open, all, json, door } => incidents(&door, open, all, json),
        Desk::Incident { number, json, door } => {
            let story = door.ask(&format!("/api/v1/incidents/{number}"), None)?;
            print(&story, json, text::story)
        }
        Desk::Claim(act) => act.send("claim", "taken"),
        Desk::Release(act) => act.send("release", "given back"),
        Desk::Mute { number, time, door } => mute(&door, number, time),
        Desk::Unmute { number, door } => {
            door.act(number, "unmute", &json!({}), "notices go out again")
        }
        Desk::Note { number, text, by, door } => {
            let body = json!({ "by": by.or_else(behind_sudo), "text": text });
            door.act(number, "note", &body, "written down")
        }
        Desk::Confirm(judge) => judge.send("confirm", "worth a notice"),
        Desk::Dismiss(judge) => judge.send("dismiss", "not worth a notice"),
        Desk::Shadow { json, door } => {
            print(&door.ask("/api/v1/shadow", None)?, json, text::shadow)
        }
        Desk::Checks { json, door } => {
            print(&door.ask("/api/v1/checks/versions", None)?, json, |all| {
                Ok(checks::versions(all))
            })
        }
        Desk::Change { kind, what, door } => {
            door.ask("/api/v1/changes", Some(&json!({ "kind": kind, "what": what })))?;
            println!("change {kind} {what}: written down");
            Ok(())
        }
    }
}

fn incidents(door: &Door, open: bool, all: bool, json: bool) -> Result<(), Failure> {
    let mut list = door.ask("/api/v1/incidents", None)?;
    if let Some(list) = list.as_array_mut() {
        list.retain(|incident| match incident["state"].as_str() {
            Some("resolved") => all,
            Some("pending") => !open,
            _ => true,
        });
    }
    print(&list, json, text::incidents)
}

fn mute(door: &Door, number: u64, time: jiff::SignedDuration) -> Result<(), Failure> {
    let seconds = u64::try_from(time.as_secs()).unwrap_or(0);
    // The running process knows the limits; a part of a minute counts as one.
    let body = json!({ "minutes": seconds.div_ceil(60).min(u64::from(u32::MAX)) });
    door.act(number, "mute", &body, &format!("no notices for {time:#}"))
}

fn print(
    value: &Value,
    json: bool,
    write: impl FnOnce(&Value) -> anyhow::Result<String>,
) -> Result<(), Failure> {
    if json {
        println!("{value}");
        return Ok(());
    }
    print!(
        "{}",
        write(value).context("the running process answers in another way than this build")?
    );
    Ok(())
}

impl Act {
    fn send(self, verb: &str, done: &str) -> Result<(), Failure> {
        let body = json!({ "by": self.by.or_else(behind_sudo) });
        self.door.act(self.number, verb, &body, done)
    }
}

impl Judge {
    fn send(self, verb: &str, done: &str) -> Result<(), Failure> {
        let body = json!({ "by": self.by.or_else(behind_sudo), "why": self.why });
        self.door.act(self.number, verb, &body, done)
    }
}

/// Who called sudo: the socket would only know that it is root.
fn behind_sudo() -> Option<String> {
    std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty())
}

impl Door {
    fn act(&self, number: u64, verb: &str, body: &Value, done: &str) -> Result<(), Failure> {
        self.ask(&format!("/api/v1/incidents/{number}/{verb}"), Some(body))?;
        println!("incident {number}: {done}");
        Ok(())
    }

    /// Asks, and turns a refusal into a failure.
    pub(crate) fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let socket = self.path()?;
        let runtime = run::runtime()?;
        let answer = runtime.block_on(feedpulse_web::ask(&socket, path, body));
        let (status, answer) = answer.map_err(|error| {
            let hint = match &error {
                AskError::Nobody(_) => "is `feedpulse run` running with this configuration?",
                AskError::NotAllowed(_) => "run this as the user of `feedpulse run`, or as root",
                AskError::Broken(_) | AskError::Late => "try again; look at its log",
            };
            Failure::new(UNAVAILABLE, anyhow!("{}: {error}; {hint}", socket.display()))
        })?;
        if status < 300 {
            return Ok(answer);
        }
        let said = |name: &str| answer[name].as_str().unwrap_or("no reason").to_owned();
        let code = match status {
            404 => 1,
            400..=499 => 64,
            _ => UNAVAILABLE,
        };
        Err(Failure::new(code, anyhow!("{}: {}", said("error"), said("hint"))))
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let file = self.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
        let text = std::fs::read_to_string(&file).map_err(|error| {
            let hint = "name the configuration of the running process with --config, or its \
                        admin.sock with --socket";
            Failure::new(NO_INPUT, anyhow!("{}: {error}; {hint}", file.display()))
        })?;
        let folder = config::folder(&text).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::new(crate::cli::CONFIG, anyhow!("{}: {}", file.display(), lines.join("; ")))
        })?;
        Ok(folder.join(SOCKET))
    }
}
