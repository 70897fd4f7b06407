//! What the detectors cost at a thousand feeds and a thousand messages a second: the bars of detection.
//!
//! Measured by the evaluation (`cargo xtask eval --cost` shows the parts of it), in time on the wall of
//! one thread that waits for nothing: the least of three turns, since what else runs only adds.

use crate::Result;
use crate::figure::{Figure, Target};
use crate::harness::Harness;
use feedpulse_tests_eval::cost;

/// Its name.
pub(crate) const GROUP: &str = "detectors";

/// See the module.
pub(crate) fn run(_: &mut Harness) -> Result<Vec<Figure>> {
    let turns = [cost::measure(), cost::measure(), cost::measure()];
    let least = |of: fn(&cost::Cost) -> f64| turns.iter().map(of).fold(f64::INFINITY, f64::min);
    let core = least(|cost| (cost.ticks + cost.learning) * 100.0);
    let engine = least(|cost| cost.engine * 100.0);
    let bytes = turns.iter().map(|cost| cost.bytes).max().unwrap_or(0);
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    Ok(vec![
        Figure::alone(GROUP, "of a core, %", core, Some(Target::OursAtMost(2.0)))
            .beside("the whole engine", engine),
        Figure::alone(GROUP, "state, MiB", mebibytes, Some(Target::OursAtMost(8.0))),
    ])
}
