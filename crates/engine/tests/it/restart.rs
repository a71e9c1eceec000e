//! What was acknowledged is there after any restart, once.

use drift_engine::{Database, ErrorKind, SearchRequest};
use drift_types::{Metric, VectorId};

use crate::fixture::*;

const DIM: usize = 8;

fn rows(ids: std::ops::Range<i64>, text: &str) -> Vec<Row> {
    ids.map(|id| (id, text.to_owned(), vec![id as f32; DIM])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_and_deletes_survive_in_every_order_of_flush_and_restart() {
    // The bits of `plan` say after which step to flush and after which to restart.
    for plan in 0..64u32 {
        let dir = tempfile::tempdir().unwrap();
        let mut database = open(dir.path(), small()).await;
        create(&database, DIM, Metric::L2).await;
        for step in 0..3 {
            let docs = database.collection("docs").unwrap();
            match step {
                0 => drop(docs.insert(batch(&rows(0..300, "first"), DIM)).await.unwrap()),
                1 => {
                    docs.insert(batch(&rows(100..200, "second"), DIM)).await.unwrap();
                    let gone: Vec<VectorId> = (150..250).map(VectorId::from_i64).collect();
                    assert_eq!(docs.delete(&gone).await.unwrap().rows, 100);
                }
                _ => drop(docs.insert(batch(&rows(240..260, "third"), DIM)).await.unwrap()),
            }
            if plan & (1 << step) != 0 {
                docs.flush().await.unwrap();
            }
            drop(docs);
            if plan & (8 << step) != 0 {
                drop(database);
                database = open(dir.path(), small()).await;
            }
        }
        let docs = database.collection("docs").unwrap();
        let texts: Vec<(i64, String)> = all_rows(&docs).await.into_iter().map(|r| (r.0, r.1)).collect();
        let expected: Vec<(i64, String)> = (0..300)
            .filter_map(|id| {
                match id {
                    240..260 => Some("third"),
                    150..240 => None,
                    100..150 => Some("second"),
                    _ => Some("first"),
                }
                .map(|text| (id, text.to_owned()))
            })
            .collect();
        assert_eq!(texts, expected, "plan {plan:06b}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_plain_restarts_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    for first in (0..2_000).step_by(250) {
        docs.insert(batch(&rows(first..first + 250, "row"), DIM)).await.unwrap();
    }
    let before = all_rows(&docs).await;
    assert_eq!(before.len(), 2_000);
    drop(docs);
    database.close().await.unwrap();
    for _ in 0..4 {
        let database = open(dir.path(), small()).await;
        let docs = database.collection("docs").unwrap();
        assert_eq!(all_rows(&docs).await, before);
        let found = search(&docs, SearchRequest::new(vec![777.0; DIM], 1)).await;
        assert_eq!(found, [(777, 0.0)]);
        drop(docs);
        database.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_of_a_dropped_collection() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..100, "row"), DIM)).await.unwrap();
    docs.flush().await.unwrap();
    docs.delete_all().await.unwrap();
    database.drop_collection("docs").await.unwrap();
    // Whoever still holds it may ask.
    docs.flush().await.unwrap();
    docs.compact().await.unwrap();
    docs.insert(batch(&rows(0..100, "row"), DIM)).await.unwrap_err();
    let left: Vec<_> = std::fs::read_dir(dir.path().join("c")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_keys_stay_unique_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let nameless = |n: i64| batch(&rows(0..n, "x"), DIM).project(&[1, 2]).unwrap();
    for restart in 1..=4u64 {
        let database = open(dir.path(), small()).await;
        if restart == 1 {
            let spec = drift_engine::CollectionSpec::new(nameless(1).schema());
            database.create_collection("docs", spec).await.unwrap();
        }
        let docs = database.collection("docs").unwrap();
        docs.insert(nameless(10)).await.unwrap();
        docs.insert_stream(stream(vec![nameless(2_500)])).await.unwrap();
        assert_eq!(docs.status().rows, restart * 2_510);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_collection_stays_dropped_and_its_name_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..50, "old"), DIM)).await.unwrap();
    database.drop_collection("docs").await.unwrap();
    assert_eq!(docs.insert(batch(&rows(0..1, "late"), DIM)).await.unwrap_err().kind(), ErrorKind::NotFound);
    drop(docs);
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..5, "new"), DIM)).await.unwrap();
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    let texts: Vec<String> = all_rows(&database.collection("docs").unwrap()).await.into_iter().map(|r| r.1).collect();
    assert_eq!(texts, ["new"; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opener_is_told_who_holds_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let _held = open(dir.path(), small()).await;
    let error = match Database::open(dir.path().to_str().unwrap(), small()).await {
        Err(error) => error,
        Ok(_) => panic!("two writers have one database open"),
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}

/// A segment whose features this program does not know, but need not know to read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_may_not_be_rewritten_stays_and_is_read() {
    for may_rewrite in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let database = open(dir.path(), small()).await;
        let docs = create(&database, DIM, Metric::L2).await;
        docs.insert(batch(&rows(0..400, "first"), DIM)).await.unwrap();
        docs.flush().await.unwrap();
        let segments = dir.path().join(format!("c/{}/segment", only_entry(&dir.path().join("c"))));
        let path = segments.join(only_entry(&segments));
        drop(docs);
        database.close().await.unwrap();
        if !may_rewrite {
            set_ro_compat(&path);
        }

        let database = open(dir.path(), small()).await;
        let docs = database.collection("docs").unwrap();
        for part in 1..6 {
            // All in the midst of the first rows, whose buckets become too large.
            let near = |id: i64| (id, "later".to_owned(), vec![(id % 400) as f32 + 0.5; DIM]);
            let later: Vec<Row> = (400 * part..400 * (part + 1)).map(near).collect();
            docs.insert(batch(&later, DIM)).await.unwrap();
            docs.flush().await.unwrap();
        }
        let found = all_rows(&docs).await;
        assert!(found.iter().map(|row| row.0).eq(0..2400));
        assert_eq!(found.iter().filter(|row| row.1 == "first").count(), 400);
        database.close().await.unwrap();
        let _swept = open(dir.path(), small()).await;
        assert_eq!(path.exists(), !may_rewrite);
    }
}

fn only_entry(dir: &std::path::Path) -> String {
    let names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone().into_string().unwrap()
}

/// Sets a feature bit in a segment's trailer.
fn set_ro_compat(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let trailer = bytes.len() - 64;
    bytes[trailer + 40] = 1;
    let crc = crc32c::crc32c(&bytes[trailer..trailer + 52]);
    bytes[trailer + 52..trailer + 56].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}
