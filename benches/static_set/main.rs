//! A fixed set, loaded and searched through the engine's own doors: rows per second, then recall
//! against exact ground truth, latency, queries per second, memory and disk.
//!
//! ```text
//! cargo bench --workspace --bench static -- --name commits \
//!     --base commits_dev_base.parquet --query commits_dev_query.parquet --truth commits_dev_gt100.parquet
//! ```
//! Appends its figures to `--record FILE` as CSV. With `--peer VENV/bin/python` hnswlib gets the same work
//! right after (`benches/peers_static.py`), and ratios to it are printed.

mod filtered;

use std::{collections::HashMap, path::PathBuf, time::Instant};

use clap::Parser;
use drift_benches::{
    ask::{Asked, ask, fastest},
    clients::ask_together,
    data::{Rows, batches, dim, neighbours},
    machine::{disk_mb, rss_mb},
    peer::hnswlib,
    record::{Record, Recording},
    sweep::{Point, cost_at},
};
use drift_engine::{Collection, CollectionSpec, Database, Result, SearchRequest, Settings};
use drift_types::VectorId;
use futures::StreamExt;

/// How often queries are asked where the fastest pass counts, as it does for the peer.
const PASSES: usize = 3;
/// How often each of several clients asks every query: what starting costs is then nothing beside it.
const CLIENT_PASSES: usize = 20;

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
    #[arg(long, value_delimiter = ',', default_value = "0.8,0.9,0.95,0.99,0.995")]
    recall: Vec<f32>,
    /// Python with numpy, pyarrow and hnswlib.
    #[arg(long)]
    peer: Option<PathBuf>,
    #[command(flatten)]
    recording: Recording,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let uri = dir.path().to_str().expect("a plain path").to_owned();
    let empty_rss = rss_mb();
    let database = Database::open(&uri, Settings::default()).await?;
    let base = batches(&args.base);
    let raw_mb = base.iter().map(|b| b.num_rows() * dim(b) * 4).sum::<usize>() as f64 / 1e6;
    let mut report =
        Report { args: &args, tag: args.recording.tag(), record: Record::new("date machine commit,set,figure,value") };

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
    report.put("load_rows_per_s", rows as f64 / load.as_secs_f64());
    report.put("disk_over_raw", disk_mb(dir.path()) / raw_mb);
    report.put("rss_over_raw_after_load", (rss_mb() - empty_rss) / raw_mb);
    println!("disk {:.0} MB, raw vectors {raw_mb:.0} MB, RSS {:.0} MB", disk_mb(dir.path()), rss_mb() - empty_rss);

    let mut queries = Rows::read(&args.query);
    queries.truncate(args.queries);
    let truth = neighbours(&batches(&args.truth));
    measure(&collection, &queries, &truth, SearchRequest { recall: Some(1.0), ..SearchRequest::new(vec![], 10) })
        .await?; // warm
    let default = measure(&collection, &queries, &truth, SearchRequest::new(vec![], 10)).await?;
    report.asked("default", &default);
    let key_only = SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(vec![], 10) };
    let mut curve = Vec::new();
    for &recall in &args.recall {
        let request = SearchRequest { recall: Some(recall), ..key_only.clone() };
        let asked = fastest(PASSES, &collection, &queries, &request, recall_of(&truth, request.k)).await?;
        report.asked(&format!("recall {recall}"), &asked);
        curve.push(Point { recall: asked.recall(), cost: asked.latencies.mean_us() });
    }
    let hundred = SearchRequest { k: 100, ..key_only.clone() };
    report.asked("k 100", &measure(&collection, &queries, &truth, hundred).await?);
    for share in [0.01, 0.1, 0.5] {
        let asked = filtered::among(&collection, &queries, share, key_only.clone()).await?;
        report.asked(&format!("{:.0} % match", share * 100.0), &asked);
    }
    let one = ask_together(&collection, &queries, &key_only, 1, CLIENT_PASSES).await?.queries_per_s();
    let two = ask_together(&collection, &queries, &key_only, 2, CLIENT_PASSES).await?.queries_per_s();
    println!("one client {one:.0} QPS, two {two:.0}: {:.2} times as many", two / one);
    report.put("two_clients_over_one", two / one);
    report.put("rss_over_raw_after_search", (rss_mb() - empty_rss) / raw_mb);
    println!("RSS {:.2} of the raw vectors, after all were read", (rss_mb() - empty_rss) / raw_mb);

    drop(collection);
    database.close().await?;
    let start = Instant::now();
    let database = Database::open(&uri, Settings::default()).await?;
    let collection = database.collection("bench")?;
    collection.search(SearchRequest::new(queries.view().row(0).to_vec(), 10)).await?;
    println!("open and first answer after a restart: {:.1?}", start.elapsed());
    report.put("restart_to_first_answer_ms", start.elapsed().as_secs_f64() * 1e3);

    let gone: Vec<VectorId> = (0..rows as i64 / 2).map(|id| VectorId::from_i64(2 * id)).collect();
    let start = Instant::now();
    for chunk in gone.chunks(1000) {
        collection.delete(chunk).await?;
    }
    let per_s = gone.len() as f64 / start.elapsed().as_secs_f64();
    println!("deletes, 1,000 at a time, fsynced: {per_s:.0} rows/s");
    report.put("deletes_per_s", per_s);
    if let Some(python) = &args.peer {
        let files = [("--base", &args.base), ("--query", &args.query), ("--truth", &args.truth)];
        let mut peer_args = vec!["--queries".into(), args.queries.to_string().into()];
        peer_args.extend(files.iter().flat_map(|(name, path)| [(*name).into(), path.as_os_str().to_owned()]));
        let peer = hnswlib(python, "peers_static.py", peer_args);
        report.beside(&peer, &curve, rows as f64 / load.as_secs_f64());
    }
    args.recording.append(&report.record);
    Ok(())
}

