use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use drift_kernels::prefetch;
use drift_segment::ExactRun;

use super::candidates::{Candidates, Coded};
use crate::{Result, snapshot::Snapshot};

/// Rows whose vectors are brought near while a search goes on: more would push out what it reads.
const NEAR: usize = 64;

/// The vectors of the runs that candidates lie in, kept while a search needs them: the cache is asked once
/// for each run.
#[derive(Default)]
pub(super) struct Vectors {
    /// By segment and run.
    runs: BTreeMap<(u32, u32), Arc<ExactRun>>,
    brought_near: usize,
}

impl Vectors {
    /// The vectors of a run.
    pub async fn of_run(&mut self, snapshot: &Snapshot, segment: u32, run: u32) -> Result<&ExactRun> {
        Ok(match self.runs.entry((segment, run)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let reader = &snapshot.segments[segment as usize].reader;
                new.insert(match reader.exact_cached(run) {
                    Some(exact) => exact,
                    None => reader.exact(run).await?,
                })
            }
        })
    }

    /// Lets the vectors of new candidates come nearer while other buckets are read. Most will be compared.
    pub fn bring_fresh_near(&mut self, snapshot: &Snapshot, candidates: &mut Candidates) {
        if self.brought_near < NEAR {
            candidates.fresh().for_each(|one| self.bring_near(snapshot, &one));
        }
    }

    /// Lets the vector of a candidate come nearer, if its run is in memory.
    pub fn bring_near(&mut self, snapshot: &Snapshot, &Coded { segment, run, row, .. }: &Coded) {
        let exact = match self.runs.entry((segment, run)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match snapshot.segments[segment as usize].reader.exact_cached(run) {
                Some(exact) => new.insert(exact),
                None => return,
            },
        };
        prefetch(exact.row(row as usize));
        self.brought_near += 1;
    }
}
