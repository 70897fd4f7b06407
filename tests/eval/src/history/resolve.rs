//! From a file to a history: names to places, moments to µs, repeats to single faults; every error
//! says file, line and field.

use super::raw::{self, Name};
use super::{
    Ack, CLASSES, Expect, Fault, FaultKind, Feed, History, Link, Loud, Optional, Pattern, Reason,
    Reject, Retry,
};
use crate::civil::{Calendar, DAY, HOUR, MINUTE, SECOND, Span, When};
use feedpulse_core::codes::{Code, Severity};
use feedpulse_core::plan::PeerNet;
use feedpulse_core::shape::Part;
use feedpulse_core::sighting::{AckCode, ReasonClass};
use std::path::Path;
use toml::Spanned;

/// Longest history: a little over two years.
const LENGTH_MAX: i64 = 750 * DAY;

/// `FILE:LINE: FIELD: what is wrong`.
pub(super) fn wrong(path: &Path, text: &str, at: usize, what: &str) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count();
    let source = text.lines().nth(line).unwrap_or_default();
    let field = source.split_once('=').map_or(source, |(field, _)| field).trim();
    format!("{}:{}: {field}: {what}", path.display(), line + 1)
}

impl From<Ack> for AckCode {
    fn from(ack: Ack) -> Self {
        match ack {
            Ack::AE => Self::AE,
            Ack::AR => Self::AR,
            Ack::CE => Self::CE,
            Ack::CR => Self::CR,
        }
    }
}

impl From<Reason> for ReasonClass {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Structure => Self::Structure,
            Reason::Unsupported => Self::Unsupported,
            Reason::UnknownKey => Self::UnknownKey,
            Reason::DuplicateKey => Self::DuplicateKey,
            Reason::Locked => Self::Locked,
            Reason::Internal => Self::Internal,
            Reason::Unavailable => Self::Unavailable,
            Reason::Other => Self::Other,
        }
    }
}

pub(super) struct Resolver<'f> {
    pub(super) path: &'f Path,
    pub(super) text: &'f str,
    pub(super) file: &'f raw::File,
}

/// The clock of one history: when it starts, by which calendar.
struct Clock {
    calendar: Calendar,
    start: i64,
}

impl Clock {
    fn at(&self, when: &Spanned<When>) -> i64 {
        match *when.get_ref() {
            When::After(span) => self.start + span,
            When::Local(local) => self.calendar.utc(local),
            When::Utc(utc) => utc,
        }
    }
}

fn span(given: Option<Span>, otherwise: i64) -> i64 {
    given.map_or(otherwise, |span| span.0)
}

