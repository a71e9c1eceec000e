//! A search whose data is far away waits for it a few times, however much it reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use drift_engine::{Database, SearchRequest, SearchResult, Settings};
use drift_storage::{
    Store,
    faults::{Call, Fault, Faults},
};
use drift_types::Metric;

use crate::fixture::*;

const DIM: usize = 128;
const ROWS: usize = 12_000;

/// What a store is told to do.
struct Told {
    /// It takes its time.
    is_slow: AtomicBool,
    /// The call of this number fails.
    refused: AtomicUsize,
}

/// A collection without clusters, so that a search must look into many buckets, of which nothing stays in
/// memory and which nothing but searches reads; and its rows' vectors.
async fn far_away() -> (Database, Arc<Faults>, Arc<Told>, Vec<Vec<f32>>) {
    let told = Arc::new(Told { is_slow: AtomicBool::new(false), refused: AtomicUsize::new(usize::MAX) });
    let asked = told.clone();
    let faults = Faults::new(move |call| {
        let is_slow = asked.is_slow.load(Relaxed);
        let is_refused = call.number == asked.refused.load(Relaxed);
        if is_refused { Some(Fault::Refused) } else { is_slow.then_some(Fault::Late(Duration::from_millis(2))) }
    });
    let store = Store::open("memory://").await.unwrap().with_faults(faults.clone());
    let settings = Settings { cache_bytes: 0, maintenance: false, audit_cpu_share: 0.0, ..small() };
    let database = Database::open_in(store, settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let vectors = clustered(ROWS, DIM, ROWS, &mut rng(8));
    let rows: Vec<Row> = (0..).zip(&vectors).map(|(id, v)| (id, String::new(), v.clone())).collect();
    docs.insert(batch(&rows, DIM)).await.unwrap();
    docs.flush().await.unwrap();
    (database, faults, told, vectors)
}

/// The answer, and the calls it took.
async fn asked(database: &Database, faults: &Faults, request: SearchRequest) -> (SearchResult, Vec<Call>) {
    let before = faults.calls().len();
    let found = database.collection("docs").unwrap().search(request).await.unwrap();
    (found, faults.calls().split_off(before))
}

/// Times that nothing was under way when something was asked for.
fn rounds(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.others == 0).count()
}

#[tokio::test]
async fn a_search_waits_for_the_store_a_few_times() {
    let (database, faults, told, vectors) = far_away().await;
    told.is_slow.store(true, Relaxed);
    for query in vectors.iter().step_by(ROWS / 10) {
        let request = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(query.clone(), 10) };
        let (found, calls) = asked(&database, &faults, request.clone()).await;
        let (buckets, rows) = (found.stats.buckets_probed, found.stats.rows_reranked);
        assert!(buckets >= 20 && rows >= 10, "{:?}", found.stats);
        assert!(rounds(&calls) <= 2 + buckets / 6 + rows / 6, "{} rounds, {:?}", rounds(&calls), found.stats);
        assert!(calls.len() <= 2 * buckets + 4 * rows, "{} calls, {:?}", calls.len(), found.stats);

        let request = SearchRequest { exact: true, ..request };
        let (found, calls) = asked(&database, &faults, request).await;
        assert_eq!(found.stats.rows_reranked, ROWS);
        assert!(rounds(&calls) <= 1 + found.stats.buckets_probed / 4, "{} rounds", rounds(&calls));
    }
    database.close().await.unwrap();
}

/// What was read only because it might be needed fails no answer, and what is needed is asked for again.
#[tokio::test]
async fn a_read_that_fails_once_fails_no_search() {
    let (database, faults, told, vectors) = far_away().await;
    let request = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(vectors[77].clone(), 10) };
    let (expected, calls) = asked(&database, &faults, request.clone()).await;
    assert!(calls.len() > 20, "{}", calls.len());
    for call in 0..calls.len() {
        told.refused.store(faults.calls().len() + call, Relaxed);
        let (found, _) = asked(&database, &faults, request.clone()).await;
        assert_eq!(found.batch, expected.batch, "call {call}");
    }
    database.close().await.unwrap();
}
