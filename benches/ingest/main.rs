//! Rows that come in small batches, each durable and searchable at once; then, likewise, new ones while
//! the oldest are deleted.
//!
//! ```text
//! cargo bench --workspace --bench ingest -- --name fashion --base BASE.parquet --query QUERY.parquet --peer VENV/bin/python
//! ```
//! **Phases.** `insert`: all rows of the file in batches of 1,000. `replace`: the same vectors under new
//! keys; after each batch as many of the oldest rows are deleted by key, until none of the first is left.
//! A phase is told in rows inserted per second until the last batch is acknowledged; until, as well, L0 is
//! flushed and maintenance is quiet, which waits five seconds for more rows before it tidies up; and per
//! second of processor time, of all threads, all that maintenance included.
//!
//! **Runs.** `alone`: nobody searches. `searched`: one client searches without pause; its p99 stands
//! beside the one it sees when all is quiet, and how often its thread had to wait for anything: every lock
//! wait is one of these. With `--peer` hnswlib gets the same batches on one thread right after
//! (`benches/peers_ingest.py`); it makes nothing durable.

mod flow;
mod searcher;

use std::{ffi::OsString, path::PathBuf, time::Instant};

use clap::Parser;
use drift_benches::{
    ask::Latencies,
    data::Rows,
    machine::cpu_s,
    peer::hnswlib,
    quiet,
    record::{Record, Recording},
    table,
};
use drift_engine::{CollectionSpec, Database, Result, Settings};
use flow::Phase;
use searcher::{Searcher, Seen, quiet_latencies};

#[derive(Parser)]
struct Args {
    /// What the record calls the set.
    #[arg(long)]
    name: String,
    /// Rows: a Parquet file with a column of vectors.
    #[arg(long)]
    base: PathBuf,
    /// Query vectors.
    #[arg(long)]
    query: PathBuf,
    /// Rows per batch.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// L0 is flushed at so many bytes of vectors and codes, in MB; unset: as by default.
    #[arg(long)]
    memtable_mb: Option<usize>,
    /// Python with numpy, pyarrow and hnswlib.
    #[arg(long)]
    peer: Option<PathBuf>,
    #[command(flatten)]
    recording: Recording,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = Rows::read(&args.base);
    rows.truncate(rows.len() / args.batch * args.batch); // whole batches
    let queries = Rows::read(&args.query);
    let mut report = Report::new(&args);
    run("alone", &rows, &queries, &args, &mut report).await?;
    run("searched", &rows, &queries, &args, &mut report).await?;
    if let Some(python) = &args.peer {
        let mut peer_args: Vec<OsString> = vec!["--base".into(), args.base.clone().into()];
        peer_args.extend(["--batch".into(), args.batch.to_string().into()]);
        let peer = hnswlib(python, "peers_ingest.py", peer_args);
        for phase in Phase::ALL {
            let name = phase.name();
            let figure = format!("{name}_rows_per_s");
            let theirs = peer.get(&figure).copied().unwrap_or(f64::NAN);
            report.put("hnswlib", &figure, theirs);
            for of in ["rows_per_s", "quiet_rows_per_s", "rows_per_cpu_s"] {
                let ours = report.get(&format!("{name}_{of}"));
                report.put("alone", &format!("{name}_{of} over hnswlib"), ours / theirs);
            }
        }
    }
    args.recording.append(&report.record);
    Ok(())
}

/// Both phases in a collection of its own.
async fn run(name: &'static str, rows: &Rows, queries: &Rows, args: &Args, report: &mut Report<'_>) -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut settings = Settings::default();
    settings.memtable_bytes_max = args.memtable_mb.map_or(settings.memtable_bytes_max, |mb| mb << 20);
    let database = Database::open(dir.path().to_str().expect("a plain path"), settings).await?;
    let collection = database.create_collection("ingest", CollectionSpec::new(table::schema(rows.dim))).await?;
    for phase in Phase::ALL {
        let searcher = (name == "searched").then(|| Searcher::start(&collection, queries));
        let (tended, cpu) = (collection.maintenance_totals().maintenance_cpu, cpu_s());
        let written = flow::write(&collection, rows, args.batch, phase).await?;
        let seen = searcher.map(Searcher::stop).transpose()?;
        let start = Instant::now();
        collection.flush().await?;
        let quiet = written + start.elapsed() + quiet::rest(&collection).await;
        let of_maintenance = (collection.maintenance_totals().maintenance_cpu - tended).as_secs_f64();
        let mut put = |figure: &str, value: f64| report.put(name, &format!("{}_{figure}", phase.name()), value);
        let count = rows.len() as f64;
        put("rows_per_s", count / written.as_secs_f64());
        put("quiet_rows_per_s", count / quiet.as_secs_f64());
        put("maintenance_cpu_us_per_row", of_maintenance * 1e6 / count);
        match seen {
            None => put("rows_per_cpu_s", count / (cpu_s() - cpu)),
            Some(busy) => put_seen(&busy, &quiet_latencies(&collection, queries).await?, put),
        }
    }
    database.close().await
}

/// What a client saw while rows came, and when all was still.
fn put_seen(busy: &Seen, still: &Latencies, mut put: impl FnMut(&str, f64)) {
    for (when, latencies) in [("busy", &busy.latencies), ("still", still)] {
        put(&format!("{when}_p50_us"), latencies.at_us(0.5));
        put(&format!("{when}_p99_us"), latencies.at_us(0.99));
    }
    put("p99 busy over still", busy.latencies.at_us(0.99) / still.at_us(0.99));
    let queries = busy.latencies.0.len() as f64;
    put("busy_queries", queries);
    put("busy_waits_per_1000", 1e3 * busy.switches.waits / queries);
    put("busy_preempted_per_1000", 1e3 * busy.switches.preempted / queries);
}

/// Figures to the screen and into the record.
struct Report<'a> {
    set: &'a str,
    tag: String,
    alone: Vec<(String, f64)>,
    record: Record,
}

impl<'a> Report<'a> {
    fn new(args: &'a Args) -> Self {
        let record = Record::new("date machine commit,set,run,figure,value");
        Self { set: &args.name, tag: args.recording.tag(), alone: Vec::new(), record }
    }

    fn put(&mut self, run: &str, figure: &str, value: f64) {
        println!("{}, {run}: {figure} {value:.1}", self.set);
        self.record.put(&[&self.tag, self.set, run, figure], value);
        if run == "alone" {
            self.alone.push((figure.to_owned(), value));
        }
    }

    /// Of the run that nobody searched; NaN if there is none.
    fn get(&self, figure: &str) -> f64 {
        self.alone.iter().find(|(name, _)| name == figure).map_or(f64::NAN, |(_, value)| *value)
    }
}
