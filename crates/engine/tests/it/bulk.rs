//! Large statements, written past L0.

use std::{sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use drift_engine::{Ack, Collection, CollectionSpec, Error, Settings};
use drift_types::{Metric, VectorId};
use futures::StreamExt;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::fixture::*;

const DIM: usize = 16;

fn rows(ids: std::ops::Range<i64>, text: &str) -> Vec<Row> {
    let mut rng = rng(ids.start as u64);
    let vectors = clustered(ids.clone().count(), DIM, 20, &mut rng);
    ids.zip(vectors).map(|(id, v)| (id, text.to_owned(), v)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_one_statement_replace_and_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    // Chunks of about 1,000 rows, so that the statement needs several and splits buckets between them.
    let settings = Settings { bulk_bytes_max: 1_000 * DIM * 4, ..small() };
    let database = open(dir.path(), settings.clone()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..500, "before"), DIM)).await.unwrap();
    let statement = (0..10).map(|i| batch(&rows(i * 400..i * 400 + 800, &format!("chunk {i}")), DIM)).collect();
    let ack = docs.insert_stream(stream(statement)).await.unwrap();
    assert!(ack.rows >= 4_400);
    let check = |rows: Vec<Row>| {
        assert_eq!(rows.len(), 4_400);
        for (id, text, _) in rows {
            assert_eq!(text, format!("chunk {}", (id / 400).min(9)), "row {id}");
        }
    };
    check(all_rows(&docs).await);
    docs.insert(batch(&rows(0..10, "after"), DIM)).await.unwrap();
    assert_eq!(docs.delete(&[VectorId::from_i64(4_399)]).await.unwrap().rows, 1);
    drop((docs, database));
    let database = open(dir.path(), settings).await;
    let found = all_rows(&database.collection("docs").unwrap()).await;
    assert_eq!(found.len(), 4_399);
    assert!(found[..10].iter().all(|r| r.1 == "after"));
    assert!(found[10..400].iter().all(|r| r.1 == "chunk 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..100, "kept"), DIM)).await.unwrap();
    let mut broken: Vec<_> = (0..5).map(|i| Ok(batch(&rows(i * 1_000..i * 1_000 + 1_000, "lost"), DIM))).collect();
    broken.push(Err(Error::invalid("the file ends here")));
    let error = docs.insert_stream(futures::stream::iter(broken).boxed()).await.unwrap_err();
    assert_eq!(error.to_string(), "the file ends here");
    assert!(all_rows(&docs).await.iter().all(|r| r.1 == "kept"));
    docs.insert_stream(stream(vec![batch(&rows(0..3_000, "whole"), DIM)])).await.unwrap();
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    let found = all_rows(&database.collection("docs").unwrap()).await;
    assert_eq!(found.len(), 3_000);
    assert!(found.iter().all(|r| r.1 == "whole"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_all_alike_neither_hang_nor_vanish() {
    let database = drift_engine::Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let alike: Vec<Row> = (0..3_000).map(|id| (id, String::new(), vec![1.0; DIM])).collect();
    docs.insert_stream(stream(vec![batch(&alike, DIM)])).await.unwrap();
    for first in (3_000..4_500).step_by(500) {
        let more: Vec<Row> = (first..first + 500).map(|id| (id, String::new(), vec![1.0; DIM])).collect();
        docs.insert(batch(&more, DIM)).await.unwrap();
        docs.flush().await.unwrap();
    }
    assert_eq!(all_rows(&docs).await.len(), 4_500);
    let found = search(&docs, drift_engine::SearchRequest::new(vec![1.0; DIM], 100)).await;
    assert!(found.iter().map(|hit| hit.0).eq(0..100), "ties go to the smaller key: {found:?}");
}

/// A load that waits for its client, with one chunk written.
async fn stalled(docs: &Collection, dim: usize) -> (mpsc::Sender<RecordBatch>, JoinHandle<drift_engine::Result<Ack>>) {
    let (sender, receiver) = mpsc::channel(1);
    let batches = futures::stream::unfold(receiver, |mut r| async { r.recv().await.map(|b| (Ok(b), r)) });
    let loading = {
        let docs = docs.clone();
        tokio::spawn(async move { docs.insert_stream(batches.boxed()).await })
    };
    for i in 0..4 {
        let rows: Vec<Row> =
            (i * 1_000..i * 1_000 + 1_000).map(|id| (id, "load".into(), vec![id as f32; dim])).collect();
        sender.send(batch(&rows, dim)).await.unwrap();
    }
    (sender, loading)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_waits_for_its_client_holds_up_nobody_else() {
    let settings = Settings { bulk_bytes_max: 1_000 * DIM * 4, memtable_rows_max: 200, ..small() };
    let database = drift_engine::Database::open("memory://", settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let others = database.create_collection("others", CollectionSpec::new(schema(DIM))).await.unwrap();
    let (sender, loading) = stalled(&docs, DIM).await;
    for i in 0..30 {
        let insert = others.insert(batch(&rows(i * 100..i * 100 + 100, "other"), DIM));
        tokio::time::timeout(Duration::from_secs(20), insert).await.expect("the janitor is stuck").unwrap();
    }
    drop(sender);
    assert_eq!(loading.await.unwrap().unwrap().rows, 4_000);
    assert_eq!(all_rows(&docs).await.len(), 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dimension_settled_while_a_load_runs_holds_for_both() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), Settings { bulk_bytes_max: 3_000 * 4 * 4, ..small() }).await;
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let mut fields: Vec<_> = schema(4).fields().iter().cloned().collect();
    fields[2] = Arc::new(Field::new("v", DataType::List(item), false));
    let docs = database.create_collection("docs", CollectionSpec::new(Arc::new(Schema::new(fields)))).await.unwrap();
    let (sender, loading) = stalled(&docs, 4).await;
    // Whichever comes first: its vectors' dimension is the collection's.
    let row = vec![(1, "other".to_owned(), vec![1.0; 8])];
    let inserted = docs.insert(batch(&row, 8)).await;
    drop(sender);
    let loaded = loading.await.unwrap();
    assert!(inserted.is_ok() != loaded.is_ok(), "{inserted:?} {loaded:?}");
    docs.flush().await.unwrap();
    let found = all_rows(&docs).await;
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    assert_eq!(all_rows(&database.collection("docs").unwrap()).await, found);
}

/// Settings by which a load of [`stalled`] has its first number.
fn in_chunks() -> Settings {
    Settings { bulk_bytes_max: 1_000 * DIM * 4, ..small() }
}

/// Texts by key.
async fn texts(docs: &Collection) -> Vec<(i64, String)> {
    all_rows(docs).await.into_iter().map(|row| (row.0, row.1)).collect()
}

fn keys(ids: std::ops::Range<i64>) -> Vec<VectorId> {
    ids.map(VectorId::from_i64).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_come_while_a_load_runs_are_newer() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), in_chunks()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    let (sender, loading) = stalled(&docs, DIM).await;
    docs.insert(batch(&rows(0..10, "newer"), DIM)).await.unwrap();
    docs.delete(&keys(10..20)).await.unwrap();
    drop(sender);
    loading.await.unwrap().unwrap();
    let text = |id| if id < 10 { "newer" } else { "load" };
    let expected: Vec<_> = (0..10).chain(20..4_000).map(|id| (id, text(id).to_owned())).collect();
    assert_eq!(texts(&docs).await, expected);
    drop((docs, database));
    let database = open(dir.path(), in_chunks()).await;
    assert_eq!(texts(&database.collection("docs").unwrap()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_takes_no_row_of_a_load_that_it_has_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), in_chunks()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..200, "before"), DIM)).await.unwrap();
    let (sender, loading) = stalled(&docs, DIM).await;
    docs.insert(batch(&rows(50..60, "meanwhile"), DIM)).await.unwrap();
    let condition = KeyIn { keys: keys(0..100), but: "load".into(), is_named: true };
    assert_eq!(docs.delete_where(Arc::new(condition)).await.unwrap().rows, 100);
    assert_eq!(docs.delete_found(keys(100..120), docs.read_mark()).await.unwrap().rows, 20);
    let before = docs.read_mark();
    drop(sender);
    loading.await.unwrap().unwrap();
    // What it has found may be the load's rows by now.
    let error = docs.delete_found(keys(120..140), before).await.unwrap_err();
    assert!(error.to_string().contains("repeat the DELETE"), "{error}");
    // As if all deletes had come before the load, but for rows that were newer than the load's.
    let expected: Vec<_> = (0..50).chain(60..4_000).map(|id| (id, "load".to_owned())).collect();
    assert_eq!(texts(&docs).await, expected);
    drop((docs, database));
    let looked = drift_engine::look(dir.path().to_str().unwrap(), &in_chunks()).await.unwrap();
    assert_eq!(looked.collections[0].status.rows, 3_990);
    let database = open(dir.path(), in_chunks()).await;
    let docs = database.collection("docs").unwrap();
    assert_eq!(texts(&docs).await, expected);
    docs.flush().await.unwrap();
    drop((docs, database));
    let database = open(dir.path(), in_chunks()).await;
    assert_eq!(texts(&database.collection("docs").unwrap()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_load_can_be_deleted_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert_stream(stream(vec![batch(&rows(0..3_000, "load"), DIM)])).await.unwrap();
    let before = docs.status().seq;
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    let docs = database.collection("docs").unwrap();
    assert!(docs.status().seq >= before);
    assert_eq!(docs.delete_found(keys(0..1_000), docs.read_mark()).await.unwrap().rows, 1_000);
    assert_eq!(all_rows(&docs).await.len(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_client_sends_nothing_ends_when_others_wait_for_it() {
    let settings = Settings { memtable_rows_max: 100, ..in_chunks() };
    let database = drift_engine::Database::open("memory://", settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let (sender, loading) = stalled(&docs, DIM).await;
    for i in 0..20 {
        let insert = docs.insert(batch(&rows(i * 100..i * 100 + 100, "other"), DIM));
        tokio::time::timeout(Duration::from_secs(60), insert).await.expect("the load blocks the others").unwrap();
    }
    let error = loading.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("send it again"), "{error}");
    drop(sender);
    assert!(all_rows(&docs).await.iter().map(|row| &row.1[..]).eq((0..2_000).map(|_| "other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_rows_of_many_bytes_are_a_large_statement_too() {
    let database = drift_engine::Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, 2, Metric::L2).await;
    let long = "x".repeat(1 << 20);
    let row = |id: i64| (id, long.clone(), vec![id as f32, 0.0]);
    let statement = (0..3).map(|i| batch(&(i * 100..i * 100 + 100).map(row).collect::<Vec<_>>(), 2)).collect();
    docs.insert_stream(stream(statement)).await.unwrap();
    let status = docs.status();
    assert_eq!((status.rows, status.l0_rows), (300, 0));
}

/// The second chunk crowds all buckets of the first, so that its segment is empty before it is ever committed.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_load_writes_twice_are_there() {
    let settings = Settings { bulk_rows_min: 150, bulk_bytes_max: 150 * 2 * 4, ..small() };
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), settings.clone()).await;
    let docs = create(&database, 2, Metric::L2).await;
    let row = |id: i64| (id, "row".to_owned(), vec![id as f32, 0.0]);
    let chunk = |first: i64| batch(&(first..first + 40).map(row).collect::<Vec<_>>(), 2);
    docs.insert_stream(stream((0..15).map(|i| chunk(i * 40)).collect())).await.unwrap();
    // Also keys that come once more in a later chunk.
    docs.insert_stream(stream((0..15).map(|i| chunk(580 + i * 20)).collect())).await.unwrap();
    let expected: Vec<Row> = (0..900).map(row).collect();
    assert_eq!(all_rows(&docs).await, expected);
    docs.flush().await.unwrap();
    docs.compact().await.unwrap();
    assert_eq!(all_rows(&docs).await, expected);
    drop((docs, database));
    let database = open(dir.path(), settings).await;
    let docs = database.collection("docs").unwrap();
    assert_eq!(all_rows(&docs).await, expected);
    assert_eq!(search(&docs, drift_engine::SearchRequest::new(vec![333.0, 0.0], 1)).await, [(333, 0.0)]);
}
