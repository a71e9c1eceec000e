//! Logs in an object store: a file per group, writers that lose the log, answers that are lost.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use drift_storage::{
    Store,
    faults::{Fault, Faults, Operation},
};
use drift_types::SeqNo;
use drift_wal::{Error, LogSink, ObjectSink, Opening, WalRecord, WalWriter};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::{HEADER, disk::Disk, open, opening, read, record, writer};

/// A runtime, a store in memory, and its faults.
struct Place {
    runtime: Runtime,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let store = runtime.block_on(Store::open("memory://")).expect("a store in memory");
        Self { runtime, store }
    }

    fn sink(&self) -> ObjectSink {
        ObjectSink::new(self.store.clone(), self.runtime.handle().clone())
    }

    fn faulty(&self, faults: &Arc<Faults>) -> ObjectSink {
        ObjectSink::new(self.store.clone().with_faults(faults.clone()), self.runtime.handle().clone())
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        self.sink().read(number).expect("an object").to_vec()
    }

    fn replace(&self, number: u64, bytes: Vec<u8>) {
        let path = format!("wal/{number:020}.wal");
        self.runtime.block_on(self.store.delete(&path)).expect("deleted");
        self.runtime.block_on(self.store.publish(&path, bytes)).expect("put");
    }

    fn remove(&self, number: u64) {
        self.runtime.block_on(self.store.delete(&format!("wal/{number:020}.wal"))).expect("deleted");
    }
}

fn groups(range: std::ops::Range<u64>) -> Vec<WalRecord> {
    range.map(|seq| record(seq, 100)).collect()
}

fn append_each(log: &mut WalWriter, records: &[WalRecord]) -> Result<(), Error> {
    records.iter().try_for_each(|record| log.append(std::slice::from_ref(record)))
}

#[test]
fn a_group_commit_is_one_put_and_nothing_else() -> Result<(), Error> {
    let (place, faults) = (Place::new(), Faults::none());
    let mut log = writer(place.faulty(&faults), 1)?;
    assert_eq!((faults.count(Operation::List), faults.count(Operation::Put)), (1, 1), "opening an empty log");
    let before = faults.calls().len();
    for group in 0..10 {
        log.append(&[record(2 * group + 1, 500), record(2 * group + 2, 0)])?;
        log.sync()?;
    }
    let calls = faults.calls().split_off(before);
    assert_eq!(calls.len(), 10, "{calls:?}");
    assert!(calls.iter().all(|call| call.operation == Operation::Put));
    assert_eq!(read(&place.sink())?.0.len(), 20);
    Ok(())
}

#[test]
fn files_passed_go_once_a_later_file_says_so() -> Result<(), Error> {
    let place = Place::new();
    let mut log = writer(place.sink(), 1)?;
    append_each(&mut log, &groups(1..41))?;
    assert_eq!(log.truncate(SeqNo(30))?, 0, "nothing durable says that these are not needed");
    log.append(&[record(41, 10)])?;
    // The fence and 30 groups.
    assert_eq!(log.truncate(SeqNo(30))?, 31);
    assert_eq!(log.truncate(SeqNo(30))?, 0);
    let kept = || place.sink().list().expect("listed");
    while kept().len() > 11 {
        std::thread::sleep(Duration::from_millis(1)); // they go in the background
    }
    assert_eq!(read(&place.sink())?.0, [groups(31..41), vec![record(41, 10)]].concat());
    // A delete that was cut short leaves files that nobody misses or reads, and the next writer removes.
    place.replace(7, vec![1, 2, 3]);
    assert_eq!(read(&place.sink())?.0.len(), 11);
    let _next = writer(place.sink(), 2)?;
    while kept().contains(&7) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(read(&place.sink())?.0.len(), 11);
    // Whereas one that is needed is missed, wherever it stood.
    for lost in [32, 35, 42] {
        let bytes = place.bytes(lost);
        place.remove(lost);
        assert!(matches!(read(&place.sink()), Err(Error::Missing { .. })), "{lost}");
        assert!(matches!(writer(place.sink(), 3), Err(Error::Missing { .. })), "{lost}");
        place.replace(lost, bytes);
    }
    Ok(())
}

