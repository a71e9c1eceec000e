//! One client that searches without pause, on a thread of its own: what it waits for shows as switches of
//! that thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use drift_benches::{ask::Latencies, data::Rows, machine::Switches};
use drift_engine::{Collection, Result, SearchRequest};
use tokio::runtime::Handle;

/// Queries that show what a quiet collection takes.
const STILL_QUERIES: usize = 3_000;
/// Of these the first bring what they need into the cache.
const WARMING: usize = 1_000;

/// A client at work.
pub struct Searcher {
    over: Arc<AtomicBool>,
    asking: JoinHandle<Result<Seen>>,
}

/// What a client saw.
#[derive(Default)]
pub struct Seen {
    pub latencies: Latencies,
    /// Of its thread, all queries together.
    pub switches: Switches,
}

impl Searcher {
    pub fn start(collection: &Collection, queries: &Rows) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (collection, queries, is_over) = (collection.clone(), queries.clone(), over.clone());
        let runtime = Handle::current();
        let ask = move || runtime.block_on(ask_while(&collection, &queries, |_| !is_over.load(Relaxed)));
        let asking = thread::Builder::new().name("searcher".into()).spawn(ask).expect("a thread");
        Self { over, asking }
    }

    /// What it saw.
    pub fn stop(self) -> Result<Seen> {
        self.over.store(true, Relaxed);
        self.asking.join().expect("a client does not panic")
    }
}

/// What the same client sees when nothing else happens.
pub async fn quiet_latencies(collection: &Collection, queries: &Rows) -> Result<Latencies> {
    let mut seen = ask_while(collection, queries, |asked| asked < STILL_QUERIES).await?;
    seen.latencies.0.drain(..WARMING);
    Ok(seen.latencies)
}

/// `goes_on` gets the number of queries answered.
async fn ask_while(collection: &Collection, queries: &Rows, goes_on: impl Fn(usize) -> bool) -> Result<Seen> {
    let mut latencies = Latencies::default();
    let before = Switches::of_this_thread();
    for query in queries.view().iter().cycle() {
        if !goes_on(latencies.0.len()) {
            break;
        }
        let request = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(query.to_vec(), 10) };
        let start = Instant::now();
        let answer = collection.search(request).await?;
        if answer.batch.num_rows() > 0 {
            latencies.0.push(start.elapsed()); // that an empty collection is quick says nothing
        }
    }
    Ok(Seen { latencies, switches: Switches::of_this_thread().since(before) })
}
