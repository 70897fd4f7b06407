//! Where new versions come from: one thread that notices changes, makes each new version ready aside,
//! and hands it to its check when it is. What fails leaves the old version where it is.
//!
//! The configuration file is read again too, for what it says of checks: their settings, what is
//! approved, their plugins and waypoints. Everything else in it waits for a restart.

use super::board::Board;
use super::watch::Watch;
use super::{CheckDesk, CheckFeed, Next, ends};
use crate::cli::{CONFIG, Failure};
use crate::config::Config;
use crate::config::resolve::Check;
use crate::run::side::SideBox;
use crate::version::approval::Approval;
use crate::version::content::{self, Content, Remote};
use crate::version::kept::Kept;
use crate::version::{Refusal, Version, prepare};
use anyhow::anyhow;
use feedpulse_core::metrics::{Counter, Registry};
use feedpulse_oci::{Reference, Shelf};
use feedpulse_wasm::{CacheUse, Manifest, Runtime};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

/// The regular look, for what no notice tells.
const POLL: Duration = Duration::from_secs(30);
/// The next try of a version that its check has not taken up yet.
const RETRY: Duration = Duration::from_millis(50);
/// Niceness of the thread: compiling may wait, messages may not.
const NICE: i32 = 10;

/// What makes versions ready and hands them over.
pub(crate) struct Reloader {
    runtime: Runtime,
    remote: Remote,
    kept: Kept,
    board: Board,
    slots: Vec<Slot>,
    watch: Watch,
    /// The configuration file, names of its waypoints, and the fingerprint of its text.
    file: Option<PathBuf>,
    waypoints: Vec<String>,
    text: Option<[u8; 32]>,
}

/// One check.
struct Slot {
    check: Check,
    versions: SyncSender<Next>,
    /// A version, or the end of one, that is not handed over yet.
    waiting: Option<Next>,
    /// What runs, or is on its way: the fingerprint of its content and what it asks for.
    runs: Option<([u8; 32], Manifest)>,
    /// The fingerprint of what was refused last: it is not tried again.
    refused: Option<[u8; 32]>,
    /// Whether the notice about the cache is to be ended.
    foreign_cache: bool,
    loads: Counter,
    refusals: Counter,
}

/// Everything that the checks of a process need.
pub(crate) struct Parts {
    /// The engine's ends, in the plan's order.
    pub feeds: Vec<CheckFeed>,
    /// The threads' ends.
    pub desks: Vec<CheckDesk>,
    /// What makes new versions ready; for a thread of its own.
    pub reloader: Reloader,
}

/// Makes the checks of a configuration ready. A check whose version is refused goes on with the last
/// one that ran here. Blocks; the runtime's ticker must run already.
///
/// # Errors
/// Which check has no version that can run, and why; a registry that cannot be reached is no such
/// reason, since it may be there later.
pub(crate) fn load(
    config: &Config,
    file: Option<PathBuf>,
    runtime: &Runtime,
    handle: tokio::runtime::Handle,
    side: &SideBox,
    registry: &Registry,
) -> Result<Parts, Failure> {
    let names: Vec<String> = config.plan.waypoints.iter().map(|w| w.name.clone()).collect();
    let board =
        Board::new(config.checks.iter().map(|c| (c.name.as_str(), c.plugin.as_str())), side);
    let folder = config.folder.join("checks");
    let mut reloader = Reloader {
        runtime: runtime.clone(),
        remote: Remote {
            shelf: Shelf::new(folder.join("oci")),
            registries: config.registries.clone(),
            runtime: handle,
        },
        kept: Kept::new(folder),
        board: board.clone(),
        slots: Vec::new(),
        watch: Watch::new(),
        text: file.as_deref().and_then(text_of).map(|(sum, _)| sum),
        file,
        waypoints: names.clone(),
    };
    let (mut feeds, mut desks) = (Vec::new(), Vec::new());
    for (number, check) in (0..).zip(&config.checks) {
        let (feed, desk, versions) = ends(number, check, &names, side, &board, registry);
        let labels = [("check", check.name.as_str())];
        let counter = |name, help| registry.counter(name, help, "{version}", &labels);
        reloader.slots.push(Slot {
            check: check.clone(),
            versions,
            waiting: None,
            runs: None,
            refused: None,
            foreign_cache: false,
            loads: counter("feedpulse_check_loads_total", "Versions of a check that were loaded."),
            refusals: counter(
                "feedpulse_check_refusals_total",
                "Versions of a check that were kept out.",
            ),
        });
        reloader.first(number).map_err(|refusal| {
            Failure::new(CONFIG, anyhow!("{refusal}").context(format!("check {}", check.name)))
        })?;
        feeds.push(feed);
        desks.push(desk);
    }
    reloader.rearm();
    Ok(Parts { feeds, desks, reloader })
}

