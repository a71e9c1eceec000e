use std::io;

use drift_types::SeqNo;
use ulid::Ulid;

/// What can go wrong with the log, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage below failed.
    #[error("cannot {action} {path}: {source}; check the storage's space, health and permissions")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The log or one file of it.
        path: String,
        /// The system's answer.
        source: io::Error,
    },

    /// An earlier write or sync failed: what is on disk is unknown until it has been read again.
    #[error("the log refuses writes since an earlier write or sync failed; check the storage, then restart the server")]
    Poisoned,

    /// Bytes that had been made durable have changed.
    #[error(
        "{path} is corrupt at byte {offset}: {reason}; nothing was changed: restore the file from a copy or the database from a backup"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What gave it away.
        reason: &'static str,
    },

    /// The numbers of the files have a gap.
    #[error("{path} is missing while later log files exist; restore it from a copy or the database from a backup")]
    Missing {
        /// The file that should be there.
        path: String,
    },

    /// The log belongs to another database.
    #[error("{path} belongs to database {found}, not to {expected}; open the directory it came from")]
    WrongDatabase {
        /// The file.
        path: String,
        /// The database in its header.
        found: Ulid,
        /// The database being opened.
        expected: Ulid,
    },

    /// A newer program wrote the file.
    #[error("{path} has log format version {version}, this program reads {supported}; open it with a newer release")]
    Version {
        /// The file.
        path: String,
        /// The version in its header.
        version: u32,
        /// The version this program writes.
        supported: u32,
    },

    /// A newer program wrote the record.
    #[error("{path} holds a record of unknown kind {kind} at byte {offset}; open it with a newer release")]
    UnknownKind {
        /// The file.
        path: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The kind's number.
        kind: u8,
    },

    /// Another writer has taken the log over.
    #[error("another writer has taken over at {path}; stop this one and connect to the other")]
    Fenced {
        /// The file the other writer made.
        path: String,
    },

    /// Another log, or an older state of it, stands where the newest was expected.
    #[error(
        "the log that ends with {path} is not the newest: a writer of epoch {expected} has opened it last, this one ends with epoch {found} (0: there is none)"
    )]
    Outdated {
        /// The log's last file, or its first one if there is none.
        path: String,
        /// The epoch of its last writer; 0 when it is empty.
        found: u64,
        /// The epoch that was to be found.
        expected: u64,
    },

    /// Sequence numbers must not fall.
    #[error("sequence number {seq} does not follow {last} in the log; numbers must not go back")]
    OutOfOrder {
        /// The number offered.
        seq: SeqNo,
        /// The highest number in the log.
        last: SeqNo,
    },

    /// A record holds at most 4 GiB.
    #[error("a log record of {bytes} bytes is too large; insert in smaller batches (4 GiB at most)")]
    TooLarge {
        /// The payload's length.
        bytes: usize,
    },
}
