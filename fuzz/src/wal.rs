//! The log: replay of any files, and a writer that goes on behind them.
//!
//! ```text
//! input  u8 (bit 0: renew checksums), pages of the files (pages.rs)
//! ```

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use drift_types::{CollectionId, SeqNo};
use drift_wal::{Error, LogFile, LogSink, RecordKind, ReplaySummary, SyncPolicy, WalRecord, WalWriter, replay_sink};
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
    let log = MemoryLog::new(files);
    if let Ok((records, summary)) = replayed(&log) {
        goes_on(&log, records, &summary);
    }
}

/// A new writer keeps what replay finds, and what it appends comes behind.
fn goes_on(log: &MemoryLog, mut records: Vec<WalRecord>, before: &ReplaySummary) {
    let Some(seq) = before.last_seq.0.checked_add(1).map(SeqNo) else { return };
    let mut writer = WalWriter::with_sink(Box::new(log.clone()), DATABASE, u64::MAX, seq, SyncPolicy::Always)
        .expect("replay has found nothing wrong");
    records.push(record(seq, b"one more"));
    writer.append(&records[records.len() - 1..]).expect("memory takes it");
    let (found, summary) = replayed(log).expect("the writer has read the log");
    assert_eq!((found, summary.last_seq, summary.torn_tail), (records, seq, None));
}

/// A record of some statement.
pub fn record(seq: SeqNo, payload: &'static [u8]) -> WalRecord {
    let (collection, kind) = (CollectionId(Ulid(9)), RecordKind::Insert);
    WalRecord { seq, collection, kind, last_of_statement: true, payload: Bytes::from_static(payload) }
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
pub struct MemoryLog(Arc<Mutex<Vec<Vec<u8>>>>);

impl MemoryLog {
    pub fn new(files: Vec<Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    /// The files' bytes.
    pub fn files(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl LogSink for MemoryLog {
    fn list(&self) -> io::Result<Vec<LogFile>> {
        Ok(self.files().iter().zip(1..).map(|(file, number)| LogFile { number, bytes: file.len() as u64 }).collect())
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.files()[number as usize - 1]))
    }

    fn create(&mut self, number: u64, header: &[u8]) -> io::Result<()> {
        assert_eq!(number, self.files().len() as u64 + 1);
        self.files().push(header.to_vec());
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

    fn delete(&mut self, number: u64) -> io::Result<()> {
        assert_eq!(number, self.files().len() as u64, "only a last file that was never finished");
        self.files().pop();
        Ok(())
    }

    fn file_bytes(&self) -> u64 {
        1 << 20
    }

    fn name(&self, number: u64) -> String {
        format!("file {number}")
    }
}
