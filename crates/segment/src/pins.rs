use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use drift_storage::cache::{Cache, CacheKey};
use drift_types::SegmentId;

use crate::{HotRun, Part, RunEntry};

/// What all readers of a process keep in memory, bounded by bytes: the codes of runs, which every search
/// needs and finds here without counting references or taking a lock, and a cache of everything else.
///
/// Codes that were read stay as long as their segment, or until their rows have moved. Those of all open
/// segments do if they fit into seven eighths of all bytes; else they stay up to half of them, and what comes
/// then goes through the cache like the rest.
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

    /// Whether parts of so many bytes find room without others having to go for each.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.cache.has_room(bytes)
    }

    /// Takes room for codes that stay, if there is.
    fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Room> {
        let mut codes = self.codes();
        if codes.pinned + bytes > codes.pinned_max(self.capacity) {
            return None;
        }
        codes.pinned += bytes;
        self.cache.set_capacity(self.capacity - codes.pinned);
        Some(Room { shared: self.clone(), bytes })
    }

    fn codes(&self) -> MutexGuard<'_, CodeBytes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that codes take up while they stay.
#[derive(Debug)]
struct Room {
    shared: Arc<PartCache>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut codes = self.shared.codes();
        codes.pinned -= self.bytes;
        self.shared.cache.set_capacity(self.shared.capacity - codes.pinned);
    }
}

/// What an open segment adds to the codes of all.
#[derive(Debug)]
struct Open {
    shared: Arc<PartCache>,
    bytes: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.codes().all -= self.bytes;
    }
}

/// Codes that stay, and their room, with whoever else has them.
#[derive(Clone, Debug)]
struct Pin {
    codes: Arc<HotRun>,
    _room: Arc<Room>,
}

/// The codes of one segment's runs, of those that stay in memory.
#[derive(Debug)]
pub(crate) struct Pins {
    runs: Box<[OnceLock<Pin>]>,
    /// Dropped after them: what stays is a part of all codes.
    open: Arc<Open>,
}

impl Pins {
    /// None so far, of these runs.
    pub(crate) fn new(shared: Arc<PartCache>, runs: &[RunEntry]) -> Self {
        let bytes = runs.iter().map(|run| run.hot.length).sum();
        shared.codes().all += bytes;
        Self { runs: runs.iter().map(|_| OnceLock::new()).collect(), open: Arc::new(Open { shared, bytes }) }
    }

    /// The same of the same segment, but for some runs.
    pub(crate) fn without(&self, gone: impl Fn(u32) -> bool) -> Self {
        let slots = (0..).zip(&self.runs);
        let runs = slots.map(|(run, slot)| if gone(run) { OnceLock::new() } else { slot.clone() }).collect();
        Self { runs, open: self.open.clone() }
    }

    /// The codes of a run, if they stay.
    #[inline]
    pub(crate) fn get(&self, run: u32) -> Option<&Arc<HotRun>> {
        self.runs.get(run as usize)?.get().map(|pin| &pin.codes)
    }

    /// Keeps codes that were read, if there is room, instead of in the cache under `key`.
    pub(crate) fn keep(&self, run: u32, codes: &Arc<HotRun>, key: CacheKey) {
        let shared = &self.open.shared;
        if self.get(run).is_some() {
            return;
        }
        if let Some(room) = shared.reserve(codes.bytes()) {
            // Should somebody else have been faster, the room is given back.
            let _ = self.runs[run as usize].set(Pin { codes: codes.clone(), _room: Arc::new(room) });
            shared.cache.remove(key);
        }
    }
}
