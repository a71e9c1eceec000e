use std::sync::Arc;

use drift_manifest::{Commit as Committed, Manifest, SegmentEntry, VersionLog, conservation_hash, paths};
use drift_types::{CollectionId, SeqNo};

use super::{buckets::stored_buckets, history::stored_history};
use crate::{
    CollectionSchema, Error, ErrorKind, Result,
    collection::Shared,
    common::Common,
    id_map::{IdEntry, IdMap, RowAddress},
    maintain::{level1, prune, sweep_unreferenced},
    snapshot::{L0Table, SegmentView, Snapshot},
    stored_segment,
    write::CollectionState,
};

/// Opens a collection as its newest manifest has it, and fences earlier writers from it.
pub(crate) async fn open_collection(common: &Arc<Common>, id: CollectionId, name: &str) -> Result<CollectionState> {
    let log = VersionLog::<Manifest>::manifests(common.store.clone(), id);
    let mut found = log.load_latest().await?.ok_or_else(|| {
        let lost =
            format!("collection '{name}' has no manifest under {}: restore it from a backup", paths::manifest_dir(id));
        Error::new(ErrorKind::Corrupt, lost)
    })?;
    // An earlier writer may still commit until one of these does.
    let manifest = loop {
        let next = found.successor(common.epoch, common.writer_id);
        match log.commit(&next, Some(&found)).await? {
            Committed::Committed => break next,
            Committed::Conflict(theirs) => found = *theirs,
        }
    };
    prune(&log, &common.settings).await;
    sweep_unreferenced(&common.store, &manifest).await?;
    restore(common, name, manifest).await
}

/// The state of a manifest that is this writer's own.
pub(crate) async fn restore(common: &Arc<Common>, name: &str, manifest: Manifest) -> Result<CollectionState> {
    let schema = CollectionSchema::from_manifest(&manifest.schema)?;
    let (mut segments, mut ids) = (Vec::new(), IdMap::default());
    ids.reserve(manifest.live_rows() as usize);
    for entry in &manifest.segments {
        segments.push(open_segment(common, &manifest, entry).await?);
        let newest = segments.last().expect("pushed just now");
        for row in enter_keys(newest, entry, &mut ids).await? {
            if let Some(view) = segments.iter_mut().find(|view| view.place == row.place) {
                view.dead.insert(row.ordinal);
            }
        }
    }
    let buckets = stored_buckets(common, &manifest, &segments).await?;
    let level1 = level1(&schema, buckets, &mut segments, manifest.stamp.id);
    let live = Snapshot::count_live(&level1, &segments);
    let snapshot = Snapshot {
        // A load's rows are not counted by what is applied of the log.
        seq: manifest.segments.iter().map(|entry| entry.seq_max).fold(manifest.applied, SeqNo::max),
        l0: vec![L0Table::new(common.next_place(), &schema)],
        schema: Arc::new(schema),
        segments,
        level1: Arc::new(level1),
        live: Arc::new(live),
        loads: 0,
    };
    let applied = manifest.applied;
    let history = stored_history(common, &manifest).await?;
    let shared = Arc::new(Shared::new(common.clone(), name, manifest, snapshot.clone(), history));
    Ok(CollectionState::new(shared, snapshot, ids, applied))
}

/// Opens a segment; its rows are live but for its tombstones.
async fn open_segment(common: &Common, manifest: &Manifest, entry: &SegmentEntry) -> Result<SegmentView> {
    let reader = stored_segment::open(&common.store, manifest.collection, entry, common.cache.clone()).await?;
    if !reader.can_rewrite() {
        let path = paths::segment_path(manifest.collection, entry.id);
        tracing::warn!("{path} has features of a newer drift: its buckets are read but not rewritten, upgrade");
    }
    let dead = stored_segment::dead_rows(&common.store, entry).await?;
    Ok(SegmentView::new(common.next_place(), reader, dead))
}

/// Enters the live keys of a segment. A bulk load replaces rows without a log record for each: of two live
/// rows of a key the newer one stays. Returns where the others are.
async fn enter_keys(view: &SegmentView, entry: &SegmentEntry, ids: &mut IdMap) -> Result<Vec<RowAddress>> {
    let block = view.reader.ids().await?;
    let (mut conservation, mut replaced) = (0_u64, Vec::new());
    for (ordinal, (id, seq)) in (0..).zip(block.iter()).filter(|(ordinal, _)| !view.dead.contains(*ordinal)) {
        conservation = conservation.wrapping_add(conservation_hash(id, seq));
        let address = RowAddress { place: view.place, ordinal };
        replaced.extend(ids.offer(id, IdEntry { address, seq }));
    }
    if conservation != entry.conservation {
        let path = paths::segment_path(view.reader.collection(), entry.id);
        let message = format!("the live rows of {path} are not those its manifest counted: restore it from a backup");
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    Ok(replaced)
}

/// Removes the files of a collection that no catalog names any more.
pub(crate) async fn remove_collection(store: &drift_storage::Store, id: CollectionId) -> Result<()> {
    for kind in paths::OBJECT_KINDS.into_iter().chain([paths::MANIFESTS]) {
        let dir = paths::object_dir(id, kind);
        for name in store.list(&dir).await? {
            store.delete(&format!("{dir}/{name}")).await?;
        }
    }
    store.remove_empty_dirs(&paths::collection_dir(id)).await?;
    Ok(())
}
