//! Looks, by their codes, for rows that lie nearer to another bucket's centroid than to their own.

use drift_codec::Sq8Scanner;
use drift_ivf::belongs_elsewhere;

use crate::{
    Collection, Result,
    snapshot::{Bucket, Snapshot},
};

/// Buckets whose centroids a bucket's rows are compared with.
const NEIGHBOURS: usize = 25;
/// Buckets looked at in one go.
const BUCKETS_PER_LOOK: usize = 64;

/// Looks at some buckets that nobody has looked at for a while.
pub(crate) async fn look(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let manifest = snapshot.level1.manifest;
    let due = snapshot.level1.buckets.iter().filter(|bucket| bucket.observed.wants_look(manifest));
    for bucket in due.take(BUCKETS_PER_LOOK) {
        let began = std::time::Instant::now();
        bucket.observed.looked(manifest, misplaced(&snapshot, bucket).await?);
        shared.totals.maintained(began.elapsed());
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The share of a bucket's live rows that are clearly nearer to another centroid.
async fn misplaced(snapshot: &Snapshot, bucket: &Bucket) -> Result<f32> {
    let Some(router) = &snapshot.level1.router else { return Ok(0.0) };
    let own = &bucket.header.centroid;
    // The bucket itself is among those nearest to it, unless others have the same centroid.
    let others = router.nearest_to(own, NEIGHBOURS + 1);
    let others: Vec<&[f32]> =
        others.iter().map(|&b| &snapshot.level1.buckets[b as usize].header.centroid[..]).collect();
    let (mut rows, mut wrong) = (0u32, 0u32);
    for run in &bucket.runs {
        let view = &snapshot.segments[run.segment as usize];
        let hot = view.reader.hot(run.run).await?;
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
    Ok(wrong as f32 / rows.max(1) as f32)
}
