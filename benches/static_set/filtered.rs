//! Searches among a share of the rows.

use std::sync::Arc;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_buffer::BooleanBuffer;
use drift_benches::{
    ask::{Asked, ask},
    data::Rows,
};
use drift_engine::{Collection, Result, RowPredicate, SearchRequest};

/// Rows whose id, taken modulo 10,000 after a scrambling, is small: a share of all, here and there.
#[derive(Debug)]
struct Share {
    below: u64,
}

impl RowPredicate for Share {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn fingerprint(&self) -> Option<u128> {
        Some(self.below.into())
    }

    fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        let scrambled = |id: i64| (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Ok(BooleanBuffer::collect_bool(ids.len(), |i| scrambled(ids[i]) % 10_000 < self.below))
    }
}

/// What is found among `share` of the rows, beside the exact answers.
pub async fn among(collection: &Collection, queries: &Rows, share: f64, request: SearchRequest) -> Result<Asked> {
    let below = (share * 10_000.0) as u64;
    let request = SearchRequest { filter: Some(Arc::new(Share { below })), ..request };
    let exact = SearchRequest { exact: true, ..request.clone() };
    let mut truth: Vec<Vec<i64>> = Vec::new();
    for query in queries.view().iter() {
        let found = collection.search(SearchRequest { query: query.to_vec(), ..exact.clone() }).await?;
        truth.push(found.batch.column(0).as_primitive::<Int64Type>().values().to_vec());
    }
    let recall = |query: usize, found: &[i64]| {
        let truth = &truth[query];
        found.iter().filter(|id| truth.contains(id)).count() as f64 / truth.len().max(1) as f64
    };
    ask(collection, queries.view().iter(), &request, recall).await
}
