use drift_ivf::{StopRule, StopState};
use drift_types::Metric;

use super::{
    candidates::Candidates,
    exact_runs::ExactRuns,
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

/// So few rows of a run that match are scored one by one, without a scan of all of them.
const PICKED: u32 = 6;

/// Scans buckets, best first, until the stop rule is content. A trace is told of each.
pub(super) async fn scan_buckets<'s>(
    snapshot: &'s Snapshot,
    query: &'s Query,
    sets: Option<&RowSets>,
    rule: &StopRule,
    (out, runs): (&mut Candidates, &mut ExactRuns),
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
        // While this bucket is read the next comes nearer.
        if let Some(bucket) = ranking.upcoming() {
            bring_near(snapshot, &snapshot.level1.buckets[bucket as usize]);
        }
        let mut rows = 0;
        let bucket = &snapshot.level1.buckets[ranked.bucket as usize];
        // An audit reads every bucket, which says nothing of its heat.
        if trace.is_none() {
            bucket.observed.probe();
        }
        for &run in &bucket.runs {
            rows += read_run(snapshot, (bucket, ranked.dist_sq), run, sets, &mut sieve, out).await?;
        }
        stats.buckets_probed += 1;
        stats.rows_scanned += rows;
        let next = ranking.peek();
        sieve.settle(out);
        // Of one bucket's rows hardly any stay.
        if stats.buckets_probed > 1 {
            runs.bring_fresh_near(snapshot, out);
        }
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

/// Reads the codes of one run's rows that are wanted, of a bucket whose centroid is so far from the query;
/// returns how many were read.
async fn read_run<'s>(
    snapshot: &'s Snapshot,
    (bucket, dist_sq): (&Bucket, f32),
    run_ref: RunRef,
    sets: Option<&RowSets>,
    sieve: &mut Sieve<'s>,
    out: &mut Candidates,
) -> Result<usize> {
    let RunRef { segment, run, .. } = run_ref;
    let view = &snapshot.segments[segment as usize];
    let ordinals = view.reader.runs()[run as usize].ordinals();
    let wanted = sets.map(|sets| (sets, sets.rows_of_run(snapshot, run_ref)));
    if matches!(wanted, Some((_, 0))) {
        return Ok(0);
    }
    let codes = match view.reader.hot_pinned(run) {
        Some(codes) => Codes::Pinned(codes),
        None => Codes::Loaded(view.reader.hot(run).await?),
    };
    let (rows, first) = (codes.rows(), ordinals.start);
    // Under an inner product buckets are ranked by another distance.
    let is_known = codes.centre_hash() == bucket.centre_hash && snapshot.schema.metric != Metric::InnerProduct;
    let centre_dist_sq = is_known.then_some(dist_sq);
    let run = Run { segment, run, codes, centre_dist_sq };
    match wanted {
        Some((sets, wanted)) if wanted <= PICKED => {
            sieve.pick(run, sets.rows_in(segment, ordinals), out);
            return Ok(wanted as usize);
        }
        Some((sets, _)) => {
            let set = &sets.segments[segment as usize];
            sieve.scan(run, |row| set.value((first + row) as usize), out);
        }
        None => sieve.scan(run, |row| !view.dead.contains(first + row), out),
    }
    Ok(rows)
}
