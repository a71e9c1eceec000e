//! Recall, measured: what a search found of what a comparison with every row finds.

use std::collections::HashSet;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use drift_engine::{Collection, SearchRequest, SearchResult};

use crate::error::Result;

/// Neighbours asked for.
const K: usize = 10;
/// The share of the true neighbours asked for.
pub(crate) const RECALL_ASKED: f32 = 0.95;

/// Means over some searches.
pub(crate) struct Measured {
    /// The share of the true nearest that was found, in 0..=1.
    pub recall: f64,
    /// Rows whose codes were compared, per search.
    pub rows_scanned: f64,
    /// Buckets read, per search.
    pub buckets_probed: f64,
}

/// Runs each query twice, as the index answers it at [`RECALL_ASKED`] and exactly.
///
/// The collection's first column must be its key, a BIGINT.
///
/// # Errors
/// Those of the engine.
pub(crate) async fn recall_at_10(collection: &Collection, queries: &[Vec<f32>]) -> Result<Measured> {
    let mut sum = Measured { recall: 0.0, rows_scanned: 0.0, buckets_probed: 0.0 };
    for query in queries {
        let found = search(collection, query, false).await?;
        let truth = keys(&search(collection, query, true).await?.batch);
        sum.recall += keys(&found.batch).intersection(&truth).count() as f64 / truth.len().max(1) as f64;
        sum.rows_scanned += found.stats.rows_scanned as f64;
        sum.buckets_probed += found.stats.buckets_probed as f64;
    }
    let n = queries.len() as f64;
    Ok(Measured { recall: sum.recall / n, rows_scanned: sum.rows_scanned / n, buckets_probed: sum.buckets_probed / n })
}

async fn search(collection: &Collection, query: &[f32], exact: bool) -> Result<SearchResult> {
    let (recall, projection) = (Some(RECALL_ASKED), Some(vec![0]));
    let request = SearchRequest { exact, recall, projection, ..SearchRequest::new(query.to_vec(), K) };
    Ok(collection.search(request).await?)
}

fn keys(batch: &RecordBatch) -> HashSet<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().iter().copied().collect()
}
