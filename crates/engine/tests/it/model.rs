//! Random operations against a map: whatever is flushed, split or replayed, the rows are the map's.

use std::{collections::BTreeMap, sync::Arc};

use drift_engine::{ScanRequest, SearchRequest};
use drift_types::{Metric, VectorId};
use rand::Rng;

use crate::fixture::*;

const DIM: usize = 12;

async fn check(collection: &drift_engine::Collection, model: &BTreeMap<i64, Row>, metric: Metric, query: &[f32]) {
    let rows = all_rows(collection).await;
    assert_eq!(rows.len(), model.len());
    assert!(rows.iter().eq(model.values()), "the rows are not the model's");
    assert_eq!(collection.status().rows as usize, model.len());
    let mut expected: Vec<(f32, i64)> = model.values().map(|r| (distance(metric, query, &r.2), r.0)).collect();
    expected.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    expected.truncate(10);
    let request = SearchRequest { exact: true, ..SearchRequest::new(query.to_vec(), 10) };
    let found = search(collection, request).await;
    assert_eq!(found.len(), expected.len());
    for ((_, distance), (naive, _)) in found.iter().zip(&expected) {
        assert!((distance - naive).abs() < 1e-4, "{found:?} {expected:?}");
    }
}

/// A look-up finds what a scan finds: the model's rows.
async fn look_up(collection: &drift_engine::Collection, model: &BTreeMap<i64, Row>, keys: &[i64], but: String) {
    let ids = keys.iter().copied().map(VectorId::from_i64).collect();
    let mut filter = KeyIn { keys: ids, but, is_named: true };
    let mut found = Vec::new();
    for is_named in [true, false] {
        filter.is_named = is_named;
        let request = ScanRequest { filter: Some(Arc::new(filter.clone())), ..ScanRequest::default() };
        found.push(scan(collection, request).await);
    }
    let mut expected: Vec<Row> = keys.iter().filter_map(|key| model.get(key)).cloned().collect();
    expected.retain(|row| row.1 != filter.but);
    expected.sort_by_key(|row| row.0);
    expected.dedup();
    assert!(found.iter().all(|rows| *rows == expected), "{keys:?}: {found:?} {expected:?}");
}

async fn run(metric: Metric, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = rng(seed);
    let mut model: BTreeMap<i64, Row> = BTreeMap::new();
    let mut database = open(dir.path(), small()).await;
    let mut collection = create(&database, DIM, metric).await;
    for step in 0..120 {
        match rng.random_range(0..100) {
            0..55 => {
                let n = if rng.random_range(0..10) == 0 { 2_500 } else { rng.random_range(1..300) };
                let keys = rng.random_range(1..4_000i64);
                let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
                for vector in clustered(n, DIM, 9, &mut rng) {
                    let id = rng.random_range(-keys..keys);
                    rows.insert(id, (id, format!("step {step}"), vector));
                }
                let rows: Vec<Row> = rows.into_values().collect();
                collection.insert(batch(&rows, DIM)).await.unwrap();
                model.extend(rows.into_iter().map(|r| (r.0, r)));
            }
            55..80 => {
                let ids: Vec<i64> = (0..rng.random_range(1..400)).map(|_| rng.random_range(-2_000..2_000)).collect();
                let keys: Vec<VectorId> = ids.iter().map(|&id| VectorId::from_i64(id)).collect();
                let ack = collection.delete(&keys).await.unwrap();
                let removed = ids.iter().filter(|id| model.remove(id).is_some()).count();
                assert_eq!(ack.rows as usize, removed);
            }
            80..83 => {
                let keys: Vec<i64> = (0..rng.random_range(0..20)).map(|_| rng.random_range(-2_000..2_000)).collect();
                look_up(&collection, &model, &keys, format!("step {}", step / 2)).await;
            }
            83..86 => collection.flush().await.unwrap(),
            86..88 => collection.compact().await.unwrap(),
            88..93 => {
                drop(collection);
                if rng.random() {
                    database.close().await.unwrap();
                } else {
                    drop(database);
                }
                database = open(dir.path(), small()).await;
                collection = database.collection("docs").unwrap();
            }
            _ => {
                let query: Vec<f32> = (0..DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
                check(&collection, &model, metric, &query).await;
            }
        }
    }
    check(&collection, &model, metric, &[0.5; DIM]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_l2() {
    for seed in 0..4 {
        run(Metric::L2, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_cosine() {
    run(Metric::Cosine, 10).await;
    run(Metric::Cosine, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_inner_product() {
    run(Metric::InnerProduct, 20).await;
    run(Metric::InnerProduct, 21).await;
}
