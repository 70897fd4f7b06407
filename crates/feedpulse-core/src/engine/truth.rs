//! The truth table of the ACK ledger: every acknowledgment mode, code, timing and connection event,
//! and what Feedpulse says. One row, one judgement; `ACK-TRUTH-TABLE.md` is made from these rows.

use super::Engine;
use super::tests::{ack, message};
use crate::class::AckClass;
use crate::defect::{Defect, DefectCode};
use crate::effect::Effects;
use crate::frame::{ConnectionId, Direction, WaypointId};
use crate::input::{Blind, Input};
use crate::label::ControlId;
use crate::plan::{Objectives, Plan, Route, Waypoint};
use crate::sighting::{
    AckCode, AckCondition, AckMode, LinkEvent, Outcome, Seen, Sighting, UnreadableSeen,
};
use crate::time::Timestamp;
use core::fmt::Write as _;
use core::time::Duration;
use std::sync::Arc;

use AckCondition::{Always, Empty, Never, OnError, OnSuccess};

/// Modes that are judged alike: whether one with this (MSH-15, MSH-16) is among them.
struct Column {
    title: &'static str,
    has: fn(AckCondition, AckCondition) -> bool,
}

impl Column {
    fn modes(&self) -> impl Iterator<Item = (AckCondition, AckCondition)> {
        let has = self.has;
        let all = CONDITIONS.into_iter().flat_map(|a| CONDITIONS.map(move |b| (a, b)));
        all.filter(move |(accept, application)| has(*accept, *application))
    }
}

/// HL7 table 0155, and an empty field.
const CONDITIONS: [AckCondition; 5] = [Empty, Always, Never, OnError, OnSuccess];

/// Silence is agreed to be success: neither accept nor application ACKs of successes are sent.
fn is_quiet(accept: AckCondition, application: AckCondition) -> bool {
    matches!(accept, Never | OnError) && matches!(application, Never | OnError)
}

const COLUMNS: &[Column] = &[
    Column { title: "A", has: |a, b| !is_quiet(a, b) && matches!(b, Empty | Never) },
    Column { title: "B", has: |a, b| !is_quiet(a, b) && !matches!(b, Empty | Never) },
    Column { title: "C", has: |a, b| is_quiet(a, b) && b == OnError },
    Column { title: "D", has: |a, b| is_quiet(a, b) && b == Never },
];

/// A row: what happens (for people, and as steps), and what each column says.
///
/// Steps: `M` sends message 1, `M2` message 2, `M1'` id 1 with another body; `AA`, `CE`, … answer
/// message 1 (`AA2` message 2) on its connection, `AA@` on another, `AA?` without MSA-2, `AA~` with
/// an altered one, `AA!` with an unknown one, `XX` has an unknown MSA-1, `--` no MSA, `<M` is a message, `##` cannot be
/// read; `close`, `reset`, `blind` as they say; `+5` lets five seconds pass. The answer is due after
/// 10 s, slow after 1 s; at the end 400 s pass. `say` lists the outcomes of the sendings in order,
/// then the classes.
struct Row {
    what: &'static str,
    steps: &'static str,
    say: Say,
}

/// What the columns say: all the same, or each its own.
#[derive(Clone, Copy)]
enum Say {
    Same(&'static str),
    Each(&'static [&'static str]),
}

impl Say {
    fn column(self, number: usize) -> &'static str {
        match self {
            Self::Same(say) => say,
            Self::Each(says) => says[number],
        }
    }
}

const fn row(what: &'static str, steps: &'static str, say: &'static [&'static str]) -> Row {
    Row { what, steps, say: Say::Each(say) }
}

/// A row that every mode judges alike.
const fn same(what: &'static str, steps: &'static str, say: &'static str) -> Row {
    Row { what, steps, say: Say::Same(say) }
}

