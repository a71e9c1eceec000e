use drift_ivf::{BucketLoad, Compaction, JobSize, SegmentLoad, next_compaction};

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
    let mut manifest = shared.manifest.lock().await;
    let snapshot = shared.snapshot.load();
    let Some(compaction) = due(&snapshot, quiet) else { return Ok(false) };
    tracing::debug!("{}: rewriting {compaction:?}", shared.name);
    let mut draft = Draft::new(shared.clone(), &snapshot, manifest.next_bucket, class);
    draft.rewrite(&runs_of(&snapshot, &compaction)).await?;
    let ending = Ending { applied: manifest.applied, flushed_tables: Vec::new(), bulk: 0 };
    commit(collection, &mut manifest, draft, ending).await?;
    Ok(true)
}

/// What is due among the segments that this program may rewrite.
fn due(snapshot: &Snapshot, quiet: bool) -> Option<Compaction> {
    let row_bytes = 4 * snapshot.schema.dim? as u64;
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
    let bucket_load = |&bucket: &usize| {
        let bucket = &snapshot.level1.buckets[bucket];
        let live = bucket.runs.iter().map(|run| u64::from(live_in(snapshot, run))).sum();
        BucketLoad { centroid: &bucket.header.centroid, runs: bucket.runs.len(), live }
    };
    let segment_loads: Vec<SegmentLoad> = segments.iter().map(segment_load).collect();
    let bucket_loads: Vec<BucketLoad> = buckets.iter().map(bucket_load).collect();
    Some(match next_compaction(&segment_loads, &bucket_loads, size, quiet)? {
        Compaction::Segments(due) => Compaction::Segments(due.into_iter().map(|i| segments[i] as usize).collect()),
        Compaction::Buckets(due) => Compaction::Buckets(due.into_iter().map(|i| buckets[i]).collect()),
    })
}

fn live_in(snapshot: &Snapshot, run: &RunRef) -> u32 {
    let view = &snapshot.segments[run.segment as usize];
    let entry = &view.reader.runs()[run.run as usize];
    entry.rows - view.dead.count_in(entry.first_row, entry.rows)
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
