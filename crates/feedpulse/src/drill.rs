//! `feedpulse drill`: asks the running process, over its admin socket, for a fault on a stream of its
//! own, and says how long it took until each real notifier had taken the alert.

use crate::cli::{Failure, IO, UNAVAILABLE};
use crate::clock;
use crate::desk::Door;
use anyhow::anyhow;
use feedpulse_core::codes::Severity;
use feedpulse_core::input::DrillKind;
use feedpulse_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::time::Duration;

/// The drill may take so much longer than its notices: its fault, and its end.
const ENDS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// What fails.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Name {
    /// The receiver refuses connections.
    ReceiverDown,
    /// The receiver refuses messages.
    NackBurst,
    /// The sender sends no more.
    Silence,
    /// The receiver takes messages and does not answer.
    NoAck,
}

impl From<Name> for DrillKind {
    fn from(name: Name) -> Self {
        match name {
            Name::ReceiverDown => Self::ReceiverDown,
            Name::NackBurst => Self::NackBurst,
            Name::Silence => Self::Silence,
            Name::NoAck => Self::NoAck,
        }
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Loud {
    Page,
    Ticket,
}

/// Which drill.
#[derive(clap::Args, Debug)]
pub(crate) struct DrillArgs {
    /// What fails.
    #[arg(value_enum)]
    name: Name,
    /// How loud it is said to be. Every notifier gets it either way, whatever the routes say.
    #[arg(long, value_enum, default_value_t = Loud::Page)]
    severity: Loud,
    /// A notifier that has not taken it by then has failed; 5 s to 5 min.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: jiff::SignedDuration,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    door: Door,
}

/// The question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// What fails.
    pub drill: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// Seconds that notifiers have.
    pub timeout_s: u64,
}

impl Ask {
    /// What fails, if it is known.
    pub(crate) fn kind(&self) -> Option<DrillKind> {
        DrillKind::ALL.into_iter().find(|kind| kind.name() == self.drill)
    }

    /// How loud, if it is known.
    pub(crate) fn loud(&self) -> Option<Severity> {
        [Severity::Page, Severity::Ticket].into_iter().find(|s| s.name() == self.severity)
    }
}

/// How far a drill is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The fault is there.
    #[default]
    Running,
    /// It is over.
    Done,
}

/// The answer, as far as it is known. Times are µs since 1970.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The drill's number.
    pub number: u64,
    /// What fails.
    pub drill: String,
    /// How far it is.
    pub stage: Stage,
    /// What went wrong.
    pub why: Option<String>,
    /// When the fault was there.
    pub fault_at: Option<i64>,
    /// When a rule had found it.
    pub found_at: Option<i64>,
    /// Which rule: `FP0104`.
    pub code: Option<String>,
    /// When people were to be told.
    pub opened_at: Option<i64>,
    /// The incident's number.
    pub incident: Option<u64>,
    /// When it was resolved.
    pub resolved_at: Option<i64>,
    /// All notifiers.
    pub notifiers: Vec<Notified>,
}

/// What one notifier did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notified {
    /// Its name.
    pub name: String,
    /// When it had taken the alert.
    pub taken_at: Option<i64>,
    /// When it had taken the end.
    pub end_taken_at: Option<i64>,
    /// What fails there, if it said so.
    pub failing: Option<String>,
}

/// Runs the command. Exit code 1 when a notifier did not take the alert.
pub(crate) fn main(args: &DrillArgs) -> Result<(), Failure> {
    let timeout = Duration::try_from(args.timeout).unwrap_or_default();
    if !(5..=300).contains(&timeout.as_secs()) {
        return Err(Failure::new(64, anyhow!("--timeout is 5 s to 5 min")));
    }
    let ask = Ask {
        drill: DrillKind::from(args.name).name().to_owned(),
        severity: match args.severity {
            Loud::Page => Severity::Page,
            Loud::Ticket => Severity::Ticket,
        }
        .name()
        .to_owned(),
        timeout_s: timeout.as_secs(),
    };
    let asked = serde_json::to_value(&ask).map_err(|e| Failure::new(70, e))?;
    let begun = args.door.ask("/api/v1/drills", Some(&asked))?;
    let number = begun["number"].as_u64().unwrap_or_default();
    let answer = wait(&args.door, number, timeout)?;
    let mut out = std::io::stdout().lock();
    let told = if args.json {
        serde_json::to_string(&answer)
            .map_err(std::io::Error::other)
            .and_then(|text| writeln!(out, "{text}"))
    } else {
        tell(&answer, &mut out)
    };
    told.map_err(|e| Failure::new(IO, e))?;
    judge(&answer)
}

