//! The way of a search: L0, then buckets in the router's order until the stop rule is content, then
//! exact distances for what is left, then the winners' columns.

mod candidates;
mod codes_ahead;
mod exact;
mod filter;
mod gather;
mod held_vectors;
mod keys;
mod level1;
mod query;
mod sieve;
mod trace;

use std::sync::Arc;

pub(crate) use candidates::Hit;
pub(crate) use filter::{RowSets, matching_rows};
pub(crate) use gather::scan;
pub use query::K_MAX;
pub(crate) use query::{Query, unit_rows};
pub(crate) use trace::{Trace, walk};

use drift_ivf::StopRule;
use drift_types::TopK;

use self::candidates::Candidates;
use crate::{
    Result, SearchRequest, SearchResult, SearchStats, StopReason, audit::Searched, collection::Shared,
    snapshot::Snapshot,
};

/// So few matching rows are compared exactly, whatever else there is...
const EXACT_ROWS_MIN: u64 = 1_000;
/// ...and up to so many, where reading codes would cost more:
const EXACT_ROWS_MAX: u64 = 20_000;
/// an exact comparison, of four times the bytes and far from the one before, costs as much as so many
/// by codes in a row.
const EXACT_ROW_COST: u64 = 16;
/// Breadth of L0's graph search.
const EF: usize = 64;

/// Searches the newest snapshot of a collection.
pub(crate) async fn search(shared: &Arc<Shared>, request: &SearchRequest) -> Result<SearchResult> {
    // Whether it will be audited is settled before it runs: afterwards long searches would be favoured.
    let audit = shared.common.audits.reserve();
    let snapshot = shared.snapshot.load();
    let query = Query::new(request, &snapshot.schema, shared.common.settings.target_recall)?;
    let sets = match &request.filter {
        Some(filter) => Some(matching_rows(&snapshot, filter, &shared.common.compute).await?),
        None => None,
    };
    let mut stats =
        SearchStats { seq: snapshot.seq, predicted_recall: 1.0, l0_rows: snapshot.l0_rows(), ..Default::default() };
    let rows = sets.as_ref().map_or(snapshot.rows(), |s| s.count() as u64);
    let is_exact = request.exact || (sets.is_some() && is_selective(rows, snapshot.rows()));
    let hits = if query.k == 0 || rows == 0 {
        Vec::new()
    } else if is_exact {
        exact::search(&snapshot, &query, sets.as_ref(), &mut stats).await?
    } else {
        by_codes(&snapshot, &query, sets.as_ref(), shared.rules.load().of(query.k), &mut stats, None).await?
    };
    let batch = gather::winners(&snapshot, &hits, request.projection.as_deref()).await?;
    if let Some(audit) = audit.filter(|_| !is_exact && !hits.is_empty()) {
        audit.offer(Searched { shared: shared.clone(), snapshot, query, sets, hits, stats });
    }
    Ok(SearchResult { batch, stats })
}

/// Whether `rows` that match, of `all` rows, are compared exactly for less than it takes to read codes.
fn is_selective(rows: u64, all: u64) -> bool {
    rows <= EXACT_ROWS_MIN || (rows <= EXACT_ROWS_MAX && rows * EXACT_ROW_COST <= all)
}

async fn by_codes(
    snapshot: &Snapshot,
    query: &Query,
    sets: Option<&RowSets>,
    rule: &StopRule,
    stats: &mut SearchStats,
    trace: Option<&mut Trace>,
) -> Result<Vec<Hit>> {
    let mut candidates = Candidates::new(query.k);
    search_l0(snapshot, query, sets, &mut candidates, stats);
    level1::scan_buckets(snapshot, query, sets, rule, &mut candidates, stats, trace).await?;
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
            out.push_exact(Hit::in_table(i, &hit));
        }
    }
    stats.predicted_recall -= missed / snapshot.rows().max(1) as f32;
    if snapshot.level1.buckets.is_empty() {
        stats.stop_reason = StopReason::Exhausted;
    }
}
