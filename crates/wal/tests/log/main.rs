//! The log as its callers see it: what was acknowledged comes back, what was damaged is named.

mod crash;
mod damage;
mod disk;
mod life;
mod whole;

use bytes::Bytes;
use drift_types::{CollectionId, SeqNo};
use drift_wal::{Error, LogSink, Opening, RecordKind, ReplaySummary, SyncPolicy, WalRecord, WalWriter, replay_sink};
use ulid::Ulid;

const DATABASE: Ulid = Ulid(0xd1f7);
/// Bytes of a file header.
const HEADER: usize = 4096;

const KINDS: [RecordKind; 4] = [RecordKind::Insert, RecordKind::Delete, RecordKind::BulkLoad, RecordKind::DeleteRows];

fn record(seq: u64, len: usize) -> WalRecord {
    WalRecord {
        seq: SeqNo(seq),
        collection: CollectionId(Ulid(u128::from(seq % 3))),
        kind: KINDS[seq as usize % KINDS.len()],
        payload: (0..len).map(|i| (i as u64 * 31 + seq) as u8).collect::<Bytes>(),
    }
}

fn opening(epoch: u64, newest: u64) -> Opening {
    Opening { database: DATABASE, epoch, last_epoch: 0, newest: SeqNo(newest), policy: SyncPolicy::Always }
}

/// A writer of that epoch, whatever the log holds.
fn writer(sink: impl LogSink + 'static, epoch: u64) -> Result<WalWriter, Error> {
    open(sink, opening(epoch, 0))
}

fn open(sink: impl LogSink + 'static, opening: Opening) -> Result<WalWriter, Error> {
    WalWriter::open(Box::new(sink), opening, |_| Ok::<_, Error>(())).map(|(log, _)| log)
}

fn read(sink: &dyn LogSink) -> Result<(Vec<WalRecord>, ReplaySummary), Error> {
    let mut records = Vec::new();
    let summary = replay_sink(sink, DATABASE, |record| {
        records.push(record);
        Ok::<_, Error>(())
    })?;
    assert_eq!(summary.records, records.len() as u64);
    Ok((records, summary))
}
