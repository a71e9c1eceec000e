//! DoExchange: query vectors stream in as record batches, neighbours stream out.
//!
//! What is the same for all queries of a stream, the collection, the options and the filter, is read
//! and checked once, from the descriptor. Then a batch of queries costs its searches and one round
//! trip: no SQL, no plan. Batches are answered one after the other, in their order; those that wait
//! stay in the transport, whose windows hold the client back. `docs/wire.md` is the client's side.

mod answer;
mod options;
mod queries;
mod search;
mod standing;

use std::{pin::Pin, sync::Arc};

use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use datafusion::prelude::SessionContext;
use drift_engine::Database;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::{Status, Streaming};

use self::{options::Options, queries::Queries, search::Tally, standing::StandingSearch};
use crate::decode;

/// How many neighbours are found before they are sent: what a stream holds in memory.
const HITS_PER_GROUP: usize = 1 << 16;

/// Answers the queries of a stream until it ends, or its client goes away.
///
/// # Errors
/// At once for a descriptor, a collection or a column that will not do; in the stream, as its end, for
/// whatever is wrong with a batch.
pub(crate) async fn exchange(
    db: &Database,
    ctx: &SessionContext,
    messages: Streaming<FlightData>,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
    let mut messages = messages.boxed().peekable();
    let descriptor = match Pin::new(&mut messages).peek().await {
        Some(Ok(data)) => data.flight_descriptor.clone().unwrap_or_default(),
        Some(Err(status)) => return Err(status.clone()),
        None => return Err(Status::invalid_argument("the stream ended before its descriptor")),
    };
    let search = StandingSearch::new(db.clone(), ctx.clone(), Options::read(&descriptor)?)?;
    let (schema, batches) = decode::open(messages).await?;
    queries::check(&schema)?;
    let head = FlightData::from(SchemaAsIpc::new(search.schema(), &IpcWriteOptions::default()));
    let mut search = Arc::new(search);
    let answers = batches.map(move |batch| {
        if let Some(renewed) = search.renewed()? {
            search = Arc::new(renewed);
        }
        Ok::<_, Status>(answer_to(search.clone(), Queries::read(&batch?)?))
    });
    Ok(stream::iter([Ok(head)]).chain(answers.try_flatten()).boxed())
}

/// How far the answer to one batch has come.
struct Progress {
    search: Arc<StandingSearch>,
    queries: Arc<Queries>,
    /// Queries answered.
    done: usize,
    tally: Tally,
}

/// The frames that answer one batch of queries; the last one bears the metadata.
fn answer_to(search: Arc<StandingSearch>, queries: Queries) -> BoxStream<'static, Result<FlightData, Status>> {
    let begin = Progress { search, queries: Arc::new(queries), done: 0, tally: Tally::default() };
    let groups = stream::try_unfold(Some(begin), next_group).boxed();
    groups.map_ok(|frames| stream::iter(frames).map(Ok)).try_flatten().boxed()
}

/// Searches for as many queries as fit into memory together.
async fn next_group(progress: Option<Progress>) -> Result<Option<(Vec<FlightData>, Option<Progress>)>, Status> {
    let Some(Progress { search, queries, done, mut tally }) = progress else {
        return Ok(None);
    };
    let group = done..queries.len().min(done + (HITS_PER_GROUP / search.k()).max(search::WORKERS_MIN));
    let found = search::each(&search, &queries, group.clone()).await?;
    tally.add(&found);
    let mut frames = answer::frames(search.schema(), group.start, found)?;
    let done = group.end;
    if done < queries.len() {
        return Ok(Some((frames, Some(Progress { search, queries, done, tally }))));
    }
    if let Some(last) = frames.last_mut() {
        last.app_metadata = tally.to_json().into();
    }
    Ok(Some((frames, None)))
}
