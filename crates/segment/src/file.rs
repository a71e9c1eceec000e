use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use drift_storage::Store;

use crate::{Error, Result, error::Flaw};

/// One object of a store, read in ranges. It counts them.
#[derive(Debug)]
pub(crate) struct File {
    store: Store,
    path: String,
    reads: AtomicU64,
}

impl File {
    pub(crate) fn new(store: Store, path: String) -> Self {
        Self { store, path, reads: AtomicU64::new(0) }
    }

    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.reads.fetch_add(1, Relaxed);
        match self.store.read_range(&self.path, range.clone()).await {
            Err(drift_storage::Error::Corrupt { length, .. }) => {
                let message =
                    format!("it ends there, and bytes {} to {} are missing", range.start.max(length), range.end);
                Err(self.flawed(message, length))
            }
            read => Ok(read?),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// The error for what is wrong with the part at `offset`.
    pub(crate) fn flawed(&self, flaw: impl Into<Flaw>, offset: u64) -> Error {
        flaw.into().at(&self.path, offset)
    }
}