impl Reloader {
    /// What runs, for the pages.
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Looks for new versions until `stop`.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
        // Linux keeps niceness by thread. Without it compiling is only less polite.
        let _ = rustix::process::setpriority_process(None, NICE);
        loop {
            let waits = self.slots.iter().any(|slot| slot.waiting.is_some());
            if !self.watch.wait(if waits { RETRY } else { POLL }, stop) {
                return;
            }
            self.look();
        }
    }

    /// One look at everything.
    pub(super) fn look(&mut self) {
        self.configuration();
        for number in 0..u16::try_from(self.slots.len()).unwrap_or(u16::MAX) {
            self.look_at(number);
        }
        self.rearm();
    }

    fn rearm(&mut self) {
        let own = self.file.iter().filter_map(|file| file.parent()).map(|parent| {
            if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
        });
        let places = self.slots.iter().flat_map(|slot| content::places(&slot.check));
        self.watch.over(own.chain(places));
    }

    /// The first version of a check.
    fn first(&mut self, number: u16) -> Result<(), Refusal> {
        let Some(slot) = self.slots.get(usize::from(number)) else { return Ok(()) };
        let check = slot.check.clone();
        let read = content::read(&check, &self.remote);
        let fingerprint = read.as_ref().ok().map(|content| content.fingerprint(&check));
        let made = read.and_then(|c| prepare(&check, &c, &self.runtime).map(|v| (c, v)));
        let refusal = match made {
            Ok((content, version)) => {
                self.take(number, &content, version);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        let remote = Reference::is_meant(&check.plugin) && refusal.class == "unreadable";
        let before = self.kept.find(&check.name);
        let before = before.and_then(|c| prepare(&check, &c, &self.runtime).ok().map(|v| (c, v)));
        match before {
            None if !remote => return Err(refusal),
            None => {}
            Some((content, version)) => self.take(number, &content, version),
        }
        self.refuse(number, &refusal, fingerprint);
        Ok(())
    }

    /// Looks whether a check has a new version, and makes it ready.
    fn look_at(&mut self, number: u16) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        slot.hand_over();
        if std::mem::take(&mut slot.foreign_cache) {
            self.board.foreign_cache(number, false);
        }
        if slot.waiting.is_some() {
            return;
        }
        let check = slot.check.clone();
        let content = match content::read(&check, &self.remote) {
            Ok(content) => content,
            Err(refusal) => {
                // Said once, not at each look.
                let sum = Sha256::digest(refusal.why.as_bytes()).into();
                if slot.refused != Some(sum) {
                    self.refuse(number, &refusal, Some(sum));
                }
                return;
            }
        };
        let fingerprint = content.fingerprint(&check);
        if slot.runs.as_ref().is_some_and(|(running, _)| *running == fingerprint) {
            slot.refused = None;
            self.board.settled(number);
            return;
        }
        if slot.refused == Some(fingerprint) {
            return;
        }
        match prepare(&check, &content, &self.runtime) {
            Ok(version) => {
                self.take(number, &content, version);
                self.board.settled(number);
            }
            Err(refusal) => self.refuse(number, &refusal, Some(fingerprint)),
        }
    }

    /// Hands a version to its check, and keeps its content for the next start.
    fn take(&mut self, number: u16, content: &Content, version: Version) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        let manifest = version.worker.plugin().manifest().clone();
        if version.facts.cache == CacheUse::Replaced {
            slot.foreign_cache = true;
            self.board.foreign_cache(number, true);
        }
        slot.runs = Some((content.fingerprint(&slot.check), manifest));
        slot.refused = None;
        slot.loads.add(1);
        slot.waiting = Some(Next::new(&slot.check, version));
        slot.hand_over();
        if let Err(error) = self.kept.keep(&slot.check.name, content) {
            let check = &slot.check.name;
            tracing::warn!(check, "its version cannot be kept for the next start: {error}");
        }
    }

    /// Leaves everything as it is, and says why.
    fn refuse(&mut self, number: u16, refusal: &Refusal, fingerprint: Option<[u8; 32]>) {
        let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
        slot.refused = fingerprint;
        slot.refusals.add(1);
        self.board.kept_out(number, refusal, slot.runs.is_some());
    }

    /// Takes over what a changed configuration file says of checks.
    fn configuration(&mut self) {
        let Some((sum, text)) = self.file.as_deref().and_then(text_of) else { return };
        if self.text == Some(sum) {
            return;
        }
        self.text = Some(sum);
        let config = match crate::config::load(&text) {
            Ok(config) => config,
            Err(problems) => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                tracing::error!(
                    problems = problems.len(),
                    "the changed configuration is not valid and nothing of it is taken over: {first}"
                );
                return;
            }
        };
        let waypoints = config.plan.waypoints.iter().map(|w| &w.name);
        let checks = config.checks.iter().map(|c| &c.name);
        if !waypoints.eq(self.waypoints.iter())
            || !checks.eq(self.slots.iter().map(|slot| &slot.check.name))
        {
            tracing::warn!(
                "the changed configuration has other waypoints or other checks: restart to take it over"
            );
            return;
        }
        tracing::info!("what the changed configuration says of checks is taken over");
        self.remote.registries = config.registries;
        for (number, check) in (0..).zip(config.checks) {
            let Some(slot) = self.slots.get_mut(usize::from(number)) else { return };
            slot.check = check;
            // Even what runs may be approved no longer, and then it does not run on.
            let over = slot.runs.as_ref().and_then(|(_, m)| Approval::of(&slot.check).excess(m));
            if over.is_some() {
                slot.runs = None;
                slot.waiting = Some(Next::stop(&slot.check));
                slot.hand_over();
                self.board.stopped(number, "not-approved");
            }
        }
    }
}

impl Slot {
    /// Gives the check what waits for it, if it has room.
    fn hand_over(&mut self) {
        let Some(next) = self.waiting.take() else { return };
        if let Err(TrySendError::Full(next)) = self.versions.try_send(next) {
            self.waiting = Some(next);
        }
    }
}

/// A file's fingerprint and text.
fn text_of(file: &std::path::Path) -> Option<([u8; 32], String)> {
    let text = std::fs::read_to_string(file).ok()?;
    Some((Sha256::digest(text.as_bytes()).into(), text))
}
