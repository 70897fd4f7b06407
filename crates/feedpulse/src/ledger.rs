//! Reading the ledger of a store, whether or not Feedpulse is running.

use crate::cli::{Failure, IO, NO_INPUT};
use anyhow::anyhow;
use feedpulse_codec as codec;
use feedpulse_codec::{LedgerRow, LedgerRows};
use feedpulse_core::finding::EVIDENCE_NAMES;
use feedpulse_core::frame::WaypointId;
use feedpulse_core::time::Timestamp;
use feedpulse_store::LedgerReader;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which store a command looks at.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct StoreArgs {
    /// The configuration file: its store and its key are used.
    #[arg(long, short, required_unless_present = "store")]
    pub config: Option<PathBuf>,
    /// The store's folder instead.
    #[arg(long, conflicts_with = "config")]
    pub store: Option<PathBuf>,
}

impl StoreArgs {
    /// The folder.
    ///
    /// # Errors
    /// The configuration is wrong, or there is no store.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match (&self.store, &self.config) {
            (Some(folder), _) => folder.clone(),
            (None, Some(file)) => crate::cli::load(file)?.folder,
            (None, None) => PathBuf::from("feedpulse-data"),
        };
        if folder.join("ledger").is_dir() {
            return Ok(folder);
        }
        Err(Failure::new(
            NO_INPUT,
            anyhow!(
                "{} holds no ledger: name the store's folder with --store, or its configuration",
                folder.display()
            ),
        ))
    }
}

/// Names of waypoints, as one block of the ledger has them.
pub(crate) type Waypoints = BTreeMap<WaypointId, String>;

/// What a ledger does not hold.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// Damage that lost some rows, as text.
    pub damage: Vec<String>,
    /// Retention has removed rows of messages that ended before this; those of messages that were
    /// first seen at or after it are all there.
    pub before: Option<Timestamp>,
}

/// Visits every row in order. Gives what is missing.
///
/// # Errors
/// The folder cannot be read, or another release wrote it.
pub(crate) fn each(
    folder: &Path,
    mut visit: impl FnMut(&Waypoints, LedgerRow),
) -> Result<Missing, Failure> {
    let reader = LedgerReader::open(folder).map_err(|e| Failure::new(IO, anyhow!(e)))?;
    let (trimmed, mut missing) = (reader.is_trimmed(), Missing::default());
    for block in reader {
        let block = match block {
            Ok(block) => block,
            Err(lost) => {
                missing.damage.push(lost.to_string());
                continue;
            }
        };
        if trimmed {
            missing.before.get_or_insert(block.times.1);
        }
        let rows: LedgerRows = codec::decode(&block.bytes, EVIDENCE_NAMES)
            .map_err(|e| Failure::new(IO, anyhow!("the ledger cannot be read: {e}")))?;
        let names: Waypoints = rows.waypoints.into_iter().collect();
        for (_, row) in rows.rows {
            visit(&names, row);
        }
    }
    Ok(missing)
}

/// A waypoint's name.
pub(crate) fn name(names: &Waypoints, waypoint: WaypointId) -> String {
    names.get(&waypoint).cloned().unwrap_or_else(|| format!("waypoint-{}", waypoint.0))
}
