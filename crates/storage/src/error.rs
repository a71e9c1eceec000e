use std::{io, ops::Range};

/// What can go wrong between bytes and places.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such object.
    #[error("'{path}' does not exist")]
    NotFound {
        /// The object, relative to the store's root.
        path: String,
    },

    /// Objects are immutable: this one has been written before.
    #[error("'{path}' exists already, and objects are never overwritten")]
    AlreadyExists {
        /// The object, relative to the store's root.
        path: String,
    },

    /// Another writer holds the store.
    #[error(
        "in use by {}: connect to its server with --host, or stop it",
        pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The holder's process id; unknown in the instant before it has written it down.
        pid: Option<u32>,
    },

    /// The caller's URI, path or range makes no sense.
    #[error("{0}")]
    Invalid(String),

    /// An object ends before the bytes asked for: it is truncated, or what named the range is wrong.
    #[error(
        "'{path}' is corrupt: bytes {}..{} were asked for, but it has {length}",
        range.start, range.end
    )]
    Corrupt {
        /// The object, relative to the store's root.
        path: String,
        /// The bytes asked for.
        range: Range<u64>,
        /// The object's length in bytes.
        length: u64,
    },

    /// The local file system refused.
    #[error("'{path}': {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },

    /// The object store refused or could not be reached. After a put this says nothing about
    /// whether the object has landed: read it back.
    #[error("'{path}': {source}")]
    Remote {
        /// The object, relative to the store's root.
        path: String,
        /// What the client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
