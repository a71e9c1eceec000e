//! A search read to its end, with what the stop rule saw on the way.

use drift_ivf::{Features, StopRule};
use drift_types::TopK;

use super::{Hit, Query, RowSets, by_codes, exact};
use crate::{Result, SearchStats, snapshot::Snapshot};

/// What the loop over buckets notes, one entry per bucket it reads.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The bucket, and what the stop rule decides by once it is read; none where it has no choice.
    pub steps: Vec<(u32, Option<Features>)>,
}

impl Trace {
    pub fn note(&mut self, bucket: u32, features: Option<Features>) {
        self.steps.push((bucket, features));
    }
}

/// Runs a search again to the last bucket: the true nearest rows, and the trace of the very loop that
/// serves. Bounds on codes are never wrong, so what they rule out is not missed.
pub(crate) async fn walk(snapshot: &Snapshot, query: &Query, sets: Option<&RowSets>) -> Result<(Vec<Hit>, Trace)> {
    // Of recall 1 the rule is never sure.
    let query = Query { recall: 1.0, nprobe: None, deadline: None, ..query.clone() };
    let (mut stats, mut trace) = (SearchStats::default(), Trace::default());
    let found = by_codes(snapshot, &query, sets, &StopRule::default(), &mut stats, Some(&mut trace)).await?;
    // L0's graphs may have missed some, so its rows are compared anew. Those of L1 among the true
    // nearest are among these as well, whatever L0 has missed.
    let mut top = TopK::new(query.k);
    for hit in found.into_iter().filter(|hit| hit.segment().is_some()) {
        top.push(hit);
    }
    exact::search_l0(snapshot, &query, sets, &mut top);
    Ok((top.into_sorted(), trace))
}
