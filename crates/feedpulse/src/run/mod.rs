//! Assembly: from a configuration to a running process, and in order to its end.

pub(crate) mod admin;
pub(crate) mod checks;
mod drill;
mod holder;
mod lessons;
mod pipeline;
pub(crate) mod probes;
mod recorder;
mod recover;
mod rows;
mod side;
mod supervise;
mod taps;
mod web;
pub(crate) mod wire;

use crate::cli::{CONFIG, Failure, IO, UNAVAILABLE};
use crate::clock;
use crate::config::Config;
use anyhow::{Context as _, anyhow};
use feedpulse_core::desk::Taken;
use feedpulse_core::effect::{Effect, EffectId};
use feedpulse_core::engine::Engine;
use feedpulse_core::input::{Blind, Input};
use feedpulse_core::key::SiteKey;
use feedpulse_core::label::Label;
use feedpulse_core::metrics::Registry;
use feedpulse_core::tap::Position;
use feedpulse_core::view::View;
use feedpulse_hl7::decode::Decoder;
use feedpulse_sinks::{Deps, SinkHandle};
use feedpulse_wasm::Runtime as WasmRuntime;
use feedpulse_web::{OpsConfig, ServeLimits, Source, Token, UiConfig, bind, ops, serve, ui};
pub(crate) use pipeline::waypoint;
use pipeline::{Pipeline, Queue, Shared, WORK_QUEUE, Work};
use side::SideBox;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use supervise::Supervisor;
#[cfg(feature = "kafka")]
pub(crate) use taps::kafka_tap;
use tokio::sync::mpsc;
use web::Window;

/// The store's thread, which ends last.
const STORE_THREAD: &str = "fp-store";

/// How a process is started, beside its configuration.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Gets a copy of every effect.
    pub watcher: Option<SyncSender<(EffectId, Effect)>>,
    /// Whether the wire that we started goes on after our end.
    pub keep_wire: bool,
    /// Whether only a log level set by `FEEDPULSE_LOG` shows log lines.
    pub quiet: bool,
    /// The configuration's file, to see what it says of checks later; None = it has none.
    pub file: Option<std::path::PathBuf>,
}

/// A running process.
pub(crate) struct Running {
    supervisor: Supervisor,
    work: Option<mpsc::Sender<Work>>,
    shared: Shared,
    sinks: SinkHandle,
    mailbox: recorder::Mailbox,
    wire: Option<wire::Wire>,
    socket: Option<std::path::PathBuf>,
    keep_wire: bool,
    ticking: Arc<AtomicBool>,
    /// Where the pages are.
    pub ui: Option<SocketAddr>,
    /// Where the metrics are.
    pub ops: Option<SocketAddr>,
}

/// The runtime for everything that waits: taps, sinks, listeners. Two threads.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("fp-work")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(70, e))
}

/// `feedpulse run`: until SIGTERM or SIGINT.
pub(crate) fn main(config: Config, file: std::path::PathBuf) -> Result<(), Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        // Before anything answers: whoever sees us ready may end us at once, and in order.
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .map_err(|e| Failure::new(70, e))?;
        let options = Options { keep_wire: true, file: Some(file), ..Options::default() };
        let running = start(config, options).await?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
        running.stop().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

