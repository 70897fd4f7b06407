//! The process: one thread, one runtime, from the first listener to the last connection.

use std::future::pending;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::{ListenerConfig, WireConfig};
use crate::forward::{Lane, bind, listen, start};
use crate::handover::{self, HandoverError};
use crate::harden::harden;
use crate::record::Event;
use crate::ring::{RingError, Writer};
use crate::state::{Phase, Wire};
use crate::tls::{self, Tls, TlsError};
use crate::upgrade::{self, TakeOverError, Taken};

/// Threads for looking up names. A name server that hangs holds one for each look-up in progress;
/// what waits for one is unreachable by its own timeout.
const NAME_THREADS: usize = 4;
/// How long the resets of the last connections may take.
const CUT_TIME: Duration = Duration::from_secs(1);

/// Why a wire cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A listener cannot be opened.
    #[error("listener {name} cannot listen at {on}")]
    Listen {
        /// Its name.
        name: String,
        /// Where.
        on: SocketAddr,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The socket for hand-over cannot be served.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The ring cannot be made.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Another wire's place cannot be taken.
    #[error(transparent)]
    TakeOver(#[from] TakeOverError),
    /// The files for TLS cannot be used.
    #[error("listener {name}: {error}")]
    Tls {
        /// Its name.
        name: String,
        /// What is wrong with which file.
        error: TlsError,
    },
    /// The operating system refused something that the process needs.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: std::io::Error,
    },
}

/// Runs a wire in this process until SIGTERM or SIGINT; a second signal ends it at once. `ready`
/// is called once all listeners are open, with their addresses in the order of the configuration.
///
/// Message bytes pass through this process, so it makes itself undumpable first (no core file, no
/// reading of its memory by other processes of the same user).
///
/// # Errors
/// A listener, the socket, the ring or the runtime cannot be had. Nothing that happens later ends
/// the wire with an error.
pub fn run(config: WireConfig, ready: impl FnOnce(&[SocketAddr])) -> Result<(), WireError> {
    let what = "keep message bytes out of core dumps";
    harden().map_err(|errno| WireError::System { what, source: errno.into() })?;
    in_runtime(async {
        let handle = |kind| {
            signal(kind).map_err(|source| WireError::System { what: "handle signals", source })
        };
        let mut signals = (handle(SignalKind::terminate())?, handle(SignalKind::interrupt())?);
        let (stop, stops) = watch::channel(0_u8);
        start(async move {
            loop {
                any(&mut signals).await;
                stop.send_modify(|count| *count = count.saturating_add(1));
            }
        });
        let nth = |n| {
            let mut stops = stops.clone();
            async move {
                if stops.wait_for(|count| *count >= n).await.is_err() {
                    pending::<()>().await;
                }
            }
        };
        serve(config, ready, nth(1), nth(2)).await
    })
}

/// Runs a wire until `stop` is ready, with neither signals nor hardening: for tests, and for a
/// process that has both of its own.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    config: WireConfig,
    ready: impl FnOnce(&[SocketAddr]),
    stop: impl Future<Output = ()>,
) -> Result<(), WireError> {
    in_runtime(serve(config, ready, stop, pending()))
}

