//! Where effects are offered, and how the sinks are put together.

use crate::Clock;
use crate::config::{ConfigError, OtlpConfig, SinksConfig, Speech};
use crate::health::{Health, Rule};
use crate::notify::deliver::{self, NotifierTask};
use crate::notify::outbox::Outbox;
use crate::notify::routes::Routes;
use crate::notify::text::Style;
use crate::notify::{Counts, alertmanager, check_name, dead_man, notices};
use crate::otlp::export::{QueueTask, Shipper};
use crate::otlp::flags::{Ended, Flag, Flags};
use crate::otlp::logs::{self, LogEvent};
use crate::otlp::metrics::MetricsTask;
use crate::otlp::queue::{Accounts, Queue, Signal, Tally};
use crate::otlp::sampler::Sampler;
use crate::otlp::traces::{self, Names};
use crate::otlp::transport::Way;
use crate::random::mix;
use crate::task::{Deps, Kind, Task};
use feedpulse_codec::OutboxRow;
use feedpulse_core::codes::Code;
use feedpulse_core::effect::{Effect, EffectId, IncidentChange, JourneyRecord};
use feedpulse_core::key::MessageKey;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_core::time::Timestamp;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

struct TraceSide {
    sampler: Mutex<Sampler>,
    queue: Arc<Queue<Span>>,
    names: Mutex<Arc<Names>>,
    flags: Mutex<Flags>,
}

struct Inner {
    clock: Clock,
    sampled_out: Counter,
    traces: Option<TraceSide>,
    logs: Option<Arc<Queue<LogRecord>>>,
    metrics: Option<Arc<Tally>>,
    routes: Routes,
    /// Each replica's board, with the name of its cluster.
    alerts: Vec<(String, Arc<alertmanager::Board>)>,
    notices: Vec<Arc<notices::Board>>,
    /// Per notifier, its replicas' counts.
    counts: Vec<Vec<Counts>>,
}

/// Where effects are offered. Clones share everything. No call waits: a full queue drops and counts.
#[derive(Clone)]
pub struct SinkHandle {
    inner: Arc<Inner>,
}

impl core::fmt::Debug for SinkHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SinkHandle(…)")
    }
}

impl SinkHandle {
    /// Offers one effect. An unsampled journey costs one lock and a few comparisons, no allocation.
    /// Offering the same effect twice makes the same spans and the same notices.
    pub fn offer(&self, _id: EffectId, effect: &Effect) {
        match effect {
            Effect::Journey(journey) => self.journey(journey),
            Effect::Incident(change) => {
                self.incident(change, false);
                self.log(LogEvent::incident(change, (self.inner.clock)()));
            }
            // For the store; their numbers leave as metrics.
            Effect::Rollup(_) | Effect::Amend(_) | Effect::File(_) => {}
        }
    }

    fn journey(&self, journey: &JourneyRecord) {
        let Some(side) = &self.inner.traces else { return };
        let names = Arc::clone(&side.names.lock().unwrap_or_else(PoisonError::into_inner));
        let (trace, root) = traces::ids(journey, names.relation);
        let mut keep = side.sampler.lock().unwrap_or_else(PoisonError::into_inner).keep(journey);
        let found = {
            let mut flags = side.flags.lock().unwrap_or_else(PoisonError::into_inner);
            let found = flags.of(journey.key);
            // What a check found something in is worth a look.
            keep |= !found.is_empty();
            flags.ended(journey.key, Ended { trace, root, kept: keep });
            found
        };
        if !keep {
            self.inner.sampled_out.add(1);
            return;
        }
        side.queue.offer(traces::span_count(journey), || traces::flagged(journey, &names, &found));
    }

    /// There are checks: from now on the ends of journeys are remembered, for what comes after.
    pub fn expect_flags(&self) {
        if let Some(side) = &self.inner.traces {
            side.flags.lock().unwrap_or_else(PoisonError::into_inner).expect();
        }
    }

