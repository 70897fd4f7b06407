//! The small tables in the embedded database: incidents, roll-ups, positions, outbox.
//!
//! Never on the path of a message. Each commit is one transaction, durable when it returns.

use crate::disk::Disk;
use crate::error::{FailureClass, StoreError};
use crate::{INCIDENTS_MAX, OUTBOX_DAYS, OUTBOX_MAX, Options, ROLLUPS_MAX};
use feedpulse_codec::{Names, OutboxRow, Wire, decode, encode};
use feedpulse_core::effect::{IncidentChange, IncidentState, Rollup};
use feedpulse_core::tap::Position;
use feedpulse_core::time::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::time::Duration;

pub(crate) const FILE: &str = "feedpulse.redb";
/// While it is being made.
const NEW: &str = "feedpulse.redb.new";
/// Where a damaged database is set aside.
pub(crate) const DAMAGED: &str = "feedpulse.redb.damaged";

/// Memory for pages of the database.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Positions that are read at most.
const POSITIONS_MAX: usize = 100_000;

/// Feeds whose roll-ups say when anybody watched.
const FEEDS_LOOKED_AT: usize = 4;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const MIGRATIONS: TableDefinition<'_, u64, &str> = TableDefinition::new("migrations");
const INCIDENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("incidents");
const ROLLUPS: TableDefinition<'_, (&str, i64), &[u8]> = TableDefinition::new("rollups");
const OUTBOX: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("outbox");
const POSITIONS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("positions");

/// Key of the tables' version in `meta`.
const VERSION: &str = "tables_version";

type Change = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// Every change of the tables, in order; its number is its place from 1.
const CHANGES: &[(&str, Change)] =
    &[("make incidents, rollups, positions", make_tables), ("make outbox", make_outbox)];

fn make_tables(tx: &WriteTransaction) -> Result<(), redb::Error> {
    tx.open_table(INCIDENTS)?;
    tx.open_table(ROLLUPS)?;
    tx.open_table(POSITIONS)?;
    Ok(())
}

fn make_outbox(tx: &WriteTransaction) -> Result<(), redb::Error> {
    tx.open_table(OUTBOX)?;
    Ok(())
}

/// The newest version of the tables that this build reads.
pub(crate) const VERSION_KNOWN: u64 = CHANGES.len() as u64;

/// Rows to write in one transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows<'a> {
    /// Each replaces the row of its id.
    pub incidents: &'a [IncidentChange],
    /// Each replaces the row of its feed's name and its minute.
    pub rollups: &'a [Rollup],
    /// Each replaces the row of its tap and lane.
    pub positions: &'a [Position],
    /// Changes of the outbox, in order.
    pub outbox: &'a [OutboxChange],
}

/// A change of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxChange {
    /// Replaces the row of its place and incident.
    Put(Box<OutboxRow>),
    /// Nothing more is owed to a place about an incident.
    Remove {
        /// The notifier's name.
        place: String,
        /// The incident's number.
        incident: u64,
    },
}

/// Why the database cannot be used.
#[derive(Debug)]
pub(crate) enum TablesFault {
    /// Written by a later release.
    Newer(u64),
    /// It failed.
    Failed(Box<redb::Error>),
}

