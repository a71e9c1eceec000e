use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use drift_storage::Store;

use crate::{Error, Result, error::Flaw};

/// One segment's bytes, read in ranges. It counts them.
#[derive(Debug)]
pub(crate) struct File {
    source: Source,
    path: String,
    reads: AtomicU64,
}

#[derive(Debug)]
enum Source {
    /// An object.
    Store(Store),
    /// A segment that has no name yet.
    Memory(Bytes),
}

impl File {
    pub(crate) fn new(store: Store, path: String) -> Self {
        Self { source: Source::Store(store), path, reads: AtomicU64::new(0) }
    }

    /// A file that is read without ever waiting.
    pub(crate) fn in_memory(bytes: Bytes) -> Self {
        let path = "a segment not published yet".to_owned();
        Self { source: Source::Memory(bytes), path, reads: AtomicU64::new(0) }
    }

    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.reads.fetch_add(1, Relaxed);
        match &self.source {
            Source::Store(store) => match store.read_range(&self.path, range.clone()).await {
                Err(drift_storage::Error::Corrupt { length, .. }) => Err(self.cut_short(range, length)),
                read => Ok(read?),
            },
            Source::Memory(bytes) if range.end <= bytes.len() as u64 => {
                Ok(bytes.slice(range.start as usize..range.end as usize))
            }
            Source::Memory(bytes) => Err(self.cut_short(range, bytes.len() as u64)),
        }
    }

    fn cut_short(&self, range: Range<u64>, length: u64) -> Error {
        let message = format!("it ends there, and bytes {} to {} are missing", range.start.max(length), range.end);
        self.flawed(message, length)
    }

    /// Bytes of the whole file.
    pub(crate) async fn length(&self) -> Result<u64> {
        match &self.source {
            Source::Store(store) => Ok(store.len(&self.path).await?),
            Source::Memory(bytes) => Ok(bytes.len() as u64),
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
