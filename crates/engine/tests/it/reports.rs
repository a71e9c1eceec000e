//! What a collection tells of itself adds up, whatever happens to it.

use std::collections::HashSet;

use drift_engine::{BucketReport, Collection, CollectionStatus, ManifestReport, SegmentReport, Settings};
use drift_types::{Metric, VectorId};
use rand::Rng;

use crate::fixture::*;

const DIM: usize = 6;

/// Rows from `first` on.
fn rows(first: i64, n: usize, seed: u64) -> Vec<Row> {
    let vectors = clustered(n, DIM, 5, &mut rng(seed));
    vectors.into_iter().enumerate().map(|(i, vector)| (first + i as i64, "row".to_owned(), vector)).collect()
}

/// All reports of one moment: read again if something has changed meanwhile.
fn at_once(collection: &Collection) -> (CollectionStatus, Vec<BucketReport>, Vec<SegmentReport>) {
    loop {
        let status = collection.status();
        let reports = (collection.bucket_reports(), collection.segment_reports());
        if collection.status() == status {
            return (status, reports.0, reports.1);
        }
    }
}

fn assert_they_add_up(collection: &Collection, when: &str) {
    let (status, buckets, segments) = at_once(collection);
    let in_buckets: u64 = buckets.iter().map(|b| u64::from(b.rows)).sum();
    let in_segments: u64 = segments.iter().map(|s| u64::from(s.rows - s.dead)).sum();
    assert_eq!((in_buckets, in_segments), (status.rows - status.l0_rows, status.rows - status.l0_rows), "{when}");
    assert_eq!(segments.iter().map(|s| u64::from(s.dead)).sum::<u64>(), status.dead_rows, "{when}");
    assert_eq!(segments.iter().map(|s| s.bytes).sum::<u64>(), status.segment_bytes, "{when}");
    assert_eq!((buckets.len(), segments.len()), (status.buckets, status.segments), "{when}");

    let used: u32 = buckets.iter().map(|b| b.runs).sum();
    assert_eq!(used, segments.iter().map(|s| s.runs - s.unused_runs).sum::<u32>(), "{when}");
    assert_eq!(buckets.iter().map(|b| b.id).collect::<HashSet<_>>().len(), buckets.len(), "{when}");
    for bucket in &buckets {
        assert_eq!(bucket.centroid.len(), DIM, "{when}");
        assert!(bucket.radius.is_finite() && bucket.drift.is_finite(), "{when}: {bucket:?}");
        assert_eq!(bucket.bytes > 0, bucket.rows + bucket.dead > 0, "{when}: {bucket:?}");
    }
}

fn assert_is_chain(manifests: &[ManifestReport]) {
    assert!(!manifests.is_empty());
    for pair in manifests.windows(2) {
        assert_eq!((pair[1].number, pair[1].parent), (pair[0].number + 1, Some(pair[0].number)));
        assert!(pair[1].applied >= pair[0].applied && pair[1].epoch >= pair[0].epoch);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_conserved_in_all_reports_whatever_happens() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = open(dir.path(), small()).await;
    create(&database, DIM, Metric::L2).await;
    let mut rng = rng(11);
    for step in 0..40 {
        let docs = database.collection("docs").unwrap();
        let first = rng.random_range(0..4_000);
        match rng.random_range(0..8) {
            0..=2 => drop(docs.insert(batch(&rows(first, 400, step), DIM)).await.unwrap()),
            3 => drop(docs.insert_stream(stream(vec![batch(&rows(first, 2_100, step), DIM)])).await.unwrap()),
            4 => {
                let ids: Vec<_> = (first..first + 300).map(VectorId::from_i64).collect();
                docs.delete(&ids).await.unwrap();
            }
            5 => docs.flush().await.unwrap(),
            6 => docs.compact().await.unwrap(),
            _ => {
                drop((docs, database));
                database = open(dir.path(), small()).await;
            }
        }
        let docs = database.collection("docs").unwrap();
        assert_they_add_up(&docs, &format!("step {step}"));
        assert_is_chain(&docs.manifest_reports().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_manifest_has_what_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), Settings { maintenance: false, ..small() }).await;
    let docs = create(&database, DIM, Metric::L2).await;
    let first = docs.manifest_reports().await.unwrap();
    assert_eq!((first[0].number, first[0].parent, first[0].segments, first[0].rows), (1, None, 0, 0));
    docs.insert(batch(&rows(0, 600, 1), DIM)).await.unwrap();
    docs.flush().await.unwrap();
    docs.delete(&(0..100).map(VectorId::from_i64).collect::<Vec<_>>()).await.unwrap();
    docs.flush().await.unwrap();
    let manifests = docs.manifest_reports().await.unwrap();
    assert_is_chain(&manifests);
    let (newest, status) = (manifests.last().unwrap(), docs.status());
    assert_eq!((newest.rows, newest.dead, newest.segments), (500, 100, 1));
    assert_eq!((newest.bytes, newest.applied), (status.segment_bytes, status.seq));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_can_be_read_while_others_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), Settings { manifests_kept: 1, ..small() }).await;
    let docs = create(&database, DIM, Metric::L2).await;
    let written = docs.clone();
    let writer = tokio::spawn(async move {
        for step in 0..60 {
            written.insert(batch(&rows(step * 10, 10, step as u64), DIM)).await.unwrap();
            written.flush().await.unwrap();
        }
    });
    while !writer.is_finished() {
        assert_is_chain(&docs.manifest_reports().await.unwrap());
    }
    writer.await.unwrap();
    assert_is_chain(&docs.manifest_reports().await.unwrap());
}
