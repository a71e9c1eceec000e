//! Several clients at once.

use std::time::Instant;

use drift_benches::data::Rows;
use drift_engine::{Collection, Result, SearchRequest};

/// How often each client asks every query: what starting costs is then nothing beside it.
const PASSES: usize = 20;

/// Queries per second of so many clients together, each of which asks all queries, beginning elsewhere.
pub async fn queries_per_s(
    collection: &Collection,
    queries: &Rows,
    request: &SearchRequest,
    clients: usize,
) -> Result<f64> {
    let start = Instant::now();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (collection, request, queries) = (collection.clone(), request.clone(), queries.clone());
            tokio::spawn(async move {
                let n = queries.len();
                for i in 0..PASSES * n {
                    let query = queries.view().row((i + client * n / clients) % n).to_vec();
                    collection.search(SearchRequest { query, ..request.clone() }).await?;
                }
                Ok::<_, drift_engine::Error>(())
            })
        })
        .collect();
    for client in asking {
        client.await.expect("searches do not panic")?;
    }
    Ok((PASSES * clients * queries.len()) as f64 / start.elapsed().as_secs_f64())
}
