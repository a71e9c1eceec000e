//! From a draft to the next manifest, and from there to the next snapshot.

use std::{collections::HashMap, sync::Arc};

use drift_ivf::Router;
use drift_manifest::{
    Action, BlobRef, BucketRow, BucketTable, Event, Manifest, SegmentEntry, TombstoneRef, VersionLog,
    conservation_hash, paths, tombstones,
};
use drift_types::SeqNo;
use tokio::sync::OwnedMutexGuard;
use ulid::Ulid;

use super::{
    draft::{Draft, DraftBucket},
    garbage::prune,
    history,
    notes::JobNotes,
};
use crate::{
    Collection, Result,
    collection::Shared,
    id_map::PlaceId,
    origins::Origins,
    snapshot::{Bucket, Level1, RunRef, SegmentView, Snapshot},
    versions::{commit_version, to_the_end},
    write::{BulkNumber, Command, Commit},
};

/// What ends with a commit beside the draft itself.
pub(super) struct Ending {
    /// What the job as a whole was; none if its actions on buckets say it all.
    pub action: Option<Action>,
    /// Why it ran.
    pub cause: &'static str,
    /// Every log record up to here is in the draft.
    pub applied: SeqNo,
    /// L0 tables whose rows are in the draft.
    pub flushed_tables: Vec<PlaceId>,
    /// The numbers of a bulk load, which are given back when its rows are visible.
    pub bulk: Vec<BulkNumber>,
}

/// Makes a draft the state of the collection.
pub(super) async fn commit(
    collection: &Collection,
    manifest: OwnedMutexGuard<Manifest>,
    draft: Draft,
    ending: Ending,
) -> Result<()> {
    to_the_end(publish(collection.clone(), manifest, draft, ending)).await
}

/// Durable by the manifest, then visible by one swap. The order matters: a crash in between finds the manifest and
/// replays the log over it.
async fn publish(
    collection: Collection,
    mut manifest: OwnedMutexGuard<Manifest>,
    mut draft: Draft,
    ending: Ending,
) -> Result<()> {
    let shared = &collection.shared;
    draft.settle_deaths().await?;
    draft.prune();
    // A lazy log may hold the rows that took these deletes' place: it goes first.
    collection.writer.ask(|reply| Command::Sync { reply: Some(reply) }).await?;
    let notes = std::mem::take(&mut draft.notes);
    shared.common.budget.spend(notes.bytes_read + notes.bytes_written);
    shared.totals.read(notes.bytes_read);
    shared.totals.written(notes.bytes_written);
    let events = events(notes, &ending, &manifest, &draft, shared.snapshot.load().level1.buckets.len());
    let next = next_manifest(shared, &manifest, &draft, ending.applied, &events).await?;
    let versions = VersionLog::<Manifest>::manifests(shared.common.store.clone(), shared.id);
    commit_version(&versions, &next, &manifest).await?;
    remember_events(shared, events);
    let previous = std::mem::replace(&mut *manifest, next);
    for view in &shared.snapshot.load().segments {
        if !draft.segments.iter().any(|kept| kept.place == view.place) {
            shared.garbage.add(&view.reader);
        }
    }
    swap(&collection, draft, ending).await?;
    let_go_of_moved(&shared.snapshot.load());
    shared.garbage.retire(shared, &previous, &manifest).await;
    prune(&versions, &shared.common.settings).await;
    shared.drained.notify_waiters();
    Ok(())
}

/// Runs that belong to no bucket any more are not read again, but by those who still search an older snapshot.
fn let_go_of_moved(snapshot: &Snapshot) {
    for view in &snapshot.segments {
        let moved = (0..).zip(view.bucket_of_run.iter()).filter(|(_, bucket)| bucket.is_none());
        moved.for_each(|(run, _)| view.reader.let_go(run));
    }
}

fn remember_events(shared: &Shared, events: Vec<Event>) {
    let mut history = shared.history();
    events.into_iter().for_each(|event| history.record(event));
}

