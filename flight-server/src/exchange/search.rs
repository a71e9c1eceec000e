//! Many queries at once.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use drift_engine::{SearchResult, SearchStats};
use serde_json::json;
use tokio::{runtime::Handle, task::JoinSet};
use tonic::Status;

use super::{queries::Queries, standing::StandingSearch};
use crate::error::IntoStatus;

/// At least so many queries are searched for together, whatever `k` is and however few threads there are:
/// cores would idle, the more so while searches wait for a disk or an object store.
pub(super) const WORKERS_MIN: usize = 8;

/// The neighbours of each query in `group`, in its order.
///
/// One query is searched for right here, several on all threads of the runtime. Who drops this stops
/// them.
pub(super) async fn each(
    search: &Arc<StandingSearch>,
    queries: &Arc<Queries>,
    group: Range<usize>,
) -> Result<Vec<SearchResult>, Status> {
    if group.len() <= 1 {
        let mut found = Vec::with_capacity(1);
        for row in group {
            found.push(one(search, queries, row).await?);
        }
        return Ok(found);
    }
    let next = Arc::new(AtomicUsize::new(group.start));
    let mut workers = JoinSet::new();
    for _ in 0..Handle::current().metrics().num_workers().max(WORKERS_MIN).min(group.len()) {
        let (search, queries, next) = (search.clone(), queries.clone(), next.clone());
        workers.spawn(async move {
            let mut found = Vec::new();
            loop {
                let row = next.fetch_add(1, Ordering::Relaxed);
                if row >= group.end {
                    return Ok::<_, Status>(found);
                }
                found.push((row, one(&search, &queries, row).await?));
                // A search may end without having waited for anything: others need the thread as well.
                tokio::task::yield_now().await;
            }
        });
    }
    let mut found = Vec::with_capacity(group.len());
    while let Some(part) = workers.join_next().await {
        found.extend(part.map_err(|e| Status::internal(format!("a search panicked: {e}")))??);
    }
    found.sort_unstable_by_key(|(row, _)| *row);
    Ok(found.into_iter().map(|(_, result)| result).collect())
}

async fn one(search: &StandingSearch, queries: &Queries, row: usize) -> Result<SearchResult, Status> {
    search.find(queries.get(row)).await.map_err(|error| {
        let status = error.into_status();
        Status::new(status.code(), format!("query {row}: {}", status.message()))
    })
}

/// How the searches for one batch went.
#[derive(Default)]
pub(super) struct Tally {
    queries: usize,
    rows: usize,
    predicted_recall: f64,
    buckets_probed: usize,
    rows_scanned: usize,
}

impl Tally {
    /// Counts more of them.
    pub fn add(&mut self, found: &[SearchResult]) {
        self.queries += found.len();
        for SearchResult { batch, stats: SearchStats { predicted_recall, buckets_probed, rows_scanned, .. } } in found {
            self.rows += batch.num_rows();
            self.predicted_recall += f64::from(*predicted_recall);
            self.buckets_probed += buckets_probed;
            self.rows_scanned += rows_scanned;
        }
    }

    /// As JSON: sums, and the mean of the recall that was predicted.
    pub fn to_json(&self) -> String {
        let mean = (self.queries > 0).then(|| self.predicted_recall / self.queries as f64);
        json!({
            "queries": self.queries,
            "rows": self.rows,
            "predicted_recall": mean,
            "buckets_probed": self.buckets_probed,
            "rows_scanned": self.rows_scanned,
        })
        .to_string()
    }
}
