//! The log: replay of any files, and a writer that goes on behind them.
//!
//! ```text
//! input  u8 (bit 0: renew checksums, bit 1: files do not grow), pages of the files (pages.rs)
//! ```

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use drift_types::{CollectionId, SeqNo};
use drift_wal::{Error, LogSink, Opening, RecordKind, ReplaySummary, SyncPolicy, WalRecord, WalWriter, replay_sink};
use ulid::Ulid;

use crate::{checksums, pages};

/// The one database there is.
pub const DATABASE: Ulid = Ulid(7);

pub fn run(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let mut files = pages::unfold(rest);
    if mode & 1 == 1 {
        files.iter_mut().for_each(|file| checksums::log(file));
    }
    let log = MemoryLog::new(files, mode & 2 == 0);
    if let Ok((records, summary)) = replayed(&log) {
        goes_on(&log, records, &summary);
    }
}

/// A new writer keeps what replay finds, and what it appends comes behind.
fn goes_on(log: &MemoryLog, mut records: Vec<WalRecord>, before: &ReplaySummary) {
    let Some(seq) = before.last_seq.0.checked_add(1).map(SeqNo) else { return };
    let mut writer = open(log, u64::MAX).expect("replay has found nothing wrong");
    records.push(record(seq, b"one more"));
    writer.append(&records[records.len() - 1..]).expect("memory takes it");
    let (found, summary) = replayed(log).expect("the writer has read the log");
    // Of a log whose files do not grow, those that a forged one calls passed are gone now.
    assert!(if log.grows { found == records } else { !found.is_empty() && records.ends_with(&found) });
    assert_eq!((summary.last_seq, summary.torn_tail), (seq, None));
}

/// A writer of that epoch.
pub fn open(log: &MemoryLog, epoch: u64) -> Result<WalWriter, Error> {
    let (newest, policy) = (SeqNo(0), SyncPolicy::Always);
    let opening = Opening { database: DATABASE, epoch, last_epoch: 0, newest, policy };
    WalWriter::open(Box::new(log.clone()), opening, |_| Ok::<_, Error>(())).map(|(writer, _)| writer)
}

/// A record of some statement.
pub fn record(seq: SeqNo, payload: &'static [u8]) -> WalRecord {
    let (collection, kind) = (CollectionId(Ulid(9)), RecordKind::Insert);
    WalRecord { seq, collection, kind, payload: Bytes::from_static(payload) }
}

fn replayed(log: &MemoryLog) -> Result<(Vec<WalRecord>, ReplaySummary), Error> {
    let mut records = Vec::new();
    let summary = replay_sink(log, DATABASE, |record| {
        records.push(record);
        Ok::<_, Error>(())
    })?;
    assert_eq!(summary.records, records.len() as u64);
    assert!(records.iter().map(|record| record.seq).is_sorted());
    Ok((records, summary))
}

/// A log in memory: files 1, 2, 3, ...
#[derive(Clone)]
pub struct MemoryLog {
    files: Arc<Mutex<Vec<Vec<u8>>>>,
    grows: bool,
}

impl MemoryLog {
    pub fn new(files: Vec<Vec<u8>>, grows: bool) -> Self {
        Self { files: Arc::new(Mutex::new(files)), grows }
    }

    /// The files' bytes.
    pub fn files(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.files.lock().expect("nobody panics with it")
    }
}

impl LogSink for MemoryLog {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok((1..=self.files().len() as u64).collect())
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.files()[number as usize - 1]))
    }

    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(number, self.files().len() as u64 + 1);
        self.files().push(bytes.to_vec());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.files().last_mut().expect("one was created").extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn settle(&mut self, _number: u64) -> io::Result<()> {
        Ok(())
    }

    /// Files that do not grow may be deleted later, and are never here.
    fn delete(&mut self, numbers: &[u64]) -> io::Result<()> {
        if self.grows {
            assert_eq!(numbers, [self.files().len() as u64], "only a last file that was never finished");
            self.files().pop();
        }
        Ok(())
    }

    fn file_bytes(&self) -> Option<u64> {
        self.grows.then_some(1 << 20)
    }

    fn name(&self, number: u64) -> String {
        format!("file {number}")
    }
}
