//! A ledger of twelve days with known trouble: the settings that recorded it tell the same again, and what
//! is suggested takes the noise away and nothing else.

use super::judge::{self, TOLERANCE, Told};
use super::report::Report;
use super::settings::Setting;
use super::{Found, backtest};
use feedpulse_codec as codec;
use feedpulse_codec::{LedgerRow, LedgerRows};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::defect::Verdict;
use feedpulse_core::effect::{Effect, EffectId, Effects, IncidentChange, Rollup};
use feedpulse_core::engine::Engine;
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::input::Input;
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::order::OrderMarks;
use feedpulse_core::plan::{FeedPlan, Objectives, Plan, Route, RouteId, Waypoint};
use feedpulse_core::sighting::{
    AckCode, AckMode, AckSeen, FindKeys, LinkEvent, MessageSeen, Protocol, ReasonClass, Seen,
    Sighting, Urgency,
};
use feedpulse_core::time::Timestamp;
use feedpulse_store::{LedgerBlock, Options, Rows, Store};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Monday, 2 March 2026.
const START: i64 = 1_772_409_600;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

fn plan() -> Plan {
    Plan {
        waypoints: vec![Waypoint::new("portal-in")],
        routes: vec![Route { name: "main".into(), waypoints: vec![WaypointId(0)] }],
        feeds: vec![FeedPlan {
            name: "results".into(),
            route: RouteId(0),
            senders: vec!["LAB".into()],
            types: Vec::new(),
            objectives: Objectives::default(),
            ends_at: Vec::new(),
            filters: Vec::new(),
        }],
        ..Plan::default()
    }
}

fn message(number: u64) -> MessageSeen {
    let id = format!("M{number}");
    let key = SiteKey::new([9; 16]).ack_key(id.as_bytes());
    MessageSeen {
        direction: Direction::ToReceiver,
        code: "ORU".into(),
        trigger: "R01".into(),
        sender: "LAB".into(),
        sender_facility: "NORTH".into(),
        receiver: Label::EMPTY,
        receiver_facility: Label::EMPTY,
        version: "2.5".into(),
        software: None,
        processing: b'P',
        control_id: ControlId::from_bytes(id.as_bytes()),
        ack_key: key,
        journey_key: key,
        also: Vec::new(),
        find: FindKeys::default(),
        batch: None,
        protocol: Protocol::default(),
        order: OrderMarks::default(),
        body: number,
        size: 400,
        ack_mode: AckMode::default(),
        event_time: None,
        withheld: Some(feedpulse_core::lag::Withheld::NoTime),
        made: None,
        urgency: Urgency::Routine,
        verdict: Verdict::Readable,
        defects: Vec::new(),
        trace: None,
    }
}

/// What happens to a message at a second of these days: its answer, and after how many ms.
fn fate(second: i64, number: u64) -> Option<(AckCode, ReasonClass, u64)> {
    let (day, of_day) = (second / DAY, second % DAY);
    let within = |from: i64, minutes: i64| (from..from + minutes * 60).contains(&of_day);
    let accepted = |ms| Some((AckCode::AA, ReasonClass::None, ms));
    match day {
        // The nightly job: nobody minds.
        8..=10 if within(2 * HOUR + 600, 10) => accepted(3_200),
        // The receiver's disk is dying.
        11 if within(2 * HOUR + 600, 10) => accepted(20_000),
        // Patients who never enrolled: nobody minds.
        9 if within(12 * HOUR, 10) && number.is_multiple_of(2) => {
            Some((AckCode::AE, ReasonClass::UnknownKey, 50))
        }
        // The database is down.
        11 if within(12 * HOUR, 10) => Some((AckCode::AE, ReasonClass::Internal, 50)),
        _ => accepted(80),
    }
}

/// From one message to the next, in seconds.
fn step(of_day: i64) -> i64 {
    if (2 * HOUR..3 * HOUR).contains(&of_day) || (11 * HOUR..13 * HOUR).contains(&of_day) {
        5
    } else {
        60
    }
}

