//! Looking at a database from outside: without its lock and without writing a byte, so that a look
//! never disturbs, let alone fences, the server that has it open.

mod buckets;
mod collection;
mod finding;
mod log;
mod look;
mod segment;
mod verify;

use drift_storage::Store;

use crate::{Error, ErrorKind, Result};

pub use finding::{Checked, Finding, Verification};
pub use look::{CollectionLook, DatabaseLook, SegmentLook, look};
pub use verify::verify;

/// Opens the store of a database that exists.
async fn open_store(uri: &str) -> Result<Store> {
    Store::open_existing(uri).await.map_err(|e| match e {
        drift_storage::Error::NotFound { .. } => nothing_at(uri),
        other => other.into(),
    })
}

fn nothing_at(uri: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no database at {uri}: name another place, or create one there"))
}
