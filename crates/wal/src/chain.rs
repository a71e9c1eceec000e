//! The files that make up a log, and reading them one after the other.

use std::{io, mem};

use drift_types::SeqNo;
use ulid::Ulid;

use crate::{
    Error, LogSink, ReplaySummary, Result, TornTail, WalRecord,
    scan::{self, FileEnd, OpenFile, Tail},
};

/// The numbers of a log's files, without gaps.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub numbers: Vec<u64>,
    /// Files that are not needed and not deleted yet; only where files are written whole.
    pub leftovers: Vec<u64>,
    /// What the newest files tell before all are read; only where files are written whole.
    pub newest: Option<Newest>,
}

/// What the newest files of a log tell.
#[derive(Debug)]
pub(crate) struct Newest {
    /// The highest epoch.
    pub epoch: u64,
    /// The oldest file needed.
    pub oldest: u64,
    /// Offset behind the last record of the last file.
    pub end: u64,
}

/// A file that has been read.
#[derive(Debug)]
pub(crate) struct PassedFile {
    pub number: u64,
    /// No record of it is above this.
    pub last_seq: SeqNo,
}

/// A log that has been read.
#[derive(Debug)]
pub(crate) struct Log {
    pub summary: ReplaySummary,
    pub files: Vec<PassedFile>,
    /// The oldest file needed, as far as the files tell; 0 if they grow.
    pub oldest: u64,
    /// Offset behind the last record of the last file.
    pub end: u64,
    /// A last file whose creation was never finished.
    pub unfinished: Option<u64>,
}

impl Chain {
    /// Lists the files that are needed.
    pub fn find(sink: &dyn LogSink, database: Ulid) -> Result<Self> {
        let mut numbers =
            sink.list().map_err(|source| Error::Io { action: "list the log of", path: sink.name(0), source })?;
        if sink.file_bytes().is_some() {
            return match numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
                Some(pair) => Err(Error::Missing { path: sink.name(pair[0] + 1) }),
                None => Ok(Self { numbers, ..Self::default() }),
            };
        }
        if numbers.is_empty() {
            return Ok(Self::default());
        }
        // Files written whole go in any order once they are passed; what is left of them means
        // nothing. The newest files tell where what is needed begins.
        let newest = read_newest(sink, database, &numbers)?;
        let needed = numbers.split_off(numbers.partition_point(|&number| number < newest.oldest));
        let (leftovers, numbers) = (numbers, needed);
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]).map(|pair| pair[0] + 1);
        let start = (numbers[0] > newest.oldest).then_some(newest.oldest);
        match start.or(gap) {
            Some(missing) => Err(Error::Missing { path: sink.name(missing) }),
            None => Ok(Self { numbers, leftovers, newest: Some(newest) }),
        }
    }

    /// Hands every record to `apply`, oldest first.
    pub fn read<E: From<Error>>(
        &self,
        sink: &dyn LogSink,
        database: Ulid,
        mut apply: impl FnMut(WalRecord) -> Result<(), E>,
    ) -> Result<Log, E> {
        let grows = sink.file_bytes().is_some();
        let mut reading = Reading::default();
        for (&number, bytes) in self.numbers.iter().zip(sink.read_each(&self.numbers)) {
            let path = sink.name(number);
            let bytes = match bytes {
                Err(e) if e.kind() == io::ErrorKind::NotFound && !grows => {
                    reading.restart(number + 1);
                    continue;
                }
                bytes => bytes.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?,
            };
            let is_last = self.numbers.last() == Some(&number);
            match scan::open(path, bytes, number, database, grows && is_last)? {
                Some(file) => reading.file(file, &mut apply)?,
                None => reading.unfinished = Some(number),
            }
        }
        if reading.start > reading.oldest {
            return Err(Error::Missing { path: sink.name(reading.oldest) }.into());
        }
        Ok(reading.finish()?)
    }
}

