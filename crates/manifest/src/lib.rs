//! What a database consists of, as numbered, immutable versions in a store.
//!
//! A [`Manifest`] lists the live segments, tombstones and buckets of one collection; the
//! [`Catalog`] lists the collections. Both are chains of versions 1, 2, 3, ... in a
//! [`VersionLog`]. To commit is to create the next number if it is absent, so of all who try
//! exactly one succeeds; who opens for writing commits a version of a higher epoch first, which
//! fences every earlier writer. All other objects are named by ULIDs and live only by being
//! named here.
#![forbid(unsafe_code)]

mod blob;
mod bucket_table;
mod catalog;
mod column;
mod conservation;
mod error;
mod frame;
mod history;
mod history_encoding;
mod listing;
mod log;
mod manifest;
pub mod paths;
mod stamp;
pub mod tombstones;
mod violation;

pub use blob::BlobRef;
pub use bucket_table::{BucketRow, BucketTable};
pub use catalog::{Catalog, CatalogEntry, LogMark, validate_name};
pub use conservation::conservation_hash;
pub use error::{Error, Result};
pub use history::{Action, Event, History, RecallSample};
pub use log::{Chain, Commit, Numbered, VersionLog};
pub use manifest::{CollectionSchema, Manifest, SegmentEntry, TombstoneRef};
pub use stamp::Stamp;
pub use violation::Violation;
