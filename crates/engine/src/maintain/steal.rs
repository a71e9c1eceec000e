//! Rows of other buckets that are clearly nearer to a centroid that has moved: looked for by codes,
//! decided by exact vectors (LIRE: Xu et al., SPFresh, SOSP 2023, section 4.2).

use std::{collections::BTreeMap, sync::Arc};

use drift_codec::Sq8Scanner;
use drift_ivf::{BUCKET_ROWS_MAX, Centroids, belongs_elsewhere};

use super::draft::{Draft, Hand};
use crate::{Result, id_map::PlaceId, snapshot::SegmentView};

/// Buckets around a moved centroid whose rows are looked at.
const NEIGHBOURS: usize = 64;

/// Buckets looked at between two chances for other tasks on this thread.
const BUCKETS_PER_YIELD: usize = 16;

/// A row and the bucket it goes to.
struct Stolen {
    place: PlaceId,
    ordinal: u32,
    from: u32,
    to: u32,
}

impl Draft {
    /// Adds to the rows in hand those that stay around `changed` buckets and are clearly nearer to
    /// their centroids. `counts` are all buckets' live rows: none is filled beyond [`BUCKET_ROWS_MAX`].
    pub(super) async fn steal(&mut self, mut hand: Hand, changed: &[u32], mut counts: Vec<u32>) -> Result<Hand> {
        let mut stolen: BTreeMap<PlaceId, Vec<Stolen>> = BTreeMap::new();
        for (looked_at, (donor, rivals)) in self.rivals(changed).into_iter().enumerate() {
            for row in self.nearer_elsewhere(donor, &rivals).await? {
                if (counts[row.to as usize] as usize) < BUCKET_ROWS_MAX {
                    counts[row.to as usize] += 1;
                    stolen.entry(row.place).or_default().push(row);
                }
            }
            if looked_at % BUCKETS_PER_YIELD == 0 {
                tokio::task::yield_now().await;
            }
        }
        let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
        for (place, mut rows) in stolen {
            rows.sort_unstable_by_key(|row| row.ordinal);
            let ordinals: Vec<u32> = rows.iter().map(|row| row.ordinal).collect();
            let Some(set) = self.take_rows(place, &ordinals).await? else { continue };
            for (vector, row) in set.index_rows().iter().zip(&rows) {
                let donor = &mut self.buckets[row.from as usize];
                Arc::make_mut(&mut donor.header).remove(vector);
                donor.past.rows_changed += 1;
                *taken.entry(row.to).or_default() += 1;
            }
            hand = hand.with(set, rows.iter().map(|row| row.to))?;
        }
        self.log_stolen(&taken);
        Ok(hand)
    }

    /// For each bucket with rows that stay, the changed buckets it is near to.
    fn rivals(&self, changed: &[u32]) -> BTreeMap<usize, Vec<u32>> {
        let mut rivals: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let donors: Vec<usize> = (0..self.buckets.len()).filter(|&b| self.may_donate(b)).collect();
        if donors.is_empty() {
            return rivals;
        }
        let dim = self.buckets[donors[0]].header.centroid.len();
        let data = donors.iter().flat_map(|&b| &self.buckets[b].header.centroid).copied().collect();
        let centroids = Centroids::new(data, dim);
        for &bucket in changed {
            let near = centroids.nearest_to(&self.buckets[bucket as usize].header.centroid, NEIGHBOURS);
            for donor in near.into_iter().map(|d| donors[d as usize]).filter(|&d| d != bucket as usize) {
                rivals.entry(donor).or_default().push(bucket);
            }
        }
        rivals
    }

    fn may_donate(&self, bucket: usize) -> bool {
        !self.buckets[bucket].runs.is_empty() && self.can_rewrite(bucket)
    }

    /// The live rows of a bucket that belong to one of `rivals`.
    async fn nearer_elsewhere(&self, donor: usize, rivals: &[u32]) -> Result<Vec<Stolen>> {
        let own = &self.buckets[donor].header.centroid;
        let others: Vec<&[f32]> =
            rivals.iter().map(|&rival| &self.buckets[rival as usize].header.centroid[..]).collect();
        let mut stolen = Vec::new();
        for &(place, run) in &self.buckets[donor].runs {
            let view = self.view(place);
            let suspects = suspects(view, run, own, &others).await?;
            if suspects.is_empty() {
                continue;
            }
            let (exact, first) = (view.reader.exact(run).await?, view.reader.runs()[run as usize].first_row);
            for ordinal in suspects {
                let row = (ordinal - first) as usize;
                let mut vector = exact.row(row).to_vec();
                drift_kernels::scale(&mut vector, exact.inv_norm(row));
                let distances = others.iter().map(|other| drift_kernels::l2_sq(&vector, other));
                let nearest = rivals.iter().zip(distances).min_by(|a, b| a.1.total_cmp(&b.1));
                if let Some((&to, dist_sq)) = nearest
                    && belongs_elsewhere(drift_kernels::l2_sq(&vector, own), dist_sq)
                {
                    stolen.push(Stolen { place, ordinal, from: donor as u32, to });
                }
            }
        }
        Ok(stolen)
    }
}

/// The live rows of a run that, as far as their codes tell, may be clearly nearer to one of `others`
/// than to `own`.
async fn suspects(view: &SegmentView, run: u32, own: &[f32], others: &[&[f32]]) -> Result<Vec<u32>> {
    let hot = view.reader.hot(run).await?;
    let block = hot.sq8();
    let mut scanner = Sq8Scanner::new(own, false);
    let estimates = scanner.scan(&block).to_vec();
    let present: Vec<f32> = estimates.iter().map(|&estimate| scanner.bounds(estimate, block.error).1).collect();
    let mut is_suspect = vec![false; present.len()];
    for other in others {
        let mut scanner = Sq8Scanner::new(other, false);
        let estimates = scanner.scan(&block).to_vec();
        for ((suspect, &present), estimate) in is_suspect.iter_mut().zip(&present).zip(estimates) {
            *suspect |= belongs_elsewhere(present, scanner.bounds(estimate, block.error).0);
        }
    }
    let first = view.reader.runs()[run as usize].first_row;
    Ok(view.live_ordinals(run).filter(|ordinal| is_suspect[(ordinal - first) as usize]).collect())
}
