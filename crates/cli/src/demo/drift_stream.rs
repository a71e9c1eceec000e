//! A seeded stream that drifts: clusters wander, die and are born, old rows are deleted.

use std::{ops::Range, sync::Arc};

use arrow_array::{FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use drift_engine::{Collection, CollectionSpec, Database};
use drift_types::VectorId;
use fastrand::Rng;

use super::{
    measure::{self, RECALL_ASKED},
    title,
};
use crate::{
    error::Result,
    progress::{rows_bar, thousands},
};

const DIM: usize = 64;
const CLUSTERS: usize = 40;
const BATCH_ROWS: usize = 2_000;
/// Batches alive at a time; with each further one the oldest is deleted.
const BATCHES_ALIVE: usize = 10;
/// Batches in all: enough to replace every row of the beginning.
const BATCHES: usize = 2 * BATCHES_ALIVE;
/// After how many batches to measure, and what has happened by then.
const MEASURED_AFTER: [(usize, &str); 3] =
    [(BATCHES_ALIVE, "before the drift"), (BATCHES_ALIVE * 3 / 2, "half replaced"), (BATCHES, "all replaced")];
const QUERIES: usize = 100;
/// Clusters that die, and are born elsewhere, between two batches.
const DEATHS: usize = 2;
/// How far a cluster wanders between two batches, against a spread of 1 around its centre.
const STEP: f32 = 0.3;
/// How far centres lie from the origin, in each dimension.
const REACH: f32 = 3.0;

/// Fills a collection, lets it drift until no row of the beginning is left, and measures on the way.
pub(crate) async fn show(db: &Database) -> Result<()> {
    title("Drift: a stream whose clusters wander, die and are born, until no row of the beginning is left");
    let collection = db.create_collection("stream", CollectionSpec::new(schema())).await?;
    let mut stream = Stream::new(0x5eed);
    let bar = rows_bar((BATCHES * BATCH_ROWS) as u64, "streaming");
    let mut report = Vec::new();
    for batch in 0..BATCHES {
        if batch >= BATCHES_ALIVE {
            stream.drift();
            collection.delete(&keys(batch - BATCHES_ALIVE).map(VectorId::from_i64).collect::<Vec<_>>()).await?;
        }
        collection.insert(stream.batch(batch)?).await?;
        collection.flush().await?;
        bar.inc(BATCH_ROWS as u64);
        if let Some((_, when)) = MEASURED_AFTER.iter().find(|(batches, _)| *batches == batch + 1) {
            report.push((when, measure(&collection, &mut stream).await?));
        }
    }
    bar.finish_and_clear();
    println!(
        "{:<18}{}",
        "",
        columns(["rows", "buckets", "recall asked", "measured", "rows scanned", "buckets probed"])
    );
    for (when, figures) in report {
        println!("{when:<18}{}", columns(figures.each_ref().map(String::as_str)));
    }
    println!("\nrecall@10 and the cost per query, means of {QUERIES} queries from where the clusters then are\n");
    Ok(())
}

/// The collection now, asked about where the clusters are now.
async fn measure(collection: &Collection, stream: &mut Stream) -> Result<[String; 6]> {
    let queries: Vec<_> = (0..QUERIES).map(|_| stream.vector()).collect();
    let measured = measure::recall_at_10(collection, &queries).await?;
    let status = collection.status();
    Ok([
        thousands(status.rows),
        thousands(status.buckets as u64),
        format!("{RECALL_ASKED:.3}"),
        format!("{:.3}", measured.recall),
        thousands(measured.rows_scanned as u64),
        format!("{:.1}", measured.buckets_probed),
    ])
}

fn columns(cells: [&str; 6]) -> String {
    cells.map(|cell| format!("{cell:>16}")).concat()
}

/// The keys of the `n`-th batch.
fn keys(n: usize) -> Range<i64> {
    let first = (n * BATCH_ROWS) as i64;
    first..first + BATCH_ROWS as i64
}

fn schema() -> SchemaRef {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("vector", DataType::FixedSizeList(item, DIM as i32), false),
    ]))
}

/// The source of vectors: a mixture of Gaussians whose centres change.
struct Stream {
    rng: Rng,
    centres: Vec<[f32; DIM]>,
}

impl Stream {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let centres = (0..CLUSTERS).map(|_| birth(&mut rng)).collect();
        Self { rng, centres }
    }

    fn drift(&mut self) {
        for centre in &mut self.centres {
            centre.iter_mut().for_each(|x| *x += STEP * normal(&mut self.rng));
        }
        for _ in 0..DEATHS {
            let victim = self.rng.usize(..CLUSTERS);
            self.centres[victim] = birth(&mut self.rng);
        }
    }

    fn vector(&mut self) -> Vec<f32> {
        let centre = self.centres[self.rng.usize(..CLUSTERS)];
        centre.iter().map(|x| x + normal(&mut self.rng)).collect()
    }

    /// The `n`-th batch.
    fn batch(&mut self, n: usize) -> Result<RecordBatch> {
        let ids = Int64Array::from_iter_values(keys(n));
        let values = Float32Array::from_iter_values((0..BATCH_ROWS).flat_map(|_| self.vector()));
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let vectors = FixedSizeListArray::new(item, DIM as i32, Arc::new(values), None);
        let columns = RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(vectors)]);
        Ok(columns.map_err(drift_engine::Error::from)?)
    }
}

fn birth(rng: &mut Rng) -> [f32; DIM] {
    std::array::from_fn(|_| REACH * normal(rng))
}

/// A standard normal number (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.f32()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.f32()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_repeats_itself_from_its_seed() {
        let vectors = |seed| {
            let mut stream = Stream::new(seed);
            stream.drift();
            stream.vector()
        };
        assert_eq!(vectors(1), vectors(1));
        assert_ne!(vectors(1), vectors(2));
    }
}