async fn any((terminate, interrupt): &mut (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn in_runtime(life: impl Future<Output = Result<(), WireError>>) -> Result<(), WireError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(NAME_THREADS)
        .build()
        .map_err(|source| WireError::System { what: "make a runtime", source })?;
    let tasks = LocalSet::new();
    let result = runtime.block_on(tasks.run_until(life));
    drop(tasks);
    // A look-up that still hangs must not hold the end up.
    runtime.shutdown_background();
    result
}

async fn serve(
    mut config: WireConfig,
    ready: impl FnOnce(&[SocketAddr]),
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) -> Result<(), WireError> {
    let mut taken = if config.take_over { Some(upgrade::ask(&config)?) } else { None };
    let (phases, phase) = watch::channel(Phase::Serving);
    let ring = match &mut taken {
        Some(taken) => taken.ring(config.ring_bytes)?,
        None => Writer::new(config.ring_bytes)?,
    };
    let wire = Rc::new(Wire::new(&config, ring, phase));
    let configs = std::mem::take(&mut config.listeners);
    let socket = match &taken {
        Some(taken) => handover::adopt(&taken.socket)?,
        None => handover::bind(&config.socket)?,
    };
    let ours = taken.is_none();
    let opened = open(configs, taken.as_mut()).and_then(|(lanes, listeners)| {
        if let Some(taken) = taken {
            taken.take(&wire, &lanes)?;
        }
        Ok((lanes, listeners))
    });
    let (lanes, listeners) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            if ours {
                let _ = std::fs::remove_file(&config.socket);
            }
            return Err(error);
        }
    };
    let shared = socket.as_fd().try_clone_to_owned();
    let shared =
        shared.map_err(|source| WireError::System { what: "copy a descriptor", source })?;
    start(handover::serve(wire.clone(), socket));
    let addresses: Vec<_> = listeners.iter().map(|(on, _)| *on).collect();
    for (lane, (on, listener)) in lanes.iter().zip(listeners) {
        if listener.is_some() {
            wire.offer(lane.index, 0, Event::Listening { on });
        }
        start(listen(wire.clone(), lane.clone(), listener, on, wire.movable()));
    }
    let secured = lanes.iter().filter(|lane| lane.config.speaks_tls());
    start(tls::keep_fresh(secured.cloned().collect()));
    ready(&addresses);
    live(&wire, &lanes, &phases, shared.as_fd(), config.drain, stop, stop_now).await;
    if wire.follow.borrow().is_none() {
        // Left behind it is only a stale file, which the next wire replaces.
        let _ = std::fs::remove_file(&config.socket);
    }
    Ok(())
}

type Listening = (SocketAddr, Option<TcpListener>);

/// Opens all listeners, or none; those that another wire gave are open.
fn open(
    configs: Vec<ListenerConfig>,
    mut taken: Option<&mut Taken>,
) -> Result<(Vec<Rc<Lane>>, Vec<Listening>), WireError> {
    let (mut lanes, mut listeners) = (Vec::new(), Vec::new());
    for (index, config) in (0..).zip(configs) {
        let given = taken.as_mut().and_then(|taken| taken.listener(config.listen));
        let bound = given.map_or_else(
            || {
                let listener = bind(config.listen)?;
                Ok((listener.local_addr()?, Some(listener)))
            },
            Ok,
        );
        let (name, on) = (config.name.clone(), config.listen);
        listeners.push(bound.map_err(|source| WireError::Listen { name, on, source })?);
        let tls = Tls::load(&config)
            .map_err(|error| WireError::Tls { name: config.name.clone(), error })?;
        lanes.push(Lane::new(index, config, tls));
    }
    Ok((lanes, listeners))
}

/// Serves, hands over to another wire if one comes, drains, cuts.
async fn live(
    wire: &Rc<Wire>,
    lanes: &[Rc<Lane>],
    phases: &watch::Sender<Phase>,
    socket: BorrowedFd<'_>,
    drain: Duration,
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) {
    let end = async {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = wire.successor_came.notified() => {}
            }
            let successor = wire.successor.take();
            if let Some(successor) = successor
                && upgrade::give(wire, lanes, phases, socket, successor).await
            {
                break;
            }
        }
        phases.send_replace(Phase::Draining);
        // Lets the listeners take in what they had accepted, and close.
        tokio::task::yield_now().await;
        tokio::select! {
            _ = timeout(drain, all_closed(wire)) => {}
            () = stop_now => {}
        }
        phases.send_replace(Phase::Cutting);
        let _ = timeout(CUT_TIME, all_closed(wire)).await;
        wire.tell_alive();
    };
    let alive = async {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            seconds.tick().await;
            wire.tell_alive();
        }
    };
    tokio::select! {
        () = end => {}
        () = alive => {}
    }
}

async fn all_closed(wire: &Wire) {
    while !wire.is_over() {
        wire.all_closed.notified().await;
    }
}
