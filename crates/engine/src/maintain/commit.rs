//! From a draft to the next manifest, and from there to the next snapshot.

use std::{collections::HashMap, sync::Arc};

use drift_ivf::Router;
use drift_manifest::{
    BlobRef, BucketRow, BucketTable, Commit as Committed, Manifest, SegmentEntry, TombstoneRef, VersionLog,
    conservation_hash, paths, tombstones,
};
use drift_types::SeqNo;
use ulid::Ulid;

use super::{
    draft::{Draft, DraftBucket},
    garbage::prune,
    history,
};
use crate::{
    Collection, Error, ErrorKind, Result,
    collection::Shared,
    id_map::PlaceId,
    snapshot::{Bucket, Level1, RunRef, SegmentView},
    write::{Command, Commit},
};

/// What ends with a commit beside the draft itself.
pub(super) struct Ending {
    /// Every log record up to here is in the draft.
    pub applied: SeqNo,
    /// L0 tables whose rows are in the draft.
    pub flushed_tables: Vec<PlaceId>,
    /// Numbers taken for a bulk load.
    pub bulk: usize,
}

/// Makes a draft the state of the collection: durable by the manifest, then visible by one swap.
/// The order matters: a crash in between finds the manifest and replays the log over it.
pub(super) async fn commit(
    collection: &Collection,
    manifest: &mut Manifest,
    mut draft: Draft,
    ending: Ending,
) -> Result<()> {
    let shared = &collection.shared;
    draft.settle_deaths().await?;
    draft.prune();
    // A lazy log may hold the rows that took these deletes' place: it goes first.
    collection.writer.ask(|reply| Command::Sync { reply: Some(reply) }).await?;
    let next = next_manifest(shared, manifest, &draft, ending.applied).await?;
    let log = VersionLog::<Manifest>::manifests(shared.store.clone(), shared.id);
    create(&log, &next, manifest).await?;
    shared.budget.spend(draft.bytes_read + draft.bytes_written);
    shared.totals.read(draft.bytes_read);
    shared.totals.written(draft.bytes_written);
    let previous = std::mem::replace(manifest, next);
    for view in &shared.snapshot.load().segments {
        if !draft.segments.iter().any(|kept| kept.place == view.place) {
            let path = paths::segment_path(shared.id, view.reader.id());
            shared.garbage.add(Arc::downgrade(&view.reader), path);
        }
    }
    swap(collection, draft, ending).await?;
    shared.garbage.retire(shared, &previous, manifest).await;
    prune(&log, &shared.settings).await;
    shared.drained.notify_waiters();
    Ok(())
}

/// Creates the manifest that follows `manifest`.
pub(super) async fn create(log: &VersionLog<Manifest>, next: &Manifest, manifest: &Manifest) -> Result<()> {
    match log.commit(next, Some(manifest)).await? {
        Committed::Committed => Ok(()),
        Committed::Conflict(_) => {
            Err(Error::new(ErrorKind::Unavailable, "another writer changed the collection: restart this one"))
        }
    }
}

async fn swap(collection: &Collection, draft: Draft, ending: Ending) -> Result<()> {
    let Draft { schema, mut segments, buckets, moved, .. } = draft;
    let level1 = level1(&schema, buckets, &mut segments);
    let commit = Box::new(Commit {
        collection: collection.shared.id,
        schema,
        segments,
        level1,
        flushed_tables: ending.flushed_tables,
        moved,
        applied: ending.applied,
        ends_bulk: ending.bulk,
    });
    collection.writer.ask(|reply| Command::Commit { commit, reply }).await
}

