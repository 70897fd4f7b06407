//! `feedpulse probe`: looks once, now, and says what it saw. Nothing is recorded and nobody is told.

use crate::cli::{Failure, load};
use crate::config::Config;
use crate::run;
use anyhow::anyhow;
use feedpulse_core::probe::Saw;
use feedpulse_probes::Look;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// Which probe, and how it is told.
#[derive(clap::Args, Debug)]
pub(crate) struct ProbeArgs {
    /// Its name in the configuration; without it they are listed.
    name: Option<String>,
    /// The configuration file.
    #[arg(long, short)]
    config: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks, prints, and ends with 1 if something is not as it should be.
pub(crate) fn main(args: &ProbeArgs) -> Result<(), Failure> {
    let config = load(&args.config)?;
    let known: Vec<&str> = config.plan.probes.iter().map(|p| p.name.as_str()).collect();
    let Some(name) = &args.name else {
        for name in known {
            println!("{name}");
        }
        return Ok(());
    };
    let started = Instant::now();
    let look = look(&config, name)?.ok_or_else(|| {
        Failure::new(64, anyhow!("no probe is called {name:?}; there are: {}", known.join(", ")))
    })?;
    let took = started.elapsed().as_secs_f64();
    if args.json {
        println!("{}", json(name, &look, took));
    } else {
        print!("{}", text(name, &look, took));
    }
    if look.is_bad() {
        return Err(Failure::new(1, anyhow!("probe {name}: not as it should be")));
    }
    Ok(())
}

fn look(config: &Config, name: &str) -> Result<Option<Look>, Failure> {
    if let Some(probe) = config.probes.iter().find(|p| p.name == name) {
        let runtime = run::runtime()?;
        return runtime.block_on(async { Ok(Some(run::probes::probe(probe)?.look().await)) });
    }
    let Some(group) = config.groups.iter().find(|g| g.name == name) else { return Ok(None) };
    look_at_group(config, group).map(Some)
}

#[cfg(feature = "kafka")]
fn look_at_group(config: &Config, group: &crate::config::resolve::Group) -> Result<Look, Failure> {
    let watch = run::probes::watch(config, group)?;
    Ok(run::probes::look_at(&watch, group.timeout))
}

#[cfg(not(feature = "kafka"))]
fn look_at_group(_: &Config, group: &crate::config::resolve::Group) -> Result<Look, Failure> {
    Err(Failure::new(
        crate::cli::UNAVAILABLE,
        anyhow!("probe {}: this build has no Kafka", group.name),
    ))
}

/// What was checked, in words: the part, the code, and the class of its failure.
fn checks(look: &Look) -> Vec<(String, &'static str, Option<String>)> {
    let checks = look.readings.iter().filter_map(|reading| match reading.saw {
        Saw::Check { code, failed } => {
            Some((reading.part.to_string(), code.text().code, failed.map(|f| f.to_string())))
        }
        _ => None,
    });
    checks.collect()
}

fn text(name: &str, look: &Look, took: f64) -> String {
    let mut text = String::new();
    for note in &look.notes {
        let _ = writeln!(text, "  {note}");
    }
    for (part, code, failed) in checks(look) {
        let part = if part.is_empty() { String::new() } else { format!(" {part}") };
        let _ = match failed {
            None => writeln!(text, "  good{part} ({code})"),
            Some(class) => writeln!(text, "  BAD {part} ({code}): {class}"),
        };
    }
    format!("{name}: {took:.3} s\n{text}")
}

fn json(name: &str, look: &Look, took: f64) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = checks(look)
        .into_iter()
        .map(|(part, code, failed)| serde_json::json!({"part": part, "code": code, "failed": failed}))
        .collect();
    let mut numbers = serde_json::Map::new();
    let mut ends = None;
    for reading in &look.readings {
        match reading.saw {
            Saw::Number(value) => {
                numbers.insert(reading.part.to_string(), value.into());
            }
            Saw::Ends(at) => ends = Some(crate::clock::show(at)),
            _ => {}
        }
    }
    serde_json::json!({
        "probe": name, "good": !look.is_bad(), "took_s": took, "checks": checks, "numbers": numbers,
        "certificate_until": ends, "notes": look.notes,
    })
}
