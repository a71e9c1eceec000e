//! The same stream in different ways: driven step by step, or built anew after each step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use drift_benches::{machine, quiet::rest, stream::Stream};
use drift_engine::{Action, Collection, Event, MaintenanceTotals, Result, Settings};
use futures::StreamExt;

use crate::{
    args::Args,
    deeds::{print_buckets, print_deeds},
    drive::{Driven, Pace, Truth, drive, live_batches},
    equal_recall::{sweep_nprobe, sweep_recall},
    home::{Figures, Home},
    report::Report,
};

/// Dead rows count as cleaned away when no more than this share of the rows stored is dead.
const DEAD_SHARE: f64 = 0.05;
/// Waits end after so long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Drives a collection through the stream: `drift` as it is by default, `off` without maintenance.
pub async fn driven(
    name: &'static str,
    stream: &Arc<Stream>,
    truths: &[Truth],
    args: &Args,
    report: &mut Report<'_>,
) -> Result<Home> {
    let is_tended = name == "drift";
    let rss_before = machine::rss_mb();
    let home = Home::open(stream, args.settings(is_tended)).await?;
    let collection = &home.collection;
    let began = Instant::now();
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
        if is_tended {
            figures.put("rss_mb", machine::rss_mb() - rss_before); // later variants use memory again
        }
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
        put_actions(&mut measured.figures, &collection.events());
        let audited_s = collection.maintenance_totals().audit_cpu.as_secs_f64();
        measured.figures.put("audit_cpu_share", audited_s / (began.elapsed().as_secs_f64() * cores()));
        sweep_recall(&home, stream, last, truth, &mut measured.figures).await?;
        report.step("rested", last, measured);
        print_deeds(collection);
        print_buckets(name, collection);
    }
    Ok(home)
}

/// After each step the live rows, loaded at once into a new collection. Returns the last one.
pub async fn fresh(stream: &Arc<Stream>, truths: &[Truth], args: &Args, report: &mut Report<'_>) -> Result<Home> {
    let mut last = None;
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
        if step + 1 == truths.len() {
            print_buckets("fresh", &home.collection);
        }
        report.step("fresh", step, measured);
        last = Some(home);
    }
    Ok(last.expect("a stream has a step"))
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

/// What maintenance did, as far as it is remembered.
fn put_actions(figures: &mut Figures, events: &[Event]) {
    for action in Action::ALL {
        let count = events.iter().filter(|event| event.action == action).count();
        figures.put(format!("actions_{}", action.name()), count as f64);
    }
}

/// CPU time of maintenance in a step, and as a share of what all cores had while the step went on.
fn put_cpu(figures: &mut Figures, before: MaintenanceTotals, after: MaintenanceTotals, wall_s: f64) {
    let tended_s = (after.maintenance_cpu - before.maintenance_cpu).as_secs_f64();
    figures.put("cores_s", wall_s * cores());
    figures.put("maintenance_cpu_s", tended_s);
    figures.put("maintenance_cpu_share", tended_s / (wall_s * cores()));
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
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

/// How many inserts a stream has.
fn inserts(stream: &Stream) -> usize {
    stream.steps.iter().flat_map(|step| &step.batches).filter(|batch| !batch.insert.is_empty()).count()
}
