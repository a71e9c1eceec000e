//! Where objects live in a store. Collections are named by their identity, never by a user's word.

use drift_types::{CollectionId, SegmentId};
use ulid::Ulid;

/// The directory of the catalog's versions.
pub const CATALOG_DIR: &str = "catalog";

/// The folders of a collection whose objects live only by being named in its newest manifest.
pub const OBJECT_KINDS: [&str; 4] = ["segment", "tombstone", "buckets", "history"];

/// The folder of a collection's manifests.
pub const MANIFESTS: &str = "manifest";

/// The directory of a collection.
pub fn collection_dir(collection: CollectionId) -> String {
    format!("c/{collection}")
}

/// One of its folders: of [`OBJECT_KINDS`], or [`MANIFESTS`].
pub fn object_dir(collection: CollectionId, kind: &str) -> String {
    format!("c/{collection}/{kind}")
}

/// The directory of a collection's manifests.
pub fn manifest_dir(collection: CollectionId) -> String {
    object_dir(collection, MANIFESTS)
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
