//! A collection far larger than the cache answers as if all of it were in memory.

use std::ops::Range;

use drift_engine::{Collection, Database, SearchRequest, Settings};
use drift_types::{Metric, VectorId};

use crate::fixture::*;

const DIM: usize = 64;
const QUERIES: usize = 48;

/// Rows whose text is as large as their vectors.
fn rows(ids: Range<i64>) -> Vec<Row> {
    let mut rng = rng(ids.start as u64);
    let vectors = clustered(ids.clone().count(), DIM, 40, &mut rng);
    ids.zip(vectors).map(|(id, v)| (id, format!("{id:0>200}"), v)).collect()
}

/// What the first of `clients` clients is told, and the others are told the same: the winners of each
/// query, all their columns included.
async fn answers(database: &Database, clients: usize) -> Vec<Vec<(i64, f32)>> {
    let queries: Vec<Vec<f32>> = rows(0..QUERIES as i64).into_iter().map(|row| row.2).collect();
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let (database, queries) = (database.clone(), queries.clone());
            tokio::spawn(async move {
                let docs = database.collection("docs").unwrap();
                let mut answers = Vec::new();
                for query in queries {
                    answers.push(search(&docs, SearchRequest::new(query, 20)).await);
                    let (used, most) = (database.cached_bytes(), database.settings().cache_bytes);
                    assert!(used <= most, "{used} bytes in a cache of {most}");
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|other| *other == answers[0]), "clients were told different things");
    answers.swap_remove(0)
}

/// Loads `rows_max` rows, 10,000 at a time, and deletes every seventh.
async fn load(docs: &Collection, rows_max: i64) {
    for first in (0..rows_max).step_by(10_000) {
        docs.insert(batch(&rows(first..first + 10_000), DIM)).await.unwrap();
        let gone: Vec<VectorId> = (first..first + 10_000).step_by(7).map(VectorId::from_i64).collect();
        docs.delete(&gone).await.unwrap();
        docs.flush().await.unwrap();
    }
}

async fn answers_are_those_of_a_large_cache(rows_max: i64, cache_bytes: u64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tight = Settings { cache_bytes, ..small() };
    // Also what writes and rewrites the segments has no more than that.
    let database = open(dir.path(), tight.clone()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    load(&docs, rows_max).await;
    assert!(docs.status().segment_bytes > 4 * cache_bytes, "the collection is hardly larger than the cache");
    drop(docs);
    database.close().await.unwrap();

    let database = open(dir.path(), Settings { cache_bytes: 4 << 30, ..tight.clone() }).await;
    let expected = answers(&database, 1).await;
    let all = all_rows(&database.collection("docs").unwrap()).await;
    assert_eq!(all.len() as i64, rows_max / 10_000 * 8_571);
    database.close().await.unwrap();

    for direct_io in [true, false] {
        let database = open(dir.path(), Settings { direct_io, ..tight.clone() }).await;
        assert!(answers(&database, 4).await == expected, "direct_io {direct_io}");
        assert!(all_rows(&database.collection("docs").unwrap()).await == all, "direct_io {direct_io}");
        assert!(database.cached_bytes() <= cache_bytes);
        database.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_1_mib_is_enough() {
    answers_are_those_of_a_large_cache(20_000, 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a gigabyte: run it with --ignored"]
async fn a_cache_of_64_mib_is_enough_for_more() {
    answers_are_those_of_a_large_cache(500_000, 64 << 20).await;
}
