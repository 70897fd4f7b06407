//! The hospital as a whole: starts the actors, hands out their addresses and controls, stops them in order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::Link;
use crate::clock::Clock;
use crate::engine::{Engine, EngineConfig};
use crate::generator::{Generator, Kind, Profile};
use crate::portal::{Portal, PortalConfig, PortalMode};
use crate::rng::Rng;
use crate::sender::{Sender, SenderConfig};
use crate::socket::{serve, settle};
use crate::truth::{Book, Hop, Ledger, Truth};

/// Requests for a regression that may wait at one sender.
const REGRESSIONS: usize = 64;

/// Why the simulation cannot start or be controlled so.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A setting is not usable.
    #[error("simulated hospital: {0}")]
    Config(String),
    /// A loopback port could not be opened.
    #[error("simulated hospital: cannot listen on loopback")]
    Listen(#[source] std::io::Error),
}

impl SimError {
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::Config(what.into())
    }
}

/// A hospital.
#[derive(Clone)]
pub struct HospitalConfig {
    /// Fixes what is sent and the portal's service times and choices.
    pub seed: u64,
    /// Unix microseconds at the start; this crate reads no wall clock.
    pub epoch_us: i64,
    /// Tokens woven into the patient data of every sender.
    pub canaries: Vec<String>,
    /// The sending applications; 1 to 1,000.
    pub senders: Vec<SenderConfig>,
    /// The integration engine.
    pub engine: EngineConfig,
    /// The portal.
    pub portal: PortalConfig,
    /// How long each stage may take to end in order when stopped; then it is cut.
    pub grace: Duration,
}

/// Without the canaries: a log of this must not look like a leak of patient data.
impl std::fmt::Debug for HospitalConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HospitalConfig")
            .field("seed", &self.seed)
            .field("senders", &self.senders)
            .field("engine", &self.engine)
            .field("portal", &self.portal)
            .finish_non_exhaustive()
    }
}

impl HospitalConfig {
    /// Two applications: `EHR` (ADT and SIU, 12 a second) and `LAB` (ORU and MDM, 8 a second).
    pub fn demo(seed: u64, epoch_us: i64) -> Self {
        let adt = [
            (Kind::AdtA01, 3),
            (Kind::AdtA03, 2),
            (Kind::AdtA08, 6),
            (Kind::AdtA40, 1),
            (Kind::SiuS12, 3),
        ];
        let lab = [(Kind::OruR01, 8), (Kind::MdmT02, 2)];
        Self {
            seed,
            epoch_us,
            canaries: Vec::new(),
            senders: vec![
                SenderConfig::new("EHR", "EHR", &adt, 12.0),
                SenderConfig::new("LAB", "LAB", &lab, 8.0),
            ],
            engine: EngineConfig::default(),
            portal: PortalConfig::default(),
            grace: Duration::from_secs(2),
        }
    }

    fn check(&self) -> Result<(), SimError> {
        if self.senders.is_empty() || self.senders.len() > 1000 {
            return Err(SimError::config("senders: give 1 to 1,000"));
        }
        let mut seen = BTreeSet::new();
        for SenderConfig { name, app, id_prefix, kinds, rate_per_s, .. } in &self.senders {
            let problem = if !seen.insert(("name", name)) || name.is_empty() {
                "name: give each a name of its own"
            } else if !seen.insert(("app", app)) || app.is_empty() {
                "app: give each an MSH-3 of its own, the engine routes by it"
            } else if !seen.insert(("prefix", id_prefix)) {
                "id_prefix: give each its own, else control ids collide"
            } else if !kinds.iter().any(|(_, weight)| *weight > 0) {
                "kinds: give at least one with a weight above 0"
            } else if !(*rate_per_s > 0.0 && *rate_per_s <= 10_000.0) {
                "rate_per_s: give a number above 0 and at most 10,000"
            } else {
                continue;
            };
            return Err(SimError::config(format!("sender {name:?}: {problem}")));
        }
        if self.engine.queue_limit == 0 || self.engine.queue_limit > 1_000_000 {
            return Err(SimError::config("engine: queue_limit: give 1 to 1,000,000"));
        }
        Ok(())
    }
}

/// Where the actors dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// By sender: the address it dials to reach the engine.
    pub to_engine: BTreeMap<String, SocketAddr>,
    /// The address that the engine dials to reach the portal.
    pub to_portal: SocketAddr,
}

/// Handles of one sender.
#[derive(Debug)]
struct SenderHandle {
    target: watch::Sender<Option<SocketAddr>>,
    paused: watch::Sender<bool>,
    regress: mpsc::Sender<()>,
}

#[derive(Debug)]
struct Handles {
    portal: watch::Sender<PortalMode>,
    portal_target: watch::Sender<Option<SocketAddr>>,
    senders: BTreeMap<String, SenderHandle>,
    clock: Clock,
}

