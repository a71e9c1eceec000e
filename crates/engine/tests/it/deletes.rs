//! Deletes that take time.

use drift_engine::Database;
use drift_types::{Metric, VectorId};

use crate::fixture::*;

#[tokio::test(flavor = "multi_thread")]
async fn rows_written_after_they_were_found_stay() {
    let database = Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, 2, Metric::L2).await;
    let row = |id, text: &str| (id, text.to_owned(), vec![id as f32, 0.0]);
    docs.insert(batch(&[row(1, "old"), row(2, "old"), row(3, "old")], 2)).await.unwrap();
    let found = docs.read_mark();
    docs.insert(batch(&[row(2, "new")], 2)).await.unwrap();
    let ids = [1, 2, 9].map(VectorId::from_i64).to_vec();
    assert_eq!(docs.delete_found(ids, found).await.unwrap().rows, 1);
    assert_eq!(all_rows(&docs).await, [row(2, "new"), row(3, "old")]);
}
