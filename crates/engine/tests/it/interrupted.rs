//! A flush that ends anywhere leaves nothing behind but files that nobody names.

use std::{future::poll_fn, path::Path, pin::pin, task::Poll, time::Duration};

use drift_engine::{CollectionSpec, verify};
use drift_types::Metric;

use crate::fixture::*;

const DIM: usize = 4;

fn rows(ids: std::ops::Range<i64>) -> Vec<Row> {
    ids.map(|id| (id, "row".to_owned(), vec![id as f32; DIM])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_cut_off_at_any_step_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    create(&database, DIM, Metric::L2).await;
    drop(database);
    let mut written = 0;
    for round in 0..40 {
        let database = open(dir.path(), small()).await;
        let docs = database.collection("docs").unwrap();
        assert_eq!(all_rows(&docs).await, rows(0..written));
        only_named_files_stay(dir.path()).await;

        docs.insert(batch(&rows(written..written + 50), DIM)).await.unwrap();
        written += 50;
        cut_off(docs.flush(), round % 13 + 1).await;
    }
}

/// A client that goes away ends its call anywhere; the database goes on.
#[tokio::test(flavor = "multi_thread")]
async fn calls_cut_off_at_any_step_leave_a_database_that_works() {
    let database = drift_engine::Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    for round in 0..60 {
        let (polls, first) = (round as usize % 20 + 1, 10_000 * round);
        docs.insert(batch(&rows(first..first + 50), DIM)).await.unwrap();
        cut_off(docs.flush(), polls).await;
        let load = docs.insert_stream(stream(vec![batch(&rows(first + 1_000..first + 3_500), DIM)]));
        cut_off(async { load.await.map(drop) }, polls).await;
        let other = format!("other{round}");
        let made = database.create_collection(&other, CollectionSpec::new(schema(DIM)));
        cut_off(async { made.await.map(drop) }, polls).await;
        if database.collection(&other).is_ok() {
            cut_off(database.drop_collection(&other), polls).await;
        }
    }
    docs.flush().await.unwrap();
    docs.compact().await.unwrap();
    let mut found = std::collections::BTreeMap::<i64, usize>::new();
    for (id, ..) in all_rows(&docs).await {
        *found.entry(id / 10_000 * 2 + i64::from(id % 10_000 >= 1_000)).or_default() += 1;
    }
    for round in 0..60 {
        assert_eq!(found.get(&(2 * round)), Some(&50), "round {round}");
        assert!(matches!(found.get(&(2 * round + 1)), None | Some(2_500)), "round {round}: {found:?}");
    }
    database.create_collection("last", CollectionSpec::new(schema(DIM))).await.unwrap();
    database.close().await.unwrap();
}

/// A compaction that runs right now, at low priority, has files that are not named yet; what a crash has left would
/// stay.
async fn only_named_files_stay(dir: &Path) {
    for _ in 0..3_000 {
        let found = verify(dir.to_str().unwrap(), &small(), &mut |_| {}).await.unwrap();
        assert_eq!(found.wrong().count(), 0, "{found:?}");
        if found.parts.iter().all(|part| part.unnamed_files == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("files that nothing names stay");
}

/// Polls `work` so often at most, then drops it.
async fn cut_off(work: impl Future<Output = drift_engine::Result<()>>, polls: usize) {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => {
            done.unwrap();
            Poll::Ready(())
        }
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(()) } else { Poll::Pending }
        }
    })
    .await
}
