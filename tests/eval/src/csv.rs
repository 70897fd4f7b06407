//! Raw events of an incident instead of a generator: a CSV file, read line by line.
//!
//! Columns, named in the first line, in any order, without quotes: `time` (a date and time as in the
//! history, or seconds since the epoch), `waypoint`, `what`, and where they are known `id`, `sender`,
//! `type`, `facility`, `urgency`, `code`, `reason`. Lines are in order of time.

use crate::civil::{SECOND, When, when};
use crate::event::Event;
use crate::history::History;
use feedpulse_core::defect::{Defect, DefectCode, Verdict};
use feedpulse_core::frame::{ConnectionId, Direction, WaypointId};
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::label::{ControlId, Label};
use feedpulse_core::lag::Withheld;
use feedpulse_core::order::OrderMarks;
use feedpulse_core::sighting::{
    AckCode, AckMode, AckSeen, FindKeys, LinkEvent, MessageSeen, Protocol, ReasonClass, Seen,
    Sighting, UnreadableSeen, Urgency,
};
use feedpulse_core::time::Timestamp;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};

const COLUMNS: [&str; 10] =
    ["time", "waypoint", "what", "id", "sender", "type", "facility", "urgency", "code", "reason"];
/// Longest line, in bytes.
const LINE_MAX: usize = 2_000;

/// A file being read.
#[derive(Debug)]
pub struct Events<'h> {
    history: &'h History,
    name: String,
    lines: Lines<BufReader<File>>,
    /// The place of each of [`COLUMNS`] in a line.
    places: [Option<usize>; COLUMNS.len()],
    line: usize,
    last: i64,
}

impl<'h> Events<'h> {
    /// Opens it and reads its first line.
    ///
    /// # Errors
    /// It cannot be read, or names a column that is not known.
    pub fn open(history: &'h History, path: &std::path::Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
        let mut lines = BufReader::new(file).lines();
        let head = lines.next().and_then(Result::ok).unwrap_or_default();
        let mut places = [None; COLUMNS.len()];
        for (place, column) in head.split(',').map(str::trim).enumerate() {
            let Some(known) = COLUMNS.iter().position(|c| *c == column) else {
                let all = COLUMNS.join(", ");
                return Err(format!("{name}:1: {column}: no such column; there are: {all}"));
            };
            places[known] = Some(place);
        }
        if let Some(lacks) = (0..3).find(|column| places[*column].is_none()) {
            return Err(format!("{name}:1: {}: this column must be there", COLUMNS[lacks]));
        }
        Ok(Self { history, name, lines, places, line: 1, last: i64::MIN })
    }

    /// The next event; None at the end.
    ///
    /// # Errors
    /// Line, field and what is wrong with it.
    pub fn read(&mut self) -> Result<Option<Event>, String> {
        loop {
            self.line += 1;
            let Some(line) = self.lines.next() else { return Ok(None) };
            let wrong = |line: usize, (field, what): (&str, String)| {
                format!("{}:{line}: {field}: {what}", self.name)
            };
            let line = line.map_err(|e| wrong(self.line, ("line", e.to_string())))?;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if line.len() > LINE_MAX {
                return Err(wrong(self.line, ("line", "more than 2,000 bytes".to_owned())));
            }
            let event = self.event(&line).map_err(|what| wrong(self.line, what))?;
            let at = event.sighting.at.as_micros();
            if at < self.last {
                let what = "before the line above: sort the file by time".to_owned();
                return Err(wrong(self.line, ("time", what)));
            }
            self.last = at;
            return Ok(Some(event));
        }
    }

    fn event(&self, line: &str) -> Result<Event, (&'static str, String)> {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let get = |column: usize| {
            self.places[column].and_then(|place| fields.get(place)).copied().unwrap_or("")
        };
        let at = self.time(get(0))?;
        let links = &self.history.links;
        let Some(link) = links.iter().position(|l| l.name == get(1)) else {
            let known: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
            return Err((
                "waypoint",
                format!("`{}`: no [[link]]; there are: {}", get(1), known.join(", ")),
            ));
        };
        let (id, sender) = (get(3), get(4));
        let (code, trigger) = get(5).split_once('^').unwrap_or((get(5), ""));
        let feed = self.history.feeds.iter().position(|feed| {
            let kind = |(c, t): &(String, String)| c == code && (t.is_empty() || t == trigger);
            feed.path.contains(&link)
                && (sender.is_empty() || feed.sender == sender)
                && (code.is_empty() || feed.types.iter().any(kind))
        });
        let place = feed.map(|feed| &self.history.feeds[feed]);
        let hop = place.and_then(|f| f.path.iter().position(|l| *l == link)).unwrap_or(0);
        let sender =
            if sender.is_empty() { place.map_or("", |f| f.sender.as_str()) } else { sender };
        let what = match get(2) {
            "message" => Seen::Message(message(id, sender, (code, trigger), get(6), get(7))?),
            "ack" => Seen::Ack(ack(id, get(8), get(9))?),
            "unreadable" => Seen::Unreadable(UnreadableSeen {
                direction: Direction::ToReceiver,
                size: 1,
                defects: vec![Defect { code: DefectCode::NoHeader, offset: 0 }],
            }),
            other => Seen::Link(link_event(other)?),
        };
        let number = ack_key(id).map_or(0, |key| key.as_u128() as u64);
        let waypoint = WaypointId(u16::try_from(link).unwrap_or(u16::MAX));
        let connection = ConnectionId(feed.map_or(1, |feed| feed as u64 + 1));
        let at = Timestamp::from_micros(at);
        Ok(Event { number, feed, hop, sighting: Sighting { at, waypoint, connection, what } })
    }

    fn time(&self, text: &str) -> Result<i64, (&'static str, String)> {
        if let Ok(seconds) = text.parse::<f64>() {
            return Ok((seconds * SECOND as f64) as i64);
        }
        match when(text) {
            Some(When::Utc(utc)) => Ok(utc),
            Some(When::Local(local)) => Ok(self.history.calendar.utc(local)),
            _ => {
                Err(("time", format!("`{text}`: write 2026-03-02T06:00:00Z or seconds since 1970")))
            }
        }
    }
}

