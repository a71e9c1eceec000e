//! What has died leaves the headers; what holds nothing alive is let go.

use std::sync::Arc;

use super::draft::Draft;
use crate::Result;

impl Draft {
    /// Takes the rows that have died since the last commit out of their buckets' headers.
    pub async fn settle_deaths(&mut self) -> Result<()> {
        for bucket in &mut self.buckets {
            for &(place, run) in &bucket.runs {
                let view = self.segments.iter().find(|s| s.place == place).expect("buckets name live segments");
                let entry = &view.reader.runs()[run as usize];
                let fresh = |&o: &u32| view.dead.contains(o) && !view.counted.contains(o);
                let died: Vec<u32> = entry.ordinals().filter(fresh).collect();
                if died.is_empty() {
                    continue;
                }
                let exact = view.reader.exact(run).await?;
                for row in died.iter().map(|o| (o - entry.first_row) as usize) {
                    let mut vector = exact.row(row).to_vec();
                    drift_kernels::scale(&mut vector, exact.inv_norm(row));
                    Arc::make_mut(&mut bucket.header).remove(&vector);
                }
                bucket.past.rows_changed += died.len() as u32;
            }
        }
        for view in &mut self.segments {
            view.counted = view.dead.clone();
        }
        Ok(())
    }

    /// Lets go of what holds no live row any more: runs, then buckets, then segments. Of the rest, says
    /// how many dead rows it holds.
    pub fn prune(&mut self) {
        let mut buckets = std::mem::take(&mut self.buckets);
        for bucket in &mut buckets {
            bucket.runs.retain(|&run| self.live_in(run) > 0);
            let stored = bucket.runs.iter().map(|&(place, run)| self.view(place).reader.runs()[run as usize].rows);
            let dead = stored.sum::<u32>() - bucket.header.n_live;
            if bucket.header.n_dead != dead {
                Arc::make_mut(&mut bucket.header).n_dead = dead;
            }
        }
        buckets.retain(|bucket| !bucket.runs.is_empty());
        self.buckets = buckets;
        // What was moved stays noted: rows may have come by way of a segment that this job wrote and emptied again.
        self.segments.retain(|view| view.live_rows() > 0);
    }
}
