//! Audits: what they measure is what exact search finds, they change no answer, and what they teach is
//! remembered.

use std::{sync::Arc, time::Duration};

use drift_engine::{Collection, Database, RecallSample, RowPredicate, SearchRequest, Settings};
use drift_types::{Metric, VectorId};

use crate::fixture::*;

const DIM: usize = 24;

/// Audits never rest.
fn eager() -> Settings {
    Settings { audit_cpu_share: 1_000.0, ..small() }
}

/// 6,000 rows, most of them in segments, some in L0, some dead.
async fn fill(database: &Database, metric: Metric) -> Collection {
    let collection = create(database, DIM, metric).await;
    let vectors = clustered(6_000, DIM, 40, &mut rng(1)).into_iter();
    let rows: Vec<Row> = vectors.enumerate().map(|(i, v)| (i as i64, "a".repeat(i % 3), v)).collect();
    collection.insert_stream(stream(vec![batch(&rows[..5_600], DIM)])).await.unwrap();
    collection.insert(batch(&rows[5_600..], DIM)).await.unwrap();
    let dead: Vec<VectorId> = (0..6_000).step_by(7).map(VectorId::from_i64).collect();
    collection.delete(&dead).await.unwrap();
    collection
}

async fn in_memory(settings: Settings, metric: Metric) -> Collection {
    let database = Database::open("memory://", settings).await.unwrap();
    let collection = fill(&database, metric).await;
    // The janitor and the auditor live as long as the database.
    Box::leak(Box::new(database));
    collection
}

/// Of other clusters than the rows: hard queries, so that some rows are missed.
fn queries(n: usize, seed: u64) -> Vec<Vec<f32>> {
    clustered(n, DIM, 40, &mut rng(seed))
}

