//! Exact distances: of every matching row, or of the rows their codes could not rule out.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::{self, Peekable},
    ops::Range,
};

use drift_segment::{ExactRows, RunEntry};
use drift_types::{TopK, VectorId};
use futures::future::try_join_all;

use super::{
    candidates::{Candidates, Coded, Hit, RowRef, Source},
    filter::{RowSets, live_set},
    held_vectors::HeldVectors,
    query::Query,
};
use crate::{Result, SearchStats, StopReason, snapshot::Snapshot};

/// How many candidates ahead of the one that is compared vectors are brought near.
const AHEAD: usize = 4;

/// Runs that are read at once where they are not in memory.
const READ_AT_ONCE: usize = 16;

/// Rows compared, and some more of the last runs, between two chances for other tasks on this thread: a few
/// hundred us of work.
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
        for batch in (Batches { runs: view.reader.runs(), next: 0, rows: rows.set_indices_u32().peekable() }) {
            if stats.buckets_probed > 0 && query.is_late() {
                stats.stop_reason = StopReason::Deadline;
                break 'segments;
            }
            compare(snapshot, query, segment, &batch, &mut top).await?;
            stats.buckets_probed += batch.runs.len();
            stats.rows_reranked += batch.rows.len();
            since_yield += batch.rows.len();
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

/// Rows of a segment, by runs, some runs at a time.
struct Batches<'a, I: Iterator<Item = u32>> {
    runs: &'a [RunEntry],
    /// The run that comes next.
    next: usize,
    /// Ascending ordinals of the rows to come.
    rows: Peekable<I>,
}

/// Some runs, and for each where its rows are among `rows`, which count within their run.
#[derive(Default)]
struct Batch {
    runs: Vec<(u32, Range<usize>)>,
    rows: Vec<u32>,
}

impl<I: Iterator<Item = u32>> Iterator for Batches<'_, I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        while batch.runs.len() < READ_AT_ONCE && self.rows.peek().is_some() {
            let (run, range, first) = (self.next, self.runs[self.next].ordinals(), batch.rows.len());
            self.next += 1;
            let of_run = iter::from_fn(|| self.rows.next_if(|&row| row < range.end));
            batch.rows.extend(of_run.map(|row| row - range.start));
            if batch.rows.len() > first {
                batch.runs.push((run as u32, first..batch.rows.len()));
            }
        }
        (!batch.runs.is_empty()).then_some(batch)
    }
}

/// Compares rows of a segment. What is not in memory of their runs is read at once.
async fn compare(snapshot: &Snapshot, query: &Query, segment: u32, batch: &Batch, top: &mut TopK<Hit>) -> Result<()> {
    let reader = &snapshot.segments[segment as usize].reader;
    let mut away = Vec::new();
    for &(run, ref rows) in &batch.runs {
        let rows = &batch.rows[rows.clone()];
        let Some(exact) = reader.exact_cached(run) else {
            away.push((run, rows));
            continue;
        };
        for &row in rows {
            let score = query.score(exact.row(row as usize), || exact.inv_norm(row as usize));
            offer(top, snapshot, Scored { score, segment, run, row, key: None }).await?;
        }
    }
    if away.is_empty() { Ok(()) } else { Box::pin(compare_away(snapshot, query, segment, &away, top)).await }
}

/// Compares rows of runs that are not in memory. Keys are read of those alone that may be among the nearest.
async fn compare_away(
    snapshot: &Snapshot,
    query: &Query,
    segment: u32,
    away: &[(u32, &[u32])],
    top: &mut TopK<Hit>,
) -> Result<()> {
    let reader = &snapshot.segments[segment as usize].reader;
    let read = away.iter().map(|&(run, rows)| reader.exact_rows(run, rows));
    let mut scored = Vec::new();
    for (exact, &(run, rows)) in try_join_all(read).await?.into_iter().zip(away) {
        scored.extend(rows.iter().map(|&row| Scored {
            score: exact_score(query, &exact, row),
            segment,
            run,
            row,
            key: None,
        }));
    }
    scored.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
    let bound = scored.get(query.k - 1).map_or(f32::INFINITY, |last| last.score);
    let bound = top.kth().map_or(bound, |hit| bound.min(hit.score));
    scored.retain(|one| one.score <= bound);
    let runs: BTreeSet<u32> = scored.iter().map(|one| one.run).collect();
    let codes = try_join_all(runs.iter().map(|&run| reader.hot(run))).await?;
    let codes: BTreeMap<_, _> = runs.iter().zip(codes).collect();
    for one in scored {
        let key = Some(codes[&one.run].id(one.row as usize));
        offer(top, snapshot, Scored { key, ..one }).await?;
    }
    Ok(())
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
            top.push(Hit::in_table(i, &hit));
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
    let mut vectors = HeldVectors::new(query.k);
    coded.iter().take(AHEAD).for_each(|one| vectors.bring_near(snapshot, one));
    for (i, one) in coded.iter().enumerate() {
        let bound = top.kth().map_or(f32::INFINITY, |hit| hit.score);
        if one.lower > bound {
            break;
        }
        if let Some(later) = coded.get(i + AHEAD) {
            vectors.bring_near(snapshot, later);
        }
        let rows = vectors.of_first(snapshot, &coded[i..], bound).await?;
        let &Coded { segment, run, row, key, .. } = one;
        let score = exact_score(query, rows, row);
        offer(&mut top, snapshot, Scored { score, segment, run, row, key }).await?;
        stats.rows_reranked += 1;
    }
    Ok(top.into_sorted())
}

/// The exact score of a row that was asked for.
fn exact_score(query: &Query, rows: &ExactRows, row: u32) -> f32 {
    let (vector, inv_norm) = rows.row(row).expect("it was asked for");
    query.score(vector, || inv_norm)
}

/// A row of a segment with its exact score.
struct Scored {
    score: f32,
    segment: u32,
    run: u32,
    row: u32,
    /// Its key, if that is known.
    key: Option<VectorId>,
}

/// Offers a row, if it is as near as any of the nearest so far: its key is looked up only then.
async fn offer(
    top: &mut TopK<Hit>,
    snapshot: &Snapshot,
    Scored { score, segment, run, row, key }: Scored,
) -> Result<()> {
    if top.kth().is_some_and(|worst| score > worst.score) {
        return Ok(());
    }
    let reader = &snapshot.segments[segment as usize].reader;
    let id = match (key, reader.hot_pinned(run)) {
        (Some(key), _) => key,
        (None, Some(hot)) => hot.id(row as usize),
        (None, None) => reader.hot(run).await?.id(row as usize),
    };
    let ordinal = reader.runs()[run as usize].first_row + row;
    top.push(Hit { score, id, row: RowRef { source: Source::Segment(segment), ordinal } });
    Ok(())
}
