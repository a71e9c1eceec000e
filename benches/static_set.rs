//! A fixed set, loaded and searched through the engine's own doors: rows per second, then recall
//! against exact ground truth, latency, queries per second, memory and disk.
//!
//! ```text
//! cargo bench --workspace --bench static -- --name commits \
//!     --base commits_dev_base.parquet --query commits_dev_query.parquet --truth commits_dev_gt100.parquet
//! ```
//! Appends its figures to `--record FILE` as CSV.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int32Type, Int64Type},
};
use arrow_schema::DataType;
use clap::Parser;
use drift_engine::{Collection, CollectionSpec, Database, Result, SearchRequest, Settings};
use drift_types::VectorId;
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

#[derive(Parser)]
struct Args {
    /// What the record calls the set.
    #[arg(long)]
    name: String,
    /// Rows: an `id` column and one of vectors.
    #[arg(long)]
    base: PathBuf,
    /// Query vectors.
    #[arg(long)]
    query: PathBuf,
    /// For each query the true neighbours' `ids`, nearest first.
    #[arg(long)]
    truth: PathBuf,
    /// Queries asked.
    #[arg(long, default_value_t = 1000)]
    queries: usize,
    /// Recalls asked for.
    #[arg(long, value_delimiter = ',', default_value = "0.9,0.95,0.99")]
    recall: Vec<f32>,
    /// CSV file to append to.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Machine and commit, for the record.
    #[arg(long, default_value = "")]
    tag: String,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let uri = dir.path().to_str().expect("a plain path").to_owned();
    let empty_rss = rss_mb();
    let database = Database::open(&uri, Settings::default()).await?;
    let base = read(&args.base);
    let raw_mb = base.iter().map(|b| b.num_rows() * dim(b) * 4).sum::<usize>() as f64 / 1e6;
    let mut record = Record { args: &args, lines: Vec::new() };

    let collection = database.create_collection("bench", CollectionSpec::new(base[0].schema())).await?;
    let start = Instant::now();
    let rows = collection.insert_stream(futures::stream::iter(base.into_iter().map(Ok)).boxed()).await?.rows;
    let load = start.elapsed();
    let status = collection.status();
    println!(
        "{}: {rows} rows loaded in {load:.2?}: {:.0} rows/s; {} buckets",
        args.name,
        rows as f64 / load.as_secs_f64(),
        status.buckets
    );
    record.put("load_rows_per_s", rows as f64 / load.as_secs_f64());
    record.put("disk_over_raw", disk_mb(dir.path()) / raw_mb);
    record.put("rss_over_raw_after_load", (rss_mb() - empty_rss) / raw_mb);
    println!("disk {:.0} MB, raw vectors {raw_mb:.0} MB, RSS {:.0} MB", disk_mb(dir.path()), rss_mb() - empty_rss);

    let queries = vectors(&read(&args.query), args.queries);
    let truth = truth(&read(&args.truth), args.queries);
    measure(&collection, &queries, &truth, SearchRequest { recall: Some(1.0), ..SearchRequest::new(vec![], 10) })
        .await?; // warm
    let default = measure(&collection, &queries, &truth, SearchRequest::new(vec![], 10)).await?;
    default.report("default", &mut record);
    for &recall in &args.recall {
        let request =
            SearchRequest { recall: Some(recall), projection: Some(vec![0]), ..SearchRequest::new(vec![], 10) };
        measure(&collection, &queries, &truth, request).await?.report(&format!("recall {recall}"), &mut record);
    }
    let hundred = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(vec![], 100) };
    measure(&collection, &queries, &truth, hundred).await?.report("k 100", &mut record);
    record.put("rss_over_raw_after_search", (rss_mb() - empty_rss) / raw_mb);

    drop(collection);
    database.close().await?;
    let start = Instant::now();
    let database = Database::open(&uri, Settings::default()).await?;
    let collection = database.collection("bench")?;
    collection.search(SearchRequest::new(queries[0].clone(), 10)).await?;
    println!("open and first answer after a restart: {:.1?}", start.elapsed());
    record.put("restart_to_first_answer_ms", start.elapsed().as_secs_f64() * 1e3);

    let gone: Vec<VectorId> = (0..rows as i64 / 2).map(|id| VectorId::from_i64(2 * id)).collect();
    let start = Instant::now();
    for chunk in gone.chunks(1000) {
        collection.delete(chunk).await?;
    }
    let per_s = gone.len() as f64 / start.elapsed().as_secs_f64();
    println!("deletes, 1,000 at a time, fsynced: {per_s:.0} rows/s");
    record.put("deletes_per_s", per_s);
    record.save();
    Ok(())
}

