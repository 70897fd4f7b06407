//! `replay --jsonl`: one line a frame, header fields only; of captures with time, connection, direction.

use super::capture;
use super::sources::Sources;
use crate::cli::{Failure, IO};
use crate::{clock, files};
use feedpulse_core::defect::Verdict;
use feedpulse_core::frame::{Direction, Frame};
use feedpulse_core::tap::Tapped;
use feedpulse_core::time::Timestamp;
use feedpulse_hl7::decode::DecodeConfig;
use feedpulse_hl7::inspect::{Inspection, Inspector};
use feedpulse_hl7::split::split_file;
use feedpulse_taps::capture::{Capture, Parties, Step};
use serde::Serialize;
use std::io::Write;

/// One frame, for `--jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    index: usize,
    /// Where it stands in the file; of a capture, where the packet stands that completed it.
    offset: u64,
    length: u64,
    verdict: &'static str,
    msh9: &'a str,
    msh10: &'a str,
    msh12: &'a str,
    sender: &'a str,
    receiver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    segments: u32,
    charset: &'static str,
    terminator: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    msa1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msa2: Option<&'a str>,
    urgency: &'static str,
    defects: Vec<LineDefect>,
    #[serde(flatten)]
    seen: Option<Seen>,
}

/// Where and when a frame of a capture was seen.
#[derive(Clone, Serialize)]
struct Seen {
    at: String,
    receiver_address: String,
    sender_address: String,
    direction: &'static str,
}

#[derive(Serialize)]
struct LineDefect {
    code: &'static str,
    /// In the file; of a capture, in the frame.
    offset: u64,
    text: &'static str,
}

/// Writes all lines.
pub(super) fn write(
    sources: &Sources,
    decode: DecodeConfig,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut writer = Writer { inspector: Inspector::new(decode), found: Vec::new(), out };
    let bar = files::progress(sources.messages.len(), "files");
    for source in &sources.messages {
        let bytes = source.bytes()?;
        let mut index = 0;
        for piece in split_file(&bytes) {
            let text = bytes.get(piece.start..piece.end).unwrap_or_default();
            writer.lines(&source.name, &mut index, piece.start as u64, text, None)?;
        }
        files::advance(&bar);
    }
    bar.finish_and_clear();
    let mut capture = Capture::learning();
    for source in capture::in_order(&sources.captures)? {
        let (mut index, mut failed) = (0, Ok(()));
        let read = capture.read(source.open()?, &mut |step| {
            if failed.is_ok() {
                failed = writer.frames(&source.name, &mut index, &step);
            }
        });
        failed?;
        if let Err(error) = read {
            eprintln!("feedpulse: {}: {error}", source.name);
        }
    }
    let mut failed = Ok(());
    capture.end(&mut |step| {
        if failed.is_ok() {
            failed = writer.frames("", &mut 0, &step);
        }
    });
    failed
}

struct Writer<'a, W> {
    inspector: Inspector,
    found: Vec<Inspection>,
    out: &'a mut W,
}

impl<W: Write> Writer<'_, W> {
    fn frames(&mut self, file: &str, index: &mut usize, step: &Step<'_>) -> Result<(), Failure> {
        for item in step.items.iter() {
            if let Tapped::Frame(frame) = item {
                let seen = Some(seen(frame, step.parties));
                self.lines(file, index, step.offset, frame.bytes.expose(), seen)?;
            }
        }
        Ok(())
    }

    fn lines(
        &mut self,
        file: &str,
        index: &mut usize,
        start: u64,
        text: &[u8],
        seen: Option<Seen>,
    ) -> Result<(), Failure> {
        self.inspector.inspect(text, &mut self.found);
        for entry in self.found.drain(..) {
            let line = line(file, *index, start, &entry, seen.clone());
            serde_json::to_writer(&mut *self.out, &line)
                .map_err(std::io::Error::from)
                .and_then(|()| self.out.write_all(b"\n"))
                .map_err(|e| Failure::new(IO, e))?;
            *index += 1;
        }
        Ok(())
    }
}

fn seen(frame: &Frame, parties: Parties<'_>) -> Seen {
    let (receiver, sender) = parties
        .of(frame.connection)
        .map(|(receiver, sender)| (receiver.to_string(), sender.to_string()))
        .unwrap_or_default();
    Seen {
        at: precise(frame.at),
        receiver_address: receiver,
        sender_address: sender,
        direction: match frame.direction {
            Direction::ToReceiver => "to_receiver",
            Direction::ToSender => "to_sender",
        },
    }
}

/// With all of its digits.
fn precise(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros()).map(|t| t.to_string()).unwrap_or_default()
}

fn line<'a>(
    file: &'a str,
    index: usize,
    start: u64,
    entry: &'a Inspection,
    seen: Option<Seen>,
) -> Line<'a> {
    // A frame of a capture has no place in the file: it stands in one packet or in several.
    let (offset, base) = match seen {
        Some(_) => (start, 0),
        None => (start + entry.offset, start),
    };
    Line {
        file,
        index,
        offset,
        length: entry.length,
        verdict: match entry.verdict {
            Verdict::Readable => "readable",
            Verdict::Odd => "odd",
            Verdict::Unreadable => "unreadable",
        },
        msh9: entry.msh9.as_str(),
        msh10: entry.msh10.clear().as_str(),
        msh12: entry.msh12.as_str(),
        sender: entry.sender.as_str(),
        receiver: entry.receiver.as_str(),
        event_time: entry.event_time.map(|t| clock::show(t.at)),
        segments: entry.segments,
        charset: entry.charset,
        terminator: entry.terminator,
        msa1: entry.msa1.map(|code| format!("{code:?}")),
        msa2: entry.msa2.as_ref().map(|id| id.clear().as_str()),
        urgency: entry.urgency.name(),
        defects: entry
            .defects
            .iter()
            .map(|d| LineDefect {
                code: d.code.code(),
                offset: base + u64::from(d.offset),
                text: d.code.text(),
            })
            .collect(),
        seen,
    }
}
