//! Several clients at once.

use std::time::{Duration, Instant};

use arrow_array::{cast::AsArray, types::Int64Type};
use drift_engine::{Collection, Error, Result, SearchRequest};

use crate::{ask::Latencies, data::Rows};

/// What clients saw together.
#[derive(Clone, Debug, Default)]
pub struct Together {
    /// From the first query to the last answer.
    pub wall: Duration,
    /// Of all queries of all clients.
    pub latencies: Latencies,
    /// Of each answer the query's number and the ids found.
    pub found: Vec<(usize, Vec<i64>)>,
}

impl Together {
    /// Queries per second of all clients together.
    pub fn queries_per_s(&self) -> f64 {
        self.latencies.0.len() as f64 / self.wall.as_secs_f64()
    }
}

/// So many clients ask every query so many times, each beginning elsewhere, each the next one when the
/// last is answered.
///
/// # Errors
/// Those of searches.
///
/// # Panics
/// When a search does.
pub async fn ask_together(
    collection: &Collection,
    queries: &Rows,
    request: &SearchRequest,
    clients: usize,
    times: usize,
) -> Result<Together> {
    let start = Instant::now();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (collection, request, queries) = (collection.clone(), request.clone(), queries.clone());
            let first = client * queries.len() / clients;
            tokio::spawn(async move { one(&collection, &queries, &request, first, times).await })
        })
        .collect();
    let mut all = Together::default();
    for client in asking {
        let one = client.await.expect("searches do not panic")?;
        all.latencies.0.extend(one.latencies.0);
        all.found.extend(one.found);
    }
    all.wall = start.elapsed();
    Ok(all)
}

async fn one(
    collection: &Collection,
    queries: &Rows,
    request: &SearchRequest,
    first: usize,
    times: usize,
) -> Result<Together, Error> {
    let mut seen = Together::default();
    for number in (first..).take(times * queries.len()).map(|number| number % queries.len()) {
        let request = SearchRequest { query: queries.view().row(number).to_vec(), ..request.clone() };
        let start = Instant::now();
        let answer = collection.search(request).await?;
        seen.latencies.0.push(start.elapsed());
        let ids = answer.batch.column_by_name("id").expect("an id column").as_primitive::<Int64Type>();
        seen.found.push((number, ids.values().to_vec()));
    }
    Ok(seen)
}
