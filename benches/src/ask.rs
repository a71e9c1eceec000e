//! One client that asks query after query, and what it saw.

use std::time::{Duration, Instant};

use arrow_array::{cast::AsArray, types::Int64Type};
use drift_engine::{Collection, Result, SearchRequest};

use crate::data::Rows;

/// What a run of queries showed.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Of each query, in the order asked.
    pub recalls: Vec<f64>,
    /// Of each query.
    pub latencies: Latencies,
    /// Buckets probed per query.
    pub buckets: f64,
    /// Rows scanned per query, those of L0 included.
    pub rows: f64,
    /// Of these, rows in L0.
    pub l0_rows: f64,
    /// Rows compared exactly per query.
    pub reranked: f64,
    /// The recall that was predicted.
    pub predicted: f64,
}

/// How long queries took.
#[derive(Clone, Debug, Default)]
pub struct Latencies(pub Vec<Duration>);

impl Latencies {
    /// Their sum, in seconds.
    pub fn total_s(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64()
    }

    /// Their mean, in microseconds.
    pub fn mean_us(&self) -> f64 {
        self.total_s() * 1e6 / self.0.len() as f64
    }

    /// The latency that `share` of the queries did not exceed, in microseconds; NaN without queries.
    pub fn at_us(&self, share: f64) -> f64 {
        quantile(self.0.iter().map(|l| l.as_secs_f64() * 1e6).collect(), share)
    }
}

impl Asked {
    /// Mean recall.
    pub fn recall(&self) -> f64 {
        self.recalls.iter().sum::<f64>() / self.recalls.len() as f64
    }
}

/// The value that `share` of all do not exceed; NaN of none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get((share * values.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(f64::NAN)
}

/// Asks every query once, one after the other. `recall` tells of a query's number and the ids found which
/// share of the true neighbours they are.
pub async fn ask<'a>(
    collection: &Collection,
    queries: impl IntoIterator<Item = &'a [f32]>,
    request: &SearchRequest,
    recall: impl Fn(usize, &[i64]) -> f64,
) -> Result<Asked> {
    let mut asked = Asked::default();
    for (number, query) in queries.into_iter().enumerate() {
        let request = SearchRequest { query: query.to_vec(), ..request.clone() };
        let start = Instant::now();
        let found = collection.search(request).await?;
        asked.latencies.0.push(start.elapsed());
        let ids = found.batch.column_by_name("id").expect("an id column").as_primitive::<Int64Type>();
        asked.recalls.push(recall(number, ids.values()));
        asked.buckets += found.stats.buckets_probed as f64;
        asked.rows += found.stats.rows_scanned as f64;
        asked.l0_rows += found.stats.l0_rows as f64;
        asked.reranked += found.stats.rows_reranked as f64;
        asked.predicted += f64::from(found.stats.predicted_recall);
    }
    let count = asked.recalls.len() as f64;
    let sums = [&mut asked.buckets, &mut asked.rows, &mut asked.l0_rows, &mut asked.reranked, &mut asked.predicted];
    sums.into_iter().for_each(|sum| *sum /= count);
    Ok(asked)
}

/// Of some passes over all queries, as [`ask`] does them, the fastest.
pub async fn fastest(
    passes: usize,
    collection: &Collection,
    queries: &Rows,
    request: &SearchRequest,
    recall: impl Fn(usize, &[i64]) -> f64,
) -> Result<Asked> {
    let mut best = ask(collection, queries.view().iter(), request, &recall).await?;
    for _ in 1..passes {
        let next = ask(collection, queries.view().iter(), request, &recall).await?;
        if next.latencies.total_s() < best.latencies.total_s() {
            best = next;
        }
    }
    Ok(best)
}
