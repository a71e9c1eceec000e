use std::{collections::HashMap, path::Path, time::Duration};

use drift_types::{CollectionId, SeqNo};
use drift_wal::{RecordKind, SyncPolicy, WalRecord, WalWriter};
use ulid::Ulid;

use crate::{Durability, Result, log_record::decode_keys, rows, write::CollectionState};

/// Applies the records that are not in the manifests yet. Returns the highest number ever used.
///
/// Applying a record twice changes nothing, so a record may be in the segments as well. Records of
/// collections that were dropped are passed over.
pub(crate) fn replay(
    dir: &Path,
    database: Ulid,
    collections: &mut HashMap<CollectionId, CollectionState>,
) -> Result<SeqNo> {
    let mut newest = collections.values().map(CollectionState::newest).max().unwrap_or_default();
    let summary = drift_wal::replay(dir, database, |record| match collections.get_mut(&record.collection) {
        Some(state) if record.seq > state.applied() => apply(state, record),
        _ => Ok(()),
    })?;
    newest = newest.max(summary.last_seq);
    if let Some(torn) = summary.torn_tail {
        tracing::warn!("{} was cut at byte {}: a write that was never acknowledged is dropped", torn.path, torn.offset);
    }
    collections.values_mut().for_each(CollectionState::publish);
    Ok(newest)
}

fn apply(state: &mut CollectionState, record: WalRecord) -> Result<()> {
    match record.kind {
        RecordKind::Insert => {
            let rows = rows::replayed(&state.schema(), &record.payload)?;
            state.accept_schema(&rows.schema)?;
            state.insert(record.seq, rows)?;
        }
        RecordKind::Delete => drop(state.delete(record.seq, &decode_keys(&record.payload)?)),
        // Its rows are in segments, or were never committed.
        RecordKind::BulkLoad => {}
    }
    Ok(())
}

/// Starts a new log file behind the old ones.
pub(crate) fn start_log(
    dir: &Path,
    database: Ulid,
    epoch: u64,
    newest: SeqNo,
    durability: Durability,
) -> Result<WalWriter> {
    let policy = match durability {
        Durability::Always => SyncPolicy::Always,
        Durability::Interval => SyncPolicy::Interval(Duration::from_millis(100)),
        Durability::Os => SyncPolicy::Os,
    };
    Ok(WalWriter::create(dir, database, epoch, newest.next(), policy)?)
}
