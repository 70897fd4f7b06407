//! A hospital from a seed, in memory and in its own time: senders, an integration engine that rewrites,
//! filters, fans out and retries, portals, and faults. It knows the truth of every message; an oracle
//! judges what the real decoder and engine say. One seed is one run, exactly.
//!
//! Read [`plan`] (what a seed decides), [`world`] (what happens), [`run`] (what Feedpulse sees),
//! [`oracle`] (the rules).
#![forbid(unsafe_code)]

pub mod oracle;
pub mod plan;
pub mod rng;
pub mod run;
pub mod text;
pub mod world;

/// Plays one seed and judges it.
///
/// # Errors
/// The first broken rule, with the run's faults and the message's story.
pub fn trial(seed: u64) -> Result<run::Report, String> {
    let plan = plan::Plan::from_seed(seed);
    let world = world::World::play(&plan);
    let told = |broken: String| {
        format!(
            "seed {seed}: {broken}\nfaults: {:#?}\n{:?}\nplay it again: cargo xtask sim --seeds 1 --from {seed}",
            plan.faults, plan.portals
        )
    };
    let report = run::run(&plan, &world).map_err(told)?;
    oracle::judge(&plan, &world, &report).map_err(told)?;
    Ok(report)
}
