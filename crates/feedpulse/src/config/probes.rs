//! Resolving probes and heartbeats: what is looked at, by whom, and how it is judged.

use super::raw_probes::{RawAbout, RawHeartbeat, RawNumeric, RawProbe};
use super::resolve::{Group, Heartbeat, Resolver};
use super::sinks::severity;
use feedpulse_core::label::{LABEL_MAX, Label};
use feedpulse_core::probe::{About, HeartbeatPlan, PROBES_MAX, ProbePlan};
use feedpulse_core::schedule::Rule;
use feedpulse_probes::{
    Expected, Mail, Mllp, Numeric, ProbeConfig, Secret, Smtp, Source, Tcp, Tls, Web, What,
};
use std::time::Duration;

/// Most bytes of a test message.
const MESSAGE_MAX: u64 = 64 * 1024;

/// Everything about what surrounds the stream.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub(super) plans: Vec<ProbePlan>,
    pub(super) probes: Vec<ProbeConfig>,
    pub(super) groups: Vec<Group>,
    pub(super) beats: Vec<HeartbeatPlan>,
    pub(super) heartbeats: Vec<Heartbeat>,
}

impl Resolver<'_> {
    pub(super) fn around(&mut self) -> Around {
        let raw = self.raw;
        let mut around = Around::default();
        if raw.probes.len() + raw.heartbeats.len() > PROBES_MAX {
            self.wrong("probes", format!("more than {PROBES_MAX} probes and heartbeats"), "");
        }
        let named = |list: &'static str, n: usize| format!("{list}/{n}/name");
        let probes = raw.probes.iter().enumerate().map(|(n, p)| (named("probes", n), &p.name));
        let beats = raw.heartbeats.iter().enumerate();
        let all: Vec<(String, &String)> =
            probes.chain(beats.map(|(n, h)| (named("heartbeats", n), &h.name))).collect();
        for (n, (path, name)) in all.iter().enumerate() {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > LABEL_MAX || !name.chars().all(fits) {
                self.wrong(path, "not a name", "1 to 31 lower-case letters, digits and -");
            }
            if all.iter().take(n).any(|(_, before)| before == name) {
                self.wrong(
                    path,
                    format!("{name:?} is there twice"),
                    "probes and heartbeats share their names",
                );
            }
        }
        for (n, probe) in raw.probes.iter().enumerate() {
            self.probe(&format!("probes/{n}"), probe, &mut around);
        }
        for (n, beat) in raw.heartbeats.iter().enumerate() {
            if let Some((plan, token)) = self.heartbeat(&format!("heartbeats/{n}"), beat) {
                around.beats.push(plan);
                around.heartbeats.push(Heartbeat { name: beat.name.clone(), token });
            }
        }
        if !raw.heartbeats.is_empty() && raw.http.is_none() {
            self.wrong(
                "heartbeats",
                "nothing takes them",
                "add `http: {listen: …, token: …}`: they are posted to /api/v1/heartbeats/NAME there",
            );
        }
        around
    }

    fn probe(&mut self, path: &str, raw: &RawProbe, around: &mut Around) {
        let mut plan = ProbePlan::new(&raw.name);
        plan.about = self.about(&format!("{path}/about"), &raw.about);
        plan.severity = raw.severity.map(severity);
        plan.fails = (raw.fails.unwrap_or(plan.fails.0), raw.of.unwrap_or(plan.fails.1));
        plan.recovers = raw.recovers.unwrap_or(plan.recovers);
        if plan.fails.0 == 0 || plan.fails.0 > plan.fails.1 || plan.fails.1 > 32 {
            self.wrong(
                path,
                "`fails` is not from 1 to `of`, or `of` is over 32",
                "such as fails: 2, of: 3",
            );
        }
        if plan.recovers == 0 || plan.recovers > 32 {
            self.wrong(&format!("{path}/recovers"), "not from 1 to 32", "such as 2");
        }
        let resolver =
            raw.resolver.as_ref().map(|text| self.address(&format!("{path}/resolver"), text));
        let (pace, limit) = match () {
            () if raw.mail.is_some() => (300, 30),
            () if raw.tls.is_some() => (3_600, 5),
            () => (30, 5),
        };
        let every =
            self.time(&format!("{path}/every"), raw.every.as_ref(), Duration::from_secs(pace));
        if every < Duration::from_secs(10) {
            self.wrong(&format!("{path}/every"), "less than 10 s", "a probe must not be a load");
        }
        let timeout =
            self.time(&format!("{path}/timeout"), raw.timeout.as_ref(), Duration::from_secs(limit));
        if timeout > Duration::from_secs(60) || timeout < Duration::from_millis(100) {
            self.wrong(&format!("{path}/timeout"), "not from 100ms to 60s", "such as 5s");
        }
        let stated = [
            raw.tcp.is_some(),
            raw.tls.is_some(),
            raw.http.is_some(),
            raw.numeric.is_some(),
            raw.mail.is_some(),
            raw.mllp.is_some(),
            raw.smtp.is_some(),
            raw.kafka_group.is_some(),
        ];
        if stated.iter().filter(|there| **there).count() != 1 {
            self.wrong(
                path,
                "exactly one thing to look at is needed",
                "one of tcp, tls, http, numeric, mail, mllp, smtp, kafka_group",
            );
            return;
        }
        if raw.kafka_group.is_some() {
            self.group(path, raw, (every, timeout), &mut plan, around);
        } else if let Some(what) = self.what(path, raw, &mut plan) {
            let name = raw.name.clone();
            around.probes.push(ProbeConfig { name, every, timeout, resolver, what });
        }
        around.plans.push(plan);
    }

    fn about(&mut self, path: &str, raw: &RawAbout) -> About {
        let feeds: Vec<String> = self.raw.feeds.iter().map(|f| f.name.clone()).collect();
        match (&raw.waypoint, &raw.feed, &raw.system) {
            (None, None, None) => About::Itself,
            (Some(name), None, None) => {
                About::Waypoint(self.waypoint(&format!("{path}/waypoint"), name))
            }
            (None, Some(name), None) => {
                self.find(&format!("{path}/feed"), "feed", name, &feeds);
                About::Feed(name.clone())
            }
            (None, None, Some(name)) => {
                let known: Vec<String> =
                    self.raw.waypoints.iter().map(|w| self.system(w)).collect();
                self.find(&format!("{path}/system"), "system", name, &known);
                About::System(Label::from(name.as_str()))
            }
            _ => {
                self.wrong(path, "more than one thing", "one of waypoint, feed and system");
                About::Itself
            }
        }
    }

    fn what(&mut self, path: &str, raw: &RawProbe, plan: &mut ProbePlan) -> Option<What> {
        if let Some(tcp) = &raw.tcp {
            let here = format!("{path}/tcp");
            self.not_hl7(&format!("{here}/address"), &tcp.address);
            let proxy = tcp.proxy.as_ref().and_then(|p| self.proxy(&format!("{here}/proxy"), p));
            return Some(What::Tcp(Tcp { address: tcp.address.clone(), proxy }));
        }
        if let Some(tls) = &raw.tls {
            let here = format!("{path}/tls");
            self.not_hl7(&format!("{here}/address"), &tls.address);
            let (ticket, page) = (plan.ticket_before, plan.page_before);
            plan.ticket_before =
                self.time(&format!("{here}/ticket_before"), tls.ticket_before.as_ref(), ticket);
            plan.page_before =
                self.time(&format!("{here}/page_before"), tls.page_before.as_ref(), page);
            return Some(What::Tls(Tls {
                address: tls.address.clone(),
                server_name: tls.server_name.clone(),
                access: self.access(&here, &tls.access),
            }));
        }
        if let Some(web) = &raw.http {
            let here = format!("{path}/http");
            let status = self.statuses(&format!("{here}/status"), web.status.as_deref());
            if web.equals.is_some() && web.pointer.is_none() {
                self.wrong(&format!("{here}/equals"), "equal to what?", "add `pointer`");
            }
            return Some(What::Web(Box::new(Web {
                url: Secret::new(web.url.clone()),
                access: self.access(&here, &web.access),
                status,
                contains: web.contains.clone(),
                pointer: web.pointer.clone().map(|pointer| (pointer, web.equals.clone())),
            })));
        }
        if let Some(numeric) = &raw.numeric {
            return self.numeric(&format!("{path}/numeric"), numeric, plan);
        }
        if raw.mail.is_some() {
            return self.mail(&format!("{path}/mail"), raw);
        }
        if raw.mllp.is_some() {
            return self.mllp_probe(path, raw);
        }
        let smtp = raw.smtp.as_ref()?;
        Some(What::Smtp(Smtp {
            address: smtp.address.clone(),
            helo: smtp.helo.clone().unwrap_or_else(|| "feedpulse.invalid".to_owned()),
            starttls: smtp.starttls.unwrap_or(true),
            server_name: smtp.server_name.clone(),
            access: self.access(&format!("{path}/smtp"), &smtp.access),
        }))
    }

    /// A plain connection to a receiver of HL7 takes the place of a sender as well.
    fn not_hl7(&mut self, path: &str, address: &str) {
        let raw = self.raw;
        let listeners = raw.mllp.iter().flat_map(|m| &m.listeners);
        let taken: Vec<&String> =
            listeners.filter(|l| l.forward == address).map(|l| &l.waypoint).collect();
        for name in taken {
            let allowed = raw.waypoints.iter().any(|w| w.name == *name && w.probe.is_some());
            if !allowed {
                self.not_allowed(path, name);
            }
        }
    }

    fn not_allowed(&mut self, path: &str, waypoint: &str) {
        self.wrong(
            path,
            format!("waypoint {waypoint:?} does not allow probes of its HL7 port"),
            "many receivers take one connection only, and a probe would lock out the sender; where \
             that is not so, write `probe: allowed` at the waypoint",
        );
    }

    fn statuses(&mut self, path: &str, text: Option<&str>) -> (u16, u16) {
        let Some(text) = text else { return (200, 299) };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (from.trim().parse(), to.trim().parse()) {
            (Ok(from), Ok(to)) if (100..=599).contains(&from) && from <= to => (from, to),
            _ => {
                self.wrong(path, "not a status or a range of them", "such as \"200\" or 200-299");
                (200, 299)
            }
        }
    }

    fn numeric(&mut self, path: &str, raw: &RawNumeric, plan: &mut ProbePlan) -> Option<What> {
        (plan.over, plan.under, plan.breach) = (raw.over, raw.under, raw.breach);
        plan.growth = raw.growth;
        plan.horizon = self.time(&format!("{path}/horizon"), raw.horizon.as_ref(), plan.horizon);
        let limits = raw.over.or(raw.under).or(raw.breach).is_some();
        if limits != raw.state.is_empty() {
            let hint = "either `state`, or at least one of over, under and breach";
            self.wrong(path, "not clear what is wrong when", hint);
        }
        let source = match (&raw.metric, &raw.pointer) {
            (Some(name), None) if raw.each.is_none() => Source::Metric {
                name: name.clone(),
                labels: raw.labels.clone().into_iter().collect(),
                part: raw.part.clone(),
            },
            (None, Some(pointer)) if raw.labels.is_empty() => Source::Json {
                each: raw.each.clone(),
                part: raw.part.clone(),
                pointer: pointer.clone(),
            },
            _ => {
                let hint =
                    "either `metric` (with labels and part), or `pointer` (with each and part)";
                self.wrong(path, "not clear where the value is", hint);
                return None;
            }
        };
        let expected = match raw.state.is_empty() {
            true => Expected::Number,
            false => Expected::OneOf(raw.state.clone()),
        };
        Some(What::Numeric(Box::new(Numeric {
            url: Secret::new(raw.url.clone()),
            access: self.access(path, &raw.access),
            source,
            expected,
        })))
    }

    fn mail(&mut self, path: &str, raw: &RawProbe) -> Option<What> {
        let raw = raw.mail.as_ref()?;
        let mut addresses = Vec::new();
        for (n, text) in raw.addresses.iter().enumerate() {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => self.wrong(
                    &format!("{path}/addresses/{n}"),
                    "not an IP address",
                    "such as 192.0.2.7",
                ),
            }
        }
        if raw.addresses.is_empty() && raw.host.is_none() {
            self.wrong(
                path,
                "no address",
                "state `addresses`, or a `host` whose addresses are followed",
            );
        }
        if raw.addresses.len().max(raw.block_lists.len()).max(raw.domains.len()) > 16 {
            self.wrong(
                path,
                "more than 16 addresses, block lists or domains",
                "use several probes",
            );
        }
        Some(What::Mail(Mail {
            addresses,
            host: raw.host.clone(),
            block_lists: raw.block_lists.clone(),
            domains: raw.domains.clone(),
            ptr: raw.ptr.unwrap_or(true),
        }))
    }

    fn mllp_probe(&mut self, path: &str, probe: &RawProbe) -> Option<What> {
        let (raw, here) = (probe.mllp.as_ref()?, format!("{path}/mllp"));
        let Some(name) = &probe.about.waypoint else {
            self.wrong(
                &here,
                "which receiver?",
                "add `about: {waypoint: NAME}`; its waypoint says `probe: allowed`",
            );
            return None;
        };
        if !self.raw.waypoints.iter().any(|w| w.name == *name && w.probe.is_some()) {
            self.not_allowed(&here, name);
        }
        let mut listeners = self.raw.mllp.iter().flat_map(|m| &m.listeners);
        let forward = listeners.find(|l| l.waypoint == *name).map(|l| l.forward.clone());
        let Some(address) = raw.address.clone().or(forward) else {
            self.wrong(&here, "no address", "add `address: HOST:PORT`");
            return None;
        };
        let message = raw
            .message_file
            .as_ref()
            .and_then(|file| self.message(&format!("{here}/message_file"), file));
        let known = ["AA", "AE", "AR", "CA", "CE", "CR"];
        for (n, code) in raw.accept.iter().enumerate() {
            if !known.contains(&code.as_str()) {
                self.wrong(
                    &format!("{here}/accept/{n}"),
                    "not a code of an ACK",
                    "one of AA, AE, AR, CA, CE, CR",
                );
            }
        }
        let accept = match raw.accept.is_empty() {
            true => vec!["AA".to_owned(), "CA".to_owned()],
            false => raw.accept.clone(),
        };
        Some(What::Mllp(Mllp { address, message, accept }))
    }

    fn message(&mut self, path: &str, file: &str) -> Option<Vec<u8>> {
        let size = std::fs::metadata(file).map(|meta| meta.len());
        let bytes = match size {
            Ok(size) if size > MESSAGE_MAX => {
                self.wrong(path, "larger than 64 KiB", "a test message is small");
                return None;
            }
            _ => std::fs::read(file),
        };
        match bytes {
            Ok(bytes) if bytes.starts_with(b"MSH") => {
                let lines =
                    bytes.split(|b| matches!(b, b'\r' | b'\n')).filter(|line| !line.is_empty());
                Some(lines.flat_map(|line| line.iter().copied().chain([b'\r'])).collect())
            }
            Ok(_) => {
                self.wrong(path, "does not begin with MSH", "one HL7 v2 message, a segment a line");
                None
            }
            Err(error) => {
                self.wrong(path, format!("{file}: {}", error.kind()), "a readable file");
                None
            }
        }
    }

    fn group(
        &mut self,
        path: &str,
        probe: &RawProbe,
        (every, timeout): (Duration, Duration),
        plan: &mut ProbePlan,
        around: &mut Around,
    ) {
        let Some(raw) = probe.kafka_group.as_ref() else { return };
        let here = format!("{path}/kafka_group");
        let name = |tap: &super::raw::RawKafka| tap.name.clone().unwrap_or_else(|| "kafka".into());
        let known: Vec<String> = self.raw.kafka.iter().map(name).collect();
        let tap = self.find(&format!("{here}/tap"), "Kafka tap", &raw.tap, &known);
        let own = self
            .raw
            .kafka
            .get(tap)
            .and_then(|t| t.group.clone())
            .unwrap_or_else(|| "feedpulse".into());
        if raw.group.is_empty() || raw.group == own {
            self.wrong(
                &format!("{here}/group"),
                "not the engine's group",
                "the group that the engine reads with; Feedpulse's own is watched by FP0110",
            );
        }
        if raw.topics.is_empty() || raw.topics.len() > 16 {
            self.wrong(&format!("{here}/topics"), "1 to 16 topics are needed", "");
        }
        plan.allowed_lag = raw.allowed_lag.unwrap_or(0);
        plan.behind = match raw.behind.as_deref() {
            Some("off") => None,
            _ => Some(self.time(
                &format!("{here}/behind"),
                raw.behind.as_ref(),
                plan.behind.unwrap_or(Duration::from_secs(300)),
            )),
        };
        around.groups.push(Group {
            name: probe.name.clone(),
            tap,
            group: raw.group.clone(),
            topics: raw.topics.clone(),
            every,
            timeout,
        });
    }

    fn heartbeat(
        &mut self,
        path: &str,
        raw: &RawHeartbeat,
    ) -> Option<(HeartbeatPlan, Option<String>)> {
        let about = self.about(&format!("{path}/about"), &raw.about);
        let grace =
            self.time(&format!("{path}/grace"), raw.grace.as_ref(), Duration::from_secs(300));
        let longest = self.time(&format!("{path}/longest"), raw.longest.as_ref(), grace);
        let token = raw.token.as_ref().and_then(|t| self.secret(&format!("{path}/token"), t));
        let rule = match (&raw.schedule, &raw.every) {
            (Some(line), None) => Rule::At(self.schedule(&format!("{path}/schedule"), line)?),
            (None, Some(_)) => Rule::Every(self.time(
                &format!("{path}/every"),
                raw.every.as_ref(),
                Duration::from_secs(3_600),
            )),
            _ => {
                self.wrong(
                    path,
                    "not clear when it is due",
                    "either `schedule` (a cron line) or `every`",
                );
                return None;
            }
        };
        let severity = raw.severity.map(severity);
        let name = Label::from(raw.name.as_str());
        Some((HeartbeatPlan { name, about, severity, rule, grace, longest }, token))
    }
}
