//! Which rows to write anew, so that searches pay for no dead, scattered or misplaced rows, and disk and
//! open segments stay bounded.

use crate::{BUCKET_ROWS, BucketLoad, RUNS_MAX, Urgency};

/// While nothing is written, a bucket is scattered if a mean run of it has fewer rows than this.
const RUN_ROWS_MIN: usize = BUCKET_ROWS / 2;
/// So many segments may always live.
const SEGMENTS_MIN: usize = 64;
/// Dead rows a segment may hold. Giving back a byte costs (1 - share) / share bytes written: a third at
/// three quarters, where one half would double what all other maintenance writes.
const DEAD_SHARE_MAX: f64 = 0.75;
/// Dead rows a segment or bucket may hold once nothing else is to be done.
const DEAD_SHARE_MAX_QUIET: f64 = 0.3;
/// Rows of a bucket that may lie nearer to another centroid.
const MISPLACED_MAX: f32 = 0.1;
/// Buckets around a misplaced one that are clustered anew with it.
const NEIGHBOURS: usize = 25;

/// A segment as maintenance sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLoad {
    /// Rows stored.
    pub rows: u64,
    /// Those of them that are neither deleted, replaced nor moved away.
    pub live: u64,
}

/// A bucket as maintenance sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketState<'a> {
    /// What its neighbours are found by.
    pub centroid: &'a [f32],
    /// What it costs its readers.
    pub load: BucketLoad,
    /// How urgent that is.
    pub urgency: Urgency,
}

impl BucketState<'_> {
    fn is_due(&self, quiet: bool) -> bool {
        self.urgency.total() >= 1.0
            || self.load.runs as usize > RUNS_MAX
            || self.load.misplaced > MISPLACED_MAX
            || (quiet && self.is_untidy())
    }

    /// Whether there is anything to gain, however little.
    fn is_untidy(&self) -> bool {
        let BucketLoad { live, dead, runs, .. } = self.load;
        let dead_share = f64::from(dead) / f64::from(live + dead).max(1.0);
        dead_share > DEAD_SHARE_MAX_QUIET
            || (runs > 1 && (live as usize) < runs as usize * RUN_ROWS_MIN)
            || self.load.is_small()
    }
}

/// How much one rewrite may take, in live rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSize {
    /// A group of scattered buckets waits until it has so many, for a segment should not be tiny.
    pub rows_min: u64,
    /// Segments are joined, and buckets grouped, up to so many.
    pub rows_max: u64,
}

/// What to write anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compaction {
    /// The live rows of these segments, by position: most of one is dead, or there are too many.
    Segments(Vec<usize>),
    /// These buckets, by position: the most urgent one first, and its neighbours.
    Buckets(Vec<usize>),
}