/// A second in which the laboratory sends nothing: three hours of the tenth day, and the receiver's
/// restart in the eleventh.
fn is_still(second: i64) -> bool {
    let (day, of_day) = (second / DAY, second % DAY);
    day == 10 && (15 * HOUR..18 * HOUR).contains(&of_day) || is_down(second)
}

fn is_down(second: i64) -> bool {
    second / DAY == 10 && (20 * HOUR..20 * HOUR + 600).contains(&(second % DAY))
}

/// Lives through the days as the running process does, and keeps what it would store.
struct Recorder {
    engine: Engine,
    fx: Effects,
    rows: Vec<(EffectId, LedgerRow)>,
    incidents: BTreeMap<u64, IncidentChange>,
    rollups: Vec<Rollup>,
}

impl Recorder {
    fn apply(&mut self, at: Timestamp, input: &Input) {
        self.engine.apply(at, input, &mut self.fx);
        for (id, effect) in self.fx.drain() {
            match effect {
                Effect::Journey(record) => self.rows.push((id, LedgerRow::Journey(record))),
                Effect::Amend(amendment) => self.rows.push((id, LedgerRow::Amend(*amendment))),
                Effect::Incident(change) | Effect::File(change) => {
                    self.incidents.insert(change.id, *change);
                }
                Effect::Rollup(rollup) => self.rollups.push(*rollup),
            }
        }
    }

    fn see(&mut self, at: Timestamp, what: Seen) {
        let (waypoint, connection) = (WaypointId(0), ConnectionId(1));
        self.apply(at, &Input::Seen(Sighting { at, waypoint, connection, what }));
    }

    /// Ticks each second around trouble, each ten seconds elsewhere.
    fn live(plan: &Plan, days: i64) -> Self {
        let mut recorder = Self {
            engine: Engine::new(),
            fx: Effects::default(),
            rows: Vec::new(),
            incidents: BTreeMap::new(),
            rollups: Vec::new(),
        };
        recorder.apply(Timestamp::from_secs(START), &Input::Configure(Arc::new(plan.clone())));
        let mut answers: BTreeMap<(i64, u64), AckSeen> = BTreeMap::new();
        let mut number = 0;
        for second in 0..days * DAY {
            let at = Timestamp::from_secs(START + second);
            let micros = at.as_micros();
            while let Some(entry) = answers.first_entry().filter(|e| e.key().0 <= micros) {
                let ((when, _), ack) = entry.remove_entry();
                recorder.see(Timestamp::from_micros(when), Seen::Ack(ack));
            }
            let of_day = second % DAY;
            if of_day % step(of_day) == 0 && !is_still(second) {
                number += 1;
                let seen = message(number);
                if let Some((code, reason, ms)) = fate(second, number) {
                    let ack = AckSeen {
                        direction: Direction::ToSender,
                        code,
                        ack_key: seen.ack_key,
                        acked: seen.control_id,
                        software: None,
                        reason,
                        error_code: Label::EMPTY,
                        defects: Vec::new(),
                    };
                    let when = at.plus(Duration::from_millis(ms)).as_micros();
                    answers.insert((when, number), ack);
                }
                recorder.see(at, Seen::Message(seen));
            }
            if is_down(second) && second % 7 == 0 {
                recorder.see(at, Seen::Link(LinkEvent::Refused));
            } else if second > 0 && is_down(second - 1) && !is_down(second) {
                recorder.see(at, Seen::Link(LinkEvent::Opened));
            }
            let busy = !recorder.engine.checkpoint().incidents.is_empty() || !answers.is_empty();
            if busy || second % 10 == 0 {
                recorder.apply(at, &Input::Alive(WaypointId(0)));
                recorder.apply(at, &Input::Tick);
            }
        }
        recorder
    }