/// Searches, and waits for the audit.
async fn audited(collection: &Collection, request: SearchRequest) -> (Vec<(i64, f32)>, RecallSample) {
    let before = collection.recall_samples().len();
    let found = search(collection, request).await;
    for _ in 0..20_000 {
        if let Some(sample) = collection.recall_samples().get(before) {
            return (found, sample.clone());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("a search is not audited");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_measures_what_exact_search_finds() {
    let mut missed = 0;
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let collection = in_memory(eager(), metric).await;
        let keys = (0..6_000).filter(|id| id % 11 != 3).map(VectorId::from_i64).collect();
        // Of too many rows to be compared exactly at once.
        let filter: Arc<dyn RowPredicate> = Arc::new(KeyIn { keys, but: "a".to_owned(), is_named: false });
        for (i, query) in queries(60, 9).into_iter().enumerate() {
            let asked = [0.5, 0.8, 0.95][i % 3];
            let request = SearchRequest {
                recall: Some(asked),
                nprobe: (i % 5 == 4).then_some(2),
                filter: (i % 7 == 6).then(|| filter.clone()),
                ..SearchRequest::new(query, 10)
            };
            let truth = search(&collection, SearchRequest { exact: true, nprobe: None, ..request.clone() }).await;
            let (found, sample) = audited(&collection, request).await;
            let good = found.iter().filter(|hit| truth.iter().any(|t| t.0 == hit.0)).count();
            assert_eq!(sample.measured, good as f32 / 10.0, "{metric}, query {i}: {found:?} {truth:?}");
            assert_eq!((sample.k, sample.asked), (10, asked));
            assert!(["nprobe", "recall_reached", "exhausted"].contains(&&*sample.stop_reason), "{sample:?}");
            missed += 10 - good;
        }
    }
    assert!(missed > 50, "these searches are too easy to tell anything: {missed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_searched_by_codes_is_not_audited() {
    let collection = in_memory(eager(), Metric::L2).await;
    let query = || queries(1, 3).remove(0);
    let keys = (0..50).map(VectorId::from_i64).collect();
    let few: Arc<dyn RowPredicate> = Arc::new(KeyIn { keys, but: String::new(), is_named: false });
    search(&collection, SearchRequest { exact: true, ..SearchRequest::new(query(), 10) }).await;
    search(&collection, SearchRequest { filter: Some(few), ..SearchRequest::new(query(), 10) }).await;
    search(&collection, SearchRequest::new(query(), 0)).await;
    assert!(collection.search(SearchRequest::new(vec![1.0], 10)).await.is_err());
    // Audits keep the order of searches: after this one the others would have been seen.
    let (_, sample) = audited(&collection, SearchRequest::new(query(), 7)).await;
    assert_eq!((sample.k, collection.recall_samples().len()), (7, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_change_no_answer() {
    let audited_too = in_memory(eager(), Metric::L2).await;
    let alone = in_memory(Settings { audit_cpu_share: 0.0, ..small() }, Metric::L2).await;
    // The rule is fitted anew after 16 audits; with `nprobe` it is not asked.
    for (i, query) in queries(50, 4).into_iter().enumerate() {
        let request = SearchRequest { nprobe: (i >= 15).then_some(3), ..SearchRequest::new(query, 10) };
        let (found, _) = audited(&audited_too, request.clone()).await;
        assert_eq!(found, search(&alone, request).await, "query {i}");
    }
    assert!(alone.recall_samples().is_empty());
    assert!(alone.maintenance_totals().audit_cpu.is_zero() && !audited_too.maintenance_totals().audit_cpu.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_warm_no_bucket() {
    let collection = in_memory(eager(), Metric::L2).await;
    for query in queries(3, 8) {
        audited(&collection, SearchRequest { nprobe: Some(2), ..SearchRequest::new(query, 10) }).await;
    }
    // A rate takes a moment.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let buckets = collection.bucket_reports();
    let warm = buckets.iter().filter(|bucket| bucket.temperature > 0.0).count();
    assert!(buckets.len() > 20 && (2..=6).contains(&warm), "{warm} of {}", buckets.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_leave_no_recall_below_what_is_asked() {
    let collection = in_memory(eager(), Metric::L2).await;
    let mean = |samples: &[RecallSample]| samples.iter().map(|s| s.measured).sum::<f32>() / samples.len() as f32;
    for query in queries(400, 5) {
        audited(&collection, SearchRequest { recall: Some(0.9), ..SearchRequest::new(query, 10) }).await;
    }
    let samples = collection.recall_samples();
    // Whatever the rule has learned meanwhile. How much less careful it may become is bounded.
    let (first, last) = (mean(&samples[..100]), mean(&samples[200..]));
    assert!(last >= 0.89, "{first} {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_survive_every_kind_of_end() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), eager()).await;
    let mut collection = fill(&database, Metric::L2).await;
    let mut queries = queries(30, 6).into_iter();
    for query in queries.by_ref().take(10) {
        audited(&collection, SearchRequest::new(query, 10)).await;
    }
    // Any commit keeps them.
    collection.flush().await.unwrap();
    let before = collection.recall_samples();
    drop((collection, database));
    let database = open(dir.path(), eager()).await;
    collection = database.collection("docs").unwrap();
    assert_eq!((collection.recall_samples(), before.len()), (before, 10));
    // Without one, closing does.
    for query in queries {
        audited(&collection, SearchRequest::new(query, 10)).await;
    }
    let before = collection.recall_samples();
    drop(collection);
    database.close().await.unwrap();
    let database = open(dir.path(), eager()).await;
    collection = database.collection("docs").unwrap();
    assert_eq!((collection.recall_samples(), before.len()), (before, 30));
    assert_eq!(histories(dir.path()).len(), 1, "only the newest history is kept");
    drop(collection);
    database.drop_collection("docs").await.unwrap();
    assert!(histories(dir.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_history_is_reported_and_done_without() {
    for damage in ["changed", "missing"] {
        let dir = tempfile::tempdir().unwrap();
        let database = open(dir.path(), eager()).await;
        let collection = fill(&database, Metric::L2).await;
        audited(&collection, SearchRequest::new(queries(1, 7).remove(0), 10)).await;
        collection.flush().await.unwrap();
        drop(collection);
        database.close().await.unwrap();
        let file = histories(dir.path()).remove(0);
        match damage {
            "missing" => std::fs::remove_file(&file).unwrap(),
            _ => {
                let mut bytes = std::fs::read(&file).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
        }
        let uri = dir.path().to_str().unwrap();
        let found = drift_engine::verify(uri, &Settings::default(), &mut |_| {}).await.unwrap();
        let wrong: Vec<_> = found.wrong().collect();
        assert!(wrong.len() == 1 && wrong[0].message.contains("history"), "{damage}: {wrong:?}");
        let database = open(dir.path(), eager()).await;
        let collection = database.collection("docs").unwrap();
        assert!(collection.recall_samples().is_empty());
        assert_eq!(all_rows(&collection).await.len(), 5_142);
        // The next commit names no lost file any more.
        collection.insert(batch(&[(1, "new".to_owned(), vec![0.5; DIM])], DIM)).await.unwrap();
        collection.flush().await.unwrap();
        drop(collection);
        database.close().await.unwrap();
        let found = drift_engine::verify(uri, &Settings::default(), &mut |_| {}).await.unwrap();
        assert_eq!(found.wrong().count(), 0, "{damage}");
    }
}

fn histories(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let collections = std::fs::read_dir(dir.join("c")).into_iter().flatten();
    let files = collections.flat_map(|c| std::fs::read_dir(c.unwrap().path().join("history")).into_iter().flatten());
    files.map(|file| file.unwrap().path()).collect()
}
