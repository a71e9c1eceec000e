//! Rows, found by their codes, that lie nearer to another bucket's centroid than to their own.

use std::sync::Arc;

use drift_codec::Sq8Scanner;
use drift_ivf::belongs_elsewhere;
use drift_segment::HotRun;

use crate::{
    Collection, Result,
    compute::Class,
    snapshot::{Bucket, Snapshot},
};

/// Buckets whose centroids a bucket's rows are compared with.
const NEIGHBOURS: usize = 25;
/// Buckets looked at in one go.
const BUCKETS_PER_LOOK: usize = 64;

/// Looks at some buckets that nobody has looked at for a while.
pub(super) async fn look_for_misplaced(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let manifest = snapshot.level1.manifest;
    let due = snapshot.level1.buckets.iter().enumerate().filter(|(_, bucket)| bucket.observed.wants_look(manifest));
    for (position, bucket) in due.take(BUCKETS_PER_LOOK) {
        let runs = codes(&snapshot, bucket).await?;
        let snapshot = snapshot.clone();
        let work = move || misplaced(&snapshot, &snapshot.level1.buckets[position], &runs);
        let (share, taken) = shared.common.compute.timed(Class::Background, work).await?;
        bucket.observed.looked(manifest, share);
        shared.totals.maintained(taken);
    }
    Ok(())
}

/// The codes of a bucket's runs.
async fn codes(snapshot: &Snapshot, bucket: &Bucket) -> Result<Vec<Arc<HotRun>>> {
    let mut runs = Vec::with_capacity(bucket.runs.len());
    for run in &bucket.runs {
        runs.push(snapshot.segments[run.segment as usize].reader.hot(run.run).await?);
    }
    Ok(runs)
}

/// The share of a bucket's live rows that are clearly nearer to another centroid.
fn misplaced(snapshot: &Snapshot, bucket: &Bucket, codes: &[Arc<HotRun>]) -> f32 {
    let Some(router) = &snapshot.level1.router else { return 0.0 };
    let own = &bucket.header.centroid;
    // The bucket itself is among those nearest to it, unless others have the same centroid.
    let others = router.nearest_to(own, NEIGHBOURS + 1);
    let others: Vec<&[f32]> =
        others.iter().map(|&b| &snapshot.level1.buckets[b as usize].header.centroid[..]).collect();
    let (mut rows, mut wrong) = (0u32, 0u32);
    for (run, hot) in bucket.runs.iter().zip(codes) {
        let view = &snapshot.segments[run.segment as usize];
        let block = hot.sq8();
        let present = Sq8Scanner::new(own, false).scan(&block).to_vec();
        let mut nearest = vec![f32::INFINITY; present.len()];
        for other in &others {
            let mut scanner = Sq8Scanner::new(other, false);
            nearest.iter_mut().zip(scanner.scan(&block)).for_each(|(nearest, &d)| *nearest = nearest.min(d));
        }
        let first = view.reader.runs()[run.run as usize].first_row;
        for row in view.live_ordinals(run.run).map(|ordinal| (ordinal - first) as usize) {
            rows += 1;
            wrong += u32::from(belongs_elsewhere(present[row], nearest[row]));
        }
    }
    wrong as f32 / rows.max(1) as f32
}
