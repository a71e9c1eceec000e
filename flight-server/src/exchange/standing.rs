//! A search that stands while its stream is open.

use std::{sync::Arc, time::Duration};

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use drift_engine::{Collection, CollectionSchema, Database, SearchRequest, SearchResult};
use drift_udfs::DriftOptions;
use tonic::Status;

use super::options::Options;
use crate::{columns::indices, encode::wire_schema, error::IntoStatus};

/// What is prepared once for all queries of a stream.
pub(super) struct StandingSearch {
    db: Database,
    ctx: SessionContext,
    options: Arc<Options>,
    collection: Collection,
    /// The collection's columns when this was prepared.
    stored: SchemaRef,
    /// All of a request but the vector.
    request: SearchRequest,
    schema: SchemaRef,
}

impl StandingSearch {
    /// Prepares what `options` ask for; where they say nothing the settings of `ctx` hold.
    ///
    /// # Errors
    /// NOT_FOUND without the collection, INVALID_ARGUMENT for columns and filters it cannot take.
    pub fn new(db: Database, ctx: SessionContext, options: Options) -> Result<Self, Status> {
        Self::prepare(db, ctx, Arc::new(options))
    }

    fn prepare(db: Database, ctx: SessionContext, options: Arc<Options>) -> Result<Self, Status> {
        let collection = drift_udfs::collection(&db, &options.collection).map_err(IntoStatus::into_status)?;
        let stored = collection.schema();
        let request = request(&ctx, &options, &stored)?;
        let schema = answer_schema(&stored, request.projection.as_deref().unwrap_or_default())?;
        Ok(Self { db, ctx, options, collection, stored: stored.arrow, request, schema })
    }

    /// The same search where its collection was made anew since; `None`: this one still holds.
    ///
    /// # Errors
    /// NOT_FOUND when the collection is gone, FAILED_PRECONDITION when its columns differ.
    pub fn renewed(&self) -> Result<Option<Self>, Status> {
        let there = drift_udfs::collection(&self.db, &self.options.collection).map_err(IntoStatus::into_status)?;
        if Arc::ptr_eq(&there.arrow_schema(), &self.stored) {
            return Ok(None);
        }
        let anew = Self::prepare(self.db.clone(), self.ctx.clone(), self.options.clone())?;
        if anew.schema != self.schema {
            return Err(Status::failed_precondition(format!(
                "the columns of '{}' are not what they were when the stream was opened: open another",
                self.options.collection
            )));
        }
        Ok(Some(anew))
    }

    /// How many neighbours each query asks for.
    pub fn k(&self) -> usize {
        self.options.k
    }

    /// The schema of the answers: `query`, the columns, `_distance`.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The neighbours of one vector.
    pub async fn find(&self, query: &[f32]) -> drift_engine::Result<SearchResult> {
        self.collection.search(SearchRequest { query: query.to_vec(), ..self.request.clone() }).await
    }
}

fn request(ctx: &SessionContext, options: &Options, stored: &CollectionSchema) -> Result<SearchRequest, Status> {
    let session = DriftOptions::of(ctx.state_ref().read().config_options());
    let projection = match &options.columns {
        Some(columns) => indices(stored, columns)?,
        None => stored.key.into_iter().collect(),
    };
    let filter = options.filter.as_deref().map(|filter| drift_sql::condition(ctx, stored, filter)).transpose();
    Ok(SearchRequest {
        recall: Some(options.recall.unwrap_or(session.target_recall)),
        nprobe: options.nprobe,
        exact: options.exact,
        deadline: options.deadline_ms.map(Duration::from_millis).or_else(|| session.deadline()),
        filter: filter.map_err(IntoStatus::into_status)?,
        projection: Some(projection),
        ..SearchRequest::new(Vec::new(), options.k)
    })
}

fn answer_schema(stored: &CollectionSchema, projection: &[usize]) -> Result<SchemaRef, Status> {
    let columns = wire_schema(&stored.arrow.project(projection).map_err(IntoStatus::into_status)?);
    let query = Arc::new(Field::new("query", DataType::UInt32, false));
    let distance = Arc::new(Field::new("_distance", DataType::Float32, false));
    let fields = [query].into_iter().chain(columns.fields().iter().cloned()).chain([distance]);
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}
