//! Files that no manifest names any more.

use std::{
    any::Any,
    collections::HashSet,
    sync::{Mutex, PoisonError, Weak},
};

use drift_manifest::{Manifest, Numbered, VersionLog, paths};
use drift_segment::SegmentReader;
use drift_storage::Store;
use drift_types::SegmentId;

use crate::{Result, Settings, collection::Shared};

/// Segments that left the manifest and may still be read by a search.
#[derive(Default)]
pub(crate) struct Garbage {
    retired: Mutex<Vec<(Weak<dyn Any + Send + Sync>, SegmentId)>>,
}

impl Garbage {
    /// Removes what `next` has dropped and only a restart would have read: tombstones and tables.
    pub async fn retire(&self, shared: &Shared, previous: &Manifest, next: &Manifest) {
        let kept = objects(next);
        let dropped = objects(previous).into_iter().filter(|path| !kept.contains(path));
        for path in dropped.filter(|path| !path.ends_with(".drift")) {
            remove(&shared.common.store, &path).await;
        }
        self.sweep(shared).await;
    }

    /// Notes a segment that is to go once nobody reads it.
    pub fn add(&self, reader: &SegmentReader) {
        let retired = (reader.held(), reader.id());
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).push(retired);
    }

    /// Removes the segments that nobody reads any more; answers whether others wait for their readers.
    pub async fn sweep(&self, shared: &Shared) -> bool {
        drift_epoch::collect();
        let unread = {
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            let all = std::mem::take(&mut *retired);
            let (read, unread): (Vec<_>, Vec<_>) = all.into_iter().partition(|(reader, _)| reader.strong_count() > 0);
            *retired = read;
            unread
        };
        for (_, segment) in unread {
            shared.common.cache.forget(segment);
            remove(&shared.common.store, &paths::segment_path(shared.id, segment)).await;
        }
        !self.retired.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// A file that stays costs room, not truth: the next start removes it.
async fn remove(store: &Store, path: &str) {
    if let Err(e) = store.delete(path).await {
        tracing::warn!("{path} is not needed any more but cannot be removed: {e}");
    }
}

/// Lets go of old versions of a catalog or manifest. They are history only: what they name beyond the
/// newest is gone already. Those that stay cost room, not truth.
pub(crate) async fn prune<T: Numbered>(log: &VersionLog<T>, settings: &Settings) {
    if let Err(e) = log.prune(settings.manifests_kept).await {
        tracing::warn!("old versions cannot be removed: {e}");
    }
}

/// The objects a manifest names.
pub(crate) fn objects(manifest: &Manifest) -> HashSet<String> {
    let segments = manifest.segments.iter().map(|s| paths::segment_path(manifest.collection, s.id));
    let tombstones = manifest.segments.iter().filter_map(|s| s.tombstones.as_ref()).map(|t| t.blob.path.clone());
    let tables = manifest.buckets.iter().chain(&manifest.history).map(|blob| blob.path.clone());
    segments.chain(tombstones).chain(tables).collect()
}

/// Removes what a crash has left behind: objects of the collection that its manifest does not name.
/// Only the one writer of a database may call this, before it writes.
pub(crate) async fn sweep_unreferenced(store: &Store, manifest: &Manifest) -> Result<()> {
    let kept = objects(manifest);
    for kind in paths::OBJECT_KINDS {
        let dir = paths::object_dir(manifest.collection, kind);
        for name in store.list(&dir).await? {
            let path = format!("{dir}/{name}");
            if !kept.contains(&path) {
                tracing::info!("removing {path}: no manifest names it");
                store.delete(&path).await?;
            }
        }
    }
    Ok(())
}
