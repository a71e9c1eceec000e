//! Streams that drift, through the engine's own doors: recall, cost, latency and the price of
//! maintenance, step by step, beside an index without maintenance and one freshly built.
//!
//! ```text
//! cargo bench --workspace --bench streams -- commits --base BASE.parquet --query QUERY.parquet [--window 0.3]
//! cargo bench --workspace --bench streams -- classes --base fashion_mnist_base.parquet --query fashion_mnist_query.parquet
//! cargo bench --workspace --bench streams -- clusters --base BASE.parquet [--query QUERY.parquet]
//! cargo bench --workspace --bench streams -- churn
//! ```
//!
//! **Workloads.** `commits`: rows in the file's order, a tenth of them per step; after each the queries of
//! the same tenth of the query file. With a window only the newest share of all rows stays. `classes`: one
//! `label` after the other, in the end a random half of all rows deleted at once. `clusters`: the same
//! with labels from k-means and without the deletes. `churn`: see `drift_benches::stream`. Seeds are fixed.
//!
//! **A step.** Rows come in batches of 1,000, each durable and searchable when its insert returns, spread
//! evenly over `--stream-s` seconds in all, while one client asks a query every few milliseconds: the
//! latencies "busy". Then L0 is flushed, and one client asks the step's queries, one after the other,
//! k = 10, the key returned. The janitor does what it does. L0 holds fewer rows than by default, for the
//! streams are small.
//!
//! **Variants.** `drift`: with maintenance, as it is by default. `drift+L0`: the same right before the
//! flush. `rested`: the same after the last step, once maintenance has nothing left to do. `off`: without
//! maintenance. `fresh`: the rows that are live after the step, loaded at once into a new collection. Each
//! runs through the whole stream alone, so that no rest between the steps gives maintenance time it would
//! not have.
//!
//! **Figures.** Recall against exact answers; rows at the distance of the true k-th count alike. Latencies
//! suffer from whatever else the machine does; rows scanned and recalls do not. Cost at equal recall is
//! read off between several recalls asked (or numbers of buckets, `nprobe`), measured at some steps. Times
//! are compared at the end: `rested` and `fresh` are asked in turn, five times, the fastest answers count.

mod args;
mod deeds;
mod drive;
mod equal_recall;
mod export;
mod home;
mod report;
mod variant;
mod verdict;

use std::sync::Arc;

use args::{Args, Control};
use clap::Parser;
use drift_engine::Result;
use report::Report;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let stream = Arc::new(args.stream());
    let truths = drive::truths(&stream);
    if let Some(dir) = &args.run.export {
        export::export(dir, args.name(), &stream, &truths);
    }
    let mut report = Report::new(&args, &stream);
    let without = |control| args.run.without.contains(&control);
    let drift = variant::driven("drift", &stream, &truths, &args, &mut report).await?;
    if !without(Control::Off) {
        variant::driven("off", &stream, &truths, &args, &mut report).await?;
    }
    if !without(Control::Fresh) {
        let fresh = variant::fresh(&stream, &truths, &args, &mut report).await?;
        report.in_turn(&drift, &fresh).await?;
    }
    report.finish();
    Ok(())
}
