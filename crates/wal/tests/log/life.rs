//! A log that nothing happens to.

use std::time::Duration;

use drift_types::SeqNo;
use drift_wal::{Error, LocalSink, LogSink, Opening, SyncPolicy};
use proptest::prelude::*;

use crate::{HEADER, open, opening, read, record, writer};

fn policies() -> impl Strategy<Value = SyncPolicy> {
    prop_oneof![Just(SyncPolicy::Always), Just(SyncPolicy::Interval(Duration::from_millis(1))), Just(SyncPolicy::Os),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Lives of (records per group, payload bytes), each closed or dropped, some cutting the log.
    #[test]
    fn what_is_appended_is_replayed(
        file_bytes in 4096_u64..40_000,
        policy in policies(),
        lives in prop::collection::vec((
            prop::collection::vec((1_usize..5, 0_usize..6000), 0..8),
            any::<bool>(),
            prop::option::of(0.0..1.0),
        ), 1..5),
    ) {
        let dir = tempfile::tempdir()?;
        let sink = LocalSink::new(dir.path().join("wal")).with_file_bytes(file_bytes);
        let again = || LocalSink::new(dir.path().join("wal")).with_file_bytes(file_bytes);
        let (mut kept, mut seq) = (Vec::new(), 0);
        for (epoch, (groups, closes, cut)) in lives.into_iter().enumerate() {
            let mut log = open(again(), Opening { policy, ..opening(epoch as u64, 0) })?;
            for (count, len) in groups {
                seq += 1;
                let group: Vec<_> = (0..count).map(|i| record(seq, len / (i + 1))).collect();
                log.append(&group)?;
                kept.extend(group);
            }
            if let Some(part) = cut {
                let upto = (seq as f64 * part) as u64;
                log.truncate(SeqNo(upto))?;
                let (found, _) = read(&sink)?;
                prop_assert!(kept.ends_with(&found));
                let gone = kept.len() - found.len();
                prop_assert!(kept[..gone].iter().all(|r| r.seq.0 <= upto), "cut too much");
                kept = found;
            }
            if closes {
                log.close(SeqNo(seq))?;
            } else {
                drop(log);
            }
            let (found, summary) = read(&sink)?;
            prop_assert_eq!(&found, &kept);
            prop_assert_eq!((summary.last_seq, summary.clean, summary.torn_tail), (SeqNo(seq), closes, None));
        }
    }
}

#[test]
fn no_log_is_an_empty_one() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (records, summary) = read(&LocalSink::new(dir.path().join("none")))?;
    assert!(records.is_empty() && summary.clean && summary.last_seq == SeqNo(0));
    assert!(!dir.path().join("none").exists(), "reading makes nothing");
    Ok(())
}

#[test]
fn truncate_deletes_files_passed_and_never_the_current() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Two records of 128 bytes to a file: 1 2 | 3 4 | 5 6.
    let sink = || LocalSink::new(dir.path()).with_file_bytes(HEADER as u64 + 256);
    let mut log = writer(sink(), 1)?;
    for seq in 1..=6 {
        log.append(&[record(seq, 64)])?;
    }
    for (upto, deleted) in [(1, 0), (3, 1), (3, 0), (6, 1), (99, 0)] {
        assert_eq!(log.truncate(SeqNo(upto))?, deleted, "up to {upto}");
    }
    assert_eq!(read(&sink())?.0, [record(5, 64), record(6, 64)]);
    drop(log);

    let mut log = writer(sink(), 2)?;
    assert_eq!(log.truncate(SeqNo(5))?, 0);
    assert_eq!(log.truncate(SeqNo(6))?, 1);
    assert_eq!(read(&sink())?.1.last_seq, SeqNo(6), "an empty log still knows its numbers");
    Ok(())
}

#[test]
fn a_record_larger_than_a_file_makes_the_file_grow() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let sink = || LocalSink::new(dir.path()).with_file_bytes(8192);
    let mut log = writer(sink(), 1)?;
    let records = [record(1, 50_000), record(2, 10)];
    for record in &records {
        log.append(std::slice::from_ref(record))?;
    }
    assert_eq!(read(&sink())?.0, records);
    assert_eq!(sink().list().expect("listed").len(), 2);
    Ok(())
}

#[test]
fn numbers_that_go_back_are_refused_and_harm_nothing() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = writer(LocalSink::new(dir.path()), 1)?;
    log.append(&[record(5, 10)])?;
    assert!(matches!(log.append(&[record(6, 10), record(4, 10)]), Err(Error::OutOfOrder { .. })));
    log.append(&[record(5, 10)])?;
    assert!(matches!(log.close(SeqNo(4)), Err(Error::OutOfOrder { .. })));

    assert!(matches!(writer(LocalSink::new(dir.path()), 0), Err(Error::Fenced { .. })));
    let mut log = open(LocalSink::new(dir.path()), opening(1, 8))?;
    assert!(matches!(log.append(&[record(8, 10)]), Err(Error::OutOfOrder { .. })), "used outside the log");
    log.append(&[record(9, 10)])?;
    let mut log = writer(LocalSink::new(dir.path()), 1)?;
    assert!(matches!(log.append(&[record(9, 10)]), Err(Error::OutOfOrder { .. })), "used in the log");
    assert_eq!(read(&LocalSink::new(dir.path()))?.0.len(), 3);
    Ok(())
}

#[test]
fn a_writer_overtaken_stops() -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let create = |epoch| writer(LocalSink::new(dir.path()).with_file_bytes(0), epoch);
    let mut zombie = create(1)?;
    zombie.append(&[record(1, 10)])?;
    let _successor = create(2)?;
    assert!(matches!(zombie.append(&[record(2, 10)]), Err(Error::Fenced { .. })));
    assert!(matches!(zombie.append(&[record(2, 10)]), Err(Error::Poisoned)));
    Ok(())
}

#[test]
fn another_state_of_the_log_than_the_last_is_noticed() -> Result<(), Error> {
    let (dir, empty) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    drop(writer(LocalSink::new(dir.path()), 3)?);
    let later = |last_epoch| Opening { last_epoch, ..opening(9, 0) };
    let missed = |place: &tempfile::TempDir, last_epoch| match open(LocalSink::new(place.path()), later(last_epoch)) {
        Err(Error::Outdated { found, .. }) => found,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!((missed(&dir, 4), missed(&empty, 1)), (3, 0));
    assert!(LocalSink::new(empty.path()).list().expect("listed").is_empty(), "nothing was made");
    open(LocalSink::new(dir.path()), later(3)).map(drop)
}
