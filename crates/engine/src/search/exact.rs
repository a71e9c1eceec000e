//! Exact distances: of every matching row, or of the rows their codes could not rule out.

use drift_segment::ExactRun;
use drift_types::TopK;

use super::{
    candidates::{Candidates, Hit, RowRef},
    exact_runs::ExactRuns,
    filter::{RowSets, live_set},
    query::Query,
};
use crate::{Result, SearchStats, StopReason, snapshot::Snapshot};

/// How many candidates ahead of the one that is compared vectors are brought near.
const AHEAD: usize = 4;

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
    'segments: for (segment, view) in (0..).zip(&snapshot.segments) {
        let rows = match sets {
            Some(sets) => sets.segments[segment as usize].clone(),
            None => live_set(view.reader.rows() as usize, &view.dead),
        };
        let mut wanted = rows.set_indices_u32().peekable();
        for (run, entry) in (0..).zip(view.reader.runs()) {
            let end = entry.ordinals().end;
            if wanted.peek().is_none_or(|&row| row >= end) {
                continue;
            }
            if stats.buckets_probed > 0 && query.is_late() {
                stats.stop_reason = StopReason::Deadline;
                break 'segments;
            }
            let exact = view.reader.exact(run).await?;
            while let Some(ordinal) = wanted.next_if(|&row| row < end) {
                offer(&mut top, snapshot, query, (segment, run, ordinal - entry.first_row), &exact).await?;
                stats.rows_reranked += 1;
                since_yield += 1;
            }
            stats.buckets_probed += 1;
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

/// Looks up the exact scores of candidates, nearest bound first, until no bound can win any more.
pub(super) async fn rerank(
    snapshot: &Snapshot,
    query: &Query,
    candidates: Candidates,
    stats: &mut SearchStats,
) -> Result<Vec<Hit>> {
    let (mut top, coded) = candidates.finish();
    let mut runs = ExactRuns::default();
    coded.iter().take(AHEAD).for_each(|one| runs.bring_near(snapshot, one));
    for (i, one) in coded.iter().enumerate() {
        if top.kth().is_some_and(|hit| one.lower > hit.score) {
            break;
        }
        if let Some(later) = coded.get(i + AHEAD) {
            runs.bring_near(snapshot, later);
        }
        let exact = runs.get(snapshot, one.segment, one.run).await?;
        offer(&mut top, snapshot, query, (one.segment, one.run, one.row), exact).await?;
        stats.rows_reranked += 1;
    }
    Ok(top.into_sorted())
}

/// Offers a row of a run by its exact score.
async fn offer(
    top: &mut TopK<Hit>,
    snapshot: &Snapshot,
    query: &Query,
    (segment, run, row): (u32, u32, u32),
    exact: &ExactRun,
) -> Result<()> {
    let reader = &snapshot.segments[segment as usize].reader;
    let score = query.score(exact.row(row as usize), || exact.inv_norm(row as usize));
    if top.kth().is_some_and(|worst| score > worst.score) {
        return Ok(());
    }
    let id = match reader.hot_pinned(run) {
        Some(hot) => hot.id(row as usize),
        None => reader.hot(run).await?.id(row as usize),
    };
    let ordinal = reader.runs()[run as usize].first_row + row;
    top.push(Hit { score, id, row: RowRef { in_l0: false, place: segment, ordinal } });
    Ok(())
}
