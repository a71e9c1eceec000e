use drift_ivf::{StopRule, StopState};

use super::{
    candidates::Candidates,
    filter::RowSets,
    query::Query,
    sieve::{Codes, Run, Sieve},
    trace::Trace,
};
use crate::{
    Result, SearchStats, StopReason,
    snapshot::{Bucket, RunRef, Snapshot},
};

/// Buckets scanned between two chances for other tasks on this thread; about 200 us of work.
const BUCKETS_PER_YIELD: usize = 512;

/// Scans buckets, best first, until the stop rule is content. A trace is told of each.
pub(super) async fn scan_buckets<'s>(
    snapshot: &'s Snapshot,
    query: &'s Query,
    sets: Option<&RowSets>,
    rule: &StopRule,
    out: &mut Candidates,
    stats: &mut SearchStats,
    mut trace: Option<&mut Trace>,
) -> Result<()> {
    let Some(router) = &snapshot.level1.router else { return Ok(()) };
    let counts = sets.map(|sets| sets.rows_per_bucket(snapshot));
    let counts = counts.as_deref().unwrap_or(&snapshot.live);
    let mut sieve = Sieve::new(query, &snapshot.level1.origins);
    let mut ranking = router.rank(&query.vector, sieve.main_scanner(), counts);
    stats.buckets_ranked = ranking.remaining();
    stats.buckets_skipped = router.len() - stats.buckets_ranked;
    let mut stop = StopState::new(query.k, &ranking);
    while let Some(ranked) = ranking.next() {
        let mut rows = 0;
        let bucket = &snapshot.level1.buckets[ranked.bucket as usize];
        // An audit reads every bucket, which says nothing of its heat.
        if trace.is_none() {
            bucket.observed.probe();
        }
        for &run in &bucket.runs {
            rows += scan_run(snapshot, (bucket, ranked.dist_sq), run, sets, &mut sieve, out).await?;
        }
        stats.buckets_probed += 1;
        stats.rows_scanned += rows;
        let next = ranking.peek();
        if let Some(next) = next {
            bring_near(snapshot, &snapshot.level1.buckets[next.bucket as usize]);
        }
        sieve.settle(out);
        stop.observe(out.kth_score(), rows);
        let features = next.and_then(|next| stop.features(&next));
        if let Some(trace) = &mut trace {
            trace.note(ranked.bucket, features);
        }
        if next.is_none() {
            break;
        }
        // Without features nothing is known yet: two buckets are read and k rows found first.
        let missing = features.map_or(1.0, |features| rule.missing(&features));
        if let Some(reason) = reason_to_stop(query, stats, missing) {
            stats.stop_reason = reason;
            stats.predicted_recall -= missing;
            break;
        }
        if stats.buckets_probed.is_multiple_of(BUCKETS_PER_YIELD) {
            tokio::task::yield_now().await;
        }
    }
    stats.predicted_recall = stats.predicted_recall.max(0.0);
    Ok(())
}

/// Why a search that has come so far need not read another bucket, if so.
fn reason_to_stop(query: &Query, stats: &SearchStats, missing: f32) -> Option<StopReason> {
    if query.is_late() {
        return Some(StopReason::Deadline);
    }
    match query.nprobe {
        Some(nprobe) => (stats.buckets_probed >= nprobe).then_some(StopReason::Nprobe),
        None => (missing <= 1.0 - query.recall).then_some(StopReason::RecallReached),
    }
}

/// Lets the memory that reading a bucket begins with come nearer meanwhile.
fn bring_near(snapshot: &Snapshot, bucket: &Bucket) {
    for &RunRef { segment, run, .. } in &bucket.runs {
        if let Some(codes) = snapshot.segments[segment as usize].reader.hot_pinned(run) {
            codes.bring_near();
        }
    }
}

/// Scans one run's codes, of a bucket whose centroid is so far from the query; returns its rows.
async fn scan_run<'s>(
    snapshot: &'s Snapshot,
    (bucket, dist_sq): (&Bucket, f32),
    RunRef { segment, run, .. }: RunRef,
    sets: Option<&RowSets>,
    sieve: &mut Sieve<'s>,
    out: &mut Candidates,
) -> Result<usize> {
    let view = &snapshot.segments[segment as usize];
    let first_row = view.reader.runs()[run as usize].first_row;
    let codes = match view.reader.hot_pinned(run) {
        Some(codes) => Codes::Pinned(codes),
        None => Codes::Loaded(view.reader.hot(run).await?),
    };
    let (rows, is_central) = (codes.rows(), codes.centre_hash() == bucket.centre_hash);
    let is_wanted = |row: u32| match sets {
        Some(sets) => sets.segments[segment as usize].value((first_row + row) as usize),
        None => !view.dead.contains(first_row + row),
    };
    let centre_dist_sq = is_central.then_some(dist_sq);
    sieve.scan(Run { segment, run, codes, centre_dist_sq }, is_wanted, out);
    Ok(rows)
}
