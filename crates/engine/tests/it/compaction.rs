//! Rewriting: no row is lost, doubled or resurrected, and room is given back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use drift_engine::{Collection, ScanRequest, SearchRequest, Settings};
use drift_types::{Metric, VectorId};
use futures::TryStreamExt;
use rand::Rng;

use crate::fixture::*;

const DIM: usize = 12;

fn row(id: i64, vector: Vec<f32>) -> Row {
    (id, format!("row {id}"), vector)
}

/// Inserts `n` rows from `first` on, in flushes of 500.
async fn fill(collection: &Collection, first: i64, n: usize, dim: usize, seed: u64) -> Vec<Row> {
    let vectors = clustered(n, dim, 7, &mut rng(seed));
    let rows: Vec<Row> = vectors.into_iter().enumerate().map(|(i, v)| row(first + i as i64, v)).collect();
    for part in rows.chunks(500) {
        collection.insert(batch(part, dim)).await.unwrap();
        collection.flush().await.unwrap();
    }
    rows
}

async fn delete(collection: &Collection, ids: impl Iterator<Item = i64>) {
    let keys: Vec<VectorId> = ids.map(VectorId::from_i64).collect();
    collection.delete(&keys).await.unwrap();
}

/// Slow enough not to interfere.
fn manual() -> Settings {
    Settings { maintenance_bytes_per_s: 0, ..small() }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_rows_give_their_room_back() {
    let dim = 256;
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), manual()).await;
    let collection = create(&database, dim, Metric::L2).await;
    let rows = fill(&collection, 0, 6_000, dim, 1).await;
    delete(&collection, (0..6_000).filter(|id| id % 3 != 0)).await;
    collection.flush().await.unwrap();
    let before = collection.status();
    collection.compact().await.unwrap();
    let after = collection.status();
    let raw = after.rows * 4 * dim as u64;
    assert_eq!(after.rows, 2_000);
    assert!(after.segment_bytes * 2 < before.segment_bytes, "{before:?} {after:?}");
    // Codes, and for so few rows the ends of pages and the statistics of runs.
    assert!((after.segment_bytes as f64) < 1.55 * raw as f64, "{} bytes for {raw} of vectors", after.segment_bytes);
    let kept: Vec<Row> = rows.into_iter().filter(|r| r.0 % 3 == 0).collect();
    assert_eq!(all_rows(&collection).await, kept);
    let on_disk = || std::fs::read_dir(segment_dir(dir.path())).unwrap().count();
    wait_until("files of rewritten segments are gone", || on_disk() == after.segments).await;

    collection.compact().await.unwrap();
    assert_eq!(collection.status(), after, "nothing is left to do");
    drop(collection);
    database.close().await.unwrap();
    let database = open(dir.path(), manual()).await;
    assert_eq!(all_rows(&database.collection("docs").unwrap()).await, kept);
}

/// What flushes have written stays in memory; what they have moved from older segments does not.
#[tokio::test(flavor = "multi_thread")]
async fn moved_rows_are_in_memory_once() {
    let dim = 256;
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), Settings { cache_bytes: 64 << 20, ..manual() }).await;
    let collection = create(&database, dim, Metric::L2).await;
    let rows = fill(&collection, 0, 6_000, dim, 1).await;
    search(&collection, SearchRequest { exact: true, ..SearchRequest::new(rows[0].2.clone(), 10) }).await;
    let (raw, cached) = (6_000 * 4 * dim as u64, database.cached_bytes());
    // Vectors, and codes of a quarter of them and a little.
    assert!(cached > raw && cached < raw + raw * 2 / 5, "{cached} bytes for {raw} of vectors");
}

fn segment_dir(root: &std::path::Path) -> std::path::PathBuf {
    let collection = std::fs::read_dir(root.join("c")).unwrap().next().unwrap().unwrap();
    collection.path().join("segment")
}