/// Changes a running hospital; cheap to clone, and harmless after its end.
#[derive(Debug, Clone)]
pub struct Control(Arc<Handles>);

impl Control {
    fn sender(&self, name: &str) -> Result<&SenderHandle, SimError> {
        self.0.senders.get(name).ok_or_else(|| SimError::config(format!("no sender {name:?}")))
    }

    /// True when there is such a sender.
    pub fn has_sender(&self, name: &str) -> bool {
        self.0.senders.contains_key(name)
    }

    /// Changes the portal's behaviour. It takes effect soon after the return.
    pub fn set_portal(&self, mode: PortalMode) {
        self.0.portal.send_replace(mode);
    }

    /// The portal's behaviour.
    pub fn portal(&self) -> PortalMode {
        self.0.portal.borrow().clone()
    }

    /// Makes a sender silent; its connection stays open and a message under way is finished.
    ///
    /// # Errors
    /// [`SimError::Config`] for an unknown name.
    pub fn pause(&self, sender: &str) -> Result<(), SimError> {
        self.sender(sender)?.paused.send_replace(true);
        Ok(())
    }

    /// Ends a sender's silence.
    ///
    /// # Errors
    /// [`SimError::Config`] for an unknown name.
    pub fn resume(&self, sender: &str) -> Result<(), SimError> {
        self.sender(sender)?.paused.send_replace(false);
        Ok(())
    }

    /// True when a sender is paused.
    ///
    /// # Errors
    /// [`SimError::Config`] for an unknown name.
    pub fn is_paused(&self, sender: &str) -> Result<bool, SimError> {
        Ok(*self.sender(sender)?.paused.borrow())
    }

    /// Makes a sender send a final result and then a preliminary one of the same order. False when 64 such
    /// requests wait already, or the hospital has stopped.
    ///
    /// # Errors
    /// [`SimError::Config`] for an unknown name.
    pub fn regress(&self, sender: &str) -> Result<bool, SimError> {
        Ok(self.sender(sender)?.regress.try_send(()).is_ok())
    }

    /// The clock of the hospital.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }
}

/// A group of tasks that is stopped together.
#[derive(Debug, Default)]
struct Stage {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Stage {
    async fn end(&mut self, grace: Duration) {
        self.stop.cancel();
        // A task may use the grace once for its work and once for its connection.
        settle(&mut self.tasks, grace * 3).await;
    }
}

/// A running hospital. Dropping it aborts its tasks; [`stop`](Self::stop) ends them in order.
#[derive(Debug)]
pub struct Hospital {
    control: Control,
    book: Arc<Book>,
    grace: Duration,
    portal_addr: SocketAddr,
    engine_addrs: BTreeMap<String, SocketAddr>,
    /// In the order in which they stop: senders, engine's intake, engine's routes, portal.
    stages: [Stage; 4],
}

async fn listen() -> Result<(TcpListener, SocketAddr), SimError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(SimError::Listen)?;
    let addr = listener.local_addr().map_err(SimError::Listen)?;
    Ok((listener, addr))
}

