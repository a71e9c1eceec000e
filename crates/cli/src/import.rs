//! `drift import`: Parquet files into a collection, as one statement.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    time::Instant,
};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use clap::Args;
use drift_engine::{BatchStream, Collection, CollectionSpec, Database, ErrorKind};
use drift_types::Metric;
use futures::StreamExt;
use indicatif::ProgressBar;
use parquet::{
    arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    file::reader::ChunkReader,
};

use crate::{
    error::{Error, Result},
    place::{self, Db},
    progress::{rows_bar, thousands},
};

/// Rows read at a time.
const BATCH_ROWS: usize = 8_192;
/// Batches read ahead of the engine.
const BATCHES_AHEAD: usize = 4;

/// Import Parquet files into a collection, which is made when there is none.
///
/// The vector column, its dimension and the key (a column `id` of integers) are found by
/// themselves. All files become visible at once, or none does.
#[derive(Args)]
pub(crate) struct Import {
    /// Parquet files with the same columns.
    #[arg(required = true, value_name = "FILE.parquet")]
    files: Vec<PathBuf>,
    /// The collection.
    #[arg(long, short)]
    table: String,
    #[command(flatten)]
    place: Db,
    /// How vectors are compared: l2, cosine or inner_product. For a new collection; l2 if not given.
    #[arg(long)]
    metric: Option<Metric>,
    /// The key column. For a new collection.
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// The vector column. For a new collection.
    #[arg(long, value_name = "COLUMN")]
    vector: Option<String>,
}

impl Import {
    pub async fn run(self) -> Result<()> {
        let files = self.files.iter().map(|path| Source::open(path)).collect::<Result<Vec<_>>>()?;
        let db = place::open(&self.place.db).await?;
        let (collection, is_new) = self.collection(&db, &files[0].schema).await?;
        let outcome = import(&collection, files).await;
        if outcome.is_err() && is_new {
            // What did not get its rows should not stay: the next try may want other columns.
            db.drop_collection(&self.table).await?;
        }
        let report = outcome?;
        println!("imported {report}");
        println!("{}", figures(&collection));
        db.close().await?;
        Ok(())
    }

    /// The collection, and whether it was made here.
    async fn collection(&self, db: &Database, schema: &SchemaRef) -> Result<(Collection, bool)> {
        match db.collection(&self.table) {
            Ok(collection) => {
                self.check_agrees(&collection)?;
                Ok((collection, false))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let metric = self.metric.unwrap_or_default();
                let (key, vector) = (self.key.clone(), self.vector.clone());
                let spec = CollectionSpec { key, vector, metric, ..CollectionSpec::new(schema.clone()) };
                Ok((db.create_collection(&self.table, spec).await?, true))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Refuses options that an existing collection contradicts.
    fn check_agrees(&self, collection: &Collection) -> Result<()> {
        let schema = collection.schema();
        let differs = |option: &str, is: &str| {
            Error::invalid(format!(
                "'{}' exists already with {option} {is}: leave --{option} out, or import into another table",
                self.table
            ))
        };
        if self.metric.is_some_and(|metric| metric != schema.metric) {
            return Err(differs("metric", schema.metric.name()));
        }
        if self.key.as_deref().is_some_and(|key| Some(key) != schema.key_name()) {
            return Err(differs("key", schema.key_name().unwrap_or("generated")));
        }
        if self.vector.as_deref().is_some_and(|vector| vector != schema.vector_name()) {
            return Err(differs("vector", schema.vector_name()));
        }
        Ok(())
    }
}

/// Parquet data that was found to be such.
pub(crate) struct Source {
    name: String,
    pub schema: SchemaRef,
    rows: u64,
    batches: ParquetRecordBatchReader,
}

impl Source {
    /// The Parquet file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or is no Parquet.
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
        Self::new(path.display().to_string(), file)
    }

    /// Parquet from anywhere; `name` is for messages.
    pub fn new(name: impl Into<String>, data: impl ChunkReader + 'static) -> Result<Self> {
        let name = name.into();
        let unreadable = |e| Error::invalid(format!("{name}: {e}; is it a Parquet file?"));
        let builder = ParquetRecordBatchReaderBuilder::try_new(data).map_err(unreadable)?;
        let rows = builder.metadata().file_metadata().num_rows().max(0) as u64;
        let schema = builder.schema().clone();
        let batches = builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
        Ok(Self { name, schema, rows, batches })
    }

    /// All rows, in memory.
    pub fn read(self) -> Result<RecordBatch> {
        let damaged = |e| Error::invalid(format!("{}: {e}", self.name));
        let batches = self.batches.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        concat_batches(&self.schema, &batches).map_err(damaged)
    }
}

/// How an import went.
pub(crate) struct Report {
    rows: u64,
    seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = (self.rows as f64 / self.seconds.max(1e-9)) as u64;
        write!(f, "{} rows in {:.2} s, {} rows/s", thousands(self.rows), self.seconds, thousands(rate))
    }
}

/// Inserts all rows of all files as one statement, with a progress bar.
///
/// # Errors
/// Those of the engine and of damaged files; nothing is inserted then.
pub(crate) async fn import(collection: &Collection, files: Vec<Source>) -> Result<Report> {
    let bar = rows_bar(files.iter().map(|file| file.rows).sum(), "importing");
    let start = Instant::now();
    let ack = collection.insert_stream(read(files, bar.clone())).await;
    bar.finish_and_clear();
    Ok(Report { rows: ack?.rows, seconds: start.elapsed().as_secs_f64() })
}

/// The rows of all files, read by a thread of their own: decoding Parquet is work, not waiting.
fn read(files: Vec<Source>, bar: ProgressBar) -> BatchStream {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(BATCHES_AHEAD);
    tokio::task::spawn_blocking(move || {
        for Source { name, batches, .. } in files {
            for batch in batches {
                let batch = batch.map_err(|e| drift_engine::Error::invalid(format!("{name}: {e}")));
                bar.inc(batch.as_ref().map_or(0, |batch| batch.num_rows() as u64));
                // Nobody receives: the statement failed, and says why itself.
                if sender.blocking_send(batch).is_err() {
                    return;
                }
            }
        }
    });
    futures::stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
}

/// A collection in one line.
pub(crate) fn figures(collection: &Collection) -> String {
    let (status, schema) = (collection.status(), collection.schema());
    format!(
        "'{}' holds {} rows x {} ({}): {} rows in L0, the rest in {} buckets of {} segment{}",
        collection.name(),
        thousands(status.rows),
        schema.dim.unwrap_or(0),
        schema.metric,
        thousands(status.l0_rows),
        thousands(status.buckets as u64),
        status.segments,
        if status.segments == 1 { "" } else { "s" },
    )
}