/// A job reads at one moment and commits at a later one: what was deleted or replaced in between
/// must not come back with the rows it has moved.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_deleted_meanwhile_is_resurrected() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let database = open(dir.path(), manual()).await;
        let collection = create(&database, DIM, Metric::Cosine).await;
        let mut model: BTreeMap<i64, Row> =
            fill(&collection, 0, 3_000, DIM, seed).await.into_iter().map(|r| (r.0, r)).collect();
        let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (compacted, still) = (collection.clone(), busy.clone());
        let janitor = tokio::spawn(async move {
            while still.load(std::sync::atomic::Ordering::Relaxed) {
                compacted.compact().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut rng = rng(100 + seed);
        for step in 0..60 {
            let ids: Vec<i64> = (0..50).map(|_| rng.random_range(0..3_500)).collect();
            if step % 2 == 0 {
                ids.iter().for_each(|id| drop(model.remove(id)));
                delete(&collection, ids.into_iter()).await;
            } else {
                let vectors = clustered(50, DIM, 7, &mut rng);
                let rows: BTreeMap<i64, Row> = ids.into_iter().zip(vectors).map(|(id, v)| (id, row(id, v))).collect();
                collection.insert(batch(&rows.values().cloned().collect::<Vec<_>>(), DIM)).await.unwrap();
                model.extend(rows);
            }
            if step % 7 == 0 {
                collection.flush().await.unwrap();
            }
        }
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
        janitor.await.unwrap();
        let expected: Vec<Row> = model.into_values().collect();
        assert_eq!(all_rows(&collection).await, expected, "seed {seed}");
        drop(collection);
        drop(database);
        let database = open(dir.path(), manual()).await;
        assert_eq!(all_rows(&database.collection("docs").unwrap()).await, expected, "seed {seed}, after a restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_stay_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), manual()).await;
    let collection = create(&database, DIM, Metric::L2).await;
    let vectors = clustered(900, DIM, 5, &mut rng(3));
    let rows: Vec<Row> = vectors.into_iter().enumerate().map(|(i, v)| row(i as i64, v)).collect();
    for part in rows.chunks(10) {
        collection.insert(batch(part, DIM)).await.unwrap();
        collection.flush().await.unwrap();
    }
    collection.compact().await.unwrap();
    assert!(collection.status().segments <= 64, "{:?}", collection.status());
    assert_eq!(all_rows(&collection).await, rows);
}

/// The janitor by itself: once nothing is written, dead rows go.
#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_database_tidies_up() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let collection = create(&database, DIM, Metric::L2).await;
    fill(&collection, 0, 2_000, DIM, 1).await;
    delete(&collection, 0..1_000).await;
    collection.flush().await.unwrap();
    let full = collection.status().segment_bytes;
    wait_until("dead rows are gone", || collection.status().segment_bytes * 4 < full * 3).await;
}

/// Another task does it; it must do it soon.
async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("after 30 s it still does not hold that {what}");
}

/// Codes of runs that have moved are let go of by a reader of their own; the older one still needs the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_began_before_a_compaction_reads_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), manual()).await;
    let collection = create(&database, DIM, Metric::L2).await;
    let rows = fill(&collection, 0, 6_000, DIM, 1).await;
    let old = collection.scan(ScanRequest::default());
    let before = collection.status().segments;
    for third in 0..3 {
        delete(&collection, (0..6_000).filter(|id| id % 3 == third)).await;
        collection.flush().await.unwrap();
        collection.compact().await.unwrap();
    }
    assert!(collection.status().segments < before);
    let batches: Vec<_> = old.try_collect().await.unwrap();
    let mut read: Vec<Row> = batches.iter().flat_map(rows_of).collect();
    read.sort_by_key(|row| row.0);
    assert_eq!(read, rows);
}

/// A bucket that is too small is not due where none may be joined.
#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_ends_also_without_maintenance() {
    let database =
        drift_engine::Database::open("memory://", Settings { maintenance: false, ..manual() }).await.unwrap();
    let collection = create(&database, DIM, Metric::L2).await;
    let rows = fill(&collection, 0, 3_000, DIM, 1).await;
    delete(&collection, (0..3_000).filter(|id| id % 50 != 0)).await;
    collection.flush().await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), collection.compact()).await.expect("it never ends").unwrap();
    let kept: Vec<Row> = rows.into_iter().filter(|row| row.0 % 50 == 0).collect();
    assert_eq!(all_rows(&collection).await, kept);
}
