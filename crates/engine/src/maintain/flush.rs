use super::{
    commit::{Ending, commit},
    draft::Draft,
    row_set::RowSet,
};
use crate::{
    Collection, Result,
    compute::Class,
    snapshot::{L0Table, Snapshot},
};
use drift_manifest::{Action, Manifest};
use drift_types::SeqNo;
use tokio::sync::OwnedMutexGuard;

/// A flush takes tables of so many times `bulk_bytes_max`: Arrow holds 2 GiB of a text column at most.
const PARTS_MAX: usize = 4;

/// Moves all frozen tables into segments, and makes the deletes so far durable without the log.
pub(crate) async fn flush(collection: &Collection, class: Class) -> Result<()> {
    // Those that are frozen meanwhile are left to the next flush.
    for _ in 0..collection.shared.snapshot.load().frozen().len().max(1) {
        let Some(manifest) = collection.shared.lock_manifest(class).await else { return Ok(()) };
        let ended = flush_oldest(collection, manifest, class).await;
        collection.shared.flushed(&ended);
        ended?;
    }
    Ok(())
}

async fn flush_oldest(collection: &Collection, manifest: OwnedMutexGuard<Manifest>, class: Class) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let bytes_max = PARTS_MAX.saturating_mul(shared.common.settings.bulk_bytes_max);
    let tables = oldest(snapshot.frozen(), bytes_max).to_vec();
    let applied = flushed_by(&snapshot, tables.len());
    if tables.is_empty() && applied <= manifest.applied {
        return Ok(());
    }
    let schema = snapshot.schema.clone();
    let flushed_tables = tables.iter().map(|t| t.place).collect();
    let rows = shared.common.compute.run(class, move || RowSet::from_tables(&schema, &tables)).await??;
    let mut draft = Draft::new(shared.clone(), &snapshot, &manifest, class);
    if let Some(rows) = rows {
        draft.absorb(rows).await?;
    }
    commit(
        collection,
        manifest,
        draft,
        Ending { action: Some(Action::Flush), cause: "rows in memory", applied, flushed_tables, bulk: Vec::new() },
    )
    .await
}

/// The first tables, of no more bytes together; one at least, if there is any.
fn oldest(tables: &[L0Table], bytes_max: usize) -> &[L0Table] {
    let mut bytes = 0;
    let fitting = tables.iter().take_while(|table| {
        bytes += table.payload.bytes();
        bytes <= bytes_max
    });
    &tables[..fitting.count().max(1).min(tables.len())]
}

/// The last record whose effect is in segments and tombstones once the oldest `tables` are: all up to the snapshot,
/// or all before the first row that stays in L0.
fn flushed_by(snapshot: &Snapshot, tables: usize) -> SeqNo {
    match snapshot.l0[tables..].iter().find(|table| !table.memtable.is_empty()) {
        Some(table) => SeqNo(table.memtable.seq(0).0 - 1),
        None => snapshot.seq,
    }
}
