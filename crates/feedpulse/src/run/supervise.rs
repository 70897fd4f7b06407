//! The supervisor: the only place that starts tasks and threads, and that knows when they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long tasks may take to end after `stop`; inside a pod's grace period of 30 s.
const TASKS_END: Duration = Duration::from_secs(10);

/// Owns every task and thread of the process.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    /// Stops the taps first; the stages behind them end when their input closes.
    pub taps: CancellationToken,
    /// Stops the sinks and listeners, last.
    pub rest: CancellationToken,
    tap_tasks: JoinSet<()>,
    rest_tasks: JoinSet<()>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl Supervisor {
    /// Runs a tap.
    pub(crate) fn tap(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.taps.clone();
        self.tap_tasks.spawn(watched(name, task, stop));
    }

    /// Runs a sink, a listener or a timer.
    pub(crate) fn task(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.rest.clone();
        self.rest_tasks.spawn(watched(name.into(), task, stop));
    }

    /// Runs a thread that nothing can do without: when it panics, the process ends with code 70,
    /// so that whoever started it starts it again. The wire goes on forwarding.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn thread(
        &mut self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let handle = std::thread::Builder::new().name(name.to_owned()).stack_size(4 << 20).spawn(
            move || {
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    tracing::error!(thread = name, "panicked; ending the process");
                    // Half a process is worse than none.
                    std::process::exit(70);
                }
            },
        )?;
        self.threads.push((name, handle));
        Ok(())
    }

    /// Stops the taps and waits for them: then nothing more enters.
    pub(crate) async fn end_taps(&mut self) {
        self.taps.cancel();
        end(&mut self.tap_tasks, "taps").await;
    }

    /// Waits for the threads of such names, whose inputs must be closed by now.
    pub(crate) async fn end_threads(&mut self, which: impl Fn(&str) -> bool) {
        let (threads, rest) = std::mem::take(&mut self.threads)
            .into_iter()
            .partition::<Vec<_>, _>(|(name, _)| which(name));
        self.threads = rest;
        let joined = tokio::task::spawn_blocking(move || {
            for (name, thread) in threads {
                if thread.join().is_err() {
                    tracing::error!(thread = name, "ended with a panic");
                }
            }
        });
        if tokio::time::timeout(TASKS_END, joined).await.is_err() {
            tracing::error!("threads did not end in time");
        }
    }

    /// Stops sinks and listeners.
    pub(crate) async fn end_rest(&mut self) {
        self.rest.cancel();
        end(&mut self.rest_tasks, "tasks").await;
    }
}

async fn end(tasks: &mut JoinSet<()>, what: &str) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(TASKS_END, all).await.is_err() {
        tracing::error!("{what} did not end in time");
        tasks.abort_all();
    }
}

async fn watched(name: String, task: impl Future<Output = ()>, stop: CancellationToken) {
    task.await;
    if !stop.is_cancelled() {
        tracing::error!(task = name, "ended by itself");
    }
}
