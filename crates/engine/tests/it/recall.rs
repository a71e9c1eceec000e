//! The recall asked for is the recall got, in L0, in segments, and half in each.

use std::sync::Arc;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_buffer::BooleanBuffer;
use drift_engine::{Collection, Database, RowPredicate, SearchRequest, Settings};
use drift_types::Metric;

use crate::fixture::*;

const DIM: usize = 48;

async fn measured_recall(
    collection: &Collection,
    queries: &[Vec<f32>],
    request: impl Fn(&[f32]) -> SearchRequest,
) -> f32 {
    let (mut found, mut total) = (0, 0);
    for query in queries {
        let truth = SearchRequest { exact: true, ..request(query) };
        let truth: Vec<i64> = search(collection, truth).await.into_iter().map(|hit| hit.0).collect();
        let got = search(collection, request(query)).await;
        found += got.iter().filter(|hit| truth.contains(&hit.0)).count();
        total += truth.len();
    }
    found as f32 / total as f32
}

#[tokio::test(flavor = "multi_thread")]
async fn default_recall_in_l0_in_l1_and_across_both() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let mut rng = rng(5);
        let database = Database::open("memory://", Settings::default()).await.unwrap();
        let collection = create(&database, DIM, metric).await;
        let rows: Vec<Row> = clustered(12_000, DIM, 60, &mut rng)
            .into_iter()
            .enumerate()
            .map(|(i, v)| (i as i64, String::new(), v))
            .collect();
        let queries = clustered(100, DIM, 60, &mut rng);
        let ask = |q: &[f32]| SearchRequest::new(q.to_vec(), 10);
        collection.insert(batch(&rows[..8_000], DIM)).await.unwrap();
        assert_eq!(collection.status().l0_rows, 8_000);
        assert!(measured_recall(&collection, &queries, ask).await >= 0.95);
        collection.flush().await.unwrap();
        assert_eq!(collection.status().l0_rows, 0);
        assert!(collection.status().buckets > 30);
        let recall = measured_recall(&collection, &queries, ask).await;
        assert!(recall >= 0.93, "{metric}: {recall}");
        collection.insert(batch(&rows[8_000..], DIM)).await.unwrap();
        let recall = measured_recall(&collection, &queries, ask).await;
        assert!(recall >= 0.93, "{metric}: {recall}");
        let all = |q: &[f32]| SearchRequest { recall: Some(1.0), ..SearchRequest::new(q.to_vec(), 10) };
        assert_eq!(measured_recall(&collection, &queries, all).await, 1.0, "{metric}");
    }
}

/// Rows whose key is a multiple.
#[derive(Debug)]
struct MultipleOf(i64);

impl RowPredicate for MultipleOf {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn eval(&self, batch: &RecordBatch) -> drift_engine::Result<BooleanBuffer> {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        Ok(BooleanBuffer::from_iter(ids.iter().map(|id| id % self.0 == 0)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_searches_return_k_matching_rows() {
    let mut rng = rng(6);
    let database = Database::open("memory://", Settings::default()).await.unwrap();
    let collection = create(&database, DIM, Metric::L2).await;
    let rows: Vec<Row> = clustered(30_000, DIM, 60, &mut rng)
        .into_iter()
        .enumerate()
        .map(|(i, v)| (i as i64, String::new(), v))
        .collect();
    collection.insert_stream(stream(vec![batch(&rows[..25_000], DIM)])).await.unwrap();
    assert_eq!(collection.status().l0_rows, 0, "a large statement goes to segments directly");
    collection.insert(batch(&rows[25_000..], DIM)).await.unwrap();
    let queries = clustered(30, DIM, 60, &mut rng);
    for (multiple, k) in [(1, 10), (2, 100), (17, 10), (5_000, 10), (29_999, 5), (40_000, 5)] {
        let filter: Arc<dyn RowPredicate> = Arc::new(MultipleOf(multiple));
        let ask = |q: &[f32]| SearchRequest { filter: Some(filter.clone()), ..SearchRequest::new(q.to_vec(), k) };
        let matching = (0..30_000).filter(|id| id % multiple == 0).count();
        for query in &queries {
            let hits = search(&collection, ask(query)).await;
            assert_eq!(hits.len(), k.min(matching));
            assert!(hits.iter().all(|hit| hit.0 % multiple == 0));
        }
        let recall = measured_recall(&collection, &queries, ask).await;
        assert!(recall >= 0.93, "{multiple}: {recall}");
    }
}
