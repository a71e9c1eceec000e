//! Exact distances: of every matching row, or of the rows their codes could not rule out.

use drift_kernels::prefetch;
use drift_types::TopK;

use super::{
    candidates::{Candidates, Coded, Hit, RowRef},
    filter::{RowSets, live_set},
    query::Query,
};
use crate::{
    Result, SearchStats, StopReason,
    snapshot::{SegmentView, Snapshot},
};

/// Rows compared between two chances for other tasks on this thread; some 200 us of work.
const ROWS_PER_YIELD: usize = 1_024;

/// Compares every live, matching row.
pub(super) async fn search(
    snapshot: &Snapshot,
    query: &Query,
    sets: Option<&RowSets>,
    stats: &mut SearchStats,
) -> Result<Vec<Hit>> {
    let mut top = TopK::new(query.k);
    stats.rows_reranked += search_l0(snapshot, query, sets, &mut top);
    stats.stop_reason = StopReason::Exact;
    let mut since_yield = 0;
    'segments: for (i, view) in snapshot.segments.iter().enumerate() {
        let rows = match sets {
            Some(sets) => sets.segments[i].clone(),
            None => live_set(view.reader.rows() as usize, &view.dead),
        };
        for run in 0..view.reader.runs().len() as u32 {
            let entry = &view.reader.runs()[run as usize];
            let wanted = rows.slice(entry.first_row as usize, entry.rows as usize);
            let wanted: Vec<u32> = wanted.set_indices_u32().collect();
            if wanted.is_empty() {
                continue;
            }
            if stats.buckets_probed > 0 && query.is_late() {
                stats.stop_reason = StopReason::Deadline;
                break 'segments;
            }
            score_rows(view, i as u32, run, wanted.iter().copied(), query, &mut top).await?;
            stats.buckets_probed += 1;
            stats.rows_reranked += wanted.len();
            since_yield += wanted.len();
            if since_yield >= ROWS_PER_YIELD {
                since_yield = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    stats.buckets_ranked = stats.buckets_probed;
    let all = sets.map_or(snapshot.rows(), |sets| sets.count() as u64);
    // A row is as likely to be a neighbour as any other.
    stats.predicted_recall = stats.rows_reranked as f32 / all.max(1) as f32;
    Ok(top.into_sorted())
}

/// Compares every live, matching row of L0; returns their number.
pub(super) fn search_l0(snapshot: &Snapshot, query: &Query, sets: Option<&RowSets>, top: &mut TopK<Hit>) -> usize {
    let mut rows = 0;
    for (i, table) in snapshot.l0.iter().enumerate().filter(|(_, t)| t.live_rows() > 0) {
        let live = |row: u32| match sets {
            Some(sets) => sets.l0[i].value(row as usize),
            None => !table.dead.contains(row),
        };
        let mut hits = TopK::new(query.k);
        table.memtable.search_exact(&query.vector, &live, &mut hits);
        for hit in hits.into_sorted() {
            let row = RowRef { in_l0: true, place: i as u32, ordinal: hit.ordinal };
            top.push(Hit { score: hit.score, id: hit.id, row });
        }
        rows += sets.map_or(table.live_rows(), |s| s.l0[i].count_set_bits());
    }
    rows
}

/// Candidates whose vectors are brought near before the first is compared, and how much of each: the
/// processor foresees the rest.
const NEAR: usize = 16;
const FIRST_VALUES: usize = 128;

/// Looks up the exact scores of candidates, nearest bound first, until no bound can win any more.
pub(super) async fn rerank(
    snapshot: &Snapshot,
    query: &Query,
    candidates: Candidates,
    stats: &mut SearchStats,
) -> Result<Vec<Hit>> {
    let (mut top, coded) = candidates.finish();
    for one in coded.iter().take(NEAR) {
        if let Some(exact) = snapshot.segments[one.segment as usize].reader.exact_cached(one.run) {
            let row = exact.row(one.row as usize);
            prefetch(&row[..row.len().min(FIRST_VALUES)]);
        }
    }
    for Coded { lower, segment, run, row } in coded {
        if top.kth().is_some_and(|hit| lower > hit.score) {
            break;
        }
        score_rows(&snapshot.segments[segment as usize], segment, run, [row], query, &mut top).await?;
        stats.rows_reranked += 1;
    }
    Ok(top.into_sorted())
}

/// Offers rows of one run by their exact scores.
async fn score_rows(
    view: &SegmentView,
    segment: u32,
    run: u32,
    rows: impl IntoIterator<Item = u32>,
    query: &Query,
    top: &mut TopK<Hit>,
) -> Result<()> {
    let exact = match view.reader.exact_cached(run) {
        Some(exact) => exact,
        None => view.reader.exact(run).await?,
    };
    let hot = view.reader.hot(run).await?;
    let first = view.reader.runs()[run as usize].first_row;
    for row in rows {
        let score = query.score(exact.row(row as usize), || exact.inv_norm(row as usize));
        let id = hot.id(row as usize);
        top.push(Hit { score, id, row: RowRef { in_l0: false, place: segment, ordinal: first + row } });
    }
    Ok(())
}
