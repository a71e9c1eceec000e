use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use drift_types::SeqNo;
use ulid::Ulid;

use crate::{
    Error, LocalSink, LogFile, LogSink, Result, WalRecord,
    header::{FileHeader, HEADER_BYTES},
    record, replay,
    scan::{self, FileEnd, Tail},
};

/// When appended records are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before `append` returns: a record acknowledged is never lost.
    #[default]
    Always,
    /// By the first `append` after so long. A power loss takes what came since, so call
    /// [`WalWriter::sync`] when no more records come.
    Interval(Duration),
    /// When the operating system likes, and at each change of file.
    Os,
}

/// Appends to the log. There is one per database; [`replay()`](crate::replay()) comes before it.
///
/// After a failed write or sync it is poisoned: nobody knows what is on disk, so every later call
/// returns [`Error::Poisoned`] and nothing is tried again.
pub struct WalWriter {
    sink: Box<dyn LogSink>,
    policy: SyncPolicy,
    /// Earlier files, oldest first.
    old: Vec<OldFile>,
    /// The current file's own header.
    header: FileHeader,
    /// Offset behind the last record of the current file.
    end: u64,
    /// Offset up to which the current file is synced.
    durable: u64,
    last_seq: SeqNo,
    last_sync: Instant,
    is_poisoned: bool,
    /// The group being encoded; kept for its room.
    group: Vec<u8>,
}

struct OldFile {
    file: LogFile,
    /// No record of it is above this.
    last_seq: SeqNo,
}

/// The room kept between groups.
const GROUP_BYTES: usize = 4 << 20;

impl WalWriter {
    /// Starts a new file behind those in `dir` (`<root>/wal`), which is made when missing.
    ///
    /// `first_seq` is above every number in the log and every number used outside it; `epoch` is the
    /// writer's own and never below that of an earlier one.
    ///
    /// # Errors
    /// As [`replay()`](crate::replay()), and [`Error::Fenced`], [`Error::OutOfOrder`].
    pub fn create(dir: &Path, database: Ulid, epoch: u64, first_seq: SeqNo, policy: SyncPolicy) -> Result<Self> {
        Self::with_sink(Box::new(LocalSink::new(dir)), database, epoch, first_seq, policy)
    }

    /// [`WalWriter::create`] on any sink.
    pub fn with_sink(
        mut sink: Box<dyn LogSink>,
        database: Ulid,
        epoch: u64,
        first_seq: SeqNo,
        policy: SyncPolicy,
    ) -> Result<Self> {
        let mut files = replay::list(&*sink)?;
        let previous_end = settle(&mut *sink, &mut files, database, epoch, first_seq)?;
        let last_seq = SeqNo(first_seq.0.saturating_sub(1));
        let header = FileHeader {
            database,
            epoch,
            salt: fastrand::u64(..),
            number: files.last().map_or(1, |file| file.number + 1),
            first_seq,
            previous_end,
        };
        create_file(&mut *sink, &header)?;
        Ok(Self {
            sink,
            policy,
            old: files.into_iter().map(|file| OldFile { file, last_seq }).collect(),
            header,
            end: HEADER_BYTES as u64,
            durable: HEADER_BYTES as u64,
            last_seq,
            last_sync: Instant::now(),
            is_poisoned: false,
            group: Vec::new(),
        })
    }

    /// Appends a group of records in one write, and makes them durable as the policy says.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] and [`Error::TooLarge`] leave the log as it was; any other error
    /// leaves unknown how much of the group is in the log, and poisons the writer.
    pub fn append(&mut self, records: &[WalRecord]) -> Result<()> {
        self.check_usable()?;
        let Some(first) = records.first() else {
            return Ok(());
        };
        let last_seq = check_group(self.last_seq.max(self.header.first_seq), records)?;
        let group_bytes: usize = records.iter().map(|r| record::encoded_len(r.payload.len())).sum();
        if self.end > HEADER_BYTES as u64 && self.end + group_bytes as u64 > self.sink.file_bytes() {
            self.rotate(first.seq)?;
        }

        let mut group = std::mem::take(&mut self.group);
        for record in records {
            let offset = self.end + group.len() as u64;
            record::encode(record, self.header.salt, offset, self.durable, &mut group);
        }
        self.write(&group)?;
        self.last_seq = last_seq;
        group.clear();
        group.shrink_to(GROUP_BYTES);
        self.group = group;

        match self.policy {
            SyncPolicy::Always => self.sync(),
            SyncPolicy::Interval(interval) if self.last_sync.elapsed() >= interval => self.sync(),
            SyncPolicy::Interval(_) | SyncPolicy::Os => Ok(()),
        }
    }