    /// Offers what a check found about a message, by the message's journey key.
    pub fn flag(&self, key: MessageKey, flag: Flag) {
        let Some(side) = &self.inner.traces else { return };
        let late = side.flags.lock().unwrap_or_else(PoisonError::into_inner).flag(key, flag);
        if let Some(span) = late {
            side.queue.offer(1, || vec![span]);
        }
    }

    fn incident(&self, change: &IncidentChange, again: bool) {
        let now = (self.inner.clock)();
        let routes = &self.inner.routes;
        for (name, board) in &self.inner.alerts {
            board.offer(change, routes.terms(name, change), now, again);
        }
        for board in &self.inner.notices {
            board.offer(change, routes.terms(board.place(), change), now);
        }
    }

    /// After a restart, first: what the outbox holds. Rows of notifiers that are not configured any
    /// more stay where they are and are forgotten in time.
    pub fn restore(&self, rows: Vec<OutboxRow>) {
        for row in rows {
            let board = self.inner.notices.iter().find(|board| board.place() == row.place);
            if let Some(board) = board {
                board.restore(row);
            }
        }
    }

    /// After a restart, then: an incident that the engine knows, open or over lately. What the
    /// outbox says was told is not told again; what it does not know is told if it is open. Makes no
    /// log record.
    pub fn reoffer(&self, change: &IncidentChange) {
        self.incident(change, true);
    }

    /// After a restart, last: every incident that is known was offered. What was told as open and is
    /// not known any more is ended.
    pub fn recovered(&self) {
        let now = (self.inner.clock)();
        self.inner.notices.iter().for_each(|board| board.recovered(now));
    }

    /// Offers an event of Feedpulse itself to the OTLP logs.
    pub fn log(&self, event: LogEvent) {
        if let Some(queue) = &self.inner.logs {
            let now = (self.inner.clock)();
            queue.offer(1, || vec![event.record(now)]);
        }
    }

    /// New names of waypoints after a change of configuration.
    pub fn rename(&self, waypoints: Vec<traces::WaypointName>) {
        if let Some(side) = &self.inner.traces {
            let mut names = side.names.lock().unwrap_or_else(PoisonError::into_inner);
            *names = Arc::new(Names { waypoints, ..Names::clone(&names) });
        }
    }

    /// Spans that the collector took.
    #[must_use]
    pub fn spans_exported(&self) -> u64 {
        self.accounts(Signal::Traces).exported
    }

    /// Journeys that succeeded and were not kept as traces.
    #[must_use]
    pub fn journeys_sampled_out(&self) -> u64 {
        self.inner.sampled_out.get()
    }

    /// What became of all items of one signal; zeros when it is off.
    #[must_use]
    pub fn accounts(&self, signal: Signal) -> Accounts {
        let inner = &self.inner;
        match signal {
            Signal::Traces => inner.traces.as_ref().map(|side| side.queue.tally.read()),
            Signal::Logs => inner.logs.as_ref().map(|queue| queue.tally.read()),
            Signal::Metrics => inner.metrics.as_ref().map(|tally| tally.read()),
        }
        .unwrap_or_default()
    }

    /// Notices that were delivered (open, severity risen, resolved; no reminders), over all
    /// notifiers; of a cluster the replica that took most counts.
    #[must_use]
    pub fn notices(&self) -> u64 {
        let replicas = |counts: &Vec<Counts>| counts.iter().map(|c| c.notices.get()).max();
        self.inner.counts.iter().filter_map(replicas).sum()
    }
}

