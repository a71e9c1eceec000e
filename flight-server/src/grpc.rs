//! `drift.v1.Drift`: the engine by gRPC, without SQL.

use std::{sync::Arc, time::Duration};

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, UInt64Array, cast::AsArray,
    types::Float32Type,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field};
use drift_engine::{Ack, Collection, CollectionSchema, Database, SearchResult, canonical_keys};
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use crate::{
    columns::indices,
    decode,
    error::IntoStatus,
    proto::{
        DeleteRequest, DeleteResponse, Hit, InsertRequest, InsertResponse, SearchRequest, SearchResponse, TrainRequest,
        TrainResponse, drift_server::Drift,
    },
};

/// The service over one database.
pub(crate) struct DriftService {
    db: Database,
}

impl DriftService {
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    fn collection(&self, name: &str) -> Result<Collection, Status> {
        drift_udfs::collection(&self.db, name).map_err(IntoStatus::into_status)
    }
}

#[tonic::async_trait]
impl Drift for DriftService {
    async fn train(&self, request: Request<TrainRequest>) -> Result<Response<TrainResponse>, Status> {
        let collection = self.collection(&request.get_ref().collection)?;
        collection.flush().await.map_err(IntoStatus::into_status)?;
        let status = collection.status();
        Ok(Response::new(TrainResponse { rows: status.rows, buckets: status.buckets as u64 }))
    }

