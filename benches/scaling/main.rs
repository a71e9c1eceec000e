//! How the cost of a search grows: with the rows, the dimension, k, the share of rows that a filter lets
//! through, and the number of clients.
//!
//! ```text
//! cargo bench --workspace --bench scaling -- --axes rows,dim,k,filter,clients --record FILE.csv
//! cargo bench --workspace --bench scaling -- --axes rows --rows 1000000 --peer VENV/bin/python
//! ```
//! Sets are generated (`drift_benches::clustered`), answers compared with exact ones. One value changes at
//! a time; the others are 200,000 rows, 128 dimensions, k = 10, no filter and one client, and .95 is
//! asked. Only keys are returned. Of three passes over the queries the fastest counts. `--peer` gives the
//! sets of `rows` to hnswlib as well, and prints how many times its queries per second Drift answers.

mod beside;
mod report;
mod set;

use std::{path::PathBuf, sync::Arc};

use clap::{Parser, ValueEnum};
use drift_benches::{record::Recording, share::Share};
use drift_engine::{Result, SearchRequest};
use report::Report;
use set::Set;

/// Recalls asked at each number of rows.
const ROWS_RECALLS: [f32; 2] = [0.95, 0.99];

#[derive(Parser)]
struct Args {
    /// What to vary.
    #[arg(long, value_delimiter = ',', default_value = "rows,dim,k,filter,clients")]
    axes: Vec<Axis>,
    /// Numbers of rows.
    #[arg(long, value_delimiter = ',', default_value = "20000,60000,200000,1000000")]
    rows: Vec<usize>,
    /// Dimensions...
    #[arg(long, value_delimiter = ',', default_value = "64,128,256,384,768,1536")]
    dim: Vec<usize>,
    /// ...of so many rows.
    #[arg(long, default_value_t = 50_000)]
    dim_rows: usize,
    /// Numbers of neighbours.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000")]
    k: Vec<usize>,
    /// Shares of the rows that match a filter.
    #[arg(long, value_delimiter = ',', default_value = "0.0001,0.001,0.01,0.1,0.5,1")]
    filter: Vec<f64>,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16")]
    clients: Vec<usize>,
    /// Rows where they do not vary.
    #[arg(long, default_value_t = 200_000)]
    base_rows: usize,
    /// Queries asked.
    #[arg(long, default_value_t = 400)]
    queries: usize,
    /// Python with numpy, pyarrow and hnswlib.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Threads of the peer's build.
    #[arg(long, default_value_t = 2)]
    peer_threads: usize,
    #[command(flatten)]
    recording: Recording,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Axis {
    Rows,
    Dim,
    K,
    Filter,
    Clients,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut report = Report::new(args.recording.tag());
    let is_asked = |axis| args.axes.contains(&axis);
    if is_asked(Axis::Rows) {
        for &rows in &args.rows {
            let set = Set::load(rows, 128, args.queries).await?;
            for recall in ROWS_RECALLS {
                let request = SearchRequest { recall: Some(recall), ..request(10) };
                let asked = set.fastest(&request, &set.truth(None, 10)).await?;
                report.asked("rows", rows as f64, recall, &asked);
            }
            report.put("rows", rows as f64, 0.95, "load_rows_per_s", set.load_rows_per_s);
            if let Some(python) = &args.peer {
                beside::hnswlib(&set, python, args.peer_threads, &mut report).await?;
            }
        }
    }
    if is_asked(Axis::Dim) {
        for &dim in &args.dim {
            let set = Set::load(args.dim_rows, dim, args.queries).await?;
            report.asked("dim", dim as f64, 0.95, &set.fastest(&request(10), &set.truth(None, 10)).await?);
            report.put("dim", dim as f64, 0.95, "load_rows_per_s", set.load_rows_per_s);
        }
    }
    if [Axis::K, Axis::Filter, Axis::Clients].into_iter().any(is_asked) {
        let set = Set::load(args.base_rows, 128, args.queries).await?;
        if is_asked(Axis::K) {
            vary_k(&set, &args.k, &mut report).await?;
        }
        if is_asked(Axis::Filter) {
            vary_filter(&set, &args.filter, &mut report).await?;
        }
        if is_asked(Axis::Clients) {
            vary_clients(&set, &args.clients, &mut report).await?;
        }
    }
    args.recording.append(&report.record);
    Ok(())
}

async fn vary_k(set: &Set, all: &[usize], report: &mut Report) -> Result<()> {
    for &k in all {
        report.asked("k", k as f64, 0.95, &set.fastest(&request(k), &set.truth(None, k)).await?);
    }
    Ok(())
}

async fn vary_filter(set: &Set, shares: &[f64], report: &mut Report) -> Result<()> {
    for &share in shares {
        let filter = Share::of(share);
        let request = SearchRequest { filter: Some(Arc::new(filter)), ..request(10) };
        report.asked("match", share, 0.95, &set.fastest(&request, &set.truth(Some(filter), 10)).await?);
    }
    Ok(())
}

async fn vary_clients(set: &Set, all: &[usize], report: &mut Report) -> Result<()> {
    let truth = set.truth(None, 10);
    for &clients in all {
        report.together(clients, &set.together(&request(10), &truth, clients).await?);
    }
    Ok(())
}

/// Keys of the `k` nearest, at the default recall of .95.
fn request(k: usize) -> SearchRequest {
    SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(vec![], k) }
}
