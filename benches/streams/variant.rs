//! The same stream in different ways: driven step by step, or built anew after each step.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use drift_benches::{
    ask::{Asked, quantile},
    machine,
    stream::Stream,
    sweep::{Point, cost_at},
};
use drift_engine::{Collection, CollectionSpec, Database, MaintenanceTotals, Result, SearchRequest, Settings};
use futures::StreamExt;

use crate::{
    args::Args,
    drive::{Driven, Pace, Truth, ask_step, drive, live_batches, request, schema},
    report::Report,
};

/// Recalls asked, to find the cost at a measured one.
const ASKED: [f32; 7] = [0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995];
/// Recalls at which costs are told.
const EQUAL_RECALL: [(f64, &str); 2] = [(0.95, "95"), (0.99, "99")];
/// Dead rows count as cleaned away when no more than this share of the rows stored is dead.
const DEAD_SHARE: f64 = 0.05;
/// Waits end after so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maintenance counts as done when it has written nothing for so long.
const STILL: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(20);

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

/// Drives a collection through the stream: `drift` as it is by default, `off` without maintenance.
pub async fn driven(
    name: &'static str,
    stream: &Arc<Stream>,
    truths: &[Truth],
    args: &Args,
    report: &mut Report<'_>,
) -> Result<()> {
    let is_tended = name == "drift";
    let rss_before = machine::rss_mb();
    let home = Home::open(stream, args.settings(is_tended)).await?;
    let collection = &home.collection;
    let pace = Pace {
        batch: Duration::from_secs_f64(args.run.stream_s / inserts(stream) as f64),
        query: Duration::from_millis(args.run.busy_ms),
    };
    for (step, truth) in truths.iter().enumerate() {
        let before = collection.maintenance_totals();
        let driven = drive(collection, stream, step, pace).await?;
        let is_cleaned = is_tended && stream.steps[step].only_deletes();
        let cleaning = is_cleaned.then(|| tokio::spawn(cleaned(collection.clone())));
        if is_tended {
            report.step("drift+L0", step, home.measure(stream, step, truth).await?);
        }
        collection.flush().await?;
        let mut measured = home.measure(stream, step, truth).await?;
        let figures = &mut measured.figures;
        let mut wall_s = driven.wall.as_secs_f64();
        if let Some(cleaning) = cleaning {
            let clean_after = cleaning.await.expect("polling does not panic");
            wall_s += clean_after.min(PATIENCE.as_secs_f64());
            figures.put("cleaned_s", clean_after);
        }
        put_flow(figures, stream, step, &driven);
        put_amplification(figures, collection.maintenance_totals());
        put_cpu(figures, before, collection.maintenance_totals(), wall_s);
        figures.put("rss_mb", machine::rss_mb() - rss_before);
        if is_tended && args.is_swept(step, truths.len()) {
            sweep_recall(&home, stream, step, truth, figures).await?;
            sweep_nprobe(&home, stream, step, truth, figures).await?;
        }
        report.step(name, step, measured);
    }
    if is_tended {
        rest(collection).await;
        let (last, truth) = (truths.len() - 1, truths.last().expect("a stream has a step"));
        let mut measured = home.measure(stream, last, truth).await?;
        put_amplification(&mut measured.figures, collection.maintenance_totals());
        sweep_recall(&home, stream, last, truth, &mut measured.figures).await?;
        report.step("rested", last, measured);
    }
    home.database.close().await
}

/// After each step the live rows, loaded at once into a new collection.
pub async fn fresh(stream: &Arc<Stream>, truths: &[Truth], args: &Args, report: &mut Report<'_>) -> Result<()> {
    for (step, truth) in truths.iter().enumerate() {
        let home = Home::open(stream, Settings { bulk_rows_min: 1, ..args.settings(true) }).await?;
        let batches = live_batches(stream, &truth.live);
        let start = Instant::now();
        let loaded = home.collection.insert_stream(futures::stream::iter(batches.into_iter().map(Ok)).boxed()).await?;
        let load = start.elapsed();
        let mut measured = home.measure(stream, step, truth).await?;
        measured.figures.put("insert_rows_per_s", loaded.rows as f64 / load.as_secs_f64());
        if args.is_swept(step, truths.len()) {
            sweep_recall(&home, stream, step, truth, &mut measured.figures).await?;
        }
        report.step("fresh", step, measured);
        home.database.close().await?;
    }
    Ok(())
}

/// A database of its own, in a directory that goes with it.
struct Home {
    dir: tempfile::TempDir,
    database: Database,
    collection: Collection,
}

