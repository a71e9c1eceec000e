//! Settings are plain data; [`Settings::default`] suits a laptop and a small server.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// When a write counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After fsync, shared by all writes that wait: survives power loss.
    #[default]
    Always,
    /// fsync every 100 ms: power loss may take the last tenth of a second.
    Interval,
    /// When the operating system pleases: survives kill -9, not power loss.
    Os,
}

/// How often the log is synced under [`Durability::Interval`].
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// How a database behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// A local directory for the log. Unset: it is kept in the store, beside the data.
    pub wal_dir: Option<PathBuf>,
    /// In an object store each group of writes is one object of the log: the first one of a group
    /// waits so long for others, in milliseconds. Unset: 10, and 0 in memory.
    pub log_linger_ms: Option<u64>,
    /// Opens the database although the log it was last written with is somewhere else or lost, and
    /// goes without what is only in that log.
    pub accept_lost_log: bool,
    /// L0 is frozen and flushed at this many rows...
    pub memtable_rows_max: usize,
    /// ...or at this many bytes of vectors...
    pub memtable_bytes_max: usize,
    /// ...or when its oldest row is this old.
    pub memtable_age_s_max: u64,
    /// Writers wait while this many frozen tables are still to be flushed.
    pub frozen_tables_max: usize,
    /// A statement of at least this many rows is written to segments directly, past L0.
    pub bulk_rows_min: usize,
    /// A segment of a bulk load holds at most this many bytes of vectors.
    pub bulk_bytes_max: usize,
    /// Whether L1 is tended: buckets split, joined, re-centred and written anew. Without it rows are
    /// only flushed to the buckets there are: for measurements.
    pub maintenance: bool,
    /// Bytes per second that maintenance may move even when little comes in; else it may move four
    /// times what is ingested and deleted.
    pub maintenance_bytes_per_s: u64,
    /// Old catalogs and manifests beyond this many are removed, though not one by one: up to twice as
    /// many may be there.
    pub manifests_kept: u64,
    /// Bytes of segment parts kept in memory.
    pub cache_bytes: u64,
    /// Segments are read past the page cache where the file system can: what was read is in the cache
    /// of `cache_bytes`.
    pub direct_io: bool,
    /// Recall of a search that does not ask for one.
    pub target_recall: f32,
    /// Searches are run again exactly, to see how much they found and to fit the stop rule to it: this
    /// share of one core's time may go into that. 0: none are.
    pub audit_cpu_share: f32,
    /// Seed of all randomness, so that a run can be repeated.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Always,
            wal_dir: None,
            log_linger_ms: None,
            accept_lost_log: false,
            memtable_rows_max: 32_768,
            memtable_bytes_max: 128 << 20,
            memtable_age_s_max: 300,
            frozen_tables_max: 3,
            bulk_rows_min: 16_384,
            bulk_bytes_max: 256 << 20,
            maintenance: true,
            maintenance_bytes_per_s: 32 << 20,
            manifests_kept: 16,
            cache_bytes: 4 << 30,
            direct_io: true,
            target_recall: 0.95,
            audit_cpu_share: 0.05,
            seed: 0x5eed,
        }
    }
}

impl Settings {
    /// Refuses what no database can work with.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |name: &str, value: &dyn std::fmt::Display, range: &str| {
            Err(Error::invalid(format!("the setting {name} is {value}: it must be {range}")))
        };
        if !(self.target_recall > 0.0 && self.target_recall <= 1.0) {
            return wrong("target_recall", &self.target_recall, "above 0 and at most 1");
        }
        if !(0.0..f32::INFINITY).contains(&self.audit_cpu_share) {
            return wrong("audit_cpu_share", &self.audit_cpu_share, "at least 0");
        }
        let counts = [
            ("memtable_rows_max", self.memtable_rows_max),
            ("memtable_bytes_max", self.memtable_bytes_max),
            ("frozen_tables_max", self.frozen_tables_max),
            ("bulk_bytes_max", self.bulk_bytes_max),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((name, count)) => wrong(name, &count, "at least 1"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        assert!(Settings::default().check().is_ok());
        let refused = [
            (Settings { target_recall: 1.5, ..Settings::default() }, "target_recall is 1.5"),
            (Settings { target_recall: f32::NAN, ..Settings::default() }, "target_recall is NaN"),
            (Settings { audit_cpu_share: -1.0, ..Settings::default() }, "audit_cpu_share is -1"),
            (Settings { frozen_tables_max: 0, ..Settings::default() }, "frozen_tables_max is 0"),
        ];
        for (settings, message) in refused {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
