//! A search whose time is over answers with what it has found.

use std::time::Duration;

use drift_engine::{Database, SearchRequest, StopReason};
use drift_types::Metric;

use crate::fixture::*;

const DIM: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_until_the_deadline_is_returned() {
    let database = Database::open("memory://", small()).await.unwrap();
    let collection = create(&database, DIM, Metric::L2).await;
    let vectors = clustered(5_000, DIM, 30, &mut rng(1)).into_iter();
    let rows: Vec<Row> = vectors.enumerate().map(|(i, v)| (i as i64, String::new(), v)).collect();
    collection.insert_stream(stream(vec![batch(&rows, DIM)])).await.unwrap();
    let query = clustered(1, DIM, 30, &mut rng(2)).remove(0);
    for (exact, recall) in [(false, 0.95), (false, 1.0), (true, 0.95)] {
        let request = SearchRequest { exact, recall: Some(recall), ..SearchRequest::new(query.clone(), 5) };
        let at_once = SearchRequest { deadline: Some(Duration::ZERO), ..request.clone() };
        let stats = collection.search(at_once.clone()).await.unwrap().stats;
        assert_eq!(stats.stop_reason, StopReason::Deadline);
        let at_most = if exact { 16 } else { 1 }; // as many are read at once
        assert!((1..=at_most).contains(&stats.buckets_probed), "{stats:?}");
        assert!(stats.predicted_recall < 0.5, "{stats:?}");
        let found = search(&collection, at_once).await;
        assert_eq!(found.len(), 5, "a bucket holds more");
        for (id, found) in found {
            assert!((found - distance(Metric::L2, &query, &rows[id as usize].2)).abs() < 1e-4);
        }
        let in_time = SearchRequest { deadline: Some(Duration::MAX), ..request.clone() };
        assert_eq!(search(&collection, in_time.clone()).await, search(&collection, request).await);
        assert_ne!(collection.search(in_time).await.unwrap().stats.stop_reason, StopReason::Deadline);
    }
}