/// Ids of a history are no secret: any key will do.
fn ack_key(id: &str) -> Option<MessageKey> {
    SiteKey::new([1; 16]).ack_key(id.as_bytes())
}

fn message(
    id: &str,
    sender: &str,
    (code, trigger): (&str, &str),
    facility: &str,
    urgency: &str,
) -> Result<MessageSeen, (&'static str, String)> {
    let urgency = match urgency {
        "" | "routine" => Urgency::Routine,
        "correction" => Urgency::Correction,
        "critical" => Urgency::Critical,
        other => return Err(("urgency", format!("`{other}`: routine, correction or critical"))),
    };
    let key = ack_key(id);
    Ok(MessageSeen {
        direction: Direction::ToReceiver,
        code: code.into(),
        trigger: trigger.into(),
        sender: sender.into(),
        sender_facility: facility.into(),
        receiver: Label::EMPTY,
        receiver_facility: Label::EMPTY,
        version: Label::from("2.3"),
        processing: b'P',
        control_id: ControlId::from_bytes(id.as_bytes()),
        ack_key: key,
        journey_key: key,
        also: Vec::new(),
        find: FindKeys::default(),
        batch: None,
        protocol: Protocol::default(),
        order: OrderMarks::default(),
        body: key.map_or(0, |key| key.as_u128() as u64),
        size: 600,
        ack_mode: AckMode::default(),
        event_time: None,
        withheld: Some(Withheld::NoTime),
        made: None,
        urgency,
        verdict: Verdict::Readable,
        defects: Vec::new(),
        trace: None,
        software: None,
    })
}

fn ack(id: &str, code: &str, reason: &str) -> Result<AckSeen, (&'static str, String)> {
    let code = match code {
        "AA" => AckCode::AA,
        "AE" => AckCode::AE,
        "AR" => AckCode::AR,
        "CA" => AckCode::CA,
        "CE" => AckCode::CE,
        "CR" => AckCode::CR,
        other => return Err(("code", format!("`{other}`: AA, AE, AR, CA, CE or CR"))),
    };
    let reason = match reason {
        "" => ReasonClass::None,
        "structure" => ReasonClass::Structure,
        "unsupported" => ReasonClass::Unsupported,
        "unknown-key" => ReasonClass::UnknownKey,
        "duplicate-key" => ReasonClass::DuplicateKey,
        "locked" => ReasonClass::Locked,
        "internal" => ReasonClass::Internal,
        "unavailable" => ReasonClass::Unavailable,
        _ => ReasonClass::Other,
    };
    Ok(AckSeen {
        direction: Direction::ToSender,
        code,
        ack_key: ack_key(id),
        acked: ControlId::from_bytes(id.as_bytes()),
        reason,
        error_code: Label::EMPTY,
        defects: Vec::new(),
        software: None,
    })
}

fn link_event(what: &str) -> Result<LinkEvent, (&'static str, String)> {
    Ok(match what {
        "opened" => LinkEvent::Opened,
        "refused" => LinkEvent::Refused,
        "unreachable" => LinkEvent::Unreachable,
        "reset" => LinkEvent::Reset { by_receiver: true },
        "closed" => LinkEvent::Closed { bytes: 1 },
        "idle" => LinkEvent::Idle,
        "half-open" => LinkEvent::HalfOpen { receiver: true },
        "timed-out" => LinkEvent::TimedOut { receiver: true },
        other => {
            let known = "message, ack, unreadable, opened, refused, unreachable, reset, closed, idle, \
                 half-open, timed-out";
            return Err(("what", format!("`{other}`; there are: {known}")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Events;
    use crate::{histories_folder, history};

    #[test]
    fn wrong_fields_are_named() {
        let toml = histories_folder().join("example-incident.toml");
        let history = history::read(&toml).unwrap();
        let events = Events::open(&history, history.events.as_deref().unwrap()).unwrap();
        let time = "2026-03-03T05:00:01Z";
        for (line, field, said) in [
            ("yesterday,portal-in,opened,,,,,,", "time", "yesterday"),
            (&format!("{time},portal,opened,,,,,,"), "waypoint", "engine-in, portal-in"),
            (&format!("{time},portal-in,exploded,,,,,,"), "what", "unreachable"),
            (&format!("{time},portal-in,ack,M1,,,,XX,"), "code", "AA, AE"),
            (&format!("{time},portal-in,message,M1,ORU^R01,,high,,"), "urgency", "critical"),
        ] {
            let (named, what) = events.event(line).unwrap_err();
            assert!(named == field && what.contains(said), "{line}: {named}: {what}");
        }
        assert!(events.event(&format!("{time},portal-in,message,M1,ORU^R01,,,,")).is_ok());
        let error = Events::open(&history, &toml).unwrap_err();
        assert!(error.contains("example-incident.toml:1: "), "{error}");
    }
}
