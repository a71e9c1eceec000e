use std::{
    io, mem,
    time::{Duration, Instant},
};

use drift_types::SeqNo;

use crate::{
    Error, LogSink, Result, WalRecord,
    chain::PassedFile,
    header::{FileHeader, HEADER_BYTES},
    record::{self, ALIGN},
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

/// Appends to the log. There is one per database; [`WalWriter::open`] makes it.
///
/// After a failed write or sync it is poisoned: nobody knows what is on disk, so every later call
/// returns [`Error::Poisoned`] and nothing is tried again.
pub struct WalWriter {
    sink: Box<dyn LogSink>,
    policy: SyncPolicy,
    /// Earlier files, oldest first.
    old: Vec<PassedFile>,
    /// The current file's own header.
    header: FileHeader,
    /// Offset behind the last record of the current file.
    end: u64,
    /// Offset up to which the current file is synced.
    durable: u64,
    last_seq: SeqNo,
    /// What is appended is above every number used before this writer.
    first_seq: SeqNo,
    /// The oldest file that is still needed.
    needed_from: u64,
    last_sync: Instant,
    is_poisoned: bool,
    /// The group being encoded; kept for its room.
    group: Vec<u8>,
}

/// The room kept between groups.
const GROUP_BYTES: usize = 4 << 20;

/// Who made a file that was found in the way.
enum Occupant {
    /// This writer: the answer to its own attempt was lost.
    Ourselves,
    /// A writer that came too late: it has put a fence, found out, and written nothing.
    Late,
}

impl WalWriter {
    /// A writer behind the files `old`, in the file of `header`, which has no record yet.
    pub(crate) fn new(
        sink: Box<dyn LogSink>,
        policy: SyncPolicy,
        old: Vec<PassedFile>,
        header: FileHeader,
        last_seq: SeqNo,
    ) -> Self {
        Self {
            sink,
            policy,
            needed_from: old.first().map_or(header.number, |old| old.number),
            old,
            header,
            end: HEADER_BYTES as u64,
            durable: HEADER_BYTES as u64,
            last_seq,
            first_seq: last_seq.next(),
            last_sync: Instant::now(),
            is_poisoned: false,
            group: Vec::new(),
        }
    }

    /// Appends a group of records in one write, and makes them durable as the policy says.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] and [`Error::TooLarge`] leave the log as it was; any other error
    /// leaves unknown how much of the group is in the log, and poisons the writer.
    /// [`Error::Fenced`] tells that another writer has taken the log over: nothing of the group is in it.
    pub fn append(&mut self, records: &[WalRecord]) -> Result<()> {
        self.check_usable()?;
        let Some(first) = records.first() else {
            return Ok(());
        };
        let last_seq = check_group(self.last_seq.max(self.first_seq), records)?;
        let group_bytes: usize = records.iter().map(|r| record::encoded_len(r.payload.len())).sum();
        match self.sink.file_bytes() {
            Some(file_bytes) => self.grow(records, group_bytes, file_bytes)?,
            None => self.put(first.seq, group_bytes, |salt, out| {
                for record in records {
                    record::encode(record, salt, out.len() as u64, 0, out);
                }
            })?,
        }
        self.last_seq = last_seq;
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
    /// [`Error::OutOfOrder`], [`Error::Fenced`], [`Error::Io`].
    pub fn close(mut self, seq: SeqNo) -> Result<()> {
        if seq < self.last_seq {
            return Err(Error::OutOfOrder { seq, last: self.last_seq });
        }
        self.sync()?;
        if self.sink.file_bytes().is_none() {
            return self.put(seq, ALIGN, |salt, out| {
                out.extend(record::encode_checkpoint(seq, salt, out.len() as u64));
            });
        }
        let checkpoint = record::encode_checkpoint(seq, self.header.salt, self.end);
        self.write(&checkpoint)?;
        self.sync()
    }

    /// Lets go of the files that hold no record above `upto`, never of the current one; returns how
    /// many have been deleted. Files written whole follow once a later file tells that they are not
    /// needed: they go in any order, and whoever reads the log must not miss those that went first.
    ///
    /// # Errors
    /// [`Error::Io`]; the writer stays usable and the next call tries again.
    pub fn truncate(&mut self, upto: SeqNo) -> Result<usize> {
        self.check_usable()?;
        let passed = self.old.iter().take_while(|old| old.last_seq <= upto).count();
        self.needed_from = self.old.get(passed).map_or(self.header.number, |old| old.number);
        let end = match self.sink.file_bytes() {
            Some(_) => self.needed_from,
            None => self.header.oldest,
        };
        let count = self.old.iter().take_while(|old| old.number < end).count();
        if count == 0 {
            return Ok(0);
        }
        let numbers: Vec<u64> = self.old[..count].iter().map(|old| old.number).collect();
        let path = self.sink.name(numbers[0]);
        self.sink.delete(&numbers).map_err(|source| Error::Io { action: "delete", path, source })?;
        self.old.drain(..count);
        Ok(count)
    }

    /// Writes records into a file that grows.
    fn grow(&mut self, records: &[WalRecord], group_bytes: usize, file_bytes: u64) -> Result<()> {
        if self.end > HEADER_BYTES as u64 && self.end + group_bytes as u64 > file_bytes {
            self.rotate(records[0].seq)?;
        }
        let mut group = mem::take(&mut self.group);
        group.clear();
        for record in records {
            let offset = self.end + group.len() as u64;
            record::encode(record, self.header.salt, offset, self.durable, &mut group);
        }
        self.write(&group)?;
        self.group = group;
        Ok(())
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
        self.pass(self.header.number);
        self.go_on_in(header, HEADER_BYTES as u64);
        Ok(())
    }

    /// Writes the next file whole, with what `encode` adds for its salt behind the header.
    fn put(&mut self, first_seq: SeqNo, body_bytes: usize, encode: impl Fn(u64, &mut Vec<u8>)) -> Result<()> {
        let length = (HEADER_BYTES + body_bytes) as u64;
        let (previous_end, oldest) = (self.end, self.needed_from);
        self.pass(self.header.number);
        let mut header = FileHeader { first_seq, previous_end, oldest, length, ..self.header };
        loop {
            header = FileHeader { number: header.number + 1, salt: fastrand::u64(..), ..header };
            self.group.clear();
            self.group.extend(header.encode());
            encode(header.salt, &mut self.group);
            let Err(source) = self.sink.create(header.number, &self.group) else { break };
            match self.occupant(header.number, source).inspect_err(|_| self.is_poisoned = true)? {
                Occupant::Ourselves => break,
                Occupant::Late => self.pass(header.number),
            }
        }
        self.go_on_in(header, length);
        Ok(())
    }

    /// Who stands where a file was to be created.
    fn occupant(&self, number: u64, source: io::Error) -> Result<Occupant> {
        let path = self.sink.name(number);
        let found = match self.sink.read(number) {
            Ok(found) if source.kind() == io::ErrorKind::AlreadyExists => found,
            _ => return Err(Error::Io { action: "create", path, source }),
        };
        match FileHeader::decode(&found) {
            _ if found == self.group => Ok(Occupant::Ourselves),
            Ok(theirs) if theirs.epoch > self.header.epoch => Err(Error::Fenced { path }),
            Ok(theirs) if theirs.epoch < self.header.epoch && theirs.length == HEADER_BYTES as u64 => {
                Ok(Occupant::Late)
            }
            _ => Err(Error::Io { action: "create", path, source }),
        }
    }

    fn pass(&mut self, number: u64) {
        self.old.push(PassedFile { number, last_seq: self.last_seq });
    }

    fn go_on_in(&mut self, header: FileHeader, end: u64) {
        self.header = header;
        (self.end, self.durable) = (end, end);
        self.group.shrink_to(GROUP_BYTES);
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

pub(crate) fn create_file(sink: &mut dyn LogSink, header: &FileHeader) -> Result<()> {
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
