use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use std::time::Instant;

use drift_manifest::Stamp;
use drift_segment::PartCache;
use drift_storage::Store;
use tokio::sync::Notify;
use ulid::Ulid;

use crate::{Result, Settings, audit::Audits, compute::Compute, id_map::PlaceId, maintain::Budget};

/// What all collections of a database have in common.
pub(crate) struct Common {
    pub store: Store,
    pub cache: Arc<PartCache>,
    pub settings: Settings,
    pub compute: Compute,
    places: AtomicU32,
    /// Wakes the janitor.
    pub janitor: Notify,
    /// What maintenance may cost.
    pub budget: Budget,
    /// Takes searches to be run again exactly.
    pub audits: Audits,
    /// Higher for each writer that opens the database. With `writer_id` in the manifests.
    pub epoch: u64,
    /// Random per process.
    pub writer_id: Ulid,
}

impl Common {
    /// For the writer of a version with that stamp.
    pub fn new(store: Store, settings: Settings, audits: Audits, stamp: &Stamp) -> Result<Self> {
        Ok(Self {
            cache: Arc::new(PartCache::new(settings.cache_bytes)),
            budget: Budget::new(settings.maintenance_bytes_per_s, Instant::now()),
            compute: Compute::new()?,
            places: AtomicU32::new(0),
            janitor: Notify::new(),
            store,
            settings,
            audits,
            epoch: stamp.epoch,
            writer_id: stamp.writer,
        })
    }

    /// A number for a table or segment that no other has had in this process.
    pub fn next_place(&self) -> PlaceId {
        PlaceId(self.places.fetch_add(1, Ordering::Relaxed))
    }
}