impl Resolver<'_> {
    fn err<T>(&self, at: usize, what: &str) -> Result<T, String> {
        Err(wrong(self.path, self.text, at, what))
    }

    pub(super) fn history(&self) -> Result<History, String> {
        let file = self.file;
        let clock = self.clock()?;
        let (start, end) = (clock.start, clock.start + file.length.0);
        if file.length.0 <= 0 || file.length.0 > LENGTH_MAX {
            return self.err(0, "`length` must be more than 0 and at most 750d");
        }
        if !(1..=60).contains(file.tick.get_ref()) {
            return self.err(file.tick.span().start, "a tick is 1 to 60 seconds");
        }
        let mut links: Vec<Link> = file.link.iter().map(link).collect();
        for (raw, link) in file.link.iter().zip(&mut links) {
            for text in &raw.peers {
                let net = PeerNet::parse(text.get_ref());
                link.peers.push(net.or_else(|what| self.err(text.span().start, what))?);
            }
        }
        if links.is_empty() {
            return self.err(0, "a history needs a [[link]]: where its messages are seen");
        }
        let mut feeds = Vec::new();
        for raw in &file.feed {
            self.feed(raw, &clock, &links, &mut feeds)?;
        }
        if feeds.is_empty() {
            return self.err(0, "a history needs a [[feed]]: who sends what over which links");
        }
        let (mut faults, mut expects) = (Vec::new(), Vec::new());
        for raw in &file.fault {
            self.fault(raw, &clock, &links, &feeds, &mut faults)?;
        }
        for raw in &file.expect {
            self.expect(raw, &clock, &mut expects)?;
        }
        if file.calm != expects.is_empty() {
            return self.err(0, "write [[expect]], or `calm = true` where nothing may be said");
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let name = self.path.file_stem().map(|n| n.to_string_lossy().into_owned());
        Ok(History {
            name: name.unwrap_or_default(),
            about: file.about.clone(),
            start,
            end,
            seed: file.seed,
            tick: *file.tick.get_ref(),
            calm: file.calm,
            never: self.codes(&file.never)?,
            events: file.events.as_ref().map(|name| folder.join(name.get_ref())),
            calendar: clock.calendar,
            links,
            feeds,
            faults,
            expects,
        })
    }

    fn clock(&self) -> Result<Clock, String> {
        let mut calendar = Calendar::default();
        for since in &self.file.site.offsets {
            let from = match *since.from.get_ref() {
                When::Utc(utc) => utc,
                // An offset's first moment stated in local time is meant by the offset itself.
                When::Local(local) => local - since.offset.0,
                When::After(_) => {
                    return self.err(since.from.span().start, "write a date and time here");
                }
            };
            calendar.offsets.push((from, since.offset.0));
        }
        calendar.offsets.sort_unstable();
        calendar.holidays = self.file.site.holidays.iter().map(|day| day.0).collect();
        let start = match *self.file.start.get_ref() {
            When::Utc(utc) => utc,
            When::Local(local) => calendar.utc(local),
            When::After(_) => {
                return self.err(self.file.start.span().start, "write a date and time here");
            }
        };
        Ok(Clock { calendar, start })
    }

    fn find(&self, name: &Name, names: &[&str], what: &str) -> Result<usize, String> {
        let place = names.iter().position(|known| known == name.get_ref());
        match place {
            Some(place) => Ok(place),
            None => self.err(
                name.span().start,
                &format!(
                    "there is no {what} `{}`; there are: {}",
                    name.get_ref(),
                    names.join(", ")
                ),
            ),
        }
    }

    fn parts(&self, names: &[Name]) -> Result<Vec<Part>, String> {
        names.iter().map(|name| self.part(name)).collect()
    }

    fn part(&self, name: &Name) -> Result<Part, String> {
        match Part::parse(name.get_ref()) {
            Some(part) => Ok(part),
            None => self.err(
                name.span().start,
                &format!("`{}` is no part: such as ZPD, PID-40, OBX-11 = X", name.get_ref()),
            ),
        }
    }

    fn optional(&self, raw: &raw::Optional, clock: &Clock) -> Result<Optional, String> {
        Ok(Optional {
            part: self.part(&raw.part)?,
            share: raw.share.0,
            run: raw.run.map_or(1, |run| u64::from(run.0)).max(1),
            hours: raw.hours,
            facility: raw.facility.clone(),
            from: raw.from.as_ref().map(|when| clock.at(when)),
            to: raw.to.as_ref().map(|when| clock.at(when)),
        })
    }

    fn feed(
        &self,
        raw: &raw::Feed,
        clock: &Clock,
        links: &[Link],
        out: &mut Vec<Feed>,
    ) -> Result<(), String> {
        let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
        let path: Result<Vec<usize>, String> =
            raw.path.iter().map(|name| self.find(name, &names, "link")).collect();
        let (path, at) = (path?, raw.name.span().start);
        if path.is_empty() || raw.types.is_empty() {
            return self.err(at, "a feed needs a `path` of links, and `types`");
        }
        if raw.rejects.iter().map(|reject| reject.share.0).sum::<f64>() > 1.0 {
            return self.err(at, "the shares of its `rejects` are more than 1 together");
        }
        let optional: Result<Vec<Optional>, String> =
            raw.optional.iter().map(|raw| self.optional(raw, clock)).collect();
        let (shape, optional) = (self.parts(&raw.shape)?, optional?);
        let copies = raw.copies.map_or(1, |c| c.0);
        let sender = raw.sender.clone().unwrap_or_else(|| raw.name.get_ref().to_uppercase());
        let kind = |t: &String| {
            let (code, trigger) = t.split_once('^').unwrap_or((t, ""));
            (code.to_owned(), trigger.to_owned())
        };
        for copy in 1..=copies {
            let tail = if copies > 1 { format!("-{copy}") } else { String::new() };
            out.push(Feed {
                name: format!("{}{tail}", raw.name.get_ref()),
                path: path.clone(),
                sender: format!("{sender}{tail}"),
                types: raw.types.iter().map(kind).collect(),
                facilities: if raw.facilities.is_empty() {
                    vec!["MAIN".to_owned()]
                } else {
                    raw.facilities.clone()
                },
                per_hour: raw.per_hour.map_or(0.0, |r| r.0),
                pattern: raw.pattern.unwrap_or(Pattern::Flat),
                day_sigma: raw.day_sigma.map_or(0.0, |s| s.0),
                urgent: raw.urgent.map_or(0.0, |s| s.0),
                transit: span(raw.transit, 60 * SECOND),
                urgent_transit: span(raw.urgent_transit, 30 * SECOND),
                source_age: raw.source_age.map(|s| s.0),
                silence: raw.silence.map(|s| s.0),
                rejects: raw.rejects.iter().map(reject).collect(),
                batch: raw.batch.map_or(0, |b| b.0),
                batch_at: span(raw.batch_at, 2 * HOUR),
                cluster: raw.cluster.map_or(8, |c| c.0),
                any_sender: raw.any_sender,
                shape: shape.clone(),
                optional: optional.clone(),
            });
        }
        Ok(())
    }

    /// First and last moment of each time that something happens.
    fn repeats(
        &self,
        (from, to): (i64, i64),
        times: Option<raw::Few>,
        every: Option<Span>,
        at: usize,
    ) -> Result<Vec<(i64, i64)>, String> {
        let times = times.map_or(1, |t| t.0);
        if to < from {
            return self.err(at, "`to` is before `from`");
        }
        if times > 1 && every.is_none_or(|every| every.0 <= 0) {
            return self.err(at, "`times` needs `every`, and it must be more than 0");
        }
        let step = every.map_or(0, |e| e.0);
        Ok((0..i64::from(times)).map(|n| (from + n * step, to + n * step)).collect())
    }

    fn fault(
        &self,
        raw: &raw::Fault,
        clock: &Clock,
        links: &[Link],
        feeds: &[Feed],
        out: &mut Vec<Fault>,
    ) -> Result<(), String> {
        let at = raw.from.span().start;
        let from = clock.at(&raw.from);
        let to = raw.to.as_ref().map_or(from, |to| clock.at(to));
        let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
        let link = raw.link.as_ref().map(|name| self.find(name, &names, "link")).transpose()?;
        let feeds = raw.feed.as_ref().map(|name| self.feeds(name, feeds)).transpose()?;
        let on_link = !matches!(
            raw.kind,
            FaultKind::Burst
                | FaultKind::Silence
                | FaultKind::Duplicates
                | FaultKind::OutOfOrder
                | FaultKind::Encoding
                | FaultKind::Drift
                | FaultKind::Clock
                | FaultKind::Backfill
                | FaultKind::Downtime
                | FaultKind::Application
                | FaultKind::Resend
                | FaultKind::Aged
                | FaultKind::Restart
        );
        if on_link && link.is_none() {
            return self.err(at, "this kind of fault is one of a link: add `link = \"…\"`");
        }
        if raw.period.is_some_and(|period| period.0 < SECOND) {
            return self.err(at, "`period` must be at least 1s");
        }
        for (from, to) in self.repeats((from, to), raw.times, raw.every, at)? {
            let mut fault = fault(raw, (from, to), link, feeds.clone());
            (fault.adds, fault.drops) = (self.parts(&raw.adds)?, self.parts(&raw.drops)?);
            if raw.version.is_none() && !(raw.adds.is_empty() && raw.drops.is_empty()) {
                fault.version.clear();
            }
            out.push(fault);
        }
        Ok(())
    }

    fn feeds(&self, name: &Name, feeds: &[Feed]) -> Result<Vec<usize>, String> {
        let copy = |f: &Feed| {
            let tail = f.name.strip_prefix(name.get_ref().as_str());
            tail.and_then(|t| t.strip_prefix('-')).is_some_and(|t| t.parse::<u32>().is_ok())
        };
        let named = |f: &Feed| f.name == *name.get_ref() || copy(f);
        let found: Vec<usize> =
            (0..).zip(feeds).filter(|(_, f)| named(f)).map(|(n, _)| n).collect();
        if found.is_empty() {
            let names: Vec<&str> = feeds.iter().map(|f| f.name.as_str()).take(20).collect();
            return self.find(name, &names, "feed").map(|n| vec![n]);
        }
        Ok(found)
    }

    fn codes(&self, names: &[Name]) -> Result<Vec<Code>, String> {
        let code = |name: &Name| match Code::from_code(name.get_ref()) {
            Some(code) => Ok(code),
            None => self.err(name.span().start, "no such finding: `feedpulse explain` lists them"),
        };
        names.iter().map(code).collect()
    }

    fn expect(
        &self,
        raw: &raw::Expect,
        clock: &Clock,
        out: &mut Vec<Expect>,
    ) -> Result<(), String> {
        let (at, class) = (raw.class.span().start, raw.class.get_ref());
        let plain = class.split(" @ ").next().unwrap_or(class);
        if let Some(part) = plain.split('+').find(|part| !CLASSES.contains(part)) {
            let known = CLASSES.join(", ");
            return self.err(at, &format!("`{part}` is no class; there are: {known}"));
        }
        let (codes, also) = (self.codes(&raw.codes)?, self.codes(&raw.also)?);
        let moments = (clock.at(&raw.from), clock.at(&raw.to));
        for (from, to) in self.repeats(moments, raw.times, raw.every, at)? {
            out.push(Expect {
                class: class.clone(),
                from,
                to,
                codes: codes.clone(),
                also: also.clone(),
                subject: raw.subject.clone(),
                cause: raw.cause,
                within: raw.within.map(|w| w.0),
                severity: raw.severity.map(|loud| match loud {
                    Loud::Note => Severity::Note,
                    Loud::Ticket => Severity::Ticket,
                    Loud::Page => Severity::Page,
                }),
            });
        }
        Ok(())
    }
}