    /// Makes everything appended durable; does nothing when it is.
    ///
    /// # Errors
    /// [`Error::Io`], which poisons the writer.
    pub fn sync(&mut self) -> Result<()> {
        self.check_usable()?;
        if self.durable < self.end {
            let synced = self.sink.sync();
            self.or_poison(synced, "sync")?;
            self.durable = self.end;
        }
        self.last_sync = Instant::now();
        Ok(())
    }

    /// Ends the log with a checkpoint at `seq`, the highest number used, and makes it durable. After
    /// this, replay excuses no changed byte of a change as the remains of a crash.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`], [`Error::Io`].
    pub fn close(mut self, seq: SeqNo) -> Result<()> {
        if seq < self.last_seq {
            return Err(Error::OutOfOrder { seq, last: self.last_seq });
        }
        self.sync()?;
        let checkpoint = record::encode_checkpoint(seq, self.header.salt, self.end);
        self.write(&checkpoint)?;
        self.sync()
    }

    /// Deletes the files that hold no record above `upto`, never the current one; returns how many.
    ///
    /// # Errors
    /// [`Error::Io`]; the writer stays usable and the next call goes on where this one stopped.
    pub fn truncate(&mut self, upto: SeqNo) -> Result<usize> {
        self.check_usable()?;
        let passed = self.old.iter().take_while(|old| old.last_seq <= upto).count();
        for _ in 0..passed {
            // Oldest first, each for good before the next: a crash leaves no gap in the numbers.
            let number = self.old[0].file.number;
            self.sink.delete(number).map_err(|source| Error::Io {
                action: "delete",
                path: self.sink.name(number),
                source,
            })?;
            self.old.remove(0);
        }
        Ok(passed)
    }

    /// Bytes of the log: earlier files, and the current one up to its last record.
    pub fn bytes(&self) -> u64 {
        self.end + self.old.iter().map(|old| old.file.bytes).sum::<u64>()
    }

    /// Goes on in a new file. The old one is durable before the new one tells where it ends.
    fn rotate(&mut self, first_seq: SeqNo) -> Result<()> {
        self.sync()?;
        let header = FileHeader {
            number: self.header.number + 1,
            salt: fastrand::u64(..),
            first_seq,
            previous_end: self.end,
            ..self.header
        };
        create_file(&mut *self.sink, &header).inspect_err(|_| self.is_poisoned = true)?;
        let file = LogFile { number: self.header.number, bytes: self.end };
        self.old.push(OldFile { file, last_seq: self.last_seq });
        self.header = header;
        self.end = HEADER_BYTES as u64;
        self.durable = self.end;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.sink.append(bytes);
        self.or_poison(written, "write")?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn check_usable(&self) -> Result<()> {
        if self.is_poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    fn or_poison(&mut self, result: io::Result<()>, action: &'static str) -> Result<()> {
        result.map_err(|source| {
            self.is_poisoned = true;
            Error::Io { action, path: self.sink.name(self.header.number), source }
        })
    }
}

/// Makes sure of what earlier writers left: removes a last file whose creation was never finished,
/// and returns the offset behind the last record of the one before, durable from now on.
fn settle(
    sink: &mut dyn LogSink,
    files: &mut Vec<LogFile>,
    database: Ulid,
    epoch: u64,
    first_seq: SeqNo,
) -> Result<u64> {
    while let Some(&LogFile { number, .. }) = files.last() {
        let path = sink.name(number);
        let Some(last) = scan::open(sink, number, database, true)? else {
            sink.delete(number).map_err(|source| Error::Io { action: "delete", path, source })?;
            files.pop();
            continue;
        };
        if last.header.epoch > epoch {
            return Err(Error::Fenced { path });
        }
        let FileEnd { offset, last_seq, tail } = last.read_records(SeqNo(0), |_| Ok::<_, Error>(()))?;
        if let Tail::Corrupt(reason) = tail {
            return Err(last.corrupt(offset, reason));
        }
        if first_seq <= last_seq {
            return Err(Error::OutOfOrder { seq: first_seq, last: last_seq });
        }
        sink.settle(number).map_err(|source| Error::Io { action: "sync", path, source })?;
        return Ok(offset);
    }
    Ok(0)
}

fn create_file(sink: &mut dyn LogSink, header: &FileHeader) -> Result<()> {
    let path = sink.name(header.number);
    sink.create(header.number, &header.encode()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Fenced { path },
        _ => Error::Io { action: "create", path, source },
    })
}

/// The number of the last record, once all can be appended behind `last`.
fn check_group(mut last: SeqNo, records: &[WalRecord]) -> Result<SeqNo> {
    for record in records {
        if record.seq < last {
            return Err(Error::OutOfOrder { seq: record.seq, last });
        }
        if u32::try_from(record.payload.len()).is_err() {
            return Err(Error::TooLarge { bytes: record.payload.len() });
        }
        last = record.seq;
    }
    Ok(last)
}
