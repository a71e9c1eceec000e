use drift_types::SeqNo;
use ulid::Ulid;

use crate::{Error, LogSink, Result, WalRecord, chain::Chain};

/// What replay found.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySummary {
    /// Records handed out.
    pub records: u64,
    /// No number above this has been used, as far as the log knows; 0 for an empty log.
    pub last_seq: SeqNo,
    /// The highest epoch of a writer; 0 for an empty log.
    pub epoch: u64,
    /// The remains of a write that was never acknowledged as durable, which were skipped.
    pub torn_tail: Option<TornTail>,
    /// Whether the last writer closed the log, or there was none.
    pub clean: bool,
}

/// Where an interrupted write was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TornTail {
    /// The file.
    pub path: String,
    /// Where in it, in bytes: behind its last sound record.
    pub offset: u64,
}

/// Hands every record of a log to `apply`, oldest first, and changes nothing. Records that every
/// collection has passed may be among them.
///
/// Payloads are views into their file's bytes: copy what is to be kept long.
///
/// # Errors
/// The first error of `apply`, or [`Error::Corrupt`], [`Error::Missing`], [`Error::WrongDatabase`],
/// [`Error::Version`], [`Error::UnknownKind`], [`Error::Io`]; what was applied before is to be
/// thrown away with it.
pub fn replay_sink<E: From<Error>>(
    sink: &dyn LogSink,
    database: Ulid,
    apply: impl FnMut(WalRecord) -> Result<(), E>,
) -> Result<ReplaySummary, E> {
    let log = Chain::find(sink, database)?.read(sink, database, apply)?;
    Ok(log.summary)
}