fn link(raw: &raw::Link) -> Link {
    Link {
        name: raw.name.get_ref().clone(),
        ack_objective: span(raw.ack_objective, 2 * SECOND),
        no_ack_after: span(raw.no_ack_after, 30 * SECOND),
        ack_median: span(raw.ack_median, 40_000),
        ack_spread: raw.ack_spread.map_or(0.5, |s| s.0),
        timeout: span(raw.timeout, 15 * SECOND),
        reconnect: span(raw.reconnect, 5 * SECOND),
        retry: raw.retry.unwrap_or(Retry::Reject),
        shared: raw.shared,
        keep_socket: raw.keep_socket,
        peers: Vec::new(),
    }
}

fn reject(raw: &raw::Reject) -> Reject {
    Reject {
        reason: raw.reason.into(),
        share: raw.share.0,
        code: raw.code.map_or(AckCode::AE, Into::into),
    }
}

fn fault(
    raw: &raw::Fault,
    (from, to): (i64, i64),
    link: Option<usize>,
    feeds: Option<Vec<usize>>,
) -> Fault {
    Fault {
        kind: raw.kind,
        from,
        to,
        link,
        feeds,
        kind_of: raw.kind_of.clone(),
        facility: raw.facility.clone(),
        share: raw.share.map_or(1.0, |s| s.0),
        code: raw.code.map_or(AckCode::AE, Into::into),
        reason: raw.reason.map_or(ReasonClass::Internal, Into::into),
        ack: span(raw.ack, 8 * SECOND),
        ramp: span(raw.ramp, 0),
        timeout: raw.timeout.map(|t| t.0),
        capacity: raw.capacity.map_or(60.0, |c| c.0),
        count: raw.count.map_or(100, |c| c.0),
        over: span(raw.over, MINUTE),
        gap: span(raw.gap, 4 * MINUTE),
        period: span(raw.period, 6 * MINUTE),
        down: span(raw.down, 20 * SECOND),
        copies: raw.copies.map_or(3, |c| c.0),
        by: raw.by.map_or(HOUR, |by| by.0),
        version: raw.version.clone().unwrap_or_else(|| "2.5.1".to_owned()),
        unreadable: raw.unreadable.map_or(0.0, |s| s.0),
        away: span(raw.away, 5 * SECOND),
        connected: raw.connected.unwrap_or(true),
        old: raw.old.map(|old| old.0),
        name: raw.name.clone().unwrap_or_else(|| "ROGUE".to_owned()),
        adds: Vec::new(),
        drops: Vec::new(),
    }
}
