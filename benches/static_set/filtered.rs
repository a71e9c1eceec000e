//! Searches among a share of the rows.

use std::sync::Arc;

use arrow_array::{cast::AsArray, types::Int64Type};
use drift_benches::{
    ask::{Asked, ask},
    data::Rows,
    share::Share,
};
use drift_engine::{Collection, Result, SearchRequest};

/// What is found among `share` of the rows, beside the exact answers.
pub async fn among(collection: &Collection, queries: &Rows, share: f64, request: SearchRequest) -> Result<Asked> {
    let request = SearchRequest { filter: Some(Arc::new(Share::of(share))), ..request };
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