#[test]
fn no_changed_byte_and_no_cut_of_an_object_is_excused() -> Result<(), Error> {
    for closes in [false, true] {
        let place = Place::new();
        let mut log = writer(place.sink(), 1)?;
        log.append(&groups(1..3))?;
        log.append(&groups(3..4))?;
        if closes {
            log.close(SeqNo(3))?;
        }
        let (expected, summary) = read(&place.sink())?;
        assert_eq!((&expected, summary.clean), (&groups(1..4), closes));
        // Fence, groups, checkpoint; or the newest group, which nothing follows.
        let numbers = if closes { 1..=4 } else { 3..=3 };
        for number in numbers {
            let good = place.bytes(number);
            let damaged = (0..good.len())
                .map(|at| {
                    let mut bad = good.clone();
                    bad[at] ^= 0x20;
                    bad
                })
                .chain((0..good.len()).step_by(61).map(|len| good[..len].to_vec()))
                .chain([[good.clone(), vec![0; 64]].concat()]);
            for (case, bad) in damaged.enumerate() {
                place.replace(number, bad);
                let found = read(&place.sink());
                assert!(matches!(found, Err(Error::Corrupt { .. })), "object {number}, case {case}: {found:?}");
            }
            place.replace(number, good);
        }
        assert_eq!(read(&place.sink())?.0, expected);
    }
    Ok(())
}

#[test]
fn an_older_object_under_a_newer_name_is_named() -> Result<(), Error> {
    let place = Place::new();
    let mut log = writer(place.sink(), 1)?;
    append_each(&mut log, &groups(1..6))?;
    let (third, fourth) = (place.bytes(3), place.bytes(4));
    place.replace(4, third.clone());
    let found = read(&place.sink()).expect_err("an object under another's name");
    assert!(matches!(&found, Error::Corrupt { path, .. } if path.ends_with("4.wal")), "{found}");
    place.replace(3, fourth);
    assert!(matches!(read(&place.sink()), Err(Error::Corrupt { .. })), "swapped");
    Ok(())
}

#[test]
fn a_lost_answer_is_no_lost_group_and_no_double_one() -> Result<(), Error> {
    for fault in [Fault::AnswerLost, Fault::Refused] {
        let place = Place::new();
        // Every third put goes wrong, once.
        let faults =
            Faults::new(move |call| (call.operation == Operation::Put && call.number % 3 == 2).then_some(fault));
        let mut log = writer(place.faulty(&faults), 1)?;
        append_each(&mut log, &groups(1..10))?;
        log.close(SeqNo(9))?;
        assert_eq!(read(&place.sink())?.0, groups(1..10), "{fault:?}");
    }
    Ok(())
}

#[test]
fn a_store_that_stays_away_poisons_the_writer() -> Result<(), Error> {
    let (place, broken) = (Place::new(), Arc::new(AtomicUsize::new(0)));
    let is_broken = broken.clone();
    let faults = Faults::new(move |_| (is_broken.load(Relaxed) > 0).then_some(Fault::AnswerLost));
    let mut log = writer(place.faulty(&faults), 1)?;
    append_each(&mut log, &groups(1..3))?;
    broken.store(1, Relaxed);
    assert!(matches!(log.append(&groups(3..4)), Err(Error::Io { .. })));
    broken.store(0, Relaxed);
    assert!(matches!(log.append(&groups(4..5)), Err(Error::Poisoned)));
    // Its outcome was unknown; here it had landed.
    assert_eq!(read(&place.sink())?.0, groups(1..4));
    Ok(())
}

#[test]
fn the_fenced_writer_stops_at_once() -> Result<(), Error> {
    let place = Place::new();
    let mut first = writer(place.sink(), 1)?;
    first.append(&groups(1..2))?;
    let mut second = writer(place.sink(), 2)?;
    let fenced = first.append(&groups(2..3)).expect_err("the log is lost");
    assert!(matches!(fenced, Error::Fenced { .. }), "{fenced}");
    assert!(matches!(first.append(&groups(2..3)), Err(Error::Poisoned)));
    second.append(&groups(2..4))?;
    assert_eq!(read(&place.sink())?.0, groups(1..4));
    // One that was overtaken while it opened the log writes nothing into it.
    assert!(matches!(writer(place.sink(), 1), Err(Error::Fenced { .. })));
    second.append(&groups(4..5))?;
    assert_eq!(read(&place.sink())?.0, groups(1..5));
    Ok(())
}

