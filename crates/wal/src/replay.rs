use std::path::Path;

use drift_types::SeqNo;
use ulid::Ulid;

use crate::{
    Error, LocalSink, LogFile, LogSink, Result, WalRecord,
    scan::{self, FileEnd, OpenFile, Tail},
};

/// What replay found.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySummary {
    /// Records handed out.
    pub records: u64,
    /// No number above this has been used, as far as the log knows; 0 for an empty log.
    pub last_seq: SeqNo,
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

/// Hands every record of the log in `dir` to `apply`, oldest first, and changes nothing.
///
/// A statement whose last record is missing was cut by a crash: the caller drops its records. One
/// file at a time is in memory, and its payloads are views into it: copy what is to be kept long.
///
/// # Errors
/// The first error of `apply`, or [`Error::Corrupt`], [`Error::Missing`], [`Error::WrongDatabase`],
/// [`Error::Version`], [`Error::UnknownKind`], [`Error::Io`]; what was applied before is to be
/// thrown away with it.
pub fn replay<E: From<Error>>(
    dir: &Path,
    database: Ulid,
    apply: impl FnMut(WalRecord) -> Result<(), E>,
) -> Result<ReplaySummary, E> {
    replay_sink(&LocalSink::new(dir), database, apply)
}

/// [`replay()`] from any sink.
pub fn replay_sink<E: From<Error>>(
    sink: &dyn LogSink,
    database: Ulid,
    mut apply: impl FnMut(WalRecord) -> Result<(), E>,
) -> Result<ReplaySummary, E> {
    let files = list(sink)?;
    let mut records = 0;
    let mut last: Option<(OpenFile, FileEnd)> = None;
    for (i, listed) in files.iter().enumerate() {
        let Some(file) = scan::open(sink, listed.number, database, i + 1 == files.len())? else {
            break;
        };
        let mut last_seq = SeqNo(0);
        if let Some((previous, end)) = last.take() {
            check_end(&previous, &end, file.header.previous_end)?;
            last_seq = end.last_seq;
        }
        let end = file.read_records(last_seq, |record| {
            records += 1;
            apply(record)
        })?;
        last = Some((file, end));
    }
    Ok(summary(records, last)?)
}

/// The files of the log, which have contiguous numbers.
pub(crate) fn list(sink: &dyn LogSink) -> Result<Vec<LogFile>> {
    let files = sink.list().map_err(|source| Error::Io { action: "list the log of", path: sink.name(0), source })?;
    match files.windows(2).find(|pair| pair[0].number + 1 != pair[1].number) {
        Some(pair) => Err(Error::Missing { path: sink.name(pair[0].number + 1) }),
        None => Ok(files),
    }
}

/// A file that has a successor ends where the successor says: nothing behind that was ever part of
/// the log, and nothing before it may be missing.
fn check_end(file: &OpenFile, end: &FileEnd, expected: u64) -> Result<()> {
    if end.offset == expected {
        return Ok(());
    }
    Err(file.corrupt(end.offset.min(expected), "its records do not end where the next file says they do"))
}

fn summary(records: u64, last: Option<(OpenFile, FileEnd)>) -> Result<ReplaySummary> {
    let Some((file, end)) = last else {
        return Ok(ReplaySummary { records, last_seq: SeqNo(0), torn_tail: None, clean: true });
    };
    let torn_tail = match end.tail {
        Tail::Blank | Tail::Closed => None,
        Tail::Corrupt(reason) => return Err(file.corrupt(end.offset, reason)),
        Tail::Torn => {
            tracing::warn!(path = file.name(), offset = end.offset, "dropped the remains of an interrupted write");
            Some(TornTail { path: file.name().to_owned(), offset: end.offset })
        }
    };
    Ok(ReplaySummary { records, last_seq: end.last_seq, torn_tail, clean: end.tail == Tail::Closed })
}
