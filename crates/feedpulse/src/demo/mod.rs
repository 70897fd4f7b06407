//! `feedpulse demo`: a simulated hospital over real loopback sockets, a script of trouble, and the
//! same product that `run` starts, watching it.

mod report;
mod story;

use crate::cli::{CONFIG, DemoArgs, Failure, UNAVAILABLE};
use crate::config::{self, Config};
use crate::run::{self, Options, Running};
use crate::{cli, clock};
use anyhow::{Context as _, anyhow};
use feedpulse_core::effect::{Effect, EffectId};
use feedpulse_sim::{Hospital, HospitalConfig, Inbox, InjectedEvent, Phase, Routes, Script};
use report::{Bytes, Detections, Injected, Report};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use story::Story;
use tokio::sync::mpsc;

/// Calm time after the script, in which the last incidents end.
const CALM: Duration = Duration::from_secs(3);
/// The queues of the hospital must be empty after this.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn main(args: &DemoArgs) -> Result<(), Failure> {
    let total = Duration::try_from(args.time).unwrap_or_default();
    if total < Duration::from_secs(60) || total > Duration::from_secs(86_400) {
        return Err(Failure::new(
            64,
            anyhow!(
                "--for: give 60s to 24h; in less the script's troubles would run into each other"
            ),
        ));
    }
    let runtime = run::runtime()?;
    let report = runtime.block_on(play(args, total))?;
    runtime.shutdown_timeout(Duration::from_secs(2));
    if args.json {
        println!("{}", serde_json::to_string(&report).map_err(|e| Failure::new(70, e))?);
    }
    Ok(())
}

/// Everything of one demo.
struct Stage {
    hospital: Hospital,
    running: Running,
    inbox: Inbox,
    effects: Receiver<(EffectId, Effect)>,
    /// Removed at the end.
    _folder: Option<Folder>,
}

/// A temporary folder of the demo.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn play(args: &DemoArgs, total: Duration) -> Result<Report, Failure> {
    let stage = set(args).await?;
    let mut story = Story::new(args.headless, args.json, clock::now());
    let ui = stage.running.ui.map(|ui| format!("http://{ui}")).unwrap_or_default();
    let ops = stage.running.ops.map(|ops| format!("http://{ops}/metrics")).unwrap_or_default();
    story.opening(&ui, &ops);
    let script = Script::demo()
        .scaled((total.saturating_sub(CALM)).as_secs_f64())
        .map_err(|e| Failure::new(70, e))?;
    let (events, mut injected) = mpsc::channel(64);
    let control = stage.hospital.control();
    let player = script.run(&control, events);
    let mut detections = Detections::default();
    let mut faults: Vec<Injected> = Vec::new();
    tokio::pin!(player);
    let mut over = false;
    let mut every = tokio::time::interval(Duration::from_millis(200));
    let mut interrupted = false;
    while !over && !interrupted {
        tokio::select! {
            done = &mut player => { done.map_err(|e| Failure::new(70, e))?; over = true; }
            Some(event) = injected.recv() => inject(&event, &mut faults, &mut story),
            _ = every.tick() => follow(&stage, &mut story, &mut detections, &faults),
            _ = tokio::signal::ctrl_c() => interrupted = true,
        }
    }
    while let Ok(event) = injected.try_recv() {
        inject(&event, &mut faults, &mut story);
    }
    let end = tokio::time::Instant::now() + CALM;
    while !interrupted && (args.stay || tokio::time::Instant::now() < end) {
        tokio::select! {
            _ = every.tick() => follow(&stage, &mut story, &mut detections, &faults),
            _ = tokio::signal::ctrl_c() => interrupted = true,
        }
    }
    finish(stage, story, detections, faults, over).await
}