    /// As the running process stores it.
    fn store(self, folder: &std::path::Path) {
        let (mut store, _) = Store::open(folder, Options::default()).unwrap();
        let mut covered = 0;
        for rows in self.rows.chunks(1_000) {
            let last = rows.last().unwrap().0.input;
            let of = |row: &LedgerRow| match row {
                LedgerRow::Journey(record) => (record.first_at, record.ended_at),
                LedgerRow::Amend(late) => (late.at, late.at),
                LedgerRow::Dropped { from, to, .. } => (*from, *to),
            };
            let from = rows.iter().map(|(_, row)| of(row).0).min().unwrap();
            let to = rows.iter().map(|(_, row)| of(row).1).max().unwrap();
            let block = LedgerRows {
                waypoints: vec![(WaypointId(0), "portal-in".into())],
                rows: rows.to_vec(),
            };
            let bytes = codec::encode(&block);
            let count = u32::try_from(last - covered).unwrap();
            if count == 0 {
                continue;
            }
            store
                .append_rows(&LedgerBlock {
                    first_seq: covered + 1,
                    count,
                    times: (from, to),
                    bytes: &bytes,
                })
                .unwrap();
            covered = last;
        }
        let mut incidents: Vec<IncidentChange> = self.incidents.into_values().collect();
        // One of last year, which the table still holds and the ledger does not.
        let down = incidents.iter().find(|i| i.code == Code::ReceiverDown).cloned();
        incidents.extend(down.map(|mut old| {
            let year = Duration::from_secs(300 * 86_400);
            (old.id, old.since) = (9_000, old.since.minus(year));
            old.resolved_at = old.resolved_at.map(|at| at.minus(year));
            for finding in &mut old.findings {
                finding.since = finding.since.minus(year);
                finding.cleared_at = finding.cleared_at.map(|at| at.minus(year));
            }
            old
        }));
        store
            .commit(&Rows { incidents: &incidents, rollups: &self.rollups, ..Rows::default() })
            .unwrap();
    }
}

/// What the site says of these days.
fn labels() -> String {
    let mut csv = String::from("from,to,subject,verdict\n");
    for day in [10, 11, 12] {
        let _ = writeln!(csv, "2026-03-{day} 02:05,2026-03-{day} 02:40,portal-in,noise");
    }
    csv.push_str(
        "2026-03-11 11:55,2026-03-11 12:40,waypoint portal-in,noise\n\
         2026-03-12 15:00,2026-03-12 18:00,feed results,real\n\
         2026-03-12T20:00:00Z,2026-03-12T20:20:00Z,waypoint portal-in,real\n\
         2026-03-13 02:05,2026-03-13 02:40,portal-in,real\n\
         2026-03-13 11:55,2026-03-13 12:40,portal-in,real\n",
    );
    csv
}

fn found(folder: &std::path::Path, plan: &Plan, labelled: bool) -> Found {
    let path = folder.join("labels.csv");
    std::fs::write(&path, labels()).unwrap();
    let labels = judge::labels(&path, &TimeZone::UTC).unwrap();
    let labels = if labelled { labels } else { Vec::new() };
    let since = Timestamp::from_secs(START);
    backtest(folder, &Arc::new(plan.clone()), since, labels, &[]).unwrap()
}

