//! One client that searches without pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use drift_benches::{ask::Latencies, data::Rows};
use drift_engine::{Collection, Result, SearchRequest};
use tokio::task::JoinHandle;

/// Queries that show what a quiet collection takes.
const STILL_QUERIES: usize = 3_000;
/// Of these the first bring what they need into the cache.
const WARMING: usize = 1_000;

/// A client at work.
pub struct Searcher {
    over: Arc<AtomicBool>,
    asking: JoinHandle<Result<Latencies>>,
}

impl Searcher {
    pub fn start(collection: &Collection, queries: &Rows) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (collection, queries, is_over) = (collection.clone(), queries.clone(), over.clone());
        let asking = tokio::spawn(async move { ask_while(&collection, &queries, |_| !is_over.load(Relaxed)).await });
        Self { over, asking }
    }

    /// What it saw.
    pub async fn stop(self) -> Result<Latencies> {
        self.over.store(true, Relaxed);
        self.asking.await.expect("a client does not panic")
    }
}

/// What the same client sees when nothing else happens.
pub async fn quiet_latencies(collection: &Collection, queries: &Rows) -> Result<Latencies> {
    let mut seen = ask_while(collection, queries, |asked| asked < STILL_QUERIES).await?;
    seen.0.drain(..WARMING);
    Ok(seen)
}

/// `goes_on` gets the number of queries answered.
async fn ask_while(collection: &Collection, queries: &Rows, goes_on: impl Fn(usize) -> bool) -> Result<Latencies> {
    let mut seen = Latencies::default();
    for query in queries.view().iter().cycle() {
        if !goes_on(seen.0.len()) {
            break;
        }
        let request = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(query.to_vec(), 10) };
        let start = Instant::now();
        collection.search(request).await?;
        seen.0.push(start.elapsed());
        tokio::task::yield_now().await; // a search that never waits would starve a runtime of one thread
    }
    Ok(seen)
}