/// Asks every query once.
async fn measure(collection: &Collection, queries: &Rows, truth: &[Vec<i64>], request: SearchRequest) -> Result<Asked> {
    ask(collection, queries.view().iter(), &request, recall_of(truth, request.k)).await
}

/// Which share of the `k` nearest of a query are among the ids found.
fn recall_of(truth: &[Vec<i64>], k: usize) -> impl Fn(usize, &[i64]) -> f64 {
    move |query, found| found.iter().filter(|id| truth[query][..k].contains(id)).count() as f64 / k as f64
}

/// What of a set's figures goes where.
struct Report<'a> {
    args: &'a Args,
    tag: String,
    record: Record,
}

impl Report<'_> {
    fn put(&mut self, figure: &str, value: f64) {
        self.record.put(&[&self.tag, &self.args.name, figure], value);
    }

    /// How many times faster than hnswlib, at equal recall.
    fn beside(&mut self, peer: &HashMap<String, f64>, curve: &[Point], load_rows_per_s: f64) {
        let mut ratio = |of: &str, ours: Option<f64>, theirs: Option<&f64>| {
            if let Some((ours, theirs)) = ours.zip(theirs) {
                println!("{of} over hnswlib's: {:.2} ({ours:.0} / {theirs:.0})", ours / theirs);
                self.record.put(&[&self.tag, &self.args.name, &format!("{of} over hnswlib")], ours / theirs);
            }
        };
        ratio("rows loaded per s", Some(load_rows_per_s), peer.get("build_rows_per_s"));
        for (recall, name) in [(0.90, "qps_at_0.90"), (0.95, "qps_at_0.95"), (0.99, "qps_at_0.99")] {
            let mean_us = cost_at(recall, curve.iter().copied());
            ratio(&format!("QPS at recall {recall:.2}"), mean_us.map(|us| 1e6 / us), peer.get(name));
        }
    }

    fn asked(&mut self, what: &str, asked: &Asked) {
        let (p50, p99) = (asked.latencies.at_us(0.5), asked.latencies.at_us(0.99));
        let qps = 1e6 / asked.latencies.mean_us();
        println!(
            "{what:>12}: recall {:.4} (predicted {:.3}), p50 {p50:.0} us, p99 {p99:.0} us, {qps:.0} QPS, {:.1} buckets, {:.0} rows scanned, {:.1} reranked",
            asked.recall(),
            asked.predicted,
            asked.buckets,
            asked.rows,
            asked.reranked
        );
        for (figure, value) in
            [("recall", asked.recall()), ("p50_us", p50), ("p99_us", p99), ("qps", qps), ("rows_scanned", asked.rows)]
        {
            self.put(&format!("{what} {figure}"), value);
        }
    }
}