/// What a run of queries showed.
struct Measured {
    recall: f64,
    latencies: Vec<Duration>,
    buckets: f64,
    rows: f64,
    predicted: f64,
}

impl Measured {
    fn report(mut self, what: &str, record: &mut Record<'_>) {
        self.latencies.sort_unstable();
        let at = |share: f64| self.latencies[(share * (self.latencies.len() - 1) as f64) as usize].as_secs_f64() * 1e6;
        let total: Duration = self.latencies.iter().sum();
        let qps = self.latencies.len() as f64 / total.as_secs_f64();
        println!(
            "{what:>12}: recall {:.4} (predicted {:.3}), p50 {:.0} us, p99 {:.0} us, {qps:.0} QPS, {:.1} buckets, {:.0} rows scanned",
            self.recall,
            self.predicted,
            at(0.5),
            at(0.99),
            self.buckets,
            self.rows
        );
        for (figure, value) in [
            ("recall", self.recall),
            ("p50_us", at(0.5)),
            ("p99_us", at(0.99)),
            ("qps", qps),
            ("rows_scanned", self.rows),
        ] {
            record.put(&format!("{what} {figure}"), value);
        }
    }
}

/// Asks every query once, one after the other. A hit counts if it is no farther than the true k-th.
async fn measure(
    collection: &Collection,
    queries: &[Vec<f32>],
    truth: &[Vec<i64>],
    request: SearchRequest,
) -> Result<Measured> {
    let mut measured = Measured { recall: 0.0, latencies: Vec::new(), buckets: 0.0, rows: 0.0, predicted: 0.0 };
    let share = 1.0 / queries.len() as f64;
    for (query, truth) in queries.iter().zip(truth) {
        let start = Instant::now();
        let found = collection.search(SearchRequest { query: query.clone(), ..request.clone() }).await?;
        measured.latencies.push(start.elapsed());
        let ids = found.batch.column_by_name("id").expect("an id column").as_primitive::<Int64Type>();
        let hits = ids.values().iter().filter(|id| truth[..request.k].contains(id)).count();
        measured.recall += share * hits as f64 / request.k as f64;
        measured.buckets += share * found.stats.buckets_probed as f64;
        measured.rows += share * found.stats.rows_scanned as f64;
        measured.predicted += share * f64::from(found.stats.predicted_recall);
    }
    Ok(measured)
}

struct Record<'a> {
    args: &'a Args,
    lines: Vec<String>,
}

impl Record<'_> {
    fn put(&mut self, figure: &str, value: f64) {
        self.lines.push(format!("{},{},{figure},{value:.4}", self.args.tag, self.args.name));
    }

    fn save(self) {
        let Some(path) = &self.args.record else { return };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("the record can be written");
        for line in self.lines {
            writeln!(file, "{line}").expect("the record can be written");
        }
    }
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").with_batch_size(8192);
    reader.build().expect("a Parquet file").map(|batch| batch.expect("a readable batch")).collect()
}

fn vector_column(batch: &RecordBatch) -> &arrow_array::FixedSizeListArray {
    let column = batch.columns().iter().find(|c| matches!(c.data_type(), DataType::FixedSizeList(..)));
    column.expect("a column of vectors").as_fixed_size_list()
}

fn dim(batch: &RecordBatch) -> usize {
    vector_column(batch).value_length() as usize
}

fn vectors(batches: &[RecordBatch], most: usize) -> Vec<Vec<f32>> {
    let rows = batches.iter().flat_map(|batch| {
        let list = vector_column(batch);
        let values = arrow_cast::cast(list.values(), &DataType::Float32).expect("numbers");
        let values = values.as_primitive::<Float32Type>().values().to_vec();
        values.chunks(dim(batch)).map(<[f32]>::to_vec).collect::<Vec<_>>()
    });
    rows.take(most).collect()
}

fn truth(batches: &[RecordBatch], most: usize) -> Vec<Vec<i64>> {
    let rows = batches.iter().flat_map(|batch| {
        let list = batch.column_by_name("ids").expect("a column ids").as_fixed_size_list();
        let ids = list.values().as_primitive::<Int32Type>().values();
        ids.chunks(list.value_length() as usize)
            .map(|ids| ids.iter().map(|&id| i64::from(id)).collect())
            .collect::<Vec<_>>()
    });
    rows.take(most).collect()
}

fn rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1e3
}

/// Bytes of everything but the log, in MB.
fn disk_mb(dir: &Path) -> f64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_name() != "wal");
    let sizes = entries.map(|e| match e.metadata() {
        Ok(m) if m.is_dir() => disk_mb(&e.path()),
        Ok(m) => m.len() as f64 / 1e6,
        Err(_) => 0.0,
    });
    sizes.sum()
}
