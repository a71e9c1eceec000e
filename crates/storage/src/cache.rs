//! Decoded parts of segments, bounded by bytes.

use std::{num::NonZero, thread};

use drift_types::SegmentId;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync};

/// What an entry is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The segment: immutable, so an entry never goes stale.
    pub segment: SegmentId,
    /// Which kind of part; the segment's reader numbers them.
    pub part: u32,
    /// Which one of that kind, such as the run.
    pub index: u32,
}

/// A cache of at most so many bytes. It keeps what is asked for often, resists scans, and loads
/// each entry once however many ask for it.
///
/// Clones of `V` should be cheap: an `Arc` or `Bytes`.
pub struct Cache<V> {
    entries: sync::Cache<CacheKey, Entry<V>, ByBytes>,
    shards: u64,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    bytes: u64,
}

#[derive(Clone)]
struct ByBytes;

impl<V> Weighter<CacheKey, Entry<V>> for ByBytes {
    fn weight(&self, _: &CacheKey, entry: &Entry<V>) -> u64 {
        entry.bytes.max(1) // a weightless entry would be free to stay for ever
    }
}

/// A shard of the cache is at least this large: no larger entry could stay in a smaller one.
const SHARD_BYTES: u64 = 16 << 20;

/// What the tables are sized for; they grow if entries are smaller.
const TYPICAL_ENTRY_BYTES: u64 = 64 << 10;

impl<V: Clone> Cache<V> {
    /// A cache of at most `capacity_bytes`.
    pub fn new(capacity_bytes: u64) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let shards = (capacity_bytes / SHARD_BYTES).clamp(1, 4 * threads);
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            .estimated_items_capacity((capacity_bytes / TYPICAL_ENTRY_BYTES) as usize)
            .weight_capacity(capacity_bytes)
            .build()
            .expect("all required options are set");
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), sync::DefaultLifecycle::default());
        Self { entries: sync::Cache::with_options(options, ByBytes, hasher, lifecycle), shards }
    }

    /// The entry, if it is here.
    pub fn get(&self, key: CacheKey) -> Option<V> {
        self.entries.get(&key).map(|entry| entry.value)
    }

    /// The entry, or what `load` answers, together with its size in bytes. While one caller loads,
    /// others who ask for the same wait for it; if it fails or is dropped, the next one loads.
    ///
    /// # Errors
    /// What `load` answers; nothing is kept then.
    pub async fn get_or_load<E>(&self, key: CacheKey, load: impl Future<Output = Result<(V, u64), E>>) -> Result<V, E> {
        let entry = async { load.await.map(|(value, bytes)| Entry { value, bytes }) };
        Ok(self.entries.get_or_insert_async(&key, entry).await?.value)
    }

    /// Lets go of an entry.
    pub fn remove(&self, key: CacheKey) {
        self.entries.remove(&key);
    }

    /// Lets go of all parts of a segment that nobody reads any more.
    pub fn forget(&self, segment: SegmentId) {
        self.entries.retain(|key, _| key.segment != segment);
    }

    /// Bytes held.
    pub fn bytes_used(&self) -> u64 {
        self.entries.weight()
    }

    /// Whether entries of so many bytes still find room: when others have to go for each, every shard may have a
    /// little left, but less than one takes. Shards fill unevenly, so some may have gone before.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.entries.weight() + self.entries.num_shards() as u64 * bytes <= self.entries.capacity()
    }

    /// Bytes that may be held.
    pub fn capacity(&self) -> u64 {
        self.entries.capacity()
    }

    /// Holds at most so many bytes from now on.
    pub fn set_capacity(&self, bytes: u64) {
        self.entries.set_capacity(bytes - bytes % self.shards); // whole bytes for each shard
    }
}

impl<V> std::fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use ulid::Ulid;

    use super::*;

    fn key(index: u32) -> CacheKey {
        CacheKey { segment: SegmentId(Ulid::nil()), part: 0, index }
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_load() {
        let cache = Arc::new(Cache::new(1 << 20));
        let loads = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let (cache, loads) = (cache.clone(), loads.clone());
                tokio::spawn(async move {
                    let load = async {
                        loads.fetch_add(1, Relaxed);
                        tokio::task::yield_now().await;
                        Ok::<_, ()>((42, 100))
                    };
                    cache.get_or_load(key(1), load).await
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Ok(42));
        }
        assert_eq!((loads.load(Relaxed), cache.get(key(1)), cache.bytes_used()), (1, Some(42), 100));
    }

    #[tokio::test]
    async fn a_smaller_capacity_lets_entries_go() {
        let cache = Cache::new(40 << 20);
        for index in 0..300 {
            cache.get_or_load(key(index), async { Ok::<_, ()>((index, 100_000)) }).await.unwrap();
        }
        cache.remove(key(299));
        assert_eq!(cache.get(key(299)), None);
        cache.set_capacity((1 << 20) + 1);
        assert!(cache.bytes_used() <= 1 << 20, "{}", cache.bytes_used());
    }

    #[tokio::test]
    async fn a_full_cache_has_no_room() {
        for capacity in [1 << 20, 64 << 20, 200 << 20] {
            let (cache, bytes) = (Cache::new(capacity), 500_000);
            assert!(cache.has_room(bytes) && !cache.has_room(capacity + 1));
            for index in 0..2_000 {
                cache.get_or_load(key(index), async { Ok::<_, ()>((index, bytes)) }).await.unwrap();
            }
            assert!(!cache.has_room(bytes), "{} of {capacity}", cache.bytes_used());
        }
    }

    #[tokio::test]
    async fn a_failed_load_leaves_nothing() {
        let cache = Cache::new(1 << 20);
        assert_eq!(cache.get_or_load(key(1), async { Err("no") }).await, Err("no"));
        assert_eq!((cache.get(key(1)), cache.bytes_used()), (None, 0));
        assert_eq!(cache.get_or_load(key(1), async { Ok::<_, &str>((7, 1)) }).await, Ok(7));
    }

    #[tokio::test]
    async fn bytes_stay_below_the_capacity() {
        for capacity in [0, 1_000, 1 << 20, 40 << 20] {
            let cache = Cache::new(capacity);
            for index in 0..2_000 {
                let bytes = u64::from(index) * 37 % 65_536;
                let loaded = cache.get_or_load(key(index), async { Ok::<_, ()>((index, bytes)) }).await;
                assert_eq!(loaded, Ok(index));
                assert!(cache.bytes_used() <= capacity);
            }
            assert!(cache.capacity() <= capacity);
            assert!(capacity < 1 << 20 || cache.bytes_used() > capacity / 2, "{} of {capacity}", cache.bytes_used());
        }
    }
}
