//! A flush that ends anywhere leaves nothing behind but files that nobody names.

use std::{future::poll_fn, path::Path, pin::pin, task::Poll, time::Duration};

use drift_engine::verify;
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

/// A compaction that runs right now has files that are not named yet; what a crash has left would stay.
async fn only_named_files_stay(dir: &Path) {
    for _ in 0..200 {
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
