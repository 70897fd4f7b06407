//! The evaluation: labelled histories through the real engine on simulated time, next to the rules
//! that people use today.
//!
//! Read [`history`] (what happens and what should be said), [`world`] (the stream of it), [`ours`]
//! and [`today`] (what was said), [`judge`] (what of it was right), [`report`].
#![forbid(unsafe_code)]

pub mod ahead;
pub mod alert;
pub mod bars;
pub mod cause;
pub mod civil;
pub mod cost;
pub mod csv;
pub mod event;
pub mod history;
pub mod judge;
pub mod ours;
pub mod play;
pub mod report;
pub mod rng;
pub mod tally;
pub mod today;
pub mod world;

use history::History;
use judge::Flaw;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tally::Tallies;

/// What came of all histories.
#[derive(Debug)]
pub struct Evaluation {
    /// Counts by class and rule.
    pub tallies: Tallies,
    /// What the engine gets wrong, the worst first.
    pub flaws: Vec<Flaw>,
    /// How many things passed.
    pub events: u64,
}

/// Plays all histories, the longest first, on every core.
///
/// # Errors
/// The first history that cannot be played.
pub fn evaluate(histories: &[History]) -> Result<Evaluation, String> {
    let mut order: Vec<&History> = histories.iter().collect();
    order.sort_by(|a, b| b.size().total_cmp(&a.size()));
    let rules = core::iter::once(play::OURS).chain(today::RULES.iter().map(|(name, _)| *name));
    let fresh = Evaluation { tallies: Tallies::new(rules.collect()), flaws: Vec::new(), events: 0 };
    let (next, whole) = (AtomicUsize::new(0), Mutex::new(Ok(fresh)));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(history) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = play::play(history);
                    let Ok(mut whole) = whole.lock() else { return };
                    let Ok(evaluation) = whole.as_mut() else { return };
                    match played {
                        Ok(played) => {
                            let Evaluation { tallies, flaws, events } = evaluation;
                            judge::judge(history, &played, tallies, flaws);
                            *events += played.events;
                        }
                        Err(error) => *whole = Err(error),
                    }
                }
            });
        }
    });
    let mut evaluation = whole.into_inner().map_err(|_| "a thread panicked".to_owned())??;
    // Threads end in any order; what is printed has one.
    evaluation
        .flaws
        .sort_by(|a, b| (a.rank, -a.weight, &a.text).cmp(&(b.rank, -b.weight, &b.text)));
    Ok(evaluation)
}

/// The folder of the histories that are part of the project.
#[must_use]
pub fn histories_folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../histories")
}

/// The generated document.
#[must_use]
pub fn document_path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detection.md")
}
