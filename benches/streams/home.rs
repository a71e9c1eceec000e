//! A collection in a place of its own, and what is measured of it.

use drift_benches::{
    ask::{Asked, quantile},
    machine,
    stream::Stream,
    table::schema,
};
use drift_engine::{Collection, CollectionSpec, Database, Result, Settings};

use crate::drive::{Truth, ask_step, request};

/// Figures by name, in order.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<(String, f64)>);

impl Figures {
    pub fn put(&mut self, name: impl Into<String>, value: f64) {
        self.0.push((name.into(), value));
    }

    /// NaN if there is none of that name.
    pub fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, value)| *value)
    }
}

/// A measurement after a step.
pub struct Measured {
    pub figures: Figures,
    /// Recall of each query.
    pub recalls: Vec<f64>,
}

/// A database of its own, in a directory that goes with it.
pub struct Home {
    dir: tempfile::TempDir,
    pub database: Database,
    pub collection: Collection,
}

impl Home {
    pub async fn open(stream: &Stream, settings: Settings) -> Result<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(dir.path().to_str().expect("a plain path"), settings).await?;
        let spec = CollectionSpec::new(schema(stream.rows.dim));
        let collection = database.create_collection("stream", spec).await?;
        Ok(Self { dir, database, collection })
    }

    /// Asks the queries of a step and looks at the collection.
    pub async fn measure(&self, stream: &Stream, step: usize, truth: &Truth) -> Result<Measured> {
        let status = self.collection.status();
        let asked = ask_step(&self.collection, stream, &stream.steps[step], truth, &request()).await?;
        let mut figures = Figures::default();
        put_asked(&mut figures, &asked);
        figures.put("live_rows", status.rows as f64);
        figures.put("dead_rows", status.dead_rows as f64);
        figures.put("segments", status.segments as f64);
        figures.put("buckets", status.buckets as f64);
        figures.put("cached_mb", self.database.cached_bytes() as f64 / 1e6);
        let raw_mb = status.rows as f64 * 4e-6 * stream.rows.dim as f64;
        figures.put("disk_over_raw", machine::disk_mb(self.dir.path()) / raw_mb);
        Ok(Measured { figures, recalls: asked.recalls })
    }
}

fn put_asked(figures: &mut Figures, asked: &Asked) {
    figures.put("recall", asked.recall());
    figures.put("recall_p5", quantile(asked.recalls.clone(), 0.05));
    figures.put("recall_predicted", asked.predicted);
    figures.put("rows_scanned", asked.rows);
    figures.put("l0_rows", asked.l0_rows);
    figures.put("rows_reranked", asked.reranked);
    figures.put("buckets_probed", asked.buckets);
    figures.put("mean_us", asked.latencies.mean_us());
    figures.put("p50_us", asked.latencies.at_us(0.5));
    figures.put("p99_us", asked.latencies.at_us(0.99));
}
