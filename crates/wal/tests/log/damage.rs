//! Files changed, cut, lost or swapped after they were written.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use drift_types::SeqNo;
use drift_wal::{Error, LocalSink, Opening, WalRecord, WalWriter};
use tempfile::TempDir;
use ulid::Ulid;

use crate::{HEADER, open, opening, read, record, writer};

/// Bytes of each record [`filled`] writes.
const RECORD: usize = 192;

/// A log of `count` records, `per_file` of them in a file, not closed.
fn filled(count: u64, per_file: usize) -> (TempDir, LocalSink, Vec<WalRecord>, WalWriter) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = || LocalSink::new(dir.path()).with_file_bytes((HEADER + per_file * RECORD) as u64);
    let mut log = writer(sink(), 1).expect("a log");
    let records: Vec<_> = (1..=count).map(|seq| record(seq, 100)).collect();
    for record in &records {
        log.append(std::slice::from_ref(record)).expect("appended");
    }
    let sink = sink();
    (dir, sink, records, log)
}

fn path(dir: &TempDir, number: u64) -> PathBuf {
    dir.path().join(format!("{number:020}.wal"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at] ^= 0x20;
    fs::write(path, bytes).expect("writable");
}

#[test]
fn a_file_cut_anywhere_yields_a_prefix() -> Result<(), Error> {
    let (dir, sink, records, _log) = filled(5, 3);
    let last = OpenOptions::new().write(true).open(path(&dir, 2)).expect("two files");
    for len in (0..=HEADER + 3 * RECORD).rev() {
        last.set_len(len as u64).expect("cut");
        let whole = 3 + (len.saturating_sub(HEADER) / RECORD).min(2);
        assert_eq!(read(&sink)?.0, records[..whole], "cut to {len} bytes");
    }
    Ok(())
}

#[test]
fn no_changed_byte_of_an_open_log_yields_wrong_rows() {
    let (dir, sink, records, _log) = filled(3, 3);
    let file = path(&dir, 1);
    for at in 0..HEADER + 3 * RECORD {
        flip(&file, at);
        match read(&sink) {
            Err(Error::Corrupt { .. }) => {
                assert!(at < HEADER + 2 * RECORD, "byte {at} is in the last record")
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok((found, summary)) => {
                assert_eq!(found, records[..2], "byte {at}");
                assert_eq!(summary.torn_tail.map(|t| t.offset), Some((HEADER + 2 * RECORD) as u64));
                assert!(at >= HEADER + 2 * RECORD, "byte {at} had been synced");
            }
        }
        flip(&file, at);
    }
}

#[test]
fn no_changed_byte_of_a_closed_log_is_excused() -> Result<(), Error> {
    let (dir, sink, records, log) = filled(3, 5);
    log.close(SeqNo(3))?;
    assert!(read(&sink)?.1.clean);
    let file = path(&dir, 1);
    let checkpoint = HEADER + 3 * RECORD..HEADER + 3 * RECORD + 64;
    for at in 0..HEADER + 5 * RECORD {
        flip(&file, at);
        match read(&sink) {
            Err(error) => assert!(matches!(error, Error::Corrupt { .. }) && !checkpoint.contains(&at), "{error}"),
            // Without its checkpoint the log is one that was not closed, and no row is missing.
            Ok((found, summary)) => {
                assert!(checkpoint.contains(&at), "byte {at}");
                assert!(found == records && !summary.clean && summary.torn_tail.is_some());
            }
        }
        flip(&file, at);
    }
    Ok(())
}

#[test]
fn corruption_is_refused_by_a_new_writer_too() -> Result<(), Error> {
    let (dir, sink, ..) = filled(3, 3);
    flip(&path(&dir, 1), HEADER + RECORD + 70);
    let opened = writer(sink, 2);
    let Err(Error::Corrupt { offset, .. }) = opened else { panic!("opened a corrupt log") };
    assert_eq!(offset, (HEADER + RECORD) as u64);
    Ok(())
}

#[test]
fn a_torn_tail_stays_skipped_once_the_log_goes_on() -> Result<(), Error> {
    let (dir, sink, records, _log) = filled(3, 3);
    flip(&path(&dir, 1), HEADER + 2 * RECORD);
    let mut log = writer(LocalSink::new(dir.path()), 2)?;
    log.append(&[record(7, 20)])?;
    let (found, summary) = read(&sink)?;
    assert_eq!(found, [records[0].clone(), records[1].clone(), record(7, 20)]);
    assert_eq!((summary.torn_tail, summary.last_seq), (None, SeqNo(7)));
    Ok(())
}

#[test]
fn the_tail_of_an_earlier_file_is_missed() -> Result<(), Error> {
    for (from, what) in [(HEADER + 2 * RECORD, "its last record"), (HEADER, "all records"), (0, "everything")] {
        let (dir, sink, ..) = filled(5, 3);
        let mut bytes = fs::read(path(&dir, 1)).expect("readable");
        bytes[from..].fill(0);
        fs::write(path(&dir, 1), bytes).expect("writable");
        assert!(matches!(read(&sink), Err(Error::Corrupt { .. })), "{what} zeroed");
    }
    Ok(())
}

#[test]
fn lost_renamed_and_foreign_files_are_named() -> Result<(), Error> {
    let (dir, sink, ..) = filled(9, 3);
    fs::rename(path(&dir, 2), path(&dir, 9)).expect("renamed");
    assert!(matches!(read(&sink), Err(Error::Missing { .. })));
    fs::copy(path(&dir, 1), path(&dir, 2)).expect("copied");
    fs::remove_file(path(&dir, 9)).expect("removed");
    assert!(matches!(read(&sink), Err(Error::Corrupt { .. })), "a file under another's name");
    fs::remove_file(path(&dir, 2)).expect("removed");
    fs::remove_file(path(&dir, 3)).expect("removed");

    let other = open(LocalSink::new(dir.path()), Opening { database: Ulid(1), ..opening(2, 20) });
    assert!(matches!(other, Err(Error::WrongDatabase { .. })));
    Ok(())
}

#[test]
fn zeroed_and_swapped_pages_are_named() -> Result<(), Error> {
    const PAGE: usize = 4096;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = || LocalSink::new(dir.path()).with_file_bytes(6 * PAGE as u64);
    let records: Vec<_> = (1..=12).map(|seq| record(seq, 3000)).collect();
    let mut log = writer(sink(), 1)?;
    for record in &records {
        log.append(std::slice::from_ref(record))?;
    }
    log.close(SeqNo(12))?;
    for number in 1..=2 {
        let good = fs::read(path(&dir, number)).expect("readable");
        let pages = good.len() / PAGE;
        let is_zero = |page: usize| good[page * PAGE..][..PAGE].iter().all(|&b| b == 0);
        for (a, b) in (0..pages).flat_map(|a| (0..pages).map(move |b| (a, b))) {
            let mut bad = good.clone();
            if a == b {
                bad[a * PAGE..][..PAGE].fill(0);
            } else {
                bad.copy_within(b * PAGE..(b + 1) * PAGE, a * PAGE);
                bad[b * PAGE..][..PAGE].copy_from_slice(&good[a * PAGE..][..PAGE]);
            }
            fs::write(path(&dir, number), &bad).expect("writable");
            match read(&sink()) {
                Err(Error::Corrupt { path, .. }) => assert!(path.contains(&format!("{number}.wal"))),
                Err(other) => panic!("file {number}, pages {a} and {b}: {other}"),
                Ok((found, _)) if is_zero(a) && is_zero(b) => assert_eq!(found, records),
                // With the page of the checkpoint go all proofs that the records before it were synced.
                Ok((found, summary)) => {
                    let checkpoint = HEADER + 6 * 3072;
                    assert!(number == 2 && a.max(b) == checkpoint / PAGE, "file {number}, pages {a} and {b}");
                    assert!(records.starts_with(&found) && !summary.clean && summary.torn_tail.is_some());
                }
            }
        }
        fs::write(path(&dir, number), &good).expect("writable");
    }
    Ok(())
}
