//! Where objects live in a store. Collections are named by their identity, never by a user's word.

use drift_types::{CollectionId, SegmentId};
use ulid::Ulid;

/// The directory of the catalog's versions.
pub const CATALOG_DIR: &str = "catalog";

/// The folders of a collection whose objects live only by being named in its newest manifest.
pub const OBJECT_KINDS: [&str; 4] = ["segment", "tombstone", "buckets", "history"];

/// The directory of a collection's manifests.
pub fn manifest_dir(collection: CollectionId) -> String {
    format!("c/{collection}/manifest")
}

/// A segment.
pub fn segment_path(collection: CollectionId, segment: SegmentId) -> String {
    format!("c/{collection}/segment/{segment}.drift")
}

/// A set of tombstones.
pub fn tombstone_path(collection: CollectionId, tombstones: Ulid) -> String {
    format!("c/{collection}/tombstone/{tombstones}.roar")
}

/// A bucket table.
pub fn bucket_table_path(collection: CollectionId, table: Ulid) -> String {
    format!("c/{collection}/buckets/{table}.arrow")
}

/// A history.
pub fn history_path(collection: CollectionId, history: Ulid) -> String {
    format!("c/{collection}/history/{history}.arrow")
}