/// Waits for the whole answer.
fn wait(door: &Door, number: u64, timeout: Duration) -> Result<Answer, Failure> {
    let began = std::time::Instant::now();
    loop {
        let answer = door.ask(&format!("/api/v1/drills/{number}"), None)?;
        let mut answer: Answer = serde_json::from_value(answer).map_err(|e| {
            let what = anyhow!("the running process answers in another way than this build: {e}");
            Failure::new(UNAVAILABLE, what)
        })?;
        if answer.stage == Stage::Done {
            return Ok(answer);
        }
        if began.elapsed() > timeout + ENDS {
            answer.why = Some("it did not come to its end in time".to_owned());
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a drill takes minutes")]
fn seconds(from: Option<i64>, to: Option<i64>) -> Option<f64> {
    Some((to? - from?) as f64 / 1e6)
}

fn tell(answer: &Answer, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let Answer { drill, fault_at, found_at, opened_at, resolved_at, code, why, .. } = answer;
    let after = |to: &Option<i64>, what: &str| match seconds(*fault_at, *to) {
        Some(seconds) => format!("{what} after {seconds:.1} s"),
        None => format!("NOT {what}"),
    };
    let at = fault_at.map_or_else(String::new, |at| clock::show(Timestamp::from_micros(at)));
    let code = code.as_deref().unwrap_or("no rule");
    writeln!(
        out,
        "drill {drill}: fault at {at}; {} ({code}), {}, {}",
        after(found_at, "found"),
        after(opened_at, "opened"),
        after(resolved_at, "resolved")
    )?;
    for notifier in &answer.notifiers {
        let Notified { name, taken_at, end_taken_at, failing } = notifier;
        let taken = match (seconds(*fault_at, *taken_at), failing) {
            (Some(seconds), _) => {
                let from_found = seconds - self::seconds(*fault_at, *found_at).unwrap_or(0.0);
                format!("taken {seconds:.1} s after the fault, {from_found:.1} s after the finding")
            }
            (None, Some(failing)) => format!("NOT TAKEN in time: {failing}"),
            (None, None) => {
                "NOT TAKEN in time: it does not answer, or takes no such alert".to_owned()
            }
        };
        let end = match (taken_at, end_taken_at) {
            (None, _) => "",
            (_, Some(_)) => "; its end was taken",
            (_, None) => "; its end was NOT taken",
        };
        writeln!(out, "  {name}: {taken}{end}")?;
    }
    if answer.notifiers.is_empty() {
        writeln!(out, "  no notifier is configured: nobody would be told")?;
    }
    if let Some(why) = why {
        writeln!(out, "  {why}")?;
    }
    writeln!(out, "every notice said DRILL; nothing of it is counted, filed or shown")
}

fn judge(answer: &Answer) -> Result<(), Failure> {
    let missing: Vec<&str> =
        answer.notifiers.iter().filter(|n| n.taken_at.is_none()).map(|n| n.name.as_str()).collect();
    let failed = if answer.opened_at.is_none() {
        "the fault was not found".to_owned()
    } else if answer.notifiers.is_empty() {
        "nobody would be told".to_owned()
    } else if !missing.is_empty() {
        format!("not taken by {}", missing.join(", "))
    } else {
        return Ok(());
    };
    Err(Failure::new(1, anyhow!(failed)))
}
