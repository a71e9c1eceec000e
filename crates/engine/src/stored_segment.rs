//! A segment as a manifest names it.

use std::sync::Arc;

use drift_manifest::{Error, SegmentEntry, paths, tombstones};
use drift_segment::{FooterRef, PartCache, SegmentReader};
use drift_storage::Store;
use drift_types::CollectionId;

use crate::dead_set::DeadSet;

/// Opens its file.
pub(crate) async fn open(
    store: &Store,
    collection: CollectionId,
    entry: &SegmentEntry,
    cache: Arc<PartCache>,
) -> Result<SegmentReader, drift_segment::Error> {
    let path = paths::segment_path(collection, entry.id);
    let footer = FooterRef { offset: entry.footer_offset, length: entry.footer_length, crc: entry.footer_crc };
    SegmentReader::open(store.clone(), path, Some(footer), cache).await
}

/// Its rows that are dead.
pub(crate) async fn dead_rows(store: &Store, entry: &SegmentEntry) -> Result<DeadSet, Error> {
    let Some(stored) = &entry.tombstones else { return Ok(DeadSet::default()) };
    Ok(tombstones::decode(&stored.blob.path, &stored.blob.read(store).await?)?.iter().collect())
}
