//! A collection far larger than the cache answers as if all of it were in memory.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use drift_engine::{Collection, Database, ScanRequest, SearchRequest, Settings};
use drift_types::{Metric, VectorId};
use futures::TryStreamExt;

use crate::fixture::*;

/// Rows of a statement; every seventh is deleted again.
const STATEMENT: i64 = 10_000;

/// Queries near the rows of each statement.
const QUERIES: i64 = 8;

#[derive(Clone, Copy)]
struct Size {
    statements: i64,
    dim: usize,
    cache_bytes: u64,
}

impl Size {
    fn statements(self) -> impl Iterator<Item = i64> {
        (0..self.statements).map(|i| i * STATEMENT)
    }

    /// Rows around centres of their own, so that each statement makes new buckets.
    fn rows(self, ids: Range<i64>) -> Vec<Row> {
        let mut rng = rng(ids.start as u64);
        let vectors = clustered(ids.clone().count(), self.dim, 40, &mut rng);
        ids.zip(vectors).map(|(id, v)| (id, format!("{id:0>200}"), v)).collect()
    }

    async fn load(self, docs: &Collection) {
        for first in self.statements() {
            docs.insert(batch(&self.rows(first..first + STATEMENT), self.dim)).await.unwrap();
            let gone: Vec<VectorId> = (first..first + STATEMENT).step_by(7).map(VectorId::from_i64).collect();
            docs.delete(&gone).await.unwrap();
            docs.flush().await.unwrap();
        }
    }

    /// What the first of `clients` clients is told, and the others are told the same: the winners of
    /// each query, all their columns included.
    async fn answers(self, database: &Database, clients: usize) -> Vec<Vec<(i64, f32)>> {
        let queries: Vec<Vec<f32>> =
            self.statements().flat_map(|first| self.rows(first..first + QUERIES)).map(|row| row.2).collect();
        let tasks: Vec<_> = (0..clients)
            .map(|_| {
                let (database, queries) = (database.clone(), queries.clone());
                tokio::spawn(async move {
                    let docs = database.collection("docs").unwrap();
                    let mut answers = Vec::new();
                    for (query, k) in queries.into_iter().zip([20, 20, 300].into_iter().cycle()) {
                        answers.push(search(&docs, SearchRequest::new(query, k)).await);
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
}

/// Key and hash of each row, by key.
async fn hashed_rows(database: &Database) -> Vec<(i64, u64)> {
    let docs = database.collection("docs").unwrap();
    let mut batches = docs.scan(ScanRequest::default());
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await.unwrap() {
        rows.extend(rows_of(&batch).into_iter().map(|(id, text, vector)| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            vector.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            (id, hasher.finish())
        }));
    }
    rows.sort_unstable();
    rows
}

async fn answers_are_those_of_a_large_cache(size: Size) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tight = Settings { cache_bytes: size.cache_bytes, ..small() };
    // Also what writes and rewrites the segments has no more than that.
    let database = open(dir.path(), tight.clone()).await;
    let docs = create(&database, size.dim, Metric::L2).await;
    size.load(&docs).await;
    assert!(docs.status().segment_bytes > 4 * size.cache_bytes, "the collection is hardly larger than the cache");
    drop(docs);
    database.close().await.unwrap();

    // From here on buckets and stop rule stay as they are, so that answers can be compared.
    let tight = Settings { maintenance: false, audit_cpu_share: 0.0, ..tight };
    let database = open(dir.path(), Settings { cache_bytes: 4 << 30, ..tight.clone() }).await;
    let expected = size.answers(&database, 1).await;
    let all = hashed_rows(&database).await;
    let live = size.statements().flat_map(|first| (first..first + STATEMENT).filter(move |id| (id - first) % 7 != 0));
    assert!(all.iter().map(|row| row.0).eq(live));
    database.close().await.unwrap();

    for direct_io in [true, false] {
        let database = open(dir.path(), Settings { direct_io, ..tight.clone() }).await;
        assert!(size.answers(&database, 4).await == expected, "direct_io {direct_io}");
        assert!(hashed_rows(&database).await == all, "direct_io {direct_io}");
        assert!(database.cached_bytes() <= size.cache_bytes);
        database.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_1_mib_is_enough() {
    answers_are_those_of_a_large_cache(Size { statements: 2, dim: 64, cache_bytes: 1 << 20 }).await;
}

/// Long rows, for their number is what building takes its time for.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_of_64_mib_is_enough_for_300() {
    answers_are_those_of_a_large_cache(Size { statements: 7, dim: 1024, cache_bytes: 64 << 20 }).await;
}
