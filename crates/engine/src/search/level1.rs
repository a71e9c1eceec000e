use std::slice;

use drift_ivf::{Features, Ranked, Ranking, StopRule, StopState};
use drift_kernels::prefetch;
use drift_segment::HotRun;
use drift_types::Metric;

use super::{
    candidates::Candidates,
    codes_ahead::{CodesAhead, buckets_soon},
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
    out: &mut Candidates,
    stats: &mut SearchStats,
    mut trace: Option<&mut Trace>,
) -> Result<()> {
    let Some(router) = &snapshot.level1.router else { return Ok(()) };
    let counts = sets.map(|sets| sets.rows_per_bucket(snapshot));
    let counts = counts.as_deref().unwrap_or(&snapshot.live);
    let mut sieve = Sieve::new(query, &snapshot.level1.origins);
    let ranking = router.rank(&query.vector, sieve.main_scanner(), counts);
    stats.buckets_ranked = ranking.remaining();
    stats.buckets_skipped = router.len() - stats.buckets_ranked;
    let stop = StopState::new(query.k, &ranking);
    let enough = Enough { rule, log_odds: drift_ivf::log_odds_of(query.recall) };
    let mut scan = Scan { snapshot, query, sets, counts, enough, ranking, stop, sieve, ahead: CodesAhead::default() };
    while let Some(ranked) = scan.ranking.next() {
        // While this bucket is read the next comes nearer.
        scan.ranking.upcoming().last().inspect(|next| bring_near(snapshot, next));
        // An audit reads every bucket, which says nothing of its heat.
        if trace.is_none() {
            snapshot.level1.buckets[ranked.bucket as usize].observed.probe();
        }
        stats.rows_scanned += scan.read(&ranked, stats.buckets_probed, out).await?;
        stats.buckets_probed += 1;
        let next = scan.ranking.peek();
        scan.ranking.fresh().iter().rev().for_each(|later| bring_headers_near(snapshot, later));
        scan.sieve.settle(out);
        // Not those read: what a filter leaves out tells nothing of the others.
        scan.stop.observe(out.kth_score(), counts[ranked.bucket as usize] as usize);
        let features = next.and_then(|next| scan.stop.features(&next));
        if let Some(trace) = &mut trace {
            trace.note(ranked.bucket, features);
        }
        if next.is_none() || scan.ends(features.as_ref(), stats) {
            break;
        }
        if stats.buckets_probed.is_multiple_of(BUCKETS_PER_YIELD) {
            tokio::task::yield_now().await;
        }
    }
    stats.predicted_recall = stats.predicted_recall.max(0.0);
    Ok(())
}

/// A scan under way.
struct Scan<'s, 'r> {
    snapshot: &'s Snapshot,
    query: &'s Query,
    sets: Option<&'r RowSets>,
    /// Live rows of each bucket that match.
    counts: &'r [u32],
    enough: Enough<'r>,
    ranking: Ranking<'r>,
    stop: StopState,
    sieve: Sieve<'s>,
    ahead: CodesAhead,
}

/// What is missing at most, by what a rule sees, when a search has read enough.
#[derive(Clone, Copy)]
struct Enough<'r> {
    rule: &'r StopRule,
    log_odds: f32,
}

impl Enough<'_> {
    /// Without features nothing is known yet: two buckets are read and k rows found first.
    fn is_met(&self, features: Option<&Features>) -> bool {
        features.is_some_and(|seen| self.rule.log_odds(seen) < self.log_odds)
    }
}

