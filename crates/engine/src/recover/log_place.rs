use std::{fmt, path::PathBuf, time::Duration};

use drift_storage::Store;
use drift_wal::{LocalSink, LogSink, ObjectSink};
use tokio::runtime::Handle;

use crate::Settings;

/// How long a group commit waits for company where each one is a round trip.
const LINGER: Duration = Duration::from_millis(10);

/// Where a database keeps its log.
pub(crate) enum LogPlace {
    /// In the root of a local store.
    BesideData(PathBuf),
    /// In a directory that the settings name.
    Directory(PathBuf),
    /// As objects of the store itself.
    Objects(Store),
}

impl LogPlace {
    pub fn of(store: &Store, settings: &Settings) -> Self {
        match (&settings.wal_dir, store.local_root()) {
            (Some(dir), _) => Self::Directory(std::path::absolute(dir).unwrap_or_else(|_| dir.clone())),
            (None, Some(root)) => Self::BesideData(root.join("wal")),
            (None, None) => Self::Objects(store.clone()),
        }
    }

    /// The log itself. Call it on a thread of the runtime on which the store's calls are to run.
    pub fn sink(&self) -> Box<dyn LogSink> {
        match self {
            Self::BesideData(dir) | Self::Directory(dir) => Box::new(LocalSink::new(dir)),
            Self::Objects(store) => Box::new(ObjectSink::new(store.clone(), Handle::current())),
        }
    }

    /// How long the first write of a group waits for others.
    pub fn linger(&self, settings: &Settings) -> Duration {
        match (self, settings.log_linger_ms) {
            (Self::BesideData(_) | Self::Directory(_), _) => Duration::ZERO,
            (Self::Objects(_), Some(ms)) => Duration::from_millis(ms),
            (Self::Objects(store), None) if store.uri().starts_with("memory:") => Duration::ZERO,
            (Self::Objects(_), None) => LINGER,
        }
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BesideData(_) | Self::Objects(_) => f.write_str("'wal' beside the data, as when wal_dir is unset"),
            Self::Directory(dir) => write!(f, "the directory {}", dir.display()),
        }
    }
}