/// A log that writers of these epochs have opened, one after the other.
fn opened_by(epochs: &[u64]) -> Result<Disk, Error> {
    let disk = Disk::of_whole_files();
    epochs.iter().try_for_each(|&epoch| writer(disk.clone(), epoch).map(drop))?;
    Ok(disk)
}

#[test]
fn one_that_came_late_stops_nobody() -> Result<(), Error> {
    // A writer of epoch 2 has looked at the log, waits, and puts its fence behind that of epoch 3.
    let late = opened_by(&[1, 1, 2])?.read(3).expect("the fence of epoch 2");
    let mut disk = opened_by(&[1])?;
    let mut third = writer(disk.clone(), 3)?;
    disk.create(3, &late).expect("the next number is free");
    third.append(&groups(1..3))?;
    third.append(&groups(3..4))?;
    assert_eq!(read(&disk)?.0, groups(1..4));
    third.close(SeqNo(3))?;
    drop(writer(disk.clone(), 4)?);
    assert_eq!(read(&disk)?.0, groups(1..4));
    Ok(())
}

#[test]
fn a_late_fence_hides_neither_the_newest_epoch_nor_what_is_deleted() -> Result<(), Error> {
    // It was made when all ten files before it were needed, and epoch 2 was the newest.
    let other = opened_by(&[1])?;
    append_each(&mut writer(other.clone(), 1)?, &groups(1..9))?;
    drop(writer(other.clone(), 2)?);
    let late = other.read(11).expect("the fence of epoch 2");

    let mut disk = opened_by(&[1])?;
    let mut log = writer(disk.clone(), 3)?;
    append_each(&mut log, &groups(1..8))?;
    log.truncate(SeqNo(5))?;
    append_each(&mut log, &groups(8..9))?;
    assert_eq!(log.truncate(SeqNo(5))?, 7);
    disk.create(11, &late).expect("the next number is free");
    assert_eq!(read(&disk)?.0, groups(6..9));
    drop(open(disk.clone(), Opening { last_epoch: 3, ..opening(4, 0) })?);
    assert_eq!(read(&disk)?.0, groups(6..9));
    Ok(())
}

#[test]
fn a_late_fence_does_not_tell_where_a_log_that_grew_elsewhere_ends() -> Result<(), Error> {
    let late = opened_by(&[1, 2])?.read(2).expect("the fence of epoch 2");
    let grown = Disk::new(1 << 20);
    writer(grown.clone(), 3)?.append(&groups(1..3))?;
    let mut moved = Disk::of_whole_files();
    moved.create(1, &grown.read(1).expect("the log")).expect("the first number is free");
    moved.create(2, &late).expect("the next number is free");
    assert_eq!(read(&moved)?.0, groups(1..3));
    writer(moved.clone(), 4)?.append(&groups(3..4))?;
    assert_eq!(read(&moved)?.0, groups(1..4));
    Ok(())
}

/// A disk on which something happens right before the first file is created.
struct Interrupted {
    disk: Disk,
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
}

impl LogSink for Interrupted {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.disk.list()
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        self.disk.read(number)
    }

    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.meanwhile.take().into_iter().for_each(|happens| happens());
        self.disk.create(number, bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync()
    }

    fn settle(&mut self, number: u64) -> io::Result<()> {
        self.disk.settle(number)
    }

    fn delete(&mut self, numbers: &[u64]) -> io::Result<()> {
        self.disk.delete(numbers)
    }

    fn file_bytes(&self) -> Option<u64> {
        self.disk.file_bytes()
    }

    fn name(&self, number: u64) -> String {
        self.disk.name(number)
    }
}

#[test]
fn a_writer_that_still_deletes_while_it_loses_the_log_takes_nothing_from_the_next() -> Result<(), Error> {
    let disk = Disk::of_whole_files();
    let mut first = writer(disk.clone(), 1)?;
    append_each(&mut first, &groups(1..8))?;
    first.truncate(SeqNo(4))?;
    let first = Arc::new(Mutex::new(first));
    let goes_on = first.clone();
    // The second has looked at the log; only then the first says that it needs no more of its start.
    let meanwhile =
        move || append_each(&mut goes_on.lock().expect("one thread"), &groups(8..9)).expect("not yet fenced");
    let mut second = writer(Interrupted { disk: disk.clone(), meanwhile: Some(Box::new(meanwhile)) }, 2)?;
    assert_eq!(first.lock().expect("one thread").truncate(SeqNo(4))?, 5);
    assert_eq!(read(&disk)?.0, groups(5..9));
    append_each(&mut second, &groups(9..11))?;
    assert_eq!(second.truncate(SeqNo(1))?, 0);
    append_each(&mut second, &groups(11..12))?;
    drop(writer(disk.clone(), 3)?);
    assert_eq!(read(&disk)?.0, groups(5..12));
    Ok(())
}

