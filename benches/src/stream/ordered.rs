//! Streams made from the rows of a file by putting them into some order.

use drift_ivf::kmeans;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{BATCH_ROWS, SEED, Step, Stream, half_deleted, inserts, part, sample, thinned};
use crate::data::Rows;

/// The rows as they are, cut into `steps` parts. The queries are cut likewise: those of a part are asked
/// after it, at most `asked` of them, evenly spread.
///
/// `window`: only the newest so many rows stay; the oldest are deleted as new ones come.
pub fn in_order(rows: Rows, queries: Rows, steps: usize, asked: usize, window: Option<usize>) -> Stream {
    let all: Vec<u32> = (0..queries.len() as u32).collect();
    let mut oldest = 0;
    let steps = (0..steps).map(|i| {
        let mut batches = inserts(part(rows.len(), i, steps));
        for batch in &mut batches {
            let keep_from = window.map_or(0, |window| batch.insert.end.saturating_sub(window as u32));
            batch.delete = (oldest..keep_from).collect();
            oldest = keep_from.max(oldest);
        }
        let name = format!("{} %", 100 * (i + 1) / steps);
        Step { name, batches, queries: thinned(&all[part(queries.len(), i, steps)], asked) }
    });
    Stream { steps: steps.collect(), rows, queries }
}

/// The rows of one label after the other (those of a label in the file's order), cut into `steps` parts.
/// Asked are `asked` random queries with a label that has come.
///
/// `halve`: in the end a random half of all rows is deleted.
pub fn by_label(
    (rows, labels): (Rows, &[i64]),
    (queries, query_labels): (Rows, &[i64]),
    steps: usize,
    asked: usize,
    halve: bool,
) -> Stream {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by_key(|&row| labels[row as usize]);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut ask = |newest: i64| {
        let known: Vec<u32> = (0..queries.len() as u32).filter(|&q| query_labels[q as usize] <= newest).collect();
        sample(&known, asked, &mut rng)
    };
    let step = |i| {
        let rows = part(rows.len(), i, steps);
        let newest = labels[order[rows.end - 1] as usize];
        Step { name: format!("up to {newest}"), batches: inserts(rows), queries: ask(newest) }
    };
    let mut steps: Vec<Step> = (0..steps).map(step).collect();
    if halve {
        steps.push(half_deleted((0..rows.len() as u32).collect(), ask(i64::MAX)));
    }
    Stream { rows: rows.gather(&order), queries, steps }
}

/// The rows of one cluster after the other: k-means with a fixed seed, `clusters` of them.
pub fn by_cluster(rows: Rows, queries: Rows, clusters: usize, steps: usize, asked: usize) -> Stream {
    let centroids = kmeans(rows.view(), clusters, SEED);
    let cluster = |rows: &Rows| centroids.assign(rows.view()).index.into_iter().map(i64::from).collect::<Vec<_>>();
    let (labels, query_labels) = (cluster(&rows), cluster(&queries));
    by_label((rows, &labels), (queries, &query_labels), steps, asked, false)
}

/// Takes a random tenth of the rows, but at most ten batches, out as queries.
pub fn hold_out(rows: &Rows) -> (Rows, Rows) {
    let mut numbers: Vec<u32> = (0..rows.len() as u32).collect();
    let count = (rows.len() / 10).min(10 * BATCH_ROWS);
    let (held, kept) = numbers.partial_shuffle(&mut ChaCha8Rng::seed_from_u64(SEED), count);
    kept.sort_unstable();
    (rows.gather(kept), rows.gather(held))
}
