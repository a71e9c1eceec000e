use drift_ivf::{BucketLoad, BucketState, Compaction, JobSize, SegmentLoad, Urgency, next_compaction};
use drift_manifest::Action;

use super::{
    commit::{Ending, commit},
    draft::{Draft, TakenRuns},
};
use crate::{
    Collection, Result,
    compute::Class,
    snapshot::{Bucket, RunRef, Snapshot},
};

/// Live vectors that one job rewrites, in bytes: enough for a decent segment, and little enough
/// that a flush behind it does not wait long.
const JOB_BYTES_MIN: u64 = 8 << 20;
const JOB_BYTES_MAX: u64 = 64 << 20;

/// Does the compaction that is due most; answers whether there was one.
pub(crate) async fn compact(collection: &Collection, class: Class, quiet: bool) -> Result<bool> {
    let shared = &collection.shared;
    let Some(manifest) = shared.lock_manifest(class).await else { return Ok(false) };
    let snapshot = shared.snapshot.load();
    let Some(compaction) = due(&snapshot, quiet, shared.common.settings.maintenance) else { return Ok(false) };
    tracing::debug!("{}: rewriting {compaction:?}", shared.name);
    let mut draft = Draft::new(shared.clone(), &snapshot, &manifest, class);
    if let Compaction::Buckets(buckets) = &compaction {
        for bucket in buckets.iter().map(|&bucket| &snapshot.level1.buckets[bucket]) {
            let load = bucket_load(&snapshot, bucket);
            draft.notes.causes.insert(bucket.id, urgency(&snapshot, &load).cause());
        }
    }
    draft.rewrite(&runs_of(&snapshot, &compaction)).await?;
    let (action, cause) = match compaction {
        Compaction::Segments(_) => (Some(Action::Compact), "dead or many segments"),
        Compaction::Buckets(_) => (None, ""),
    };
    let ending = Ending { action, cause, applied: manifest.applied, flushed_tables: Vec::new(), bulk: Vec::new() };
    commit(collection, manifest, draft, ending).await?;
    Ok(true)
}

/// What is due among the segments that this program may rewrite. Without maintenance no buckets are joined, so none
/// is due for that.
fn due(snapshot: &Snapshot, quiet: bool, may_join: bool) -> Option<Compaction> {
    let row_bytes = row_bytes(snapshot)?;
    let size = JobSize { rows_min: JOB_BYTES_MIN / row_bytes, rows_max: JOB_BYTES_MAX / row_bytes };
    let may_rewrite = |segment: u32| snapshot.segments[segment as usize].reader.can_rewrite();
    let segments: Vec<u32> = (0..snapshot.segments.len() as u32).filter(|&s| may_rewrite(s)).collect();
    let buckets = snapshot.level1.buckets.iter().enumerate();
    let buckets: Vec<usize> =
        buckets.filter(|(_, b)| b.runs.iter().all(|run| may_rewrite(run.segment))).map(|(i, _)| i).collect();

    let segment_load = |&segment: &u32| {
        let view = &snapshot.segments[segment as usize];
        SegmentLoad { rows: u64::from(view.reader.rows()), live: view.live_rows() }
    };
    let bucket_state = |&bucket: &usize| {
        let bucket = &snapshot.level1.buckets[bucket];
        let mut load = bucket_load(snapshot, bucket);
        load.may_join &= may_join;
        BucketState { centroid: &bucket.header.centroid, load, urgency: urgency(snapshot, &load) }
    };
    let segment_loads: Vec<SegmentLoad> = segments.iter().map(segment_load).collect();
    let bucket_states: Vec<BucketState> = buckets.iter().map(bucket_state).collect();
    Some(match next_compaction(&segment_loads, &bucket_states, size, quiet)? {
        Compaction::Segments(due) => Compaction::Segments(due.into_iter().map(|i| segments[i] as usize).collect()),
        Compaction::Buckets(due) => Compaction::Buckets(due.into_iter().map(|i| buckets[i]).collect()),
    })
}

/// Of a row's vector, or of all its columns as they are stored where that is more. None before there is a row.
fn row_bytes(snapshot: &Snapshot) -> Option<u64> {
    let readers = || snapshot.segments.iter().map(|view| &view.reader);
    let rows: u64 = readers().map(|reader| u64::from(reader.rows())).sum();
    let stored: u64 = readers().map(|reader| reader.footer().file_length()).sum();
    Some(stored.checked_div(rows)?.max(4 * snapshot.schema.dim? as u64))
}

/// What a bucket costs its readers.
pub(crate) fn bucket_load(snapshot: &Snapshot, bucket: &Bucket) -> BucketLoad {
    let stored = |run: &RunRef| snapshot.segments[run.segment as usize].reader.runs()[run.run as usize].rows;
    let live_in = |run: &RunRef| snapshot.segments[run.segment as usize].live_in(run.run);
    let (stored, live): (u32, u32) = (bucket.runs.iter().map(stored).sum(), bucket.runs.iter().map(live_in).sum());
    let cools = bucket.past.is_cooling(Action::Split, snapshot.level1.manifest, live as usize);
    BucketLoad {
        live,
        dead: stored - live,
        runs: bucket.runs.len() as u32,
        temperature: bucket.observed.temperature(),
        misplaced: bucket.observed.misplaced(),
        may_join: !cools && snapshot.level1.buckets.len() > 1,
    }
}

/// How urgent it is to write a bucket anew.
pub(crate) fn urgency(snapshot: &Snapshot, load: &BucketLoad) -> Urgency {
    Urgency::of(load, snapshot.schema.dim.unwrap_or_default())
}

/// The runs that a compaction takes.
fn runs_of(snapshot: &Snapshot, compaction: &Compaction) -> TakenRuns {
    let buckets = snapshot.level1.buckets.iter().enumerate();
    let taken = |bucket: &Bucket, takes: &dyn Fn(&RunRef) -> bool| -> Vec<_> {
        bucket.runs.iter().filter(|run| takes(run)).map(|run| (run.place, run.run)).collect()
    };
    let runs = buckets.map(|(position, bucket)| match compaction {
        Compaction::Segments(segments) => (position, taken(bucket, &|run| segments.contains(&(run.segment as usize)))),
        Compaction::Buckets(buckets) => (position, taken(bucket, &|_| buckets.contains(&position))),
    });
    runs.filter(|(_, runs)| !runs.is_empty()).collect()
}