fn log(quiet: bool) {
    let default = if quiet { "off" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("FEEDPULSE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // Standard output is for results; a second start in one process keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Starts everything.
///
/// # Errors
/// The part that cannot work, and what to do.
pub(crate) async fn start(config: Config, options: Options) -> Result<Running, Failure> {
    log(options.quiet);
    let started = clock::now();
    let registry = Registry::default();
    let mut supervisor = Supervisor::default();
    let mut recovered = recover::recover(&config)?;
    let key = SiteKey::new(recover::site_key(&config)?);
    let side = side_box(&registry);
    let shared = Shared::default();
    let positions = recovered.positions.clone();
    let kept = recover::outbox(&recovered.store);
    let (recorder, mailbox, desk) =
        recorder::recorder(recovered.store, positions.clone(), side.clone(), &registry);
    let drills = drill::Drills::default();
    let mut deps = deps(&config, key, &registry, &shared, &side, &drills, started);
    deps.outbox = Some(mailbox.keeper());
    let sinks = outlets(&config, &deps, &drills, &side, &mut supervisor)?;
    let ticking = Arc::new(AtomicBool::new(false));
    first_inputs(&config, &recovered.engine, recovered.blind, &side);
    let (check_feeds, board) =
        checks(&config, options.file, &registry, &side, &mut supervisor, &ticking)?;
    if let Some(board) = &board {
        board.trace_to(sinks.clone());
    }
    thread(&mut supervisor, STORE_THREAD, move || desk.run())?;
    recover::notices(&sinks, kept, &mut recovered.engine);
    let pipeline = Pipeline {
        engine: recovered.engine,
        decoders: decoders(&config, key),
        checks: checks::offer::CheckRows::new(check_feeds, &config.plan),
        recorder: Some(recorder),
        rows: recovered.rows,
        sinks: sinks.clone(),
        shared: shared.clone(),
        side: side.clone(),
        drills: drills.clone(),
        watcher: options.watcher,
    };
    let counter = askers(&config, key, &side, &shared, drills, &mut supervisor);
    let (work, queue) = mpsc::channel(WORK_QUEUE);
    thread(&mut supervisor, "fp-engine", move || pipeline.run(queue))?;
    let ticker = tick(work.clone(), supervisor.taps.clone());
    supervisor.tap("ticker".to_owned(), ticker);
    let mut running = Running {
        supervisor,
        work: Some(work),
        shared: shared.clone(),
        sinks,
        mailbox,
        wire: None,
        socket: None,
        keep_wire: options.keep_wire,
        ticking,
        ui: None,
        ops: None,
    };
    let window = Window {
        shared,
        registry: registry.clone(),
        side,
        board,
        site: config.site.clone(),
        started,
        config_hash: config.hash.clone(),
    };
    running.listen(&config, key, window, counter).await?;
    running.tap(&config, key, &positions, &registry).await?;
    Ok(running)
}

/// Those whom other commands ask: for lessons by a file in the store's folder, for drills by the
/// admin socket.
fn askers(
    config: &Config,
    key: SiteKey,
    side: &SideBox,
    shared: &Shared,
    drills: drill::Drills,
    supervisor: &mut Supervisor,
) -> drill::Counter {
    let lessons = lessons::Watch::new(&config.folder, side.clone(), shared.clone());
    supervisor.task("lessons", lessons.run(supervisor.rest.clone()));
    let (desk, counter) = drill::Desk::new(key, side.clone(), drills);
    supervisor.task("drills", desk.run(supervisor.rest.clone()));
    counter
}

fn side_box(registry: &Registry) -> SideBox {
    SideBox::new(registry.counter(
        "feedpulse_side_inputs_shed_total",
        "Findings and states that the engine's side box could not hold.",
        "{input}",
        &[],
    ))
}

/// What the engine hears before anything else.
fn first_inputs(config: &Config, engine: &Engine, blind: Vec<Blind>, side: &SideBox) {
    side.put(Input::Configure(Arc::new(config.plan.clone())));
    for input in blind.into_iter().map(Input::Blind).chain(recover::left_behind(engine)) {
        side.put(input);
    }
}

fn thread(
    supervisor: &mut Supervisor,
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
    supervisor
        .thread(name, work)
        .map_err(|e| Failure::new(70, anyhow!(e).context("start a thread")))
}

/// A tick a second, until the taps are told to stop.
async fn tick(work: mpsc::Sender<Work>, stop: tokio_util::sync::CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {
                if work.send(Work::Tick).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn decoders(config: &Config, key: SiteKey) -> Vec<Decoder> {
    (0..config.plan.waypoints.len()).map(|n| Decoder::new(config.decoding(key, n))).collect()
}

/// What the sinks need of us, without an outbox.
fn deps(
    config: &Config,
    key: SiteKey,
    registry: &Registry,
    shared: &Shared,
    side: &SideBox,
    drills: &drill::Drills,
    started: feedpulse_core::time::Timestamp,
) -> Deps {
    let (families, numbers) = (shared.clone(), registry.clone());
    let (own, picture) = (side.clone(), shared.clone());
    let (parts, heard, taken) = (drills.clone(), drills.clone(), side.clone());
    Deps {
        registry: registry.clone(),
        clock: Arc::new(clock::now),
        families: Arc::new(move || families.families(&numbers)),
        own: Arc::new(move |state| {
            parts.part(&state);
            own.put(Input::Own(state));
        }),
        names: taps::names(config, key),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        outbox: None,
        told: Arc::new(move |told| {
            heard.taken(told);
            // A full box sheds it and counts; the outbox knows it all the same.
            taken.put(Input::Taken(Taken {
                incident: told.incident,
                at: told.at,
                notifier: Label::from(told.notifier.as_str()),
                why: Label::from(told.why),
            }));
        }),
        alive: Arc::new(move || picture.is_alive(started)),
        seed: u64::from(std::process::id()) ^ started.as_micros().unsigned_abs(),
    }
}

/// Starts all that tells people and collectors, and the watch of the namespace.
fn outlets(
    config: &Config,
    deps: &Deps,
    drills: &drill::Drills,
    side: &SideBox,
    supervisor: &mut Supervisor,
) -> Result<SinkHandle, Failure> {
    let (sinks, tasks) = feedpulse_sinks::build(&config.sinks, deps).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(CONFIG, anyhow!(lines.join("\n")))
    })?;
    drills.tell(tasks.iter().map(feedpulse_sinks::Task::name));
    for task in tasks {
        let stop = supervisor.rest.clone();
        supervisor.task(task.name().to_owned(), task.run(stop));
    }
    if let Some(namespace) = &config.namespace {
        let task = admin::namespace(namespace, side, supervisor.rest.clone())?;
        supervisor.task("kubernetes", task);
    }
    Ok(sinks)
}

fn checks(
    config: &Config,
    file: Option<std::path::PathBuf>,
    registry: &Registry,
    side: &SideBox,
    supervisor: &mut Supervisor,
    ticking: &Arc<AtomicBool>,
) -> Result<(Vec<checks::CheckFeed>, Option<checks::board::Board>), Failure> {
    if config.checks.is_empty() {
        return Ok((Vec::new(), None));
    }
    let cache = config.folder.join("compiled");
    let runtime = WasmRuntime::new(Some(&cache)).map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let (ticker, stop) = (runtime.ticker(), Arc::clone(ticking));
    thread(supervisor, "fp-epoch", move || ticker.run(&stop))?;
    let handle = tokio::runtime::Handle::current();
    // Compiling and fetching take their time, and the others go on meanwhile.
    let parts = tokio::task::block_in_place(|| {
        checks::reload::load(config, file, &runtime, handle, side, registry)
    })?;
    for desk in parts.desks {
        thread(supervisor, "fp-check", move || desk.run())?;
    }
    let (reloader, stop) = (parts.reloader, Arc::clone(ticking));
    let board = reloader.board();
    let numbers = board.clone();
    registry.source(move || numbers.families());
    thread(supervisor, "fp-reload", move || reloader.run(&stop))?;
    Ok((parts.feeds, Some(board)))
}

impl Running {
    async fn listen(
        &mut self,
        config: &Config,
        key: SiteKey,
        window: Window,
        drills: drill::Counter,
    ) -> Result<(), Failure> {
        probes::start(config, &window.registry, &window.side, &mut self.supervisor)?;
        let source: Arc<dyn Source> = Arc::new(window);
        match admin::Admin::bind(&config.folder) {
            Ok(admin) => {
                let stop = self.supervisor.rest.clone();
                let work = admin.run(Arc::clone(&source), Arc::new(drills), stop);
                self.supervisor.task("admin", work);
            }
            // The pages and the API go on without it.
            Err(error) => tracing::warn!("no admin socket, so no commands reach this: {error}"),
        }
        if let Some(listener) = &config.ops {
            let opts = OpsConfig { bind: listener.listen };
            let socket = bind("ops", opts.bind).await.map_err(|e| Failure::new(UNAVAILABLE, e))?;
            self.ops = socket.local_addr().ok();
            let stop = self.supervisor.rest.clone();
            self.supervisor
                .task("ops", serve(socket, ops(Arc::clone(&source)), ServeLimits::default(), stop));
        }
        if let Some(listener) = &config.ui {
            let token = token(listener.token.as_deref(), "ui")?;
            let socket =
                bind("ui", listener.listen).await.map_err(|e| Failure::new(UNAVAILABLE, e))?;
            let address = socket.local_addr().map_err(|e| Failure::new(IO, e))?;
            self.ui = Some(address);
            let opts =
                UiConfig::new(listener.listen, token, key).map_err(|e| Failure::new(CONFIG, e))?;
            let stop = self.supervisor.rest.clone();
            self.supervisor.task(
                "ui",
                serve(socket, ui(&opts, address, source), ServeLimits::default(), stop),
            );
        }
        Ok(())
    }

    async fn tap(
        &mut self,
        config: &Config,
        key: SiteKey,
        positions: &[Position],
        registry: &Registry,
    ) -> Result<(), Failure> {
        let Some(work) = self.work.clone() else { return Ok(()) };
        if let Some(mllp) = &config.mllp {
            let (wire_config, start) = (mllp.wire.clone(), mllp.start);
            let found =
                tokio::task::spawn_blocking(move || wire::find_or_start(&wire_config, start));
            let found = found.await.context("start the wire")??;
            self.socket = Some(mllp.wire.socket.clone());
            if start {
                let stop = self.supervisor.taps.clone();
                self.supervisor
                    .tap("wire-keeper".to_owned(), found.clone().keep(mllp.wire.clone(), stop));
            }
            self.wire = Some(found);
        }
        taps::start(config, key, positions, registry, &Queue(work), &mut self.supervisor).await
    }

    /// Where the wire listens, in order of the configuration.
    pub(crate) fn wire_addresses(&self) -> Vec<SocketAddr> {
        self.wire.as_ref().map(|w| w.listening.clone()).unwrap_or_default()
    }

    /// The latest picture.
    pub(crate) fn view(&self) -> View {
        (*self.shared.get()).clone()
    }

    /// Spans that a collector took.
    pub(crate) fn spans_exported(&self) -> u64 {
        self.sinks.spans_exported()
    }

    /// Copies that the wire had to shed.
    pub(crate) fn shed(&self) -> u64 {
        let stats =
            self.socket.as_ref().and_then(|s| feedpulse_wire::stats(s).ok()).unwrap_or_default();
        let field = stats.split_whitespace().find_map(|pair| pair.strip_prefix("shed_records="));
        field.and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Ends in order: taps, engine, checks; then sinks and listeners; at last the store, which keeps
    /// what the sinks delivered until then.
    pub(crate) async fn stop(mut self) {
        self.supervisor.end_taps().await;
        self.work = None;
        self.ticking.store(true, Ordering::Release);
        self.supervisor.end_threads(|name| name != STORE_THREAD).await;
        self.supervisor.end_rest().await;
        let mailbox = self.mailbox.clone();
        // Its queue may be full on a slow disk: the wait for room is part of the thread's time.
        drop(tokio::task::spawn_blocking(move || mailbox.end()));
        self.supervisor.end_threads(|_| true).await;
        if let Some(mut child) = self.wire.take().filter(|_| !self.keep_wire).and_then(|w| w.take())
        {
            let ended = tokio::task::spawn_blocking(move || {
                if let Some(pid) =
                    i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)
                {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
                child.wait()
            });
            let _ = tokio::time::timeout(Duration::from_secs(30), ended).await;
        }
    }
}

fn token(text: Option<&str>, listener: &str) -> Result<Option<Token>, Failure> {
    text.map(Token::new)
        .transpose()
        .map_err(|e| Failure::new(CONFIG, anyhow!(e).context(format!("{listener}.token"))))
}
