//! Shows that buckets' headers say what their rows are, whatever has happened to them.

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use drift_ivf::BucketHeader;
use drift_types::{Metric, VectorId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Action, Collection, CollectionSpec, Database, Settings, snapshot::Bucket};

const DIM: usize = 8;

fn batch(ids: Vec<i64>, rng: &mut ChaCha8Rng, at: f32) -> RecordBatch {
    // The centre wanders, so that buckets drift, grow and are left behind.
    let values = ids.iter().flat_map(|_| {
        let cluster = rng.random_range(0..6) as f32;
        (0..DIM).map(|d| (at + cluster * d as f32).sin() + rng.random_range(-0.3..0.3)).collect::<Vec<f32>>()
    });
    let values: Vec<f32> = values.collect();
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let vectors = FixedSizeListArray::new(item, DIM as i32, Arc::new(Float32Array::from(values)), None);
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(Int64Array::from(ids))), ("v", Arc::new(vectors))];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The header of the rows that a bucket's header counts: those that had not died by the last commit.
async fn counted_anew(
    collection: &Collection,
    bucket: &Bucket,
    segments: &[crate::snapshot::SegmentView],
) -> BucketHeader {
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for run in &bucket.runs {
        let view = &segments[run.segment as usize];
        let (exact, entry) = (view.reader.exact(run.run).await.unwrap(), &view.reader.runs()[run.run as usize]);
        for ordinal in entry.ordinals().filter(|&ordinal| !view.counted.contains(ordinal)) {
            let row = (ordinal - entry.first_row) as usize;
            rows.push(exact.row(row).iter().map(|x| x * exact.inv_norm(row)).collect());
        }
    }
    assert!(!rows.is_empty(), "a bucket of {} without rows", collection.name());
    BucketHeader::from_rows(DIM, rows.iter().map(|row| &row[..]))
}

async fn check(collection: &Collection) {
    let snapshot = collection.shared.snapshot.load();
    for bucket in &snapshot.level1.buckets {
        let (told, found) = (&bucket.header, counted_anew(collection, bucket, &snapshot.segments).await);
        let stored: u32 = bucket
            .runs
            .iter()
            .map(|run| snapshot.segments[run.segment as usize].reader.runs()[run.run as usize].rows)
            .sum();
        assert_eq!((told.n_live, told.n_dead), (found.n_live, stored - found.n_live), "bucket {}", bucket.id.0);
        let moved = drift_kernels::l2_sq(&told.mean(), &found.mean()).sqrt();
        assert!(moved < 1e-4, "bucket {}: its mean is off by {moved}", bucket.id.0);
        let (told, found) = (told.mean_sq_radius, found.mean_sq_radius);
        // Taking a hundred rows of squared norms around 8 away again leaves so much of f32's rounding.
        assert!((told - found).abs() <= 1e-3 * found + 1e-4, "bucket {}: s^2 {told} {found}", bucket.id.0);
    }
}

async fn run(metric: Metric, seed: u64) -> Vec<Action> {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().to_str().unwrap().to_owned();
    let settings = Settings { memtable_rows_max: 700, ..Settings::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut database = Database::open(&uri, settings.clone()).await.unwrap();
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let vector = DataType::FixedSizeList(item, DIM as i32);
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("v", vector, false)]);
    let spec = CollectionSpec { metric, ..CollectionSpec::new(Arc::new(schema)) };
    let mut collection = database.create_collection("docs", spec).await.unwrap();
    let mut next = 0i64;
    for step in 0..60 {
        match rng.random_range(0..10) {
            0..5 => {
                let n = rng.random_range(1..900);
                let replaced = (0..n / 10).map(|_| rng.random_range(0..next.max(1)));
                let mut ids: Vec<i64> = replaced.chain(next..next + n).collect();
                ids.sort_unstable();
                ids.dedup();
                next += n;
                collection.insert(batch(ids, &mut rng, step as f32 * 0.05)).await.unwrap();
            }
            5..7 => {
                // A range: whole neighbourhoods die, not only single rows.
                let first = rng.random_range(0..next.max(1));
                let gone: Vec<VectorId> = (first..first + next / 5).map(VectorId::from_i64).collect();
                collection.delete(&gone).await.unwrap();
            }
            7 => collection.flush().await.unwrap(),
            8 => collection.compact().await.unwrap(),
            _ => {
                drop(collection);
                database.close().await.unwrap();
                database = Database::open(&uri, settings.clone()).await.unwrap();
                collection = database.collection("docs").unwrap();
            }
        }
        check(&collection).await;
    }
    collection.events().iter().map(|event| event.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_what_the_rows_are() {
    let mut seen = Vec::new();
    for (metric, seed) in [(Metric::L2, 1), (Metric::L2, 2), (Metric::Cosine, 3), (Metric::InnerProduct, 4)] {
        seen.extend(run(metric, seed).await);
    }
    for action in [Action::Flush, Action::Split, Action::Steal, Action::Merge, Action::Recentre, Action::Rewrite] {
        assert!(seen.contains(&action), "no {} in these schedules", action.name());
    }
}
