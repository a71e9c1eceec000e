//! Which rows to write anew, so that disk, open segments and scattered buckets stay bounded.

use crate::BUCKET_ROWS;

/// A bucket is scattered over more runs than this...
const RUNS_MAX: usize = 4;
/// ...or if a mean run of it has fewer rows than this.
const RUN_ROWS_MIN: usize = BUCKET_ROWS / 2;
/// So many segments may always live.
const SEGMENTS_MIN: usize = 64;
/// Dead rows a segment may hold while other work is waiting, and while none is.
const DEAD_SHARE_MAX: f64 = 0.5;
const DEAD_SHARE_MAX_QUIET: f64 = 0.05;

/// A segment as compaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLoad {
    /// Rows stored.
    pub rows: u64,
    /// Those of them that are neither deleted, replaced nor moved away.
    pub live: u64,
}

/// A bucket as compaction sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketLoad<'a> {
    /// What its neighbours are found by.
    pub centroid: &'a [f32],
    /// Runs it lies in.
    pub runs: usize,
    /// Live rows in them.
    pub live: u64,
}

impl BucketLoad<'_> {
    fn is_scattered(&self) -> bool {
        self.runs > RUNS_MAX || (self.runs > 1 && self.live < (self.runs * RUN_ROWS_MIN) as u64)
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
    /// These buckets, by position: neighbours that lie in too many runs.
    Buckets(Vec<usize>),
}

/// The compaction that is due most; none if all is in order.
///
/// `quiet`: nothing is being written, so that work is worth doing that would otherwise be overtaken
/// by the next rows. Repeated, it comes to an end: what it names leaves one segment or one run behind,
/// without a dead row.
pub fn next_compaction(
    segments: &[SegmentLoad],
    buckets: &[BucketLoad<'_>],
    size: JobSize,
    quiet: bool,
) -> Option<Compaction> {
    let dead_share_max = if quiet { DEAD_SHARE_MAX_QUIET } else { DEAD_SHARE_MAX };
    mostly_dead(segments, dead_share_max)
        .or_else(|| too_many(segments, size))
        .or_else(|| scattered(buckets, size, quiet))
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

/// The most scattered bucket and the scattered buckets nearest to it.
fn scattered(buckets: &[BucketLoad<'_>], size: JobSize, quiet: bool) -> Option<Compaction> {
    let mut due: Vec<usize> = (0..buckets.len()).filter(|&i| buckets[i].is_scattered()).collect();
    let rows: u64 = due.iter().map(|&i| buckets[i].live).sum();
    if rows < size.rows_min && !quiet {
        return None;
    }
    let first = buckets[*due.iter().max_by_key(|&&i| buckets[i].runs)?].centroid;
    due.sort_by_cached_key(|&i| drift_kernels::l2_sq(first, buckets[i].centroid).to_bits());
    let mut rows = 0;
    let fitting = due.iter().take_while(|&&i| {
        rows += buckets[i].live;
        rows <= size.rows_max
    });
    let count = fitting.count().max(1);
    due.truncate(count);
    Some(Compaction::Buckets(due))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: JobSize = JobSize { rows_min: 5_000, rows_max: 50_000 };

    fn segments(loads: &[(u64, u64)]) -> Vec<SegmentLoad> {
        loads.iter().map(|&(rows, live)| SegmentLoad { rows, live }).collect()
    }

    fn bucket(centroid: &[f32], runs: usize, live: u64) -> BucketLoad<'_> {
        BucketLoad { centroid, runs, live }
    }

    #[test]
    fn the_deadest_segment_goes_first() {
        let loads = segments(&[(100, 90), (100, 10), (100, 40), (50, 50)]);
        assert_eq!(next_compaction(&loads, &[], SIZE, false), Some(Compaction::Segments(vec![1])));
        let loads = segments(&[(100, 90), (100, 60)]);
        assert_eq!(next_compaction(&loads, &[], SIZE, false), None);
        assert_eq!(next_compaction(&loads, &[], SIZE, true), Some(Compaction::Segments(vec![1])));
        assert_eq!(next_compaction(&segments(&[(100, 96), (100, 100)]), &[], SIZE, true), None);
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
        let mut buckets: Vec<BucketLoad> = centroids.iter().map(|c| bucket(c, 3, 150)).collect();
        buckets[100].runs = 5;
        buckets[101].live = 1_000; // large runs are in order
        let Some(Compaction::Buckets(group)) =
            next_compaction(&[], &buckets, JobSize { rows_max: 1_500, ..SIZE }, false)
        else {
            panic!("many are scattered");
        };
        assert_eq!(group[0], 100);
        assert_eq!(group.len(), 10);
        assert!(group.iter().all(|&i| (94..=106).contains(&i) && i != 101), "{group:?}");
    }

    #[test]
    fn a_small_group_waits_for_quiet() {
        let buckets = [bucket(&[0.0], 5, 600), bucket(&[1.0], 1, 10), bucket(&[2.0], 2, 127), bucket(&[3.0], 2, 128)];
        assert_eq!(next_compaction(&[], &buckets, SIZE, false), None);
        assert_eq!(next_compaction(&[], &buckets, SIZE, true), Some(Compaction::Buckets(vec![0, 2])));
        assert_eq!(next_compaction(&[], &buckets[3..], SIZE, true), None);
        assert_eq!(next_compaction(&[], &[], SIZE, true), None);
    }

    #[test]
    fn a_bucket_larger_than_a_job_still_goes() {
        let buckets = [bucket(&[0.0], 6, 60_000), bucket(&[1.0], 5, 10)];
        assert_eq!(next_compaction(&[], &buckets, SIZE, false), Some(Compaction::Buckets(vec![0])));
    }
}