const ROWS: &[Row] = &[
    row("no answer", "M", &["no_ack", "no_ack", "accepted", "accepted"]),
    same("AA in time", "M +0 AA", "accepted"),
    same("AA, slow", "M +5 AA", "accepted"),
    same("AE in time", "M AE", "errored"),
    same("AR in time", "M AR", "rejected"),
    same("CE in time", "M CE", "errored"),
    same("CR in time", "M CR", "rejected"),
    same("CA, then nothing", "M CA", "committed"),
    row(
        "CA, then AA",
        "M CA +2 AA",
        &["committed | late_ack", "accepted", "accepted", "committed | late_ack"],
    ),
    row(
        "CA, then AE",
        "M CA +2 AE",
        &["committed | late_ack", "errored", "errored", "committed | late_ack"],
    ),
    row(
        "CA, then AR",
        "M CA +2 AR",
        &["committed | late_ack", "rejected", "rejected", "committed | late_ack"],
    ),
    row(
        "CA, then AA on another connection after a minute",
        "M CA close +60 AA@",
        &["committed | late_ack", "accepted", "accepted", "committed | late_ack"],
    ),
    row(
        "CA twice",
        "M CA CA",
        &["committed | duplicate_ack", "committed", "committed", "committed | duplicate_ack"],
    ),
    same("CA, then the connection closes", "M CA close", "committed"),
    same("AA on another connection", "M +2 AA@", "accepted"),
    same("AE on another connection", "M +2 AE@", "errored"),
    row(
        "AA after the time limit",
        "M +20 AA",
        &["no_ack | late_ack", "no_ack | late_ack", "accepted | late_ack", "accepted | late_ack"],
    ),
    row(
        "AE after the time limit",
        "M +20 AE",
        &["no_ack | late_ack", "no_ack | late_ack", "accepted | late_ack", "accepted | late_ack"],
    ),
    row(
        "CA after the time limit",
        "M +20 CA",
        &["no_ack | late_ack", "no_ack | late_ack", "accepted | late_ack", "accepted | late_ack"],
    ),
    row(
        "AR after the time limit",
        "M +20 AR",
        &["no_ack | late_ack", "no_ack | late_ack", "accepted | late_ack", "accepted | late_ack"],
    ),
    row(
        "CE after the time limit",
        "M +20 CE",
        &["no_ack | late_ack", "no_ack | late_ack", "accepted | late_ack", "accepted | late_ack"],
    ),
    same("AE, slow", "M +5 AE", "errored"),
    same("AR, slow", "M +5 AR", "rejected"),
    same("CA, slow", "M +5 CA", "committed"),
    same("CE, slow", "M +5 CE", "errored"),
    same("CR, slow", "M +5 CR", "rejected"),
    same("AR on another connection", "M +2 AR@", "rejected"),
    same("CA on another connection", "M +2 CA@", "committed"),
    same("a blind interval, then AE", "M blind AE", "errored"),
    same("a blind interval, then CA", "M blind CA", "committed"),
    same("AA twice", "M AA AA", "accepted | duplicate_ack"),
    same("AA, then AE", "M AA AE", "accepted | duplicate_ack"),
    same("AE, then AA", "M AE AA", "errored | duplicate_ack"),
    same("AA with an empty MSA-2", "M AA?", "accepted | ack_without_id"),
    same("AE with an empty MSA-2", "M AE?", "errored | ack_without_id"),
    row(
        "AA with an empty MSA-2 while two wait",
        "M M2 AA?",
        &[
            "no_ack no_ack | ack_without_id",
            "no_ack no_ack | ack_without_id",
            "accepted accepted | ack_without_id",
            "accepted accepted | ack_without_id",
        ],
    ),
    same(
        "AA with an altered MSA-2 (case, zeros, blanks, cut)",
        "M AA~",
        "accepted | ack_altered_id",
    ),
    row(
        "AA with an MSA-2 that nobody sent",
        "M AA!",
        &[
            "no_ack | stray_ack",
            "no_ack | stray_ack",
            "accepted | stray_ack",
            "accepted | stray_ack",
        ],
    ),
    same("an unknown MSA-1 that names the message", "M XX", "errored | garbage_ack"),
    row(
        "an answer without MSA",
        "M --",
        &[
            "no_ack | garbage_ack",
            "no_ack | garbage_ack",
            "accepted | garbage_ack",
            "accepted | garbage_ack",
        ],
    ),
    row(
        "an answer that is a message of its own",
        "M <M",
        &[
            "no_ack | garbage_ack",
            "no_ack | garbage_ack",
            "accepted | garbage_ack",
            "accepted | garbage_ack",
        ],
    ),
    row(
        "an answer that cannot be read",
        "M ##",
        &[
            "no_ack | garbage_ack",
            "no_ack | garbage_ack",
            "accepted | garbage_ack",
            "accepted | garbage_ack",
        ],
    ),
    row(
        "the connection closes before the answer",
        "M close",
        &["connection_lost", "connection_lost", "accepted", "accepted"],
    ),
    row(
        "the connection is reset before the answer",
        "M reset",
        &["connection_lost", "connection_lost", "accepted", "accepted"],
    ),
    row(
        "the connection closes, then AA on another",
        "M close +2 AA@",
        &[
            "connection_lost | late_ack",
            "connection_lost | late_ack",
            "accepted | late_ack",
            "accepted | late_ack",
        ],
    ),
    same("a blind interval, then no answer", "M blind", "unknown"),
    same("a blind interval, then AA", "M blind AA", "accepted"),
    same("a blind interval, then the connection closes", "M blind close", "unknown"),
    row(
        "sent again after a wait, then AA",
        "M +5 M AA",
        &[
            "no_ack accepted | retry",
            "no_ack accepted | retry",
            "accepted accepted | retry",
            "accepted accepted | retry",
        ],
    ),
    row(
        "sent again after a wait, then AA to each",
        "M +5 M AA AA",
        &[
            "no_ack accepted | late_ack retry",
            "no_ack accepted | late_ack retry",
            "accepted accepted | late_ack retry",
            "accepted accepted | late_ack retry",
        ],
    ),
    same("AE, sent again, then AA", "M AE +5 M AA", "errored accepted | nack_then_accepted retry"),
    same("AR, sent again, then AA", "M AR +5 M AA", "rejected accepted | nack_then_accepted retry"),
    same(
        "AE three times to the same message",
        "M AE +5 M AE +5 M AE",
        "errored errored errored | retry head_of_line",
    ),
    same(
        "AE twice, another message accepted, AE again",
        "M AE +5 M AE M2 AA2 +5 M AE",
        "errored errored accepted errored | retry",
    ),
    row(
        "the connection breaks three times on the same message",
        "M reset +5 M reset +5 M reset",
        &[
            "connection_lost connection_lost connection_lost | retry head_of_line",
            "connection_lost connection_lost connection_lost | retry head_of_line",
            "accepted accepted accepted | retry",
            "accepted accepted accepted | retry",
        ],
    ),
    same("the same id with another body", "M AA M1' AA", "accepted accepted | id_reuse"),
    same("two in flight, answered in order", "M M2 AA AA2", "accepted accepted"),
    same("two in flight, answered the other way round", "M M2 AA2 AA", "accepted accepted"),
    row(
        "a time-out on a kept connection, then each ACK is one behind",
        "M +5 M2 AA M3 AA2 M4 AA3 M5 AA4 M6",
        &[
            "accepted accepted accepted accepted no_ack no_ack | off_by_one",
            "accepted accepted accepted accepted no_ack no_ack | off_by_one",
            "accepted accepted accepted accepted accepted accepted | off_by_one",
            "accepted accepted accepted accepted accepted accepted | off_by_one",
        ],
    ),
    same(
        "a sender that keeps two in flight",
        "M M2 AA M3 AA2 M4 AA3 M5 AA4 AA5",
        "accepted accepted accepted accepted accepted",
    ),
];

