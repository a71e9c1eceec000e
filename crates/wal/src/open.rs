//! Taking a log over: what was written is read, and nobody else writes from then on.

use std::io;

use drift_types::SeqNo;
use ulid::Ulid;

use crate::{
    Error, LogSink, ReplaySummary, Result, SyncPolicy, WalRecord, WalWriter,
    chain::{Chain, Log},
    header::{FileHeader, HEADER_BYTES},
    writer::create_file,
};

/// Who takes a log over, and what is known of it from elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The database the log belongs to.
    pub database: Ulid,
    /// The new writer's own: above that of every earlier one.
    pub epoch: u64,
    /// The epoch of the last writer known to have opened this log; 0 if nobody has.
    pub last_epoch: u64,
    /// The highest sequence number known to be used outside the log.
    pub newest: SeqNo,
    /// When what is appended is made durable. Files written whole always are.
    pub policy: SyncPolicy,
}

impl WalWriter {
    /// Opens the log for writing: hands every record there is to `apply`, oldest first, and starts a
    /// new file. Numbers appended are above all in the log and above [`Opening::newest`].
    ///
    /// Where files are written whole, the new file comes first and fences earlier writers: what one
    /// of them got into the log before that is read, and nothing gets in behind it.
    ///
    /// # Errors
    /// As [`replay_sink`](crate::replay_sink), and [`Error::Fenced`], [`Error::Outdated`].
    pub fn open<E: From<Error>>(
        mut sink: Box<dyn LogSink>,
        opening: Opening,
        apply: impl FnMut(WalRecord) -> Result<(), E>,
    ) -> Result<(Self, ReplaySummary), E> {
        let chain = Chain::find(&*sink, opening.database)?;
        let (log, header) = if sink.file_bytes().is_some() {
            let log = chain.read(&*sink, opening.database, apply)?;
            let header = append_file(&mut *sink, &opening, &chain, &log)?;
            (log, header)
        } else {
            let (chain, header) = fence(&mut *sink, &opening, chain)?;
            let mut log = chain.read(&*sink, opening.database, apply)?;
            if log.summary.epoch > opening.epoch {
                return Err(Error::Fenced { path: sink.name(header.number) }.into());
            }
            let passed = log.files.partition_point(|file| file.number < log.oldest);
            let passed = log.files.drain(..passed).map(|file| file.number);
            delete(&mut *sink, &[chain.leftovers, passed.collect()].concat())?;
            (log, header)
        };
        let last_seq = log.summary.last_seq.max(opening.newest);
        Ok((Self::new(sink, opening.policy, log.files, header, last_seq), log.summary))
    }
}

/// Starts a file behind those of a log that grows and nobody else has open.
fn append_file(sink: &mut dyn LogSink, opening: &Opening, chain: &Chain, log: &Log) -> Result<FileHeader> {
    let last = log.files.last().map(|file| file.number);
    check_epoch(opening, log.summary.epoch, || sink.name(last.unwrap_or(1)))?;
    delete(sink, log.unfinished.as_slice())?;
    if let Some(number) = last {
        sink.settle(number).map_err(|source| Error::Io { action: "sync", path: sink.name(number), source })?;
    }
    let next = last.map_or(chain.numbers.first().copied().unwrap_or(1), |last| last + 1);
    let first_seq = log.summary.last_seq.max(opening.newest).next();
    let header = FileHeader { number: next, previous_end: log.end, first_seq, ..blank(opening) };
    create_file(sink, &header)?;
    Ok(header)
}

/// Puts a file without records behind the last one, whoever is writing there. An earlier writer
/// finds its next number taken. Returns the files before it.
fn fence(sink: &mut dyn LogSink, opening: &Opening, mut chain: Chain) -> Result<(Chain, FileHeader)> {
    let first = chain.numbers.last().map_or(1, |last| last + 1);
    let (epoch, oldest, previous_end) = chain.newest.as_ref().map_or((0, first, 0), |n| (n.epoch, n.oldest, n.end));
    check_epoch(opening, epoch, || sink.name((first - 1).max(1)))?;
    let mut header = FileHeader {
        number: first,
        first_seq: opening.newest.next(),
        previous_end,
        oldest,
        length: HEADER_BYTES as u64,
        ..blank(opening)
    };
    // An earlier writer may be at work: then this climbs past it, a number per round trip.
    while let Err(source) = sink.create(header.number, &header.encode()) {
        if source.kind() != io::ErrorKind::AlreadyExists {
            return Err(Error::Io { action: "create", path: sink.name(header.number), source });
        }
        chain.numbers.push(header.number);
        header = FileHeader { number: header.number + 1, salt: fastrand::u64(..), ..header };
    }
    Ok((chain, header))
}

fn delete(sink: &mut dyn LogSink, numbers: &[u64]) -> Result<()> {
    let Some(&first) = numbers.first() else { return Ok(()) };
    let path = sink.name(first);
    sink.delete(numbers).map_err(|source| Error::Io { action: "delete", path, source })
}

fn check_epoch(opening: &Opening, found: u64, path: impl FnOnce() -> String) -> Result<()> {
    match found {
        _ if found > opening.epoch => Err(Error::Fenced { path: path() }),
        _ if found < opening.last_epoch => Err(Error::Outdated { path: path(), found, expected: opening.last_epoch }),
        _ => Ok(()),
    }
}

fn blank(opening: &Opening) -> FileHeader {
    FileHeader {
        database: opening.database,
        epoch: opening.epoch,
        salt: fastrand::u64(..),
        number: 0,
        first_seq: SeqNo(0),
        previous_end: 0,
        oldest: 0,
        length: 0,
    }
}
