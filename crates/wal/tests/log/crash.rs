//! Power loss at any moment, and errors of every call.

use drift_types::SeqNo;
use drift_wal::{Error, LogSink, Opening, SyncPolicy, WalRecord};
use proptest::prelude::*;

use crate::{HEADER, disk::Disk, open, opening, read, record, writer};

/// What a client knows: everything it sent, and how much of it was acknowledged as durable.
#[derive(Default)]
struct Client {
    sent: Vec<WalRecord>,
    acknowledged: usize,
}

impl Client {
    /// One life of a server, ended by the first error or by `appends`.
    fn work(&mut self, disk: &Disk, epoch: u64, appends: usize, random: &mut fastrand::Rng) -> Result<(), Error> {
        let mut seq = self.sent.last().map_or(1, |r| r.seq.0 + 1);
        let policy = if random.bool() { SyncPolicy::Always } else { SyncPolicy::Os };
        let mut log = open(disk.clone(), Opening { policy, ..opening(epoch, seq - 1) })?;
        for _ in 0..appends {
            let mut group = Vec::new();
            for _ in 0..random.usize(1..4) {
                group.push(record(seq, random.usize(0..900)));
                seq += random.u64(0..2);
            }
            self.sent.extend_from_slice(&group);
            log.append(&group)?;
            if policy == SyncPolicy::Os {
                if random.bool() {
                    continue;
                }
                log.sync()?;
            }
            self.acknowledged = self.sent.len();
        }
        if random.bool() {
            log.close(SeqNo(seq))?;
            self.acknowledged = self.sent.len();
        }
        Ok(())
    }

    /// Everything acknowledged is there, and nothing but what was sent, in order.
    fn recover(&mut self, disk: &Disk) {
        let (found, _) = read(disk).expect("a crash is no corruption");
        assert!(found.len() >= self.acknowledged, "{} of {} acknowledged", found.len(), self.acknowledged);
        assert!(found == self.sent[..found.len()], "only a prefix may survive");
        self.acknowledged = found.len();
        self.sent = found;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn acknowledged_records_survive_power_loss(
        seed: u64,
        file_bytes in prop::option::of(4096_u64..20_000),
        lives in prop::collection::vec((0_usize..30, 0_usize..12), 1..6),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = file_bytes.map_or_else(Disk::of_whole_files, Disk::new);
        let mut client = Client::default();
        for (epoch, (calls, appends)) in lives.into_iter().enumerate() {
            disk.fail_after(Some(calls));
            // An error ends this life as a crash does; the next one checks what is left.
            let _ = client.work(&disk, epoch as u64, appends, &mut random);
            disk.crash(&mut random);
            client.recover(&disk);
        }
    }
}

#[test]
fn a_killed_writer_leaves_what_it_wrote_even_unsynced() -> Result<(), Error> {
    let lazy = |epoch| Opening { policy: SyncPolicy::Os, ..opening(epoch, 0) };
    let disk = Disk::new(1 << 20);
    let mut log = open(disk.clone(), lazy(1))?;
    log.append(&[record(1, 10)])?;
    drop(log);
    // The next server builds on that record, so from here on no power loss may take it.
    drop(open(disk.clone(), lazy(2))?);
    for seed in 0..20 {
        disk.crash(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(read(&disk)?.0, [record(1, 10)]);
    }
    Ok(())
}

#[test]
fn after_any_failed_write_nothing_is_tried_again() -> Result<(), Error> {
    // Create, write, sync, rotate: each call of a group that opens a new file fails in turn.
    for calls in 0..3 {
        let disk = Disk::new(HEADER as u64 + 128);
        let mut log = writer(disk.clone(), 1)?;
        log.append(&[record(1, 64)])?;
        disk.fail_after(Some(calls));
        assert!(matches!(log.append(&[record(2, 64)]), Err(Error::Io { .. })), "call {calls}");
        disk.fail_after(None);
        assert!(matches!(log.append(&[record(3, 64)]), Err(Error::Poisoned)));
        assert!(matches!(log.sync(), Err(Error::Poisoned)));
        assert!(matches!(log.truncate(SeqNo(9)), Err(Error::Poisoned)));
        assert!(matches!(log.close(SeqNo(9)), Err(Error::Poisoned)));
        assert!(!read(&disk)?.0.contains(&record(3, 64)));
    }
    Ok(())
}

#[test]
fn a_failed_delete_is_taken_up_again() -> Result<(), Error> {
    let disk = Disk::new(HEADER as u64);
    let mut log = writer(disk.clone(), 1)?;
    for seq in 1..=4 {
        log.append(&[record(seq, 10)])?;
    }
    disk.fail_after(Some(1));
    assert!(matches!(log.truncate(SeqNo(3)), Err(Error::Io { .. })));
    disk.fail_after(None);
    assert_eq!(log.truncate(SeqNo(3))?, 3);
    assert_eq!(read(&disk)?.0, [record(4, 10)]);
    Ok(())
}

#[test]
fn a_header_cut_while_being_written_is_an_empty_file() -> Result<(), Error> {
    let header = {
        let disk = Disk::new(1 << 20);
        drop(writer(disk.clone(), 1)?);
        disk.read(1).expect("just created")
    };
    for cut in 0..HEADER {
        let mut disk = Disk::new(1 << 20);
        let mut log = writer(disk.clone(), 1)?;
        log.append(&[record(1, 10)])?;
        let torn = [&header[..cut], &[0; 100]].concat();
        disk.create(2, &torn).expect("a new file");
        assert_eq!(read(&disk)?.0, [record(1, 10)]);

        let mut log = writer(disk.clone(), 2)?;
        log.append(&[record(2, 10)])?;
        assert_eq!(read(&disk)?.0, [record(1, 10), record(2, 10)]);
    }
    Ok(())
}