/// Where an application ACK is declared at the waypoint.
const DECLARED_COLUMNS: &[Column] = &[
    Column { title: "MSH-16 is not ER", has: |_, b| b != OnError },
    Column { title: "MSH-16 is ER", has: |_, b| b == OnError },
];

const DECLARED: &[Row] = &[
    row("CA, then nothing", "M CA", &["committed | commit_only", "committed"]),
    same("CA, then AA", "M CA +2 AA", "accepted"),
    same("CA, then AE on another connection", "M CA close +60 AE@", "errored"),
    same("AA at once", "M AA", "accepted"),
];

const START: Timestamp = Timestamp::from_secs(1_000_000);

struct Bench {
    engine: Engine,
    fx: Effects,
    now: Timestamp,
    mode: AckMode,
}

impl Bench {
    fn new(mode: AckMode, stated: Option<AckMode>, application_acks: bool) -> Self {
        let waypoint = Waypoint {
            no_ack_after: Duration::from_secs(10),
            ack_time: Duration::from_secs(1),
            ack_mode: stated,
            application_acks,
            ..Waypoint::new("portal-in")
        };
        let plan = Plan {
            waypoints: vec![waypoint],
            routes: vec![Route { name: "r".into(), waypoints: vec![WaypointId(0)] }],
            defaults: Objectives::default(),
            journey_expiry: Duration::from_secs(900),
            feeds_max: 10,
            ..Plan::default()
        };
        let mut bench = Self { engine: Engine::new(), fx: Effects::default(), now: START, mode };
        bench.apply(&Input::Configure(Arc::new(plan)));
        bench
    }

