//! A generated set, loaded into a collection of its own.

use std::time::Instant;

use drift_benches::{
    ask::{Asked, Latencies, ask, fastest},
    clients::ask_together,
    clustered::clustered,
    data::Rows,
    share::Share,
    table, truth,
};
use drift_engine::{Collection, CollectionSpec, Database, Result, SearchRequest, Settings};
use futures::StreamExt;

/// How often queries are asked where the fastest pass counts.
const PASSES: usize = 3;
/// How often each of several clients asks every query.
const TIMES: usize = 10;
/// Queries at a recall of 1 that bring everything into the cache.
const WARMING: usize = 20;

pub struct Set {
    pub rows: Rows,
    pub queries: Rows,
    /// Index included, durable.
    pub load_rows_per_s: f64,
    collection: Collection,
    // Kept as long as the collection.
    _database: Database,
    _dir: tempfile::TempDir,
}

/// Rows that may be found, and how far off the k-th of them is from each query.
pub struct Truth {
    live: Vec<bool>,
    /// Neighbours there are: k, or fewer if fewer rows match.
    k: usize,
    /// Squared distances.
    pub kth: Vec<f32>,
}

/// What several clients saw.
pub struct Met {
    pub recall: f64,
    pub latencies: Latencies,
    pub queries_per_s: f64,
}

impl Set {
    pub async fn load(rows: usize, dim: usize, queries: usize) -> Result<Self> {
        let (rows, queries) = clustered(rows, queries, dim);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(dir.path().to_str().expect("a plain path"), Settings::default()).await?;
        let collection = database.create_collection("bench", CollectionSpec::new(table::schema(dim))).await?;
        let batches = futures::stream::iter(table::batches(&rows).map(Ok)).boxed();
        let start = Instant::now();
        collection.insert_stream(batches).await?;
        let load_rows_per_s = rows.len() as f64 / start.elapsed().as_secs_f64();
        println!("{} x {dim}: loaded at {load_rows_per_s:.0} rows/s", rows.len());
        let everything = SearchRequest { recall: Some(1.0), ..SearchRequest::new(vec![], 10) };
        ask(&collection, queries.view().iter().take(WARMING), &everything, |_, _| 1.0).await?;
        Ok(Self { rows, queries, load_rows_per_s, collection, _database: database, _dir: dir })
    }

    /// What a search for the `k` nearest may find.
    pub fn truth(&self, filter: Option<Share>, k: usize) -> Truth {
        let ids = 0..self.rows.len() as i64;
        let live: Vec<bool> = ids.map(|id| filter.is_none_or(|filter| filter.matches(id))).collect();
        let k = k.min(live.iter().filter(|live| **live).count());
        let kth = truth::kth_distances(self.rows.view(), &live, self.queries.view(), k);
        Truth { live, k, kth }
    }

    /// The fastest pass of one client.
    pub async fn fastest(&self, request: &SearchRequest, truth: &Truth) -> Result<Asked> {
        fastest(PASSES, &self.collection, &self.queries, request, |query, ids| self.recall(truth, query, ids)).await
    }

    /// Several clients at once.
    pub async fn together(&self, request: &SearchRequest, truth: &Truth, clients: usize) -> Result<Met> {
        let together = ask_together(&self.collection, &self.queries, request, clients, TIMES).await?;
        let recalls = together.found.iter().map(|(query, ids)| self.recall(truth, *query, ids));
        let recall = recalls.sum::<f64>() / together.found.len() as f64;
        Ok(Met { recall, queries_per_s: together.queries_per_s(), latencies: together.latencies })
    }

    fn recall(&self, truth: &Truth, query: usize, ids: &[i64]) -> f64 {
        let vector = self.queries.view().row(query);
        truth::recall(self.rows.view(), &truth.live, vector, truth.kth[query], truth.k, ids)
    }
}