/// Numbers buckets and segments as searches see them.
pub(crate) fn level1(
    schema: &crate::CollectionSchema,
    buckets: Vec<DraftBucket>,
    segments: &mut [SegmentView],
) -> Level1 {
    let positions: HashMap<PlaceId, u32> = segments.iter().enumerate().map(|(i, s)| (s.place, i as u32)).collect();
    let mut bucket_of_run: Vec<Vec<Option<u32>>> = segments.iter().map(|s| vec![None; s.reader.runs().len()]).collect();
    let router = schema
        .dim
        .filter(|_| !buckets.is_empty())
        .map(|dim| Router::new(dim, buckets.iter().map(|b| &b.header), schema.metric));
    let numbered = buckets.into_iter().enumerate().map(|(number, bucket)| {
        let runs = bucket.runs.iter().map(|&(place, run)| {
            let segment = positions[&place];
            bucket_of_run[segment as usize][run as usize] = Some(number as u32);
            RunRef { place, segment, run }
        });
        let runs = runs.collect();
        Bucket { id: bucket.id, generation: bucket.generation, header: Arc::new(bucket.header), runs }
    });
    let buckets = numbered.collect();
    for (view, map) in segments.iter_mut().zip(bucket_of_run) {
        view.bucket_of_run = Arc::new(map);
    }
    Level1 { buckets, router }
}

async fn next_manifest(shared: &Shared, manifest: &Manifest, draft: &Draft, applied: SeqNo) -> Result<Manifest> {
    let mut next = manifest.successor(shared.epoch, shared.writer_id);
    next.schema = draft.schema.to_manifest();
    next.applied = applied.max(manifest.applied);
    next.next_bucket = draft.next_bucket;
    next.segments = Vec::with_capacity(draft.segments.len());
    for view in &draft.segments {
        let known = manifest.segments.iter().find(|s| s.id == view.reader.id());
        next.segments.push(segment_entry(shared, view, known).await?);
    }
    next.conservation = next.segments.iter().fold(0, |sum, s| sum.wrapping_add(s.conservation));
    next.buckets = bucket_table(shared, draft).await?;
    next.history = history::publish(shared, manifest).await?;
    Ok(next)
}

/// A segment's entry. Its tombstones are written again only if rows have died.
async fn segment_entry(shared: &Shared, view: &SegmentView, known: Option<&SegmentEntry>) -> Result<SegmentEntry> {
    let dead = u64::from(view.dead.count());
    if let Some(known) = known
        && known.tombstones.as_ref().map_or(0, |t| t.cardinality) == dead
    {
        return Ok(known.clone());
    }
    let block = view.reader.ids().await?;
    let live = (0..).zip(block.iter()).filter(|(row, _)| !view.dead.contains(*row));
    let conservation = live.fold(0u64, |sum, (_, (id, seq))| sum.wrapping_add(conservation_hash(id, seq)));
    let tombstones = if dead > 0 {
        let path = paths::tombstone_path(shared.id, Ulid::new());
        let bytes = tombstones::encode(&view.dead.iter().collect());
        Some(TombstoneRef { blob: BlobRef::publish(&shared.store, path, bytes).await?, cardinality: dead })
    } else {
        None
    };
    let rows = u64::from(view.reader.rows());
    let footer = view.reader.footer();
    Ok(SegmentEntry {
        id: view.reader.id(),
        length: footer.file_length(),
        footer_offset: footer.offset,
        footer_length: footer.length,
        footer_crc: footer.crc,
        rows,
        live_rows: rows - dead,
        key_min: block.iter().map(|(id, _)| id).min().unwrap_or_default(),
        key_max: block.iter().map(|(id, _)| id).max().unwrap_or_default(),
        seq_max: block.iter().map(|(_, seq)| seq).max().unwrap_or_default(),
        tombstones,
        conservation,
    })
}

async fn bucket_table(shared: &Shared, draft: &Draft) -> Result<Option<BlobRef>> {
    if draft.buckets.is_empty() {
        return Ok(None);
    }
    let segment_of: HashMap<PlaceId, _> = draft.segments.iter().map(|s| (s.place, s.reader.id())).collect();
    let rows = draft.buckets.iter().map(|bucket| BucketRow {
        id: bucket.id,
        generation: bucket.generation,
        n_live: bucket.header.n_live,
        n_dead: bucket.header.n_dead,
        centroid: bucket.header.centroid.clone(),
        sum: bucket.header.sum.clone(),
        mean_sq_radius: bucket.header.mean_sq_radius,
        max_norm_sq: bucket.header.max_norm_sq,
        runs: bucket.runs.iter().map(|(place, run)| (segment_of[place], *run)).collect(),
    });
    let bytes = BucketTable { rows: rows.collect() }.encode()?;
    Ok(Some(BlobRef::publish(&shared.store, paths::bucket_table_path(shared.id, Ulid::new()), bytes).await?))
}