    fn apply(&mut self, input: &Input) {
        self.engine.apply(self.now, input, &mut self.fx);
        assert!(self.engine.checkpoint().totals.adds_up());
    }

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now = self.now.plus(Duration::from_secs(1));
            self.apply(&Input::Alive(WaypointId(0)));
            self.apply(&Input::Tick);
        }
    }

    fn see(&mut self, connection: u64, what: Seen) {
        self.now = self.now.plus(Duration::from_millis(1));
        let connection = ConnectionId(connection);
        let at = self.now;
        self.apply(&Input::Seen(Sighting { at, waypoint: WaypointId(0), connection, what }));
    }

    fn send(&mut self, number: &str, body: u64) {
        let id = format!("0Msg{number}");
        let mut sent = message(&id, &format!("F{number}{body}"));
        sent.ack_mode = self.mode;
        sent.body = body;
        self.see(1, Seen::Message(sent));
    }

    fn answer(&mut self, step: &str) {
        let (code, rest) = step.split_at(2);
        let code = match code {
            "AA" => AckCode::AA,
            "AE" => AckCode::AE,
            "AR" => AckCode::AR,
            "CA" => AckCode::CA,
            "CE" => AckCode::CE,
            "CR" => AckCode::CR,
            _ => AckCode::Other,
        };
        let number = rest.trim_matches(|c: char| !c.is_ascii_digit());
        let number = if number.is_empty() { "1" } else { number };
        let mut answer = match rest {
            "~" => ack("MSG1", code),
            "!" => ack("NEVER", code),
            _ => ack(&format!("0Msg{number}"), code),
        };
        if rest == "?" || step == "--" {
            (answer.ack_key, answer.acked) = (None, ControlId::default());
        }
        self.see(if rest == "@" { 2 } else { 1 }, Seen::Ack(answer));
    }

    fn step(&mut self, step: &str) {
        match step {
            "close" => self.see(1, Seen::Link(LinkEvent::Closed { bytes: 9 })),
            "reset" => self.see(1, Seen::Link(LinkEvent::Reset { by_receiver: true })),
            "##" => self.see(
                1,
                Seen::Unreadable(UnreadableSeen {
                    direction: Direction::ToSender,
                    size: 4,
                    defects: vec![Defect { code: DefectCode::NoHeader, offset: 0 }],
                }),
            ),
            "<M" => {
                let mut other = message("OTHER", "F9");
                other.direction = Direction::ToSender;
                self.see(1, Seen::Message(other));
            }
            "blind" => {
                let (from, to) = (self.now, self.now.plus(Duration::from_millis(10)));
                let waypoint = Some(WaypointId(0));
                self.apply(&Input::Blind(Blind { waypoint, from, to, records: 1, bytes: 1 }));
            }
            "M" => self.send("1", 1),
            "M1'" => self.send("1", 2),
            step => match (step.strip_prefix('+'), step.strip_prefix('M')) {
                (Some(seconds), _) => self.pass(seconds.parse().unwrap()),
                (_, Some(number)) => self.send(number, 1),
                _ => self.answer(step),
            },
        }
    }

    /// The outcomes in order of sending, then the classes.
    fn says(mut self, steps: &str) -> String {
        for step in steps.split(' ') {
            self.step(step);
        }
        self.pass(400);
        let mut outcomes = Vec::new();
        for (_, effect) in self.fx.drain() {
            if let crate::effect::Effect::Journey(journey) = effect {
                outcomes.extend(journey.sends.iter().map(|s| (s.at, s.outcome)));
            }
        }
        outcomes.sort();
        let view = self.engine.view();
        let named = outcomes.iter().map(|(_, o)| o.map_or("open", Outcome::name));
        let mut text = named.collect::<Vec<_>>().join(" ");
        let classes = AckClass::ALL.iter().filter(|class| view.class(**class) > 0);
        let classes: Vec<&str> = classes.map(|class| class.name()).collect();
        if !classes.is_empty() {
            let _ = write!(text, " | {}", classes.join(" "));
        }
        text
    }
}

