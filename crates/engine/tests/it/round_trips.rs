//! A search whose data is far away waits for it a few times, however much it reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
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

/// A store that takes its time once it is told to.
async fn slow_store() -> (Store, Arc<Faults>, Arc<AtomicBool>) {
    let is_slow = Arc::new(AtomicBool::new(false));
    let asked = is_slow.clone();
    let faults = Faults::new(move |_| asked.load(Relaxed).then_some(Fault::Late(Duration::from_millis(2))));
    (Store::open("memory://").await.unwrap().with_faults(faults.clone()), faults, is_slow)
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
    let (store, faults, is_slow) = slow_store().await;
    // Nothing stays in memory, and nothing but searches reads.
    let settings = Settings { cache_bytes: 0, maintenance: false, audit_cpu_share: 0.0, ..small() };
    let database = Database::open_in(store, settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    // No clusters: a search must look into many buckets.
    let mut random = rng(8);
    let vectors = clustered(ROWS, DIM, ROWS, &mut random);
    let rows: Vec<Row> = (0..).zip(&vectors).map(|(id, v)| (id, String::new(), v.clone())).collect();
    docs.insert(batch(&rows, DIM)).await.unwrap();
    docs.flush().await.unwrap();
    is_slow.store(true, Relaxed);
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
