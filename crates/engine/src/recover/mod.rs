//! From manifests and the log back to the state that was acknowledged last.

mod buckets;
mod collection;
mod history;
mod log;
mod log_place;

pub(crate) use collection::{open_collection, remove_collection, restore};
pub(crate) use history::stored_rules;
pub(crate) use log::{OpenLog, Stopped, open_log};
pub(crate) use log_place::LogPlace;
