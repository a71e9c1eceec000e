use std::sync::Arc;

use drift_manifest::{Commit as Committed, Manifest, SegmentEntry, VersionLog, conservation_hash, paths, tombstones};
use drift_segment::{FooterRef, SegmentReader};
use drift_types::CollectionId;

use super::{buckets::stored_buckets, history::stored_history};
use crate::{
    CollectionSchema, Error, ErrorKind, Result,
    collection::Shared,
    database::Parts,
    dead_set::DeadSet,
    id_map::{IdEntry, IdMap, RowAddress},
    maintain::{level1, prune, sweep_unreferenced},
    snapshot::{L0Table, SegmentView, Snapshot},
    write::CollectionState,
};

/// Opens a collection as its newest manifest has it, and fences earlier writers from it.
pub(crate) async fn open_collection(parts: &Parts, id: CollectionId, name: &str) -> Result<CollectionState> {
    let log = VersionLog::<Manifest>::manifests(parts.store.clone(), id);
    let mut found = log.load_latest().await?.ok_or_else(|| {
        let lost = format!("collection '{name}' has no manifest under c/{id}/manifest: restore it from a backup");
        Error::new(ErrorKind::Corrupt, lost)
    })?;
    // An earlier writer may still commit until one of these does.
    let manifest = loop {
        let next = found.successor(parts.epoch, parts.writer_id);
        match log.commit(&next, Some(&found)).await? {
            Committed::Committed => break next,
            Committed::Conflict(theirs) => found = *theirs,
        }
    };
    prune(&log, &parts.settings).await;
    sweep_unreferenced(&parts.store, &manifest).await?;
    restore(parts, name, manifest).await
}

/// The state of a manifest that is this writer's own.
pub(crate) async fn restore(parts: &Parts, name: &str, manifest: Manifest) -> Result<CollectionState> {
    let schema = CollectionSchema::from_manifest(&manifest.schema)?;
    let (mut segments, mut ids) = (Vec::new(), IdMap::default());
    ids.reserve(manifest.live_rows() as usize);
    for entry in &manifest.segments {
        open_segment(parts, &manifest, entry, &mut segments, &mut ids).await?;
    }
    let buckets = stored_buckets(parts, &manifest, &segments).await?;
    let level1 = level1(&schema, buckets, &mut segments, manifest.stamp.id);
    let live = Snapshot::count_live(&level1, &segments);
    let snapshot = Snapshot {
        seq: manifest.applied,
        l0: vec![L0Table::new(parts.next_place(), &schema)],
        schema: Arc::new(schema),
        segments,
        level1: Arc::new(level1),
        live: Arc::new(live),
    };
    let applied = manifest.applied;
    let history = stored_history(parts, &manifest).await?;
    let shared = Arc::new(Shared::new(parts, name, manifest, snapshot.clone(), history));
    Ok(CollectionState::new(shared, snapshot, ids, applied))
}

/// Opens a segment and enters its live keys. A bulk load replaces rows without a log record for
/// each: of two live rows of a key the newer one stays.
async fn open_segment(
    parts: &Parts,
    manifest: &Manifest,
    entry: &SegmentEntry,
    segments: &mut Vec<SegmentView>,
    ids: &mut IdMap,
) -> Result<()> {
    let path = paths::segment_path(manifest.collection, entry.id);
    let footer = FooterRef { offset: entry.footer_offset, length: entry.footer_length, crc: entry.footer_crc };
    let reader = SegmentReader::open(parts.store.clone(), path.clone(), Some(footer), parts.cache.clone()).await?;
    if !reader.can_rewrite() {
        tracing::warn!("{path} has features of a newer drift: its buckets are read but not rewritten, upgrade");
    }
    let dead = match &entry.tombstones {
        Some(stored) => {
            let bytes = stored.blob.read(&parts.store).await?;
            tombstones::decode(&stored.blob.path, &bytes)?.iter().collect()
        }
        None => DeadSet::default(),
    };
    let place = parts.next_place();
    let block = reader.ids().await?;
    let counted = dead.clone();
    let view = SegmentView { place, reader: Arc::new(reader), dead, counted, bucket_of_run: Default::default() };
    segments.push(view);
    let newest = segments.len() - 1;
    let mut conservation = 0u64;
    for (ordinal, (id, seq)) in (0..).zip(block.iter()) {
        let address = RowAddress { place, ordinal };
        if segments[newest].dead.contains(address.ordinal) {
            continue;
        }
        conservation = conservation.wrapping_add(conservation_hash(id, seq));
        if let Some(loser) = ids.offer(id, IdEntry { address, seq })
            && let Some(view) = segments.iter_mut().find(|view| view.place == loser.place)
        {
            view.dead.insert(loser.ordinal);
        }
    }
    if conservation != entry.conservation {
        let message = format!("the live rows of {path} are not those its manifest counted: restore it from a backup");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(())
}

/// Removes the files of a collection that no catalog names any more.
pub(crate) async fn remove_collection(store: &drift_storage::Store, id: CollectionId) -> Result<()> {
    for kind in paths::OBJECT_KINDS.into_iter().chain(["manifest"]) {
        let dir = format!("c/{id}/{kind}");
        for name in store.list(&dir).await? {
            store.delete(&format!("{dir}/{name}")).await?;
        }
    }
    store.remove_empty_dirs(&format!("c/{id}")).await?;
    Ok(())
}
