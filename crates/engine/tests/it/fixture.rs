use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use drift_engine::{
    BatchStream, Collection, CollectionSpec, Database, RowPredicate, ScanRequest, SearchRequest, Settings,
};
use drift_types::{Metric, VectorId};
use futures::{StreamExt, TryStreamExt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A row: key, text, vector.
pub type Row = (i64, String, Vec<f32>);

pub fn schema(dim: usize) -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("v", DataType::FixedSizeList(item, dim as i32), false),
    ]))
}

pub fn batch(rows: &[Row], dim: usize) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|r| r.0));
    let texts = StringArray::from_iter_values(rows.iter().map(|r| &r.1));
    let values = Float32Array::from_iter_values(rows.iter().flat_map(|r| r.2.iter().copied()));
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let vectors = FixedSizeListArray::new(item, dim as i32, Arc::new(values), None);
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(texts), Arc::new(vectors)];
    RecordBatch::try_new(schema(dim), columns).unwrap()
}

pub fn stream(batches: Vec<RecordBatch>) -> BatchStream {
    futures::stream::iter(batches.into_iter().map(Ok)).boxed()
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Vectors around a few centres, as embeddings lie.
pub fn clustered(n: usize, dim: usize, clusters: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> =
        (0..clusters).map(|_| (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
    let spread = |rng: &mut ChaCha8Rng| -> f32 { (0..4).map(|_| rng.random_range(-0.15..0.15f32)).sum() };
    (0..n).map(|_| centres[rng.random_range(0..clusters)].iter().map(|c| c + spread(rng)).collect()).collect()
}

pub fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
    let texts = batch.column_by_name("text").unwrap().as_string::<i32>();
    let vectors = batch.column_by_name("v").unwrap().as_fixed_size_list();
    (0..batch.num_rows())
        .map(|i| {
            (ids.value(i), texts.value(i).to_owned(), vectors.value(i).as_primitive::<Float32Type>().values().to_vec())
        })
        .collect()
}

/// The rows with some keys whose text is not `but`; it names the keys, unless it is told not to.
#[derive(Clone, Debug)]
pub struct KeyIn {
    pub keys: Vec<VectorId>,
    pub but: String,
    pub is_named: bool,
}

impl RowPredicate for KeyIn {
    fn columns(&self) -> &[usize] {
        &[0, 1]
    }

    fn eval(&self, batch: &RecordBatch) -> drift_engine::Result<BooleanBuffer> {
        let (ids, texts) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
        let rows = ids.values().iter().zip(texts);
        Ok(rows.map(|(id, text)| self.keys.contains(&VectorId::from_i64(*id)) && text != Some(&self.but)).collect())
    }

    fn keys(&self) -> Option<&[VectorId]> {
        self.is_named.then_some(&self.keys)
    }
}

/// All rows of a collection, by key.
pub async fn all_rows(collection: &Collection) -> Vec<Row> {
    scan(collection, ScanRequest::default()).await
}

/// The rows of a scan, by key.
pub async fn scan(collection: &Collection, request: ScanRequest) -> Vec<Row> {
    let batches: Vec<RecordBatch> = collection.scan(request).try_collect().await.unwrap();
    let mut rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
    rows.sort_by_key(|r| r.0);
    rows
}

/// The score users see, by the definition.
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    match metric {
        Metric::L2 => a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum(),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        Metric::InnerProduct => -dot(a, b),
    }
}

/// Keys and distances of a search.
pub async fn search(collection: &Collection, request: SearchRequest) -> Vec<(i64, f32)> {
    let found = collection.search(request).await.unwrap().batch;
    let ids = found.column_by_name("id").unwrap().as_primitive::<Int64Type>();
    let distances = found.column_by_name("_distance").unwrap().as_primitive::<Float32Type>();
    ids.values().iter().copied().zip(distances.values().iter().copied()).collect()
}

/// A small L0, so that tests flush often.
pub fn small() -> Settings {
    Settings { memtable_rows_max: 700, bulk_rows_min: 2_000, cache_bytes: 64 << 20, ..Settings::default() }
}

pub async fn open(dir: &std::path::Path, settings: Settings) -> Database {
    // The process before may take a moment to let go of the lock.
    for _ in 0..200 {
        match Database::open(dir.to_str().unwrap(), settings.clone()).await {
            Ok(database) => return database,
            Err(e) if e.kind() == drift_engine::ErrorKind::Unavailable => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(e) => panic!("{e}"),
        }
    }
    panic!("the database stays locked");
}

pub async fn create(database: &Database, dim: usize, metric: Metric) -> Collection {
    database.create_collection("docs", CollectionSpec::new(schema(dim)).with_metric(metric)).await.unwrap()
}