/// Hospital first, then the product in between, then everybody dials.
async fn set(args: &DemoArgs) -> Result<Stage, Failure> {
    let now = clock::now();
    let mut config = HospitalConfig::demo(args.seed, now.as_micros());
    config.canaries.clone_from(&args.canary);
    config.engine.shared_port = true;
    let hospital = Hospital::start(config).await.map_err(|e| Failure::new(UNAVAILABLE, e))?;
    let inbox = Inbox::start().await.context("start the inbox")?;
    let temporary = args.folder.is_none();
    let folder = args.folder.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!(
            "feedpulse-demo-{}-{}",
            std::process::id(),
            now.as_micros()
        ))
    });
    let engine = hospital
        .engine_addrs()
        .values()
        .next()
        .copied()
        .ok_or_else(|| anyhow!("the engine does not listen"))?;
    let text = configuration(engine, hospital.portal_addr(), inbox.address(), &folder)
        + &own_checks(&args.check)?;
    let mut config = config::load(&text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(70, anyhow!("the demo's own configuration: {}", lines.join("; ")))
    })?;
    if let Some(file) = &args.with {
        take_sinks(&mut config, file)?;
    }
    config.plan.rollup = Duration::from_secs(5);
    let (watcher, effects) = sync_channel(4_096);
    let options = Options { watcher: Some(watcher), keep_wire: false, quiet: true, file: None };
    let running = run::start(config, options).await?;
    let wire = running.wire_addresses();
    let (Some(to_engine), Some(to_portal)) = (wire.first().copied(), wire.get(1).copied()) else {
        return Err(Failure::new(UNAVAILABLE, anyhow!("the wire does not listen")));
    };
    let routes = Routes {
        to_engine: hospital
            .engine_addrs()
            .keys()
            .map(|sender| (sender.clone(), to_engine))
            .collect(),
        to_portal,
    };
    hospital.connect(&routes).map_err(|e| Failure::new(70, e))?;
    // Lazily: a guard that is made and not kept would remove the user's own folder.
    let folder = temporary.then(|| Folder(folder));
    Ok(Stage { hospital, running, inbox, effects, _folder: folder })
}

/// The demo's configuration, as an operator would write it.
fn configuration(
    engine: SocketAddr,
    portal: SocketAddr,
    inbox: SocketAddr,
    folder: &std::path::Path,
) -> String {
    let mut text = format!(
        r#"site: demo
zone: UTC
alerts: {{notify: live, resolve_after: 2s, page_after: 6s, page_after_urgent: 6s}}
store: {{folder: {folder:?}}}
waypoints:
  - {{name: engine-in, key: preset, ack_time: 500ms, no_ack_after: 4s}}
  - {{name: portal-in, key: preset, ack_time: 500ms, no_ack_after: 4s}}
routes:
  - {{name: ehr-to-portal, waypoints: [engine-in, portal-in]}}
mllp:
  listeners:
    - {{waypoint: engine-in, listen: "127.0.0.1:0", forward: "{engine}"}}
    - {{waypoint: portal-in, listen: "127.0.0.1:0", forward: "{portal}"}}
otlp: {{endpoint: "http://{inbox}", protocol: http, metrics_every: 5s}}
webhooks:
  - {{name: webhook, url: "http://{inbox}/alerts"}}
ops: {{listen: "127.0.0.1:0"}}
ui: {{listen: "127.0.0.1:0"}}
feeds:
"#
    );
    for (name, sender, kind) in [
        ("admissions", "EHR", "ADT"),
        ("appointments", "EHR", "SIU"),
        ("lab-results", "LAB", "ORU"),
        ("documents", "LAB", "MDM"),
    ] {
        let _ = writeln!(
            text,
            "  - {{name: {name}, route: ehr-to-portal, senders: [{sender}], types: [{kind}], \
             objectives: {{transit: 3s, silence: 8s}}}}"
        );
    }
    text
}