impl Hospital {
    /// Starts the actors. Portal and engine listen; nobody dials before [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`SimError`] for an unusable setting or when no loopback port is to be had.
    pub async fn start(config: HospitalConfig) -> Result<Self, SimError> {
        config.check()?;
        let clock = Clock::starting_at(config.epoch_us);
        let book = Book::new(clock);
        let mut stages: [Stage; 4] = Default::default();
        let (listener, portal_addr) = listen().await?;
        let portal_mode = watch::Sender::new(PortalMode::Normal);
        let portal = Arc::new(Portal {
            config: config.portal,
            addr: portal_addr,
            book: Arc::clone(&book),
            mode: portal_mode.subscribe(),
            seed: config.seed,
            answers: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let stop = stages[3].stop.clone();
        stages[3].tasks.spawn(portal.run(listener, stop, config.grace));

        let portal_target = watch::Sender::new(None);
        let engine_addrs = start_engine(&config, &book, &portal_target, &mut stages).await?;
        let mut senders = BTreeMap::new();
        for sender in &config.senders {
            let handle = start_sender(&config, sender, &book, &mut stages[0])?;
            senders.insert(sender.name.clone(), handle);
        }
        let handles = Handles { portal: portal_mode, portal_target, senders, clock };
        let control = Control(Arc::new(handles));
        Ok(Self { control, book, grace: config.grace, portal_addr, engine_addrs, stages })
    }

    /// Where the portal listens.
    pub fn portal_addr(&self) -> SocketAddr {
        self.portal_addr
    }

    /// Where the engine listens, by sender (all the same with a shared port).
    pub fn engine_addrs(&self) -> &BTreeMap<String, SocketAddr> {
        &self.engine_addrs
    }

    /// Routes with no proxy between.
    pub fn direct(&self) -> Routes {
        Routes { to_engine: self.engine_addrs.clone(), to_portal: self.portal_addr }
    }

    /// Tells everybody where to dial. Connections that are up stay; later dials use the new addresses.
    ///
    /// # Errors
    /// [`SimError::Config`] when a route names no sender of this hospital.
    pub fn connect(&self, routes: &Routes) -> Result<(), SimError> {
        for name in routes.to_engine.keys() {
            self.control.sender(name)?;
        }
        self.control.0.portal_target.send_replace(Some(routes.to_portal));
        for (name, addr) in &routes.to_engine {
            self.control.sender(name)?.target.send_replace(Some(*addr));
        }
        Ok(())
    }

    /// The controls.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// A copy of what is known now. See [`Truth::identity`] for what a snapshot cannot say.
    pub fn truth(&self) -> Truth {
        self.book.snapshot()
    }

    /// Waits until the ledger satisfies `wanted`; looked at after every change.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Ledger) -> bool) {
        let mut changes = self.book.subscribe();
        while !self.book.look(&mut wanted) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Pauses all senders and waits until everything stored is delivered or errored; false when `within` has
    /// passed first.
    pub async fn drain(&self, within: Duration) -> bool {
        for handle in self.control.0.senders.values() {
            handle.paused.send_replace(true);
        }
        let settled = self.wait_for(|ledger| {
            let counts = ledger.counts();
            let waiting =
                ledger.sent.iter().any(|r| r.answer.is_none_or(|answer| answer.code.is_reject()));
            counts.engine_queued == 0 && !waiting
        });
        tokio::time::timeout(within, settled).await.is_ok()
    }

    /// Stops senders, engine and portal, in this order, and returns the truth. What is under way has the
    /// configured grace to be settled and connections to be closed in order; what is still queued stays
    /// [`Queued`](crate::RelayState::Queued).
    pub async fn stop(mut self) -> Truth {
        for stage in &mut self.stages {
            stage.end(self.grace).await;
        }
        self.book.snapshot()
    }
}

async fn start_engine(
    config: &HospitalConfig,
    book: &Arc<Book>,
    portal: &watch::Sender<Option<SocketAddr>>,
    stages: &mut [Stage; 4],
) -> Result<BTreeMap<String, SocketAddr>, SimError> {
    let mut routes = BTreeMap::new();
    let mut queues = Vec::new();
    for sender in &config.senders {
        let (queue, stored) = mpsc::channel(config.engine.queue_limit);
        routes.insert(sender.app.clone(), (sender.name.clone(), queue));
        queues.push(stored);
    }
    let engine = Arc::new(Engine {
        config: config.engine.clone(),
        book: Arc::clone(book),
        routes,
        ids: AtomicU64::new(0),
    });
    for stored in queues {
        let target = portal.subscribe();
        let link = Link::new(Hop::EngineToPortal, Arc::clone(book), target, engine.patience());
        let stop = stages[2].stop.clone();
        stages[2].tasks.spawn(Arc::clone(&engine).forward(stored, link, stop, config.grace));
    }
    let mut addrs = BTreeMap::new();
    let mut shared = None;
    for sender in &config.senders {
        let addr = match shared {
            Some(addr) => addr,
            None => {
                let (listener, addr) = listen().await?;
                let engine = Arc::clone(&engine);
                let handler = move |stream| Arc::clone(&engine).receive(stream);
                let stop = stages[1].stop.clone();
                stages[1].tasks.spawn(serve(listener, stop, config.grace, handler));
                shared = config.engine.shared_port.then_some(addr);
                addr
            }
        };
        addrs.insert(sender.name.clone(), addr);
    }
    Ok(addrs)
}

fn start_sender(
    config: &HospitalConfig,
    sender: &SenderConfig,
    book: &Arc<Book>,
    stage: &mut Stage,
) -> Result<SenderHandle, SimError> {
    let profile = Profile {
        app: sender.app.clone(),
        facility: sender.facility.clone(),
        id_prefix: sender.id_prefix.clone(),
        ack_types: config.engine.ack_mode.ack_types(),
        canaries: config.canaries.clone(),
        critical_share: sender.critical_share,
        ..Profile::default()
    };
    let mut rng = Rng::fork(config.seed, &sender.name);
    let generator = Generator::new(rng.next_u64(), profile)?;
    let target = watch::Sender::new(None);
    let paused = watch::Sender::new(false);
    let (regress, regressions) = mpsc::channel(REGRESSIONS);
    let hop = Hop::SenderToEngine;
    let actor = Sender {
        link: Link::new(hop, Arc::clone(book), target.subscribe(), sender.patience()),
        config: sender.clone(),
        generator,
        rng,
        book: Arc::clone(book),
        paused: paused.subscribe(),
        regress: regressions,
    };
    stage.tasks.spawn(actor.run(stage.stop.clone(), config.grace));
    Ok(SenderHandle { target, paused, regress })
}

#[cfg(test)]
mod tests;