impl<'s> Scan<'s, '_> {
    /// Reads a bucket, `probed` others having been read; returns how many rows that were.
    async fn read(&mut self, ranked: &Ranked, probed: usize, out: &mut Candidates) -> Result<usize> {
        let (snapshot, mut rows) = (self.snapshot, 0);
        let bucket = &snapshot.level1.buckets[ranked.bucket as usize];
        for &run in &bucket.runs {
            let wanted = self.sets.map(|sets| (sets, sets.rows_of_run(snapshot, run)));
            if matches!(wanted, Some((_, 0))) {
                continue;
            }
            let codes = match self.ahead.in_memory(snapshot, run) {
                Some(codes) => codes,
                None => {
                    let soon = self.buckets_soon(ranked, probed, out.kth_score());
                    self.ahead.read(snapshot, run, self.sets, soon).await?
                }
            };
            let run = opened(snapshot, (bucket, ranked.dist_sq), run, codes);
            rows += read_run(snapshot, run, wanted, &mut self.sieve, out);
        }
        Ok(rows)
    }

    /// The buckets from this one on that will be read.
    fn buckets_soon(&mut self, ranked: &Ranked, probed: usize, kth_score: Option<f32>) -> Vec<u32> {
        self.ranking.peek();
        let left = self.query.nprobe.map(|nprobe| nprobe - probed);
        let (state, enough) = ((self.stop.clone(), kth_score), self.enough);
        let is_enough = |features: Option<&Features>| enough.is_met(features);
        buckets_soon(ranked, self.ranking.upcoming(), state, self.counts, (self.query.k, left), is_enough)
    }

    /// Whether no other bucket need be read, and if so why.
    fn ends(&self, features: Option<&Features>, stats: &mut SearchStats) -> bool {
        let Some(reason) = reason_to_stop(self.query, stats, || self.enough.is_met(features)) else { return false };
        stats.stop_reason = reason;
        stats.predicted_recall -= features.map_or(1.0, |features| self.enough.rule.missing(features));
        true
    }
}

/// Why a search that has come so far need not read another bucket, if so.
fn reason_to_stop(query: &Query, stats: &SearchStats, is_enough: impl FnOnce() -> bool) -> Option<StopReason> {
    if query.is_late() {
        return Some(StopReason::Deadline);
    }
    match query.nprobe {
        Some(nprobe) => (stats.buckets_probed >= nprobe).then_some(StopReason::Nprobe),
        None => is_enough().then_some(StopReason::RecallReached),
    }
}

/// Lets what leads to the codes of a bucket come nearer: of a dozen buckets at once, one does not wait for
/// another.
fn bring_headers_near(snapshot: &Snapshot, ranked: &Ranked) {
    let bucket = &snapshot.level1.buckets[ranked.bucket as usize];
    prefetch(slice::from_ref(&*bucket.observed));
    pinned_codes(snapshot, bucket).for_each(|codes| prefetch(slice::from_ref(codes)));
}

/// Lets the codes that reading a bucket begins with come nearer.
fn bring_near(snapshot: &Snapshot, ranked: &Ranked) {
    pinned_codes(snapshot, &snapshot.level1.buckets[ranked.bucket as usize]).for_each(HotRun::bring_near);
}

fn pinned_codes<'s>(snapshot: &'s Snapshot, bucket: &'s Bucket) -> impl Iterator<Item = &'s HotRun> {
    bucket.runs.iter().filter_map(|run| snapshot.segments[run.segment as usize].reader.hot_pinned(run.run))
}

/// A run of a bucket whose centroid is so far from the query, with its codes.
fn opened<'s>(
    snapshot: &Snapshot,
    (bucket, dist_sq): (&Bucket, f32),
    RunRef { segment, run, first_row, .. }: RunRef,
    codes: Codes<'s>,
) -> Run<'s> {
    // Under an inner product buckets are ranked by another distance.
    let is_known = codes.centre_hash() == bucket.centre_hash && snapshot.schema.metric != Metric::InnerProduct;
    Run { segment, run, first_row, codes, centre_dist_sq: is_known.then_some(dist_sq) }
}

/// Reads the codes of a run's rows, of those only that match and how many they are where there is a filter;
/// returns how many were read.
fn read_run<'s>(
    snapshot: &'s Snapshot,
    run: Run<'s>,
    wanted: Option<(&RowSets, u32)>,
    sieve: &mut Sieve<'s>,
    out: &mut Candidates,
) -> usize {
    let (segment, first, rows) = (run.segment, run.first_row, run.codes.rows());
    match wanted {
        Some((sets, wanted)) if wanted <= PICKED => {
            sieve.pick(run, sets.rows_in(segment, first..first + rows as u32), out);
            return wanted as usize;
        }
        Some((sets, _)) => {
            let set = &sets.segments[segment as usize];
            sieve.scan(run, |row| set.value((first + row) as usize), out);
        }
        None => {
            let dead = &snapshot.segments[segment as usize].dead;
            sieve.scan(run, |row| !dead.contains(first + row), out);
        }
    }
    rows
}