/// The user's own checks, on messages as they come from the senders.
fn own_checks(files: &[PathBuf]) -> Result<String, Failure> {
    let mut text = String::from("checks:\n");
    text.push_str(BUILTIN_CHECK);
    for file in files {
        if !file.is_file() {
            let hint = "give the .wasm file that `feedpulse check build` made";
            return Err(Failure::new(
                cli::NO_INPUT,
                anyhow!("{}: no such file; {hint}", file.display()),
            ));
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        // The patients are made up, so all that it asks for is approved.
        let _ = writeln!(
            text,
            "  - {{name: {name:?}, plugin: {file:?}, fields: [\"*\"], grants: [get, raw, free-text], \
             waypoints: [engine-in]}}"
        );
    }
    Ok(text)
}

/// The check that every demo runs.
const BUILTIN_CHECK: &str = "  - {name: result-status, plugin: \"builtin:result-status-regression\", waypoints: [portal-in]}\n";

/// Takes where effects go from the user's file: it may name a real collector and Alertmanager.
fn take_sinks(config: &mut Config, file: &std::path::Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::new(cli::NO_INPUT, anyhow!("{}: {e}", file.display())))?;
    // The rest of a configuration must be there for it to be valid: give it a small one.
    let text = format!(
        "{text}\nwaypoints: [{{name: w}}]\nhttp: {{listen: \"127.0.0.1:0\", waypoints: [w]}}\n"
    );
    let other = config::load(&text).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{p}", file.display())).collect();
        Failure::new(CONFIG, anyhow!("--with takes otlp and notifiers\n{}", lines.join("\n")))
    })?;
    if other.sinks.otlp.is_some() {
        config.sinks.otlp = other.sinks.otlp;
    }
    config.sinks.alertmanagers = other.sinks.alertmanagers;
    config.sinks.notifiers.extend(other.sinks.notifiers);
    config.sinks.page_base = other.sinks.page_base;
    config.sinks.runbook_base = other.sinks.runbook_base;
    Ok(())
}

fn inject(event: &InjectedEvent, faults: &mut Vec<Injected>, story: &mut Story) {
    if event.phase == Phase::Started {
        faults.push(Injected {
            fault: event.fault.clone(),
            at_s: event.at_s,
            until_s: event.until_s,
        });
    }
    story.injected(event);
}

/// Tells what was found since the last look.
fn follow(stage: &Stage, story: &mut Story, detections: &mut Detections, faults: &[Injected]) {
    let now = clock::now();
    while let Ok((_, effect)) = stage.effects.try_recv() {
        if let Effect::Incident(change) = effect {
            let fresh = detections.add(&change, story.started(), now, faults);
            story.incident(&change, &fresh, now);
        }
    }
    story.progress(&stage.running.view(), now);
}

async fn finish(
    stage: Stage,
    mut story: Story,
    mut detections: Detections,
    faults: Vec<Injected>,
    over: bool,
) -> Result<Report, Failure> {
    story.closing(over);
    let empty = stage.hospital.drain(DRAIN).await;
    story.drained(empty);
    let truth = stage.hospital.stop().await;
    // What is in the ring must be read before the numbers are final.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let now = clock::now();
    while let Ok((_, effect)) = stage.effects.try_recv() {
        if let Effect::Incident(change) = effect {
            let fresh = detections.add(&change, story.started(), now, &faults);
            story.incident(&change, &fresh, now);
        }
    }
    let view = stage.running.view();
    let spans = stage.running.spans_exported();
    let shed = stage.running.shed();
    stage.running.stop().await;
    let hops = [feedpulse_sim::Hop::SenderToEngine, feedpulse_sim::Hop::EngineToPortal];
    let (written, read) =
        hops.into_iter().map(|hop| truth.bytes(hop)).fold((0, 0), |(w, r), (a, b)| (w + a, r + b));
    let report = Report {
        injected: faults,
        detected: detections.list(),
        messages: report::messages(&view.totals),
        shed,
        bytes: Bytes { r#in: written, out: read, identical: truth.identical() },
        notices: stage.inbox.count("/alerts"),
        spans_exported: spans,
    };
    story.summary(&report, &view);
    Ok(report)
}