    async fn insert(&self, request: Request<InsertRequest>) -> Result<Response<InsertResponse>, Status> {
        let request = request.into_inner();
        let collection = self.collection(&request.collection)?;
        let ack = match (request.vectors.is_empty(), request.arrow_ipc.is_empty()) {
            (false, true) => {
                let batch = batch(&collection.schema(), request.ids, request.vectors)?;
                collection.insert(batch).await
            }
            (true, false) if request.ids.is_empty() => insert_ipc(&collection, request.arrow_ipc).await?,
            _ => return Err(Status::invalid_argument("send either vectors, with ids, or arrow_ipc")),
        };
        let Ack { seq, rows } = ack.map_err(IntoStatus::into_status)?;
        Ok(Response::new(InsertResponse { rows, seq: seq.0 }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let DeleteRequest { collection, ids } = request.into_inner();
        let collection = self.collection(&collection)?;
        let schema = collection.schema();
        if schema.key.is_none() {
            return Err(Status::invalid_argument(
                "the collection generates its keys, nobody knows them: use DELETE ... WHERE in SQL",
            ));
        }
        let ids = canonical_keys(&keys(&schema, ids)).map_err(IntoStatus::into_status)?;
        let Ack { seq, rows } = collection.delete(&ids).await.map_err(IntoStatus::into_status)?;
        Ok(Response::new(DeleteResponse { rows, seq: seq.0 }))
    }

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<SearchResponse>, Status> {
        let request = request.into_inner();
        if request.k == 0 {
            return Err(Status::invalid_argument("k is 0, or was left out: say how many neighbours to find"));
        }
        let collection = self.collection(&request.collection)?;
        let schema = collection.schema();
        let columns = indices(&schema, &request.columns)?;
        let search = drift_engine::SearchRequest {
            recall: request.recall,
            nprobe: request.nprobe.map(|n| n as usize),
            exact: request.exact,
            deadline: request.deadline_ms.map(|ms| Duration::from_millis(ms.into())),
            // The key comes first, for the hits; the asked-for columns follow.
            projection: Some(schema.key.into_iter().chain(columns).collect()),
            ..drift_engine::SearchRequest::new(request.query, request.k as usize)
        };
        let result = collection.search(search).await.map_err(IntoStatus::into_status)?;
        let response = response(&result, schema.key.is_some(), !request.columns.is_empty());
        Ok(Response::new(response.map_err(IntoStatus::into_status)?))
    }
}

async fn insert_ipc(collection: &Collection, bytes: Vec<u8>) -> Result<drift_engine::Result<Ack>, Status> {
    let (_, batches) = decode::open_ipc(bytes.into()).await?;
    // All of it is here already, so a broken batch is found before the engine sees the first.
    let batches: Vec<RecordBatch> = batches.try_collect().await?;
    Ok(collection.insert_stream(futures::stream::iter(batches).map(Ok).boxed()).await)
}

/// Rows of a key and a vector each.
fn batch(schema: &CollectionSchema, ids: Vec<i64>, vectors: Vec<f32>) -> Result<RecordBatch, Status> {
    if schema.key.is_none() && !ids.is_empty() {
        return Err(Status::invalid_argument("the collection generates its keys: leave ids out"));
    }
    let dim = match schema.dim {
        Some(dim) => dim,
        None => first_dim(schema, ids.len(), vectors.len())?,
    };
    let rows = vectors.len() / dim.max(1);
    if rows * dim != vectors.len() || (schema.key.is_some() && ids.len() != rows) {
        return Err(Status::invalid_argument(format!(
            "{} ids and {} values of vectors do not fit: send {dim} values for each id",
            ids.len(),
            vectors.len()
        )));
    }
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let size = i32::try_from(dim).map_err(|_| Status::invalid_argument("a vector too long to index"))?;
    let vectors = FixedSizeListArray::try_new(item, size, Arc::new(Float32Array::from(vectors)), None);
    let vectors: ArrayRef = Arc::new(vectors.map_err(IntoStatus::into_status)?);
    let keys = schema.key_name().map(|name| (name, keys(schema, ids)));
    RecordBatch::try_from_iter(keys.into_iter().chain([(schema.vector_name(), vectors)]))
        .map_err(IntoStatus::into_status)
}

/// The dimension that the first insert settles, for good: only ids tell where one vector ends.
fn first_dim(schema: &CollectionSchema, ids: usize, values: usize) -> Result<usize, Status> {
    if schema.key.is_none() {
        return Err(Status::invalid_argument(format!(
            "nothing tells how long the vectors of '{}' are: send the first rows as arrow_ipc, or make the collection with FLOAT[n]",
            schema.vector_name()
        )));
    }
    match values.checked_div(ids) {
        Some(dim) if dim * ids == values && dim > 0 => Ok(dim),
        _ => Err(Status::invalid_argument(format!(
            "{ids} ids and {values} values of vectors do not fit: send as many values for each id"
        ))),
    }
}

/// `ids` as a column of the key's signedness.
fn keys(schema: &CollectionSchema, ids: Vec<i64>) -> ArrayRef {
    let unsigned = schema.key.is_some_and(|key| schema.arrow.field(key).data_type().is_unsigned_integer());
    match unsigned {
        true => Arc::new(UInt64Array::from_iter_values(ids.into_iter().map(|id| id as u64))),
        false => Arc::new(Int64Array::from(ids)),
    }
}

/// The hits, and the columns between the key and the distance.
fn response(result: &SearchResult, has_key: bool, has_columns: bool) -> Result<SearchResponse, ArrowError> {
    let batch = &result.batch;
    let last = batch.num_columns() - 1;
    let distances = batch.column(last).as_primitive::<Float32Type>();
    let ids = if has_key { Some(signed_keys(batch.column(0))?) } else { None };
    let hits = distances.values().iter().enumerate().map(|(row, &distance)| {
        let id = ids.as_ref().map(|ids| ids[row]);
        Hit { id, distance }
    });
    let columns: Vec<usize> = (usize::from(has_key)..last).collect();
    Ok(SearchResponse {
        hits: hits.collect(),
        arrow_ipc: if has_columns { ipc(&batch.project(&columns)?)? } else { Vec::new() },
        predicted_recall: result.stats.predicted_recall,
        buckets_probed: result.stats.buckets_probed as u32,
    })
}

/// Keys as signed numbers; an unsigned key keeps its 64 bits.
fn signed_keys(column: &ArrayRef) -> Result<Vec<i64>, ArrowError> {
    if column.data_type().is_unsigned_integer() {
        let wide = arrow_cast::cast(column, &DataType::UInt64)?;
        let wide: &UInt64Array = wide.as_primitive();
        Ok(wide.values().iter().map(|&key| key as i64).collect())
    } else {
        let wide = arrow_cast::cast(column, &DataType::Int64)?;
        let wide: &Int64Array = wide.as_primitive();
        Ok(wide.values().to_vec())
    }
}

fn ipc(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;
    use drift_engine::CollectionSpec;

    use super::*;

    /// Columns of a vector whose dimension is still open, with a key or without.
    fn open_schema(has_key: bool) -> CollectionSchema {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let vector = Field::new("v", DataType::List(item), true);
        let key = has_key.then(|| Field::new("id", DataType::Int64, false));
        let fields: Vec<Field> = key.into_iter().chain([vector]).collect();
        let spec =
            CollectionSpec { key: has_key.then(|| "id".into()), ..CollectionSpec::new(Arc::new(Schema::new(fields))) };
        CollectionSchema::resolve(&spec).expect("a schema")
    }

    #[test]
    fn the_first_insert_settles_the_dimension_only_where_ids_tell_it() {
        let keyed = batch(&open_schema(true), vec![1, 2], vec![0.0; 6]).expect("three values for each id");
        assert_eq!((keyed.num_rows(), keyed.column(1).as_fixed_size_list().value_length()), (2, 3));
        for (has_key, ids, values, message) in [
            (true, vec![], 6, "0 ids and 6 values"),
            (true, vec![1, 2], 5, "as many values for each id"),
            (true, vec![1, 2, 3], 2, "as many values for each id"),
            (false, vec![], 6, "nothing tells how long the vectors of 'v' are"),
            (false, vec![1, 2], 6, "leave ids out"),
        ] {
            let status = batch(&open_schema(has_key), ids, vec![0.0; values]).expect_err(message);
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains(message), "{status}");
        }
    }
}