impl TablesFault {
    pub(crate) fn class(&self) -> FailureClass {
        match self {
            Self::Newer(_) => FailureClass::Damaged,
            Self::Failed(error) => FailureClass::of_tables(error),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for TablesFault {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

pub(crate) struct Tables {
    database: Database,
    names: Names,
}

impl Tables {
    /// Opens the database, making it first when there is none.
    pub(crate) fn open<D: Disk>(disk: &D, names: Names) -> Result<Self, TablesFault> {
        let files = disk.list("").map_err(redb::Error::Io)?;
        if !files.iter().any(|(name, _)| name == FILE) {
            // A crash may tear a database that is being made, so it gets its name when it is whole.
            if files.iter().any(|(name, _)| name == NEW) {
                disk.unlink(NEW).map_err(redb::Error::Io)?;
            }
            Self::open_file(disk, NEW, names)?.database.close()?;
            disk.rename(NEW, FILE).map_err(redb::Error::Io)?;
        }
        // Nothing in it is durable before its name is.
        disk.sync_dir("").map_err(redb::Error::Io)?;
        Self::open_file(disk, FILE, names)
    }

    fn open_file<D: Disk>(disk: &D, file: &str, names: Names) -> Result<Self, TablesFault> {
        let backend = disk.backend(file).map_err(redb::Error::Io)?;
        Self::over(backend, names)
    }

    /// Those in some storage.
    pub(crate) fn over(
        backend: impl redb::StorageBackend,
        names: Names,
    ) -> Result<Self, TablesFault> {
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
        let tables = Self { database, names };
        tables.migrate()?;
        Ok(tables)
    }

    fn migrate(&self) -> Result<(), TablesFault> {
        let known = VERSION_KNOWN;
        let tx = self.database.begin_write()?;
        let mut found = {
            let meta = tx.open_table(META)?;
            meta.get(VERSION)?.map_or(0, |version| version.value())
        };
        if found > known {
            tx.abort()?;
            return Err(TablesFault::Newer(found));
        }
        if found == known {
            tx.abort()?;
            return Ok(());
        }
        for (number, (name, change)) in (1..).zip(CHANGES) {
            if number > found {
                change(&tx)?;
                tx.open_table(MIGRATIONS)?.insert(number, *name)?;
                found = number;
            }
        }
        tx.open_table(META)?.insert(VERSION, found)?;
        tx.commit()?;
        Ok(())
    }

    pub(crate) fn commit(&self, rows: &Rows<'_>) -> Result<(), redb::Error> {
        let mut tx = self.database.begin_write()?;
        // Costs a second sync, and saves the walk over the whole file after a crash.
        tx.set_quick_repair(true);
        {
            let mut incidents = tx.open_table(INCIDENTS)?;
            for incident in rows.incidents {
                incidents.insert(incident.id, encode(incident).as_slice())?;
            }
            let mut rollups = tx.open_table(ROLLUPS)?;
            for rollup in rows.rollups {
                let key = (rollup.feed_name.as_str(), rollup.minute.as_micros());
                rollups.insert(key, encode(rollup).as_slice())?;
            }
            let mut positions = tx.open_table(POSITIONS)?;
            for position in rows.positions {
                let key = (position.tap.as_str(), position.lane.as_str());
                positions.insert(key, encode(position).as_slice())?;
            }
            let mut outbox = tx.open_table(OUTBOX)?;
            for change in rows.outbox {
                match change {
                    OutboxChange::Put(row) => {
                        let key = (row.place.as_str(), row.change.id);
                        outbox.insert(key, encode(row.as_ref()).as_slice())?;
                    }
                    OutboxChange::Remove { place, incident } => {
                        outbox.remove((place.as_str(), *incident))?;
                    }
                }
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn row<T: Wire>(&self, table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
        decode(bytes, self.names).map_err(|source| StoreError::Row { table, source })
    }

    pub(crate) fn incidents(&self, newest: usize) -> Result<Vec<IncidentChange>, StoreError> {
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(INCIDENTS)?;
            let rows = table.iter()?.rev().take(newest.min(INCIDENTS_MAX));
            rows.map(|row| Ok(row?.1.value().to_vec())).collect()
        };
        let rows = read().map_err(reading)?;
        rows.iter().map(|row| self.row("incidents", row)).collect()
    }

    pub(crate) fn rollups(
        &self,
        feed: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Rollup>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(ROLLUPS)?;
            let range = (feed, from.as_micros())..(feed, to.as_micros());
            let rows = table.range(range)?.take(ROLLUPS_MAX);
            rows.map(|row| Ok(row?.1.value().to_vec())).collect()
        };
        let rows = read().map_err(reading)?;
        rows.iter().map(|row| self.row("rollups", row)).collect()
    }

    /// The minutes for which any of the feeds that were seen first has a roll-up, in order.
    pub(crate) fn minutes(&self) -> Result<Vec<Timestamp>, StoreError> {
        let read = || -> Result<Vec<Timestamp>, redb::Error> {
            let table = self.database.begin_read()?.open_table(ROLLUPS)?;
            let (mut feeds, mut feed) = (Vec::new(), next_feed(&table, "")?);
            while let Some(name) = feed {
                let first = table.range((name.as_str(), i64::MIN)..)?.next().transpose()?;
                let next = next_feed(&table, &format!("{name}\0"))?;
                feeds.push((first.map(|(key, _)| key.value().1), name));
                feed = next;
            }
            feeds.sort();
            let mut minutes = std::collections::BTreeSet::new();
            for (_, name) in feeds.iter().take(FEEDS_LOOKED_AT) {
                let all = (name.as_str(), i64::MIN)..=(name.as_str(), i64::MAX);
                for row in table.range(all)?.rev().take(ROLLUPS_MAX) {
                    minutes.insert(Timestamp::from_micros(row?.0.value().1));
                }
            }
            Ok(minutes.into_iter().collect())
        };
        read().map_err(reading)
    }

    /// Positions of one tap, or of all.
    pub(crate) fn positions(&self, tap: Option<&str>) -> Result<Vec<Position>, StoreError> {
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(POSITIONS)?;
            let mut rows = Vec::new();
            for row in table.range((tap.unwrap_or_default(), "")..)?.take(POSITIONS_MAX) {
                let (key, value) = row?;
                if tap.is_some_and(|tap| key.value().0 != tap) {
                    break;
                }
                rows.push(value.value().to_vec());
            }
            Ok(rows)
        };
        let rows = read().map_err(reading)?;
        rows.iter().map(|row| self.row("positions", row)).collect()
    }

    /// The whole outbox; a row that cannot be read is left out.
    pub(crate) fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let read = || -> Result<Vec<OutboxRow>, redb::Error> {
            let table = self.database.begin_read()?.open_table(OUTBOX)?;
            let mut rows = Vec::new();
            for row in table.iter()?.take(OUTBOX_MAX) {
                rows.extend(decode(row?.1.value(), self.names).ok());
            }
            Ok(rows)
        };
        read().map_err(reading)
    }

    /// Removes roll-ups and resolved incidents that are older than their limits.
    pub(crate) fn prune(&self, now: Timestamp, options: &Options) -> Result<u64, redb::Error> {
        let day = Duration::from_secs(86_400);
        let rollups_before = now.minus(day * options.rollup_days).as_micros();
        let incidents_before = now.minus(day * options.incident_days);
        let outbox_before = now.minus(day * OUTBOX_DAYS);
        let names = self.names;
        let mut removed = 0;
        let tx = self.database.begin_write()?;
        {
            let mut rollups = tx.open_table(ROLLUPS)?;
            let mut feed = next_feed(&rollups, "")?;
            while let Some(name) = feed {
                let old = (name.as_str(), i64::MIN)..(name.as_str(), rollups_before);
                for row in rollups.extract_from_if(old, |_, _| true)? {
                    row?;
                    removed += 1;
                }
                feed = next_feed(&rollups, &format!("{name}\0"))?;
            }
            let mut incidents = tx.open_table(INCIDENTS)?;
            incidents.retain(|_, bytes| {
                // A row that cannot be read is left for the operator to see.
                let Ok(incident) = decode::<IncidentChange>(bytes, names) else { return true };
                let over = incident.state == IncidentState::Resolved
                    && incident.resolved_at.is_some_and(|at| at < incidents_before);
                removed += u64::from(over);
                !over
            })?;
            tx.open_table(OUTBOX)?.retain(|_, bytes| {
                let row = decode::<OutboxRow>(bytes, names);
                let young = row.is_ok_and(|row| row.kept_at >= outbox_before);
                removed += u64::from(!young);
                young
            })?;
        }
        tx.commit()?;
        Ok(removed)
    }
}

/// The first feed at or after `from` that has a roll-up.
fn next_feed(
    rollups: &impl ReadableTable<(&'static str, i64), &'static [u8]>,
    from: &str,
) -> Result<Option<String>, redb::Error> {
    let first = rollups.range((from, i64::MIN)..)?.next().transpose()?;
    Ok(first.map(|(key, _)| key.value().0.to_owned()))
}

fn reading(source: redb::Error) -> StoreError {
    StoreError::Tables { doing: "read", source: Box::new(source) }
}