#[test]
fn a_ledger_with_known_trouble_is_told_again_and_its_noise_is_suggested_away() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::live(&plan(), 12);
    let all: Vec<IncidentChange> = recorder.incidents.values().cloned().collect();
    recorder.store(folder.path());
    let was = found(folder.path(), &plan(), true);

    // The same incidents as were recorded: codes, subjects and times.
    let (told, beyond) = Told::of(&all, Timestamp::EPOCH);
    let names = |code: Code, subject: &str| (code.text().code, subject.to_owned());
    let recorded: BTreeSet<_> = told.iter().map(|t| names(t.code, &t.subject)).collect();
    for (code, subject) in [
        (Code::AckSlow, "waypoint portal-in"),
        (Code::Silence, "feed results"),
        (Code::ReceiverDown, "waypoint portal-in"),
    ] {
        assert!(recorded.contains(&names(code, subject)), "{recorded:?}");
    }
    assert_eq!(beyond, 0);
    let list = |what: Vec<(&str, &str, Timestamp)>| format!("{what:#?}");
    let fired: Vec<_> =
        was.fired.iter().map(|f| (f.code.text().code, f.subject.as_str(), f.opened)).collect();
    let wanted: Vec<_> =
        told.iter().map(|t| (t.code.text().code, t.subject.as_str(), t.opened)).collect();
    assert_eq!(fired.len(), wanted.len(), "{} {}", list(fired.clone()), list(wanted.clone()));
    for (fired, wanted) in was.fired.iter().zip(&told) {
        assert_eq!((fired.code, &fired.subject), (wanted.code, &wanted.subject));
        let apart = fired.opened.since(wanted.opened).max(wanted.opened.since(fired.opened));
        assert!(apart <= TOLERANCE, "{} {apart:?}", fired.summary);
        assert_eq!(fired.severity, wanted.severity, "{}", fired.summary);
    }

    // Four were noise; everything that was real is found.
    let noise = was.fired.iter().filter(|f| was.truth.of(f) == Some(false)).count();
    assert_eq!(noise, 4, "{}", list(fired));
    let (kept, missed) = was.truth.confirmed(&was.fired, Timestamp::EPOCH);
    assert_eq!((kept, missed.as_slice()), (4, [].as_slice()));
    let mut settings: Vec<&Setting> =
        was.suggested.all.iter().filter_map(|s| s.setting.as_ref()).collect();
    settings.sort_by_key(|setting| format!("{setting:?}"));
    assert_eq!(
        settings,
        [
            &Setting::AckTime(0, Duration::from_secs(4)),
            &Setting::ExpectedReason(0, ReasonClass::UnknownKey),
        ],
        "{:#?}",
        was.suggested.all
    );
    let whole = was.suggested.whole.unwrap();
    assert_eq!((whole.noise, whole.confirmed), ((4, 0), (4, 4)), "{whole:?}");

    let mut text = Vec::new();
    Report::of(&was, &plan(), &TimeZone::UTC).text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for said in [
        "    ack_time: 4s\n",
        "    expected_reasons: [unknown_key]\n",
        "0 of 4 false ones left, 4 of 4 confirmed found",
        "3 of 3 false ones less",
        "what the ledger cannot tell",
    ] {
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }

    // With the settings as suggested, the same ledger is quiet where it was noise.
    let mut better = plan();
    settings.into_iter().for_each(|setting| setting.apply(&mut better));
    let quiet = found(folder.path(), &better, true);
    assert!(quiet.fired.iter().all(|f| quiet.truth.of(f) != Some(false)));
    assert!(quiet.fired.iter().all(|f| f.severity > Severity::Note));

    nothing_is_made_up(&found(folder.path(), &plan(), false));
}

/// Where nobody judged.
fn nothing_is_made_up(blind: &Found) {
    assert!(blind.suggested.all.is_empty() && blind.suggested.whole.is_none());
    let mut text = Vec::new();
    Report::of(blind, &plan(), &TimeZone::UTC).text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("precision is not known") && text.contains("no setting can be suggested")
    );
}

#[test]
fn a_list_with_a_wrong_line_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    for (text, said) in [
        ("from,to,subject\n", ":1: the first line names"),
        ("from,to,verdict\n2026-03-01 08:00,2026-03-01 07:00,real\n", ":2: `to` is before `from`"),
        ("from,to,verdict\n2026-03-01 08:00,2026-03-01 09:00,maybe\n", ":2: `verdict` is"),
        ("from,to,verdict\nnow,2026-03-01 09:00,real\n", ":2: `from` and `to` are times"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = judge::labels(&path, &TimeZone::UTC).unwrap_err();
        assert!(error.error.to_string().contains(said), "{}", error.error);
    }
}
