//! The way of a search: L0, then buckets in the router's order until the stop rule is content, then
//! exact distances for what is left, then the winners' columns.

mod candidates;
mod exact;
mod filter;
mod gather;
mod keys;
mod level1;
mod query;

use std::sync::Arc;

pub(crate) use filter::{RowSets, matching_rows};
pub(crate) use gather::scan;
pub(crate) use query::unit_rows;

use drift_ivf::StopRule;
use drift_types::TopK;

use self::{
    candidates::{Candidates, Hit, RowRef},
    query::Query,
};
use crate::{Result, SearchRequest, SearchResult, SearchStats, StopReason, compute::Compute, snapshot::Snapshot};

/// Matching rows that are compared exactly rather than through codes: at most this many.
const EXACT_ROWS_MAX: usize = 20_000;
/// Breadth of L0's graph search.
const EF: usize = 64;

/// Searches one snapshot.
pub(crate) async fn search(
    snapshot: Arc<Snapshot>,
    request: &SearchRequest,
    default_recall: f32,
    compute: &Compute,
) -> Result<SearchResult> {
    let query = Query::new(request, &snapshot.schema, default_recall)?;
    let sets = match &request.filter {
        Some(filter) => Some(matching_rows(&snapshot, filter, compute).await?),
        None => None,
    };
    let mut stats =
        SearchStats { seq: snapshot.seq, predicted_recall: 1.0, l0_rows: snapshot.l0_rows(), ..Default::default() };
    let rows = sets.as_ref().map_or(snapshot.rows(), |s| s.count() as u64);
    let hits = if query.k == 0 || rows == 0 {
        Vec::new()
    } else if request.exact || (sets.is_some() && rows <= EXACT_ROWS_MAX as u64) {
        exact::search(&snapshot, &query, sets.as_ref(), &mut stats).await?
    } else {
        by_codes(&snapshot, &query, sets.as_ref(), &mut stats).await?
    };
    let batch = gather::winners(&snapshot, &hits, request.projection.as_deref()).await?;
    Ok(SearchResult { batch, stats })
}

async fn by_codes(
    snapshot: &Snapshot,
    query: &Query,
    sets: Option<&RowSets>,
    stats: &mut SearchStats,
) -> Result<Vec<Hit>> {
    let mut candidates = Candidates::new(query.k);
    search_l0(snapshot, query, sets, &mut candidates, stats);
    level1::scan_buckets(snapshot, query, sets, &StopRule::default(), &mut candidates, stats).await?;
    exact::rerank(snapshot, query, candidates, stats).await
}

/// L0 answers with exact scores.
fn search_l0(
    snapshot: &Snapshot,
    query: &Query,
    sets: Option<&RowSets>,
    out: &mut Candidates,
    stats: &mut SearchStats,
) {
    let mut missed = 0.0;
    for (i, table) in snapshot.l0.iter().enumerate().filter(|(_, t)| t.live_rows() > 0) {
        let set = sets.map(|s| &s.l0[i]);
        let live = |row: u32| match set {
            Some(set) => set.value(row as usize),
            None => !table.dead.contains(row),
        };
        let mut top = TopK::new(query.k);
        let found =
            table.memtable.search(&query.vector, query.k, query.ef.unwrap_or(EF), set.is_some(), &live, &mut top);
        stats.rows_scanned += found.rows_scanned;
        missed += (1.0 - found.recall) * table.live_rows() as f32;
        for hit in top.into_sorted() {
            let row = RowRef { in_l0: true, place: i as u32, ordinal: hit.ordinal };
            out.push_exact(Hit { score: hit.score, id: hit.id, row });
        }
    }
    stats.predicted_recall -= missed / snapshot.rows().max(1) as f32;
    if snapshot.level1.buckets.is_empty() {
        stats.stop_reason = StopReason::Exhausted;
    }
}