#[test]
fn records_of_a_writer_that_had_lost_the_log_are_refused() -> Result<(), Error> {
    let other = opened_by(&[1])?;
    writer(other.clone(), 2)?.append(&groups(1..2))?;
    let mut disk = opened_by(&[1, 3])?;
    disk.create(3, &other.read(3).expect("a record of epoch 2")).expect("the next number is free");
    assert!(matches!(read(&disk), Err(Error::Corrupt { offset: 0, .. })));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Writers open the log again and again while the one before goes on, on two threads, with
    /// answers lost. What was acknowledged is there once, in order; nothing after the fence is.
    #[test]
    fn racing_writers_lose_and_double_nothing(seed: u64, lives in 2_usize..6, lost in 0_usize..4) {
        let place = Place::new();
        let faults = Faults::new(move |call| match (call.operation, (call.number * 7 + seed as usize) % 11) {
            (Operation::Put, at) if at < lost => Some(Fault::AnswerLost),
            (_, 4) => Some(Fault::Late(Duration::from_micros(300))),
            _ => None,
        });
        let mut acknowledged: Vec<Vec<u64>> = Vec::new();
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for epoch in 1..=lives as u64 {
                let sink = place.faulty(&faults);
                let opened = WalWriter::open(Box::new(sink), opening(epoch, 0), |_| Ok::<_, Error>(()));
                let (mut log, summary) = opened.expect("nobody of a higher epoch is about");
                running.push(scope.spawn(move || {
                    let mut seqs = Vec::new();
                    for seq in summary.last_seq.0 + 1.. {
                        match log.append(&[payload(seq, epoch)]) {
                            Ok(()) => seqs.push(seq),
                            Err(Error::Fenced { .. }) => break,
                            Err(other) => panic!("{other}"),
                        }
                        // Who is never fenced ends, and a log that grows faster than the next life reads
                        // it would never let that one open.
                        if seqs.len() == if epoch == lives as u64 { 5 } else { 200 } {
                            break;
                        }
                    }
                    seqs
                }));
            }
            acknowledged = running.into_iter().map(|life| life.join().expect("no panic")).collect();
        });
        let found: Vec<(u64, u64)> = read(&place.sink())?.0.iter().map(|r| (r.seq.0, r.payload[0].into())).collect();
        let expected = acknowledged.iter().zip(1..).flat_map(|(seqs, epoch)| seqs.iter().map(move |&seq| (seq, epoch)));
        prop_assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

/// A record that tells whose it is.
fn payload(seq: u64, epoch: u64) -> WalRecord {
    WalRecord { payload: vec![epoch as u8; 40].into(), ..record(seq, 0) }
}

#[test]
fn a_log_can_be_moved_from_a_directory_to_a_store_and_back() -> Result<(), Error> {
    let (place, dir) = (Place::new(), tempfile::tempdir().expect("a temporary directory"));
    let local = || drift_wal::LocalSink::new(dir.path()).with_file_bytes(3 * HEADER as u64);
    let mut log = writer(local(), 1)?;
    append_each(&mut log, &groups(1..100))?;
    drop(log);
    for number in local().list().expect("listed") {
        place.replace(number, local().read(number).expect("a file").to_vec());
    }
    let mut log = open(place.sink(), Opening { last_epoch: 1, ..opening(2, 0) })?;
    append_each(&mut log, &groups(100..110))?;
    assert_eq!(read(&place.sink())?.0, groups(1..110));
    drop(log);
    for number in place.sink().list().expect("listed") {
        std::fs::write(dir.path().join(format!("{number:020}.wal")), place.bytes(number)).expect("a file");
    }
    append_each(&mut writer(local(), 3)?, &groups(110..120))?;
    assert_eq!(read(&local())?.0, groups(1..120));
    Ok(())
}
