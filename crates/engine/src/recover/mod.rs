//! From manifests and the log back to the state that was acknowledged last.

mod buckets;
mod collection;
mod log;

pub(crate) use collection::{open_collection, remove_collection, restore};
pub(crate) use log::{replay, start_log};