/// Checks the configuration and makes the sinks. Nothing is connected before the tasks run.
///
/// # Errors
/// Every setting that cannot work, at once.
pub fn build(
    config: &SinksConfig,
    deps: &Deps,
) -> Result<(SinkHandle, Vec<Task>), Vec<ConfigError>> {
    let style = Arc::new(Style {
        site: config.site.clone(),
        runbook_base: config.runbook_base.clone(),
        page_base: config.page_base.clone(),
        calendar: config.calendar.clone(),
    });
    let mut builder = Builder { config, deps, style, tasks: Vec::new(), errors: Vec::new() };
    builder.check_names();
    let mut inner = Inner {
        clock: Arc::clone(&deps.clock),
        sampled_out: deps.registry.counter(
            "feedpulse_journeys_sampled_out_total",
            "Successful journeys that were counted but not kept as traces.",
            "{journey}",
            &[],
        ),
        traces: None,
        logs: None,
        metrics: None,
        routes: builder.routes(),
        alerts: Vec::new(),
        notices: Vec::new(),
        counts: Vec::new(),
    };
    if let Some(otlp) = &config.otlp {
        builder.otlp(otlp, &mut inner);
    }
    builder.alertmanagers(&mut inner);
    builder.notifiers(&mut inner);
    builder.dead_man();
    if builder.errors.is_empty() {
        Ok((SinkHandle { inner: Arc::new(inner) }, builder.tasks))
    } else {
        Err(builder.errors)
    }
}

/// Everything in a configuration that cannot work, wherever it would run: files and certificates,
/// which may be elsewhere, are not looked at.
#[must_use]
pub fn check(config: &SinksConfig) -> Vec<ConfigError> {
    let deps = Deps {
        registry: Registry::default(),
        clock: Arc::new(|| Timestamp::EPOCH),
        families: Arc::new(Vec::new),
        own: Arc::new(|_| {}),
        names: Names::default(),
        version: String::new(),
        started: Timestamp::EPOCH,
        outbox: None,
        told: Arc::new(|_| {}),
        alive: Arc::new(|| true),
        seed: 0,
    };
    let mut errors = build(config, &deps).err().unwrap_or_default();
    errors.retain(|e| !matches!(e, ConfigError::Access { error, .. } if error.is_local()));
    errors
}

struct Builder<'a> {
    config: &'a SinksConfig,
    deps: &'a Deps,
    style: Arc<Style>,
    tasks: Vec<Task>,
    errors: Vec<ConfigError>,
}