/// Reads files from the end of the log up to one with records. Files without are fences; each knows
/// what its writer knew when it looked at the log, which another may have changed since.
fn read_newest(sink: &dyn LogSink, database: Ulid, numbers: &[u64]) -> Result<Newest> {
    let mut newest = Newest { epoch: 0, oldest: 0, end: 0 };
    for &number in numbers.iter().rev() {
        let path = sink.name(number);
        let bytes = sink.read(number).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
        let file = scan::open(path, bytes, number, database, false)?.expect("only files that grow may be unfinished");
        let FileEnd { offset, tail, .. } = file.read_records(SeqNo(0), |_| Ok::<_, Error>(()))?;
        if let Tail::Corrupt(reason) = tail {
            return Err(file.corrupt(offset, reason));
        }
        if file.header.oldest > number {
            return Err(file.corrupt(0, "its header says that it is not needed itself"));
        }
        // What stands behind a file of a higher epoch came late, and replay passes over it.
        if newest.end == 0 || file.header.epoch > newest.epoch {
            newest.end = offset;
        }
        // A file that once grew elsewhere does not tell: then all that are there are needed.
        newest.oldest = newest.oldest.max(if file.is_whole() { file.header.oldest } else { numbers[0] });
        newest.epoch = newest.epoch.max(file.header.epoch);
        if file.holds_records() {
            break;
        }
    }
    Ok(newest)
}

/// A log while it is read.
#[derive(Default)]
struct Reading {
    records: u64,
    files: Vec<PassedFile>,
    epoch: u64,
    /// The first file of which none behind it was missing, once one was; 0: none was.
    start: u64,
    /// The oldest file needed, as far as those read tell.
    oldest: u64,
    last: Option<(OpenFile, FileEnd)>,
    unfinished: Option<u64>,
}

impl Reading {
    /// A file has just been deleted by a writer that is losing the log. Then nothing up to it was
    /// needed, as a later one has to confirm.
    fn restart(&mut self, start: u64) {
        *self = Self { start, records: self.records, ..Self::default() };
    }

    fn file<E: From<Error>>(
        &mut self,
        file: OpenFile,
        apply: &mut impl FnMut(WalRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let (number, epoch) = (file.header.number, file.header.epoch);
        if epoch < self.epoch {
            // Two have opened the log at once and this one came late: it has written nothing.
            if file.holds_records() {
                return Err(file.corrupt(0, "its writer had lost the log to a later one").into());
            }
            let last_seq = self.last.as_ref().map_or(SeqNo(0), |(_, end)| end.last_seq);
            self.files.push(PassedFile { number, last_seq });
            return Ok(());
        }
        let mut last_seq = SeqNo(0);
        if let Some((previous, end)) = self.last.take() {
            check_end(&previous, &end, file.header.previous_end)?;
            last_seq = end.last_seq;
        }
        let end = file.read_records(last_seq, |record| {
            self.records += 1;
            apply(record)
        })?;
        self.epoch = epoch;
        self.oldest = self.oldest.max(file.header.oldest);
        self.files.push(PassedFile { number, last_seq: end.last_seq });
        self.last = Some((file, end));
        Ok(())
    }

    fn finish(mut self) -> Result<Log> {
        let (files, oldest, unfinished) = (mem::take(&mut self.files), self.oldest, self.unfinished);
        let end = self.last.as_ref().map_or(0, |(_, end)| end.offset);
        Ok(Log { summary: self.summary()?, files, oldest, end, unfinished })
    }

    fn summary(self) -> Result<ReplaySummary> {
        let (records, epoch) = (self.records, self.epoch);
        let Some((file, end)) = self.last else {
            return Ok(ReplaySummary { records, last_seq: SeqNo(0), epoch, torn_tail: None, clean: true });
        };
        let torn_tail = match end.tail {
            Tail::Blank | Tail::Closed => None,
            Tail::Corrupt(reason) => return Err(file.corrupt(end.offset, reason)),
            Tail::Torn => Some(TornTail { path: file.name().to_owned(), offset: end.offset }),
        };
        Ok(ReplaySummary { records, last_seq: end.last_seq, epoch, torn_tail, clean: end.tail == Tail::Closed })
    }
}

/// A file that grew and has a successor ends where the successor says: nothing behind that was ever
/// part of the log, and nothing before it may be missing.
fn check_end(file: &OpenFile, end: &FileEnd, expected: u64) -> Result<()> {
    match end.tail {
        Tail::Corrupt(reason) if file.is_whole() => Err(file.corrupt(end.offset, reason)),
        _ if file.is_whole() || end.offset == expected => Ok(()),
        _ => Err(file.corrupt(end.offset.min(expected), "its records do not end where the next file says they do")),
    }
}
