//! Rows that come in small batches, each durable and searchable at once; then, likewise, new ones while
//! the oldest are deleted.
//!
//! ```text
//! cargo bench --workspace --bench ingest -- --name fashion --base BASE.parquet --query QUERY.parquet --peer VENV/bin/python
//! ```
//! **Phases.** `insert`: all rows of the file in batches of 1,000. `replace`: the same vectors under new
//! keys; after each batch as many of the oldest rows are deleted by key, until none of the first is left.
//! A phase is told in rows inserted per second, until the last batch is acknowledged, and until L0 is
//! flushed and maintenance is quiet as well.
//!
//! **Runs.** `alone`: nobody searches. `searched`: one client searches without pause; its p99 stands
//! beside the one it sees when all is quiet. With `--peer` hnswlib gets the same batches on one thread
//! right after (`benches/peers_ingest.py`); it makes nothing durable.

mod flow;
mod searcher;

use std::{ffi::OsString, path::PathBuf};

use clap::Parser;
use drift_benches::{
    data::Rows,
    peer::hnswlib,
    quiet,
    record::{Record, Recording},
    table,
};
use drift_engine::{CollectionSpec, Database, Result, Settings};
use flow::Phase;
use searcher::{Searcher, quiet_latencies};

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
            for until in ["", "quiet_"] {
                let ours = report.get(&format!("{name}_{until}rows_per_s"));
                report.put("alone", &format!("{name}_{until}rows_per_s over hnswlib"), ours / theirs);
            }
        }
    }
    args.recording.append(&report.record);
    Ok(())
}

/// Both phases in a collection of its own.
async fn run(name: &'static str, rows: &Rows, queries: &Rows, args: &Args, report: &mut Report<'_>) -> Result<()> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let database = Database::open(dir.path().to_str().expect("a plain path"), Settings::default()).await?;
    let collection = database.create_collection("ingest", CollectionSpec::new(table::schema(rows.dim))).await?;
    let is_searched = name == "searched";
    for phase in Phase::ALL {
        let searcher = is_searched.then(|| Searcher::start(&collection, queries));
        let written = flow::write(&collection, rows, args.batch, phase).await?;
        let busy = match searcher {
            Some(searcher) => Some(searcher.stop().await?),
            None => None,
        };
        let start = std::time::Instant::now();
        collection.flush().await?;
        let quiet = written + start.elapsed() + quiet::rest(&collection).await;
        let per_s = |time: std::time::Duration| rows.len() as f64 / time.as_secs_f64();
        report.put(name, &format!("{}_rows_per_s", phase.name()), per_s(written));
        report.put(name, &format!("{}_quiet_rows_per_s", phase.name()), per_s(quiet));
        if let Some(busy) = busy {
            let still = quiet_latencies(&collection, queries).await?;
            for (when, seen) in [("busy", &busy), ("still", &still)] {
                report.put(name, &format!("{}_{when}_p50_us", phase.name()), seen.at_us(0.5));
                report.put(name, &format!("{}_{when}_p99_us", phase.name()), seen.at_us(0.99));
            }
            report.put(name, &format!("{}_busy_queries", phase.name()), busy.0.len() as f64);
            let times = busy.at_us(0.99) / still.at_us(0.99);
            report.put(name, &format!("{}_p99 busy over still", phase.name()), times);
        }
    }
    database.close().await
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
