//! The write-ahead log: what makes an acknowledged row survive a crash.
//!
//! A log is a chain of files with contiguous numbers. Each opens with a header of 4 KiB (`header.rs`)
//! and goes on with records aligned to 64 bytes (`record.rs`); what lies behind the last record is
//! zero. Payloads are opaque bytes. One [`WalWriter`] appends; [`replay_sink`] reads everything back.
//! Files grow in a directory ([`LocalSink`]); in an object store each group of records is a file of its
//! own, written whole ([`ObjectSink`]).
//!
//! What a reader may believe rests on three facts written beside the records:
//! - every record header has a checksum bound to the file's random salt and to its own offset, and
//!   holds its payload's,
//!   so stale, moved or foreign bytes never pass for a record;
//! - every record tells how many bytes of its file were *durable* when it was written. A bad record
//!   below the durable mark of a later one had been synced: that is corruption, and replay refuses.
//!   A bad record above every such mark belongs to the last unsynced write: a torn tail, dropped;
//! - every file tells where the one before it ended, so no file's tail is lost unnoticed once it has
//!   a successor, and the remains of a torn write are skipped without ever changing an old file.
//!
//! All calls block: run them on a thread of their own.
#![forbid(unsafe_code)]

mod chain;
mod error;
mod header;
mod local;
mod object;
mod open;
mod record;
mod replay;
mod scan;
mod sink;
mod writer;

pub use error::Error;
pub use local::LocalSink;
pub use object::ObjectSink;
pub use open::Opening;
pub use record::{RecordKind, WalRecord};
pub use replay::{ReplaySummary, TornTail, replay_sink};
pub use sink::LogSink;
pub use writer::{SyncPolicy, WalWriter};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
