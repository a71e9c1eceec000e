use super::{
    commit::{Ending, commit},
    draft::Draft,
    row_set::RowSet,
};
use crate::{Collection, Result, compute::Class, snapshot::Snapshot};
use drift_manifest::{Action, Manifest};
use drift_types::SeqNo;
use tokio::sync::OwnedMutexGuard;

/// Moves all frozen tables into a segment, and makes the deletes so far durable without the log.
pub(crate) async fn flush(collection: &Collection, class: Class) -> Result<()> {
    let Some(manifest) = collection.shared.lock_manifest(class).await else { return Ok(()) };
    let ended = flush_frozen(collection, manifest, class).await;
    collection.shared.flushed(&ended);
    ended
}

async fn flush_frozen(collection: &Collection, manifest: OwnedMutexGuard<Manifest>, class: Class) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let applied = flushed_by(&snapshot);
    if snapshot.frozen().is_empty() && applied <= manifest.applied {
        return Ok(());
    }
    let (schema, tables) = (snapshot.schema.clone(), snapshot.frozen().to_vec());
    let flushed_tables = tables.iter().map(|t| t.place).collect();
    let rows = shared.compute.run(class, move || RowSet::from_tables(&schema, &tables)).await??;
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

/// The last record whose effect is in segments and tombstones once the frozen tables are: all up to
/// the snapshot, or all before the first row that stays in the active table.
pub(super) fn flushed_by(snapshot: &Snapshot) -> SeqNo {
    let active = snapshot.l0.last().expect("a snapshot always has an active table");
    if active.memtable.is_empty() { snapshot.seq } else { SeqNo(active.memtable.seq(0).0 - 1) }
}