impl Builder<'_> {
    fn keep<T>(&mut self, made: Result<T, ConfigError>) -> Option<T> {
        made.map_err(|error| self.errors.push(error)).ok()
    }

    /// A seed for each task, so that their pauses differ.
    fn seed(&self) -> u64 {
        mix(self.deps.seed ^ (self.tasks.len() as u64 + 1))
    }

    fn range(
        &mut self,
        ok: bool,
        place: &str,
        what: &'static str,
        got: String,
        allowed: &'static str,
    ) {
        if !ok {
            self.errors.push(ConfigError::Range { place: place.to_owned(), what, got, allowed });
        }
    }

    fn check_names(&mut self) {
        let names = self.config.names();
        let mut seen = BTreeSet::from(["otlp", "dead-man"]);
        for name in names {
            self.keep(check_name("notifiers", name));
            if !seen.insert(name) {
                self.errors.push(ConfigError::Name {
                    place: "notifiers".to_owned(),
                    name: name.to_owned(),
                    what: "is used twice or reserved; give each notifier its own",
                });
            }
        }
        let site = &self.config.site;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if site.len() > 64 || !site.bytes().all(plain) {
            self.errors.push(ConfigError::Name {
                place: "site".to_owned(),
                name: site.clone(),
                what: "must have at most 64 letters, digits, `.`, `_` or `-`",
            });
        }
    }

    fn routes(&mut self) -> Routes {
        let routes = &self.config.routes;
        let (count, allowed) = (routes.len(), "0 to 256");
        self.range(count <= 256, "routes", "the count of routes", count.to_string(), allowed);
        let hour = 3_600;
        for (number, route) in (1..).zip(routes) {
            let place = format!("route {number}");
            let updates = route.updates.map_or(60, |every| every.as_secs());
            let got = format!("{:?}", route.updates.unwrap_or_default());
            self.range(
                (60..=168 * hour).contains(&updates),
                &place,
                "updates",
                got,
                "1 min to 7 d",
            );
            let got = format!("{:?}", route.wait);
            self.range(route.wait.as_secs() <= hour, &place, "wait", got, "0 to 1 h");
            let after = route.escalate.as_ref().map_or(hour, |e| e.after.as_secs());
            let got = format!("{after} s");
            self.range((60..=24 * hour).contains(&after), &place, "after", got, "1 min to 1 d");
        }
        match Routes::new(routes, &self.config.names()) {
            Ok(routes) => routes,
            Err(errors) => {
                self.errors.extend(errors);
                Routes::default()
            }
        }
    }

    fn otlp(&mut self, otlp: &OtlpConfig, inner: &mut Inner) {
        otlp.check(&mut self.errors);
        let signals = [
            (Signal::Traces, otlp.traces),
            (Signal::Metrics, otlp.metrics),
            (Signal::Logs, otlp.logs),
        ];
        let on: Vec<Signal> = signals.iter().filter(|(_, on)| *on).map(|(s, _)| *s).collect();
        let report = Arc::clone(&self.deps.own);
        let health = Health::new("otlp", Code::ExportDown, on.len(), Rule::Any, report);
        let resource = crate::otlp::resource(otlp, &self.deps.version, &self.config.site);
        for (member, signal) in on.into_iter().enumerate() {
            let Some(way) = self.keep(Way::new(otlp, signal)) else {
                // All three go to the same place: one error says it all.
                return;
            };
            let shipper = Shipper {
                resource: resource.clone(),
                tally: Tally::new(&self.deps.registry, signal),
                health: health.clone(),
                member,
                retry_for: otlp.retry_for,
                seed: self.seed(),
            };
            let kind = self.signal(otlp, signal, way, shipper, inner);
            self.tasks.push(Task::new(format!("otlp-{}", signal.name()), kind));
        }
    }

    fn signal(
        &self,
        otlp: &OtlpConfig,
        signal: Signal,
        way: Way,
        mut shipper: Shipper,
        inner: &mut Inner,
    ) -> Kind {
        let (batch, linger) = (otlp.batch, otlp.linger);
        match signal {
            Signal::Traces => {
                let queue = Queue::new(otlp.queue_spans, Arc::clone(&shipper.tally));
                let names = Names {
                    waypoints: self.deps.names.waypoints.clone(),
                    relation: otlp.relation,
                    control_ids: otlp.control_ids,
                    key: self.deps.names.key,
                };
                inner.traces = Some(TraceSide {
                    sampler: Mutex::new(Sampler::new(otlp.sample_per_minute, otlp.sample_ratio)),
                    queue: Arc::clone(&queue),
                    names: Mutex::new(Arc::new(names)),
                    flags: Mutex::default(),
                });
                Kind::Spans(QueueTask { queue, way, shipper, wrap: traces::wrap, batch, linger })
            }
            Signal::Logs => {
                let queue = Queue::new(otlp.queue_logs, Arc::clone(&shipper.tally));
                inner.logs = Some(Arc::clone(&queue));
                Kind::Logs(QueueTask { queue, way, shipper, wrap: logs::wrap, batch, linger })
            }
            Signal::Metrics => {
                inner.metrics = Some(Arc::clone(&shipper.tally));
                // An old picture is worth nothing once a new one can be made.
                shipper.retry_for = otlp.retry_for.min(otlp.metrics_interval);
                Kind::Metrics(MetricsTask {
                    families: Arc::clone(&self.deps.families),
                    clock: Arc::clone(&self.deps.clock),
                    started: self.deps.started,
                    interval: otlp.metrics_interval,
                    batch,
                    way,
                    shipper,
                })
            }
        }
    }

    fn alertmanagers(&mut self, inner: &mut Inner) {
        for config in &self.config.alertmanagers {
            let place = config.name.as_str();
            let n = config.replicas.len();
            self.range(
                (1..=8).contains(&n),
                place,
                "the count of replicas",
                n.to_string(),
                "1 to 8",
            );
            let secs = config.resend.as_secs();
            let got = format!("{:?}", config.resend);
            self.range((5..=600).contains(&secs), place, "resend", got, "5 s to 10 min");
            let labels = config.labels.len();
            let got = labels.to_string();
            self.range(labels <= 16, place, "the count of labels", got, "0 to 16");
            for (name, _) in &config.labels {
                self.keep(alertmanager::check_label(place, name));
            }
            let report = Arc::clone(&self.deps.own);
            let health = Health::new(place, Code::NotifierDown, n, Rule::All, report);
            let mut all = Vec::new();
            for member in 0..n {
                let name =
                    if n == 1 { place.to_owned() } else { format!("{place}-{}", member + 1) };
                let Some(way) = self.keep(alertmanager::way(&name, config, member)) else {
                    continue;
                };
                let counts = Counts::new(&self.deps.registry, &name);
                let style = alertmanager::Style {
                    shared: Arc::clone(&self.style),
                    labels: config.labels.clone(),
                    resend: config.resend,
                    min_severity: Some(config.min_severity),
                };
                let board = Arc::new(alertmanager::Board::new(style, counts.clone()));
                inner.alerts.push((config.name.clone(), Arc::clone(&board)));
                all.push(counts.clone());
                let task = alertmanager::ReplicaTask {
                    board,
                    way,
                    clock: Arc::clone(&self.deps.clock),
                    health: health.clone(),
                    member,
                    resend: config.resend,
                    counts,
                    name: name.clone(),
                    told: Arc::clone(&self.deps.told),
                    seed: self.seed(),
                };
                self.tasks.push(Task::new(name, Kind::Alertmanager(task)));
            }
            inner.counts.push(all);
        }
    }

    /// Everything that gets notices one by one.
    fn notifiers(&mut self, inner: &mut Inner) {
        for config in &self.config.notifiers {
            let place = config.name.as_str();
            let got = format!("{:?}", config.repeat);
            let fits = (60..=604_800).contains(&config.repeat.as_secs());
            self.range(fits, place, "repeat", got, "1 min to 7 d");
            let Some(way) = self.keep(deliver::Way::new(config, &self.style)) else { continue };
            let counts = Counts::new(&self.deps.registry, place);
            let rules = notices::Rules {
                place: place.to_owned(),
                repeat: config.repeat,
                min_severity: config.min_severity,
                tells_claims: matches!(config.speech, Speech::Pager { .. }),
            };
            let outbox = Outbox::new(self.deps.outbox.clone());
            let board = notices::Board::new(rules, outbox, counts.clone());
            inner.notices.push(Arc::clone(&board));
            inner.counts.push(vec![counts.clone()]);
            let report = Arc::clone(&self.deps.own);
            let task = NotifierTask {
                board,
                way,
                clock: Arc::clone(&self.deps.clock),
                health: Health::new(place, Code::NotifierDown, 1, Rule::Any, report),
                counts,
                told: Arc::clone(&self.deps.told),
                seed: self.seed(),
            };
            self.tasks.push(Task::new(place.to_owned(), Kind::Notifier(Box::new(task))));
        }
    }

    fn dead_man(&mut self) {
        let Some(config) = &self.config.dead_man else { return };
        let place = "dead-man";
        let secs = config.every.as_secs();
        let got = format!("{:?}", config.every);
        self.range((10..=3600).contains(&secs), place, "every", got, "10 s to 1 h");
        let way = config
            .target
            .address(place, "https://monitor.example/ping/42")
            .and_then(|url| Ok((config.target.client(place, &url)?, url)));
        let Some((client, url)) = self.keep(way) else { return };
        let counts = Counts::new(&self.deps.registry, place);
        let task = dead_man::DeadManTask {
            client,
            url,
            every: config.every,
            counts,
            alive: Arc::clone(&self.deps.alive),
        };
        self.tasks.push(Task::new(place.to_owned(), Kind::DeadMan(task)));
    }
}