/// What a job did, for the history.
fn events(mut notes: JobNotes, ending: &Ending, before: &Manifest, draft: &Draft, buckets: usize) -> Vec<Event> {
    if let Some(action) = ending.action {
        notes.note(Event {
            action,
            cause: ending.cause.to_owned(),
            rows_before: before.live_rows(),
            rows_after: draft.segments.iter().map(SegmentView::live_rows).sum(),
            dead_before: before.segments.iter().map(|segment| segment.rows - segment.live_rows).sum(),
            buckets_before: buckets as u32,
            buckets_after: draft.buckets.len() as u32,
            ..Event::default()
        });
    }
    notes.finish(draft.manifest)
}

async fn swap(collection: &Collection, draft: Draft, ending: Ending) -> Result<()> {
    let Draft { schema, mut segments, buckets, moved, manifest, .. } = draft;
    let level1 = level1(&schema, buckets, &mut segments, manifest);
    let commit = Box::new(Commit {
        collection: collection.shared.id,
        schema,
        segments,
        level1,
        flushed_tables: ending.flushed_tables,
        moved,
        applied: ending.applied,
        is_load: !ending.bulk.is_empty(),
    });
    collection.writer.ask(|reply| Command::Commit { commit, reply }).await?;
    drop(ending.bulk);
    Ok(())
}

/// Numbers buckets and segments as searches see them.
pub(crate) fn level1(
    schema: &crate::CollectionSchema,
    buckets: Vec<DraftBucket>,
    segments: &mut [SegmentView],
    manifest: u64,
) -> Level1 {
    let positions: HashMap<PlaceId, u32> = segments.iter().enumerate().map(|(i, s)| (s.place, i as u32)).collect();
    let mut bucket_of_run: Vec<Vec<Option<u32>>> = segments.iter().map(|s| vec![None; s.reader.runs().len()]).collect();
    let origins = Origins::of(segments);
    let router = schema
        .dim
        .filter(|_| !buckets.is_empty())
        .map(|dim| Router::new(dim, buckets.iter().map(|b| &*b.header), schema.metric, origins.main()));
    let numbered = buckets.into_iter().enumerate().map(|(number, bucket)| {
        let runs = bucket.runs.iter().map(|&(place, run)| {
            let segment = positions[&place];
            bucket_of_run[segment as usize][run as usize] = Some(number as u32);
            let first_row = segments[segment as usize].reader.runs()[run as usize].first_row;
            RunRef { place, segment, run, first_row }
        });
        let runs = runs.collect();
        let DraftBucket { id, generation, header, past, observed, .. } = bucket;
        let centre_hash = drift_segment::centre_hash(&header.centroid);
        Bucket { id, generation, header, centre_hash, runs, past, observed }
    });
    let buckets = numbered.collect();
    for (view, map) in segments.iter_mut().zip(bucket_of_run) {
        let is_gone = |run: u32| map[run as usize].is_none();
        if (0..map.len() as u32).any(|run| is_gone(run) && view.reader.hot_pinned(run).is_some()) {
            view.reader = Arc::new(view.reader.without_codes(is_gone));
        }
        view.bucket_of_run = Arc::new(map);
    }
    Level1 { manifest, buckets, router, origins }
}

async fn next_manifest(
    shared: &Shared,
    manifest: &Manifest,
    draft: &Draft,
    applied: SeqNo,
    events: &[Event],
) -> Result<Manifest> {
    let mut next = manifest.successor(shared.common.epoch, shared.common.writer_id);
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
    next.history = history::publish(shared, manifest, events).await?;
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
        Some(TombstoneRef { blob: BlobRef::publish(&shared.common.store, path, bytes).await?, cardinality: dead })
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
        changed: bucket.past.changed,
        changed_manifest: bucket.past.manifest,
        rows_changed: bucket.past.rows_changed,
        dense_rows: bucket.past.dense_rows,
        temperature: bucket.observed.temperature(),
    });
    let bytes = BucketTable { rows: rows.collect() }.encode()?;
    Ok(Some(BlobRef::publish(&shared.common.store, paths::bucket_table_path(shared.id, Ulid::new()), bytes).await?))
}
