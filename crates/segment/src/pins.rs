use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use drift_storage::cache::{Cache, CacheKey};
use drift_types::SegmentId;

use crate::{HotRun, Part, RunEntry};

/// What all readers of a process keep in memory, bounded by bytes: the codes of runs, which every search
/// needs and finds here without counting references or taking a lock, and a cache of everything else.
///
/// Codes that were read stay as long as their segment. Those of all open segments do if they fit into seven
/// eighths of all bytes; else they stay up to half of them, and what comes then goes through the cache like
/// the rest.
#[derive(Debug)]
pub struct PartCache {
    capacity: u64,
    codes: Mutex<CodeBytes>,
    cache: Cache<Part>,
}

#[derive(Debug, Default)]
struct CodeBytes {
    /// Of all open segments, as long as they are in their files.
    all: u64,
    /// Of those that stay, in memory.
    pinned: u64,
}

impl CodeBytes {
    /// At most so many may stay.
    fn pinned_max(&self, capacity: u64) -> u64 {
        let most = capacity - capacity / 8;
        if self.all <= most { most } else { capacity / 2 }
    }
}

impl PartCache {
    /// At most `capacity` bytes in all.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, codes: Mutex::default(), cache: Cache::new(capacity) }
    }

    /// A part that may be let go at any time, if it is here.
    pub(crate) fn get(&self, key: CacheKey) -> Option<Part> {
        self.cache.get(key)
    }

    /// The part, or what `load` answers, together with its size in bytes.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: CacheKey,
        load: impl Future<Output = Result<(Part, u64), E>>,
    ) -> Result<Part, E> {
        self.cache.get_or_load(key, load).await
    }

    /// Lets go of a part.
    pub(crate) fn remove(&self, key: CacheKey) {
        self.cache.remove(key);
    }

    /// Lets go of all parts of a segment that nobody reads any more.
    pub fn forget(&self, segment: SegmentId) {
        self.cache.forget(segment);
    }

    /// Bytes held.
    pub fn bytes_used(&self) -> u64 {
        self.codes().pinned + self.cache.bytes_used()
    }

    /// Bytes that may be held.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Takes room for codes that stay; answers whether there is.
    fn reserve(&self, bytes: u64) -> bool {
        let mut codes = self.codes();
        if codes.pinned + bytes > codes.pinned_max(self.capacity) {
            return false;
        }
        codes.pinned += bytes;
        self.cache.set_capacity(self.capacity - codes.pinned);
        true
    }

    fn release(&self, bytes: u64) {
        let mut codes = self.codes();
        codes.pinned -= bytes;
        self.cache.set_capacity(self.capacity - codes.pinned);
    }

    fn codes(&self) -> MutexGuard<'_, CodeBytes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The codes of one segment's runs, of those that stay in memory.
#[derive(Debug)]
pub(crate) struct Pins {
    shared: Arc<PartCache>,
    runs: Box<[OnceLock<Arc<HotRun>>]>,
    /// Of all runs, in the file.
    bytes: u64,
}

impl Pins {
    /// None so far, of these runs.
    pub(crate) fn new(shared: Arc<PartCache>, runs: &[RunEntry]) -> Self {
        let bytes = runs.iter().map(|run| run.hot.length).sum();
        shared.codes().all += bytes;
        Self { shared, runs: runs.iter().map(|_| OnceLock::new()).collect(), bytes }
    }

    /// The codes of a run, if they stay.
    #[inline]
    pub(crate) fn get(&self, run: u32) -> Option<&Arc<HotRun>> {
        self.runs.get(run as usize)?.get()
    }

    /// Keeps codes that were read, if there is room, instead of in the cache under `key`.
    pub(crate) fn keep(&self, run: u32, codes: &Arc<HotRun>, key: CacheKey) {
        if self.get(run).is_some() || !self.shared.reserve(codes.bytes()) {
            return;
        }
        if self.runs[run as usize].set(codes.clone()).is_err() {
            self.shared.release(codes.bytes()); // somebody else was faster
        }
        self.shared.cache.remove(key);
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let bytes = self.runs.iter().filter_map(OnceLock::get).map(|codes| codes.bytes()).sum();
        self.shared.release(bytes);
        self.shared.codes().all -= self.bytes; // after it: what stays is a part of them
    }
}