/// The compaction that is due most; none if all is in order.
///
/// `quiet`: nothing is being written, so that work is worth doing that would otherwise be overtaken
/// by the next rows. Repeated, it comes to an end: what it names leaves one segment or one run behind,
/// without a dead row.
pub fn next_compaction(
    segments: &[SegmentLoad],
    buckets: &[BucketState<'_>],
    size: JobSize,
    quiet: bool,
) -> Option<Compaction> {
    let dead_share_max = if quiet { DEAD_SHARE_MAX_QUIET } else { DEAD_SHARE_MAX };
    mostly_dead(segments, dead_share_max)
        .or_else(|| too_many(segments, size))
        .or_else(|| most_urgent(buckets, size, quiet))
}

fn mostly_dead(segments: &[SegmentLoad], share_max: f64) -> Option<Compaction> {
    let dead_share = |s: &SegmentLoad| (s.rows - s.live) as f64 / s.rows.max(1) as f64;
    let shares = segments.iter().map(dead_share).enumerate();
    let (worst, share) = shares.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (share > share_max).then(|| Compaction::Segments(vec![worst]))
}

/// The smallest segments, once there are more than the rows justify.
fn too_many(segments: &[SegmentLoad], size: JobSize) -> Option<Compaction> {
    let rows: u64 = segments.iter().map(|s| s.live).sum();
    if segments.len() <= SEGMENTS_MIN + (2 * rows / size.rows_max.max(1)) as usize {
        return None;
    }
    let mut smallest: Vec<usize> = (0..segments.len()).collect();
    smallest.sort_by_key(|&i| segments[i].live);
    let mut rows = 0;
    smallest.truncate(segments.len() / 4);
    smallest.retain(|&i| {
        rows += segments[i].live;
        rows <= size.rows_max
    });
    (smallest.len() > 1).then_some(Compaction::Segments(smallest))
}

/// The most urgent bucket, and of those near it all that are due as well; around misplaced rows all
/// buckets, for rows go to and fro between them.
fn most_urgent(buckets: &[BucketState<'_>], size: JobSize, quiet: bool) -> Option<Compaction> {
    let mut group: Vec<usize> = (0..buckets.len()).filter(|&i| buckets[i].is_due(quiet)).collect();
    let urgency = |i: usize| (buckets[i].urgency.total(), buckets[i].load.runs);
    let first = *group.iter().max_by(|&&a, &&b| {
        let ((a, a_runs), (b, b_runs)) = (urgency(a), urgency(b));
        a.total_cmp(&b).then(a_runs.cmp(&b_runs))
    })?;
    let distance = |&i: &usize| drift_kernels::l2_sq(buckets[first].centroid, buckets[i].centroid).to_bits();
    if buckets[first].load.misplaced > MISPLACED_MAX {
        let mut near: Vec<usize> = (0..buckets.len()).collect();
        near.sort_by_cached_key(distance);
        group.extend(near.into_iter().take(NEIGHBOURS + 1));
        group.sort_unstable();
        group.dedup();
    }
    let rows: u64 = group.iter().map(|&i| u64::from(buckets[i].load.live)).sum();
    if rows < size.rows_min && !quiet {
        return None;
    }
    group.sort_by_cached_key(|i| (*i != first, distance(i)));
    let mut rows = 0;
    let fitting = group.iter().take_while(|&&i| {
        rows += u64::from(buckets[i].load.live);
        rows <= size.rows_max
    });
    let count = fitting.count().max(1);
    group.truncate(count);
    Some(Compaction::Buckets(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: JobSize = JobSize { rows_min: 5_000, rows_max: 50_000 };

    fn segments(loads: &[(u64, u64)]) -> Vec<SegmentLoad> {
        loads.iter().map(|&(rows, live)| SegmentLoad { rows, live }).collect()
    }

    fn bucket(centroid: &[f32], runs: u32, live: u32) -> BucketState<'_> {
        state(centroid, BucketLoad { live, runs, ..Default::default() })
    }

    fn state(centroid: &[f32], load: BucketLoad) -> BucketState<'_> {
        BucketState { centroid, load, urgency: Urgency::of(&load, 8) }
    }

    #[test]
    fn the_deadest_segment_goes_first() {
        let loads = segments(&[(100, 90), (100, 10), (100, 20), (50, 50)]);
        assert_eq!(next_compaction(&loads, &[], SIZE, false), Some(Compaction::Segments(vec![1])));
        let loads = segments(&[(100, 90), (100, 60)]);
        assert_eq!(next_compaction(&loads, &[], SIZE, false), None);
        assert_eq!(next_compaction(&loads, &[], SIZE, true), Some(Compaction::Segments(vec![1])));
        assert_eq!(next_compaction(&segments(&[(100, 76), (100, 100)]), &[], SIZE, true), None);
    }

    #[test]
    fn the_number_of_segments_stays_bounded() {
        let mut loads = Vec::new();
        for step in 0..2_000u64 {
            loads.push(SegmentLoad { rows: 1_000, live: 1_000 });
            while let Some(Compaction::Segments(joined)) = next_compaction(&loads, &[], SIZE, false) {
                assert!(joined.len() > 1);
                let rows: u64 = joined.iter().map(|&i| loads[i].live).sum();
                assert!(rows <= SIZE.rows_max);
                loads = (0..loads.len()).filter(|i| !joined.contains(i)).map(|i| loads[i]).collect();
                loads.push(SegmentLoad { rows, live: rows });
            }
            assert!(loads.len() as u64 <= 64 + 2 * (step + 1) * 1_000 / SIZE.rows_max, "{} at {step}", loads.len());
        }
    }

    #[test]
    fn scattered_buckets_go_with_their_neighbours() {
        let centroids: Vec<[f32; 1]> = (0..200).map(|i| [i as f32]).collect();
        let mut buckets: Vec<BucketState> = centroids.iter().map(|c| bucket(c, 7, 150)).collect();
        buckets[100].load.runs = 8;
        buckets[101].load.runs = 1; // in order
        let size = JobSize { rows_max: 1_500, ..SIZE };
        let Some(Compaction::Buckets(group)) = next_compaction(&[], &buckets, size, false) else {
            panic!("many are scattered");
        };
        assert_eq!(group[0], 100);
        assert_eq!(group.len(), 10);
        assert!(group.iter().all(|&i| (94..=106).contains(&i) && i != 101), "{group:?}");
    }

    #[test]
    fn a_small_group_waits_for_quiet() {
        let two_runs = 2 * RUN_ROWS_MIN as u32;
        let [scattered, whole] = [bucket(&[2.0], 2, two_runs - 1), bucket(&[3.0], 2, two_runs)];
        let buckets = [bucket(&[0.0], 7, 600), bucket(&[1.0], 1, 40), scattered, whole];
        assert_eq!(next_compaction(&[], &buckets, SIZE, false), None);
        assert_eq!(next_compaction(&[], &buckets, SIZE, true), Some(Compaction::Buckets(vec![0, 2])));
        assert_eq!(next_compaction(&[], &buckets[3..], SIZE, true), None);
        assert_eq!(next_compaction(&[], &[], SIZE, true), None);
    }

    #[test]
    fn a_bucket_larger_than_a_job_still_goes() {
        let buckets = [bucket(&[0.0], 8, 60_000), bucket(&[1.0], 7, 10)];
        assert_eq!(next_compaction(&[], &buckets, SIZE, false), Some(Compaction::Buckets(vec![0])));
    }

    #[test]
    fn a_hot_zombie_goes_before_a_cold_one() {
        let load = BucketLoad { live: 5_000, dead: 4_000, runs: 1, ..Default::default() };
        let hot = BucketLoad { temperature: 10.0, ..load };
        let buckets = [state(&[0.0], load), state(&[1e6], hot), state(&[2.0], load)];
        let Some(Compaction::Buckets(group)) = next_compaction(&[], &buckets, SIZE, false) else {
            panic!("all are due");
        };
        assert_eq!(group[0], 1);
    }

    /// What cannot be done now (a small bucket that still cools down is not small to us) is passed over.
    #[test]
    fn what_is_refused_starves_nothing() {
        let refused = BucketLoad { live: 3, may_join: false, temperature: 1e6, runs: 1, ..Default::default() };
        let dead = BucketLoad { live: 60, dead: 60, runs: 1, ..Default::default() };
        let buckets = [state(&[0.0], refused), state(&[1.0], dead)];
        assert_eq!(next_compaction(&[], &buckets, SIZE, true), Some(Compaction::Buckets(vec![1])));
    }

    #[test]
    fn misplaced_rows_bring_their_neighbours() {
        let centroids: Vec<[f32; 1]> = (0..100).map(|i| [i as f32]).collect();
        let clean = BucketLoad { live: 300, runs: 1, ..Default::default() };
        let mut buckets: Vec<BucketState> = centroids.iter().map(|c| state(c, clean)).collect();
        buckets[50] = state(&centroids[50], BucketLoad { misplaced: 0.2, ..clean });
        let Some(Compaction::Buckets(group)) = next_compaction(&[], &buckets, SIZE, false) else {
            panic!("one is due");
        };
        assert_eq!((group[0], group.len()), (50, 26));
        assert!(group.iter().all(|&i| (37..=63).contains(&i)), "{group:?}");
    }
}
