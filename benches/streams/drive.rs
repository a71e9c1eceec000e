//! One step of a stream, done to a collection.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use drift_benches::{
    ask::{Asked, Latencies, ask},
    stream::{Step, Stream},
    table::batch,
    truth,
};
use drift_engine::{Collection, Result, SearchRequest};
use drift_types::VectorId;
use tokio::time::MissedTickBehavior;

/// Neighbours asked for.
pub const K: usize = 10;

/// What is true after a step.
pub struct Truth {
    /// One flag per row.
    pub live: Vec<bool>,
    /// Of each of the step's queries the squared distance of its true k-th neighbour.
    pub kth: Vec<f32>,
}

/// After each step.
pub fn truths(stream: &Stream) -> Vec<Truth> {
    let mut live = vec![false; stream.rows.len()];
    let after = |step: &Step| {
        step.apply(&mut live);
        let queries = stream.queries.gather(&step.queries);
        Truth { kth: truth::kth_distances(stream.rows.view(), &live, queries.view(), K), live: live.clone() }
    };
    stream.steps.iter().map(after).collect()
}

/// Asks the queries of a step.
pub async fn ask_step(
    collection: &Collection,
    stream: &Stream,
    step: &Step,
    truth: &Truth,
    request: &SearchRequest,
) -> Result<Asked> {
    let query = |i: usize| stream.queries.view().row(step.queries[i] as usize);
    let recall = |i: usize, ids: &[i64]| truth::recall(stream.rows.view(), &truth.live, query(i), truth.kth[i], K, ids);
    ask(collection, (0..step.queries.len()).map(query), request, recall).await
}

/// The request that everything is measured with: K rows, their keys returned.
pub fn request() -> SearchRequest {
    SearchRequest { projection: Some(vec![0]), ..SearchRequest::new(vec![], K) }
}

/// How fast a stream comes and is asked meanwhile.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Between two inserts, at least; zero: none.
    pub batch: Duration,
    /// Between two queries; zero: none is asked.
    pub query: Duration,
}

/// What a step took.
#[derive(Default)]
pub struct Driven {
    /// Of the step, from its first batch to its last.
    pub wall: Duration,
    /// Within calls of insert.
    pub inserting: Duration,
    /// Within calls of delete.
    pub deleting: Duration,
    /// Of queries meanwhile.
    pub busy: Latencies,
}

/// Does to a collection what happens in a step.
pub async fn drive(collection: &Collection, stream: &Arc<Stream>, step: usize, pace: Pace) -> Result<Driven> {
    let mut driven = Driven::default();
    let over = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(ask_meanwhile(collection.clone(), stream.clone(), step, pace.query, over.clone()));
    let start = Instant::now();
    for (number, batch) in (0..).zip(&stream.steps[step].batches) {
        if !batch.insert.is_empty() {
            tokio::time::sleep_until((start + number * pace.batch).into()).await;
            let rows = batch_of(stream, batch.insert.clone());
            let called = Instant::now();
            collection.insert(rows).await?;
            driven.inserting += called.elapsed();
        }
        if !batch.delete.is_empty() {
            let ids: Vec<VectorId> = batch.delete.iter().map(|&row| VectorId::from_i64(i64::from(row))).collect();
            let called = Instant::now();
            collection.delete(&ids).await?;
            driven.deleting += called.elapsed();
        }
    }
    driven.wall = start.elapsed();
    over.store(true, Relaxed);
    driven.busy = asking.await.expect("a client does not panic")?;
    Ok(driven)
}

/// Asks the step's queries again and again until the step is over.
async fn ask_meanwhile(
    collection: Collection,
    stream: Arc<Stream>,
    step: usize,
    every: Duration,
    over: Arc<AtomicBool>,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    if every.is_zero() {
        return Ok(latencies);
    }
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut queries = stream.steps[step].queries.iter().cycle();
    while !over.load(Relaxed) {
        ticks.tick().await;
        let Some(&query) = queries.next() else { break };
        let request = SearchRequest { query: stream.queries.view().row(query as usize).to_vec(), ..request() };
        let start = Instant::now();
        collection.search(request).await?;
        latencies.0.push(start.elapsed());
    }
    Ok(latencies)
}

/// Consecutive rows as a batch.
fn batch_of(stream: &Stream, rows: Range<u32>) -> RecordBatch {
    let values = &stream.rows.data[rows.start as usize * stream.rows.dim..rows.end as usize * stream.rows.dim];
    batch(rows.map(i64::from).collect(), values.to_vec(), stream.rows.dim)
}

/// The live rows of a stream, in batches.
pub fn live_batches(stream: &Stream, live: &[bool]) -> Vec<RecordBatch> {
    let rows: Vec<u32> = (0..).zip(live).filter(|(_, live)| **live).map(|(row, _)| row).collect();
    let batch = |rows: &[u32]| {
        batch(rows.iter().map(|&r| i64::from(r)).collect(), stream.rows.gather(rows).data, stream.rows.dim)
    };
    rows.chunks(8_192).map(batch).collect()
}