/// The same words in any order.
fn words(text: &str) -> Vec<&str> {
    let mut parts = text.splitn(2, " | ");
    let mut all: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
    let mut classes: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
    classes.sort_unstable();
    all.push("|");
    all.extend(classes);
    all
}

fn judge(rows: &[Row], columns: &[Column], declared: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        for (number, column) in columns.iter().enumerate() {
            let expected = row.say.column(number);
            for (accept, application) in column.modes() {
                let mode = AckMode { accept, application };
                // What a sender asks for, and the same stated by the site whatever it asks for.
                let other = AckMode { accept: Always, application: Never };
                for (asked, stated) in [(mode, None), (other, Some(mode))] {
                    let got = Bench::new(asked, stated, declared).says(row.steps);
                    if words(&got) != words(expected) {
                        wrong.push(format!(
                            "{} ({}), {mode:?} stated {}: says {got:?}, expected {expected:?}",
                            row.what,
                            row.steps,
                            stated.is_some()
                        ));
                    }
                }
            }
        }
    }
    wrong
}

#[test]
fn every_row_is_right() {
    let wrong = judge(ROWS, COLUMNS, false);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_row_with_declared_application_acks_is_right() {
    let wrong = judge(DECLARED, DECLARED_COLUMNS, true);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn table(text: &mut String, rows: &[Row], columns: &[Column]) {
    let titles: Vec<&str> = columns.iter().map(|c| c.title).collect();
    let _ = writeln!(text, "| what happens | {} |", titles.join(" | "));
    let _ = writeln!(text, "|---{}|", "|---".repeat(columns.len()));
    for row in rows {
        let cell = |n| row.say.column(n).replace(" | ", "; ");
        let cells: Vec<String> = (0..columns.len()).map(cell).collect();
        let _ = writeln!(text, "| {} | {} |", row.what, cells.join(" | "));
    }
}

/// Which column each mode is in.
fn grid(text: &mut String) {
    let name = |condition| match condition {
        Empty => "empty",
        Always => "AL",
        Never => "NE",
        OnError => "ER",
        OnSuccess => "SU",
    };
    let _ = writeln!(text, "| MSH-15 \\ MSH-16 | {} |", CONDITIONS.map(name).join(" | "));
    let _ = writeln!(text, "|---{}|", "|---".repeat(CONDITIONS.len()));
    for accept in CONDITIONS {
        let letter = |application| {
            let mut columns = COLUMNS.iter().filter(|c| (c.has)(accept, application));
            let column = columns.next().expect("each mode is in a column");
            assert!(columns.next().is_none(), "in one only");
            column.title
        };
        let _ = writeln!(text, "| {} | {} |", name(accept), CONDITIONS.map(letter).join(" | "));
    }
    text.push('\n');
}

#[test]
fn the_published_table_is_this_one() {
    let mut text = String::from(include_str!("truth-head.md"));
    grid(&mut text);
    table(&mut text, ROWS, COLUMNS);
    text.push_str("\n## Where an application ACK is declared, or was seen before\n\n");
    table(&mut text, DECLARED, DECLARED_COLUMNS);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ACK-TRUTH-TABLE.md");
    if std::env::var_os("FEEDPULSE_WRITE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        published == text,
        "ACK-TRUTH-TABLE.md is not what the rows say: run this test with FEEDPULSE_WRITE_DOCS=1"
    );
}
