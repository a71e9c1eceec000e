//! Filtered searches against a naive twin: whatever matches, min(k, matches) of it come back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_buffer::BooleanBuffer;
use drift_engine::{Database, RowPredicate, SearchRequest, Settings, StopReason};
use drift_types::{Metric, VectorId};
use rand::Rng;

use crate::fixture::*;

const DIM: usize = 12;
const ROWS: usize = 8_000;

/// The rows with these keys; it does not say so.
#[derive(Debug)]
struct Among(BTreeSet<i64>);

impl RowPredicate for Among {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn eval(&self, batch: &RecordBatch) -> drift_engine::Result<BooleanBuffer> {
        Ok(batch.column(0).as_primitive::<Int64Type>().values().iter().map(|id| self.0.contains(id)).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_matches_the_answer_is_full() {
    let mut rng = rng(1);
    let database = Database::open("memory://", small()).await.unwrap();
    let collection = create(&database, DIM, Metric::L2).await;
    let vectors = clustered(ROWS, DIM, 50, &mut rng).into_iter();
    let rows: Vec<Row> = vectors.enumerate().map(|(i, v)| (i as i64, String::new(), v)).collect();
    collection.insert_stream(stream(vec![batch(&rows[..7_500], DIM)])).await.unwrap();
    collection.insert(batch(&rows[7_500..], DIM)).await.unwrap();
    let dead: BTreeSet<i64> = (0..ROWS as i64).filter(|_| rng.random_range(0..5) == 0).collect();
    collection.delete(&dead.iter().copied().map(VectorId::from_i64).collect::<Vec<_>>()).await.unwrap();

    let (mut exact, mut by_codes) = (0, 0);
    for round in 0..150 {
        let query = clustered(1, DIM, 50, &mut rng).remove(0);
        // Any rows, or those around one place, or those far from the query.
        let place = &rows[rng.random_range(0..ROWS)].2;
        let share: f32 = [0.002, 0.05, 0.3, 0.9][rng.random_range(0..4)];
        let mut order: Vec<i64> = (0..ROWS as i64).collect();
        match round % 3 {
            0 => order.sort_by_cached_key(|_| rng.random::<u32>()),
            1 => order.sort_by(|a, b| nearness(&rows, place, *a).total_cmp(&nearness(&rows, place, *b))),
            _ => order.sort_by(|a, b| nearness(&rows, &query, *b).total_cmp(&nearness(&rows, &query, *a))),
        }
        order.truncate((share * ROWS as f32) as usize);
        let mut matching: Vec<i64> = order.iter().copied().filter(|id| !dead.contains(id)).collect();
        matching.sort_by(|a, b| nearness(&rows, &query, *a).total_cmp(&nearness(&rows, &query, *b)).then(a.cmp(b)));

        let k = [1, 10, 300, 3_000][rng.random_range(0..4)];
        let request = SearchRequest {
            recall: Some([0.1, 0.8, 1.0][rng.random_range(0..3)]),
            filter: Some(Arc::new(Among(order.into_iter().collect()))),
            ..SearchRequest::new(query.clone(), k)
        };
        let found = search(&collection, request.clone()).await;
        let ids: BTreeSet<i64> = found.iter().map(|hit| hit.0).collect();
        assert_eq!(found.len(), k.min(matching.len()), "round {round}");
        assert_eq!(ids.len(), found.len(), "round {round}: a row twice");
        assert!(ids.iter().all(|id| matching.contains(id)), "round {round}: a row that does not match");
        assert!(found.is_sorted_by(|a, b| a.1 <= b.1));
        let stats = collection.search(request.clone()).await.unwrap().stats;
        let is_exact = stats.stop_reason == StopReason::Exact;
        *(if is_exact { &mut exact } else { &mut by_codes }) += 1;
        if is_exact || request.recall == Some(1.0) {
            for (hit, expected) in found.iter().zip(&matching) {
                let expected = nearness(&rows, &query, *expected);
                assert!((hit.1 - expected).abs() < 1e-4, "round {round}: {} {expected}", hit.1);
            }
        }
    }
    assert!(exact > 30 && by_codes > 30, "{exact} {by_codes}");
}

fn nearness(rows: &[Row], to: &[f32], id: i64) -> f32 {
    distance(Metric::L2, to, &rows[id as usize].2)
}

/// Keys with this remainder by 5. Counts the rows it has looked at.
#[derive(Debug)]
struct Remainder {
    is: i64,
    fingerprint: Option<u128>,
    seen: AtomicUsize,
}

impl RowPredicate for Remainder {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn eval(&self, batch: &RecordBatch) -> drift_engine::Result<BooleanBuffer> {
        self.seen.fetch_add(batch.num_rows(), Relaxed);
        Ok(batch.column(0).as_primitive::<Int64Type>().values().iter().map(|id| id % 5 == self.is).collect())
    }

    fn fingerprint(&self) -> Option<u128> {
        self.fingerprint
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_matches_in_a_segment_is_remembered() {
    let mut rng = rng(2);
    let database = Database::open("memory://", Settings { maintenance: false, ..small() }).await.unwrap();
    let collection = create(&database, DIM, Metric::L2).await;
    let vectors = clustered(1_000, DIM, 20, &mut rng).into_iter();
    let rows: Vec<Row> = vectors.enumerate().map(|(i, v)| (i as i64, String::new(), v)).collect();
    collection.insert(batch(&rows[..900], DIM)).await.unwrap();
    collection.flush().await.unwrap();

    let filter = |is, fingerprint| Arc::new(Remainder { is, fingerprint, seen: AtomicUsize::new(0) });
    let found = async |filter: &Arc<Remainder>| {
        let request = SearchRequest { filter: Some(filter.clone()), ..SearchRequest::new(rows[0].2.clone(), 1_000) };
        let ids: BTreeSet<i64> = search(&collection, request).await.iter().map(|hit| hit.0).collect();
        (ids, filter.seen.swap(0, Relaxed))
    };
    let expected = |range: std::ops::Range<i64>, is| range.filter(|id| id % 5 == is).collect::<BTreeSet<i64>>();
    let (two, again, other) = (filter(2, Some(7)), filter(2, Some(7)), filter(3, Some(1 << 32 | 7)));
    assert_eq!(found(&two).await, (expected(0..900, 2), 900));
    assert_eq!(found(&again).await, (expected(0..900, 2), 0), "the same filter, asked by somebody else");
    // It shares the part of the fingerprint that the cache's key has room for.
    assert_eq!(found(&other).await, (expected(0..900, 3), 900));
    assert_eq!(found(&filter(2, None)).await, (expected(0..900, 2), 900), "nothing to know it by");

    collection.delete(&[VectorId::from_i64(2)]).await.unwrap();
    collection.insert(batch(&rows[900..], DIM)).await.unwrap();
    let mut all = expected(0..1_000, 2);
    all.remove(&2);
    assert_eq!(found(&two).await, (all.clone(), 100), "rows in memory are looked at each time");
    collection.flush().await.unwrap();
    assert_eq!(found(&two).await, (all.clone(), 100), "a new segment");
    assert_eq!(found(&two).await, (all, 0));
}