impl Home {
    async fn open(stream: &Stream, settings: Settings) -> Result<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = Database::open(dir.path().to_str().expect("a plain path"), settings).await?;
        let spec = CollectionSpec::new(schema(stream.rows.dim));
        let collection = database.create_collection("stream", spec).await?;
        Ok(Self { dir, database, collection })
    }

    async fn measure(&self, stream: &Stream, step: usize, truth: &Truth) -> Result<Measured> {
        let status = self.collection.status();
        let asked = ask_step(&self.collection, stream, &stream.steps[step], truth, &request()).await?;
        let mut figures = Figures::default();
        put_asked(&mut figures, &asked);
        figures.put("live_rows", status.rows as f64);
        figures.put("dead_rows", status.dead_rows as f64);
        figures.put("segments", status.segments as f64);
        figures.put("buckets", status.buckets as f64);
        let raw_mb = status.rows as f64 * 4e-6 * stream.rows.dim as f64;
        figures.put("disk_over_raw", machine::disk_mb(self.path()) / raw_mb);
        Ok(Measured { figures, recalls: asked.recalls })
    }

    fn path(&self) -> &Path {
        self.dir.path()
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

fn put_flow(figures: &mut Figures, stream: &Stream, step: usize, driven: &Driven) {
    let per_s = |rows: usize, time: Duration| rows as f64 / time.as_secs_f64();
    let step = &stream.steps[step];
    figures.put("insert_rows_per_s", per_s(step.inserts(), driven.inserting));
    figures.put("delete_rows_per_s", per_s(step.deletes(), driven.deleting));
    figures.put("busy_p50_us", driven.busy.at_us(0.5));
    figures.put("busy_p99_us", driven.busy.at_us(0.99));
}

/// Bytes that maintenance moved since the beginning, by those of the vectors ingested.
fn put_amplification(figures: &mut Figures, totals: MaintenanceTotals) {
    figures.put("write_amplification", totals.bytes_written as f64 / totals.bytes_ingested as f64);
    figures.put("read_amplification", totals.bytes_read as f64 / totals.bytes_ingested as f64);
}

/// CPU time of maintenance in a step, and as a share of what all cores had while the step went on.
fn put_cpu(figures: &mut Figures, before: MaintenanceTotals, after: MaintenanceTotals, wall_s: f64) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let tended_s = (after.maintenance_cpu - before.maintenance_cpu).as_secs_f64();
    let audited_s = (after.audit_cpu - before.audit_cpu).as_secs_f64();
    figures.put("cores_s", wall_s * cores);
    figures.put("maintenance_cpu_s", tended_s);
    figures.put("audit_cpu_s", audited_s);
    figures.put("maintenance_cpu_share", tended_s / (wall_s * cores));
}

/// Cost at equal recall by the stop rule.
async fn sweep_recall(home: &Home, stream: &Stream, step: usize, truth: &Truth, figures: &mut Figures) -> Result<()> {
    let mut all = Vec::new();
    for recall in ASKED {
        let request = SearchRequest { recall: Some(recall), ..request() };
        all.push(ask_step(&home.collection, stream, &stream.steps[step], truth, &request).await?);
    }
    put_equal_recall(figures, "", &all);
    Ok(())
}

/// Cost at equal recall by a fixed number of buckets.
async fn sweep_nprobe(home: &Home, stream: &Stream, step: usize, truth: &Truth, figures: &mut Figures) -> Result<()> {
    let mut all: Vec<Asked> = Vec::new();
    let mut nprobe = 1;
    while all.last().is_none_or(|asked| asked.recall() < 0.99) && nprobe < 2 * home.collection.status().buckets {
        let request = SearchRequest { nprobe: Some(nprobe), ..request() };
        all.push(ask_step(&home.collection, stream, &stream.steps[step], truth, &request).await?);
        nprobe *= 2;
    }
    put_equal_recall(figures, "nprobe_", &all);
    Ok(())
}

fn put_equal_recall(figures: &mut Figures, how: &str, all: &[Asked]) {
    for (recall, percent) in EQUAL_RECALL {
        let at = |cost: fn(&Asked) -> f64| {
            let points = all.iter().map(|asked| Point { recall: asked.recall(), cost: cost(asked) });
            cost_at(recall, points).unwrap_or(f64::NAN)
        };
        figures.put(format!("{how}rows_at_{percent}"), at(|asked| asked.rows));
        figures.put(format!("{how}us_at_{percent}"), at(|asked| asked.latencies.mean_us()));
    }
}

/// Seconds until dead rows are cleaned away; infinite if one has to wait too long.
async fn cleaned(collection: Collection) -> f64 {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let status = collection.status();
        let stored = (status.rows - status.l0_rows + status.dead_rows) as f64;
        if status.dead_rows as f64 <= DEAD_SHARE * stored {
            return start.elapsed().as_secs_f64();
        }
        tokio::time::sleep(POLL).await;
    }
    f64::INFINITY
}

/// Waits until maintenance has written nothing for a while.
async fn rest(collection: &Collection) {
    let (start, mut written) = (Instant::now(), (0, Instant::now()));
    while start.elapsed() < PATIENCE && written.1.elapsed() < STILL {
        let now = collection.maintenance_totals().bytes_written;
        if now != written.0 {
            written = (now, Instant::now());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How many inserts a stream has.
fn inserts(stream: &Stream) -> usize {
    stream.steps.iter().flat_map(|step| &step.batches).filter(|batch| !batch.insert.is_empty()).count()
}
