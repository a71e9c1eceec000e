//! Plain Flight: collections by their path, SQL as text, and the actions.

use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, PutResult,
    sql::server::PeekableFlightDataStream,
};
use drift_engine::{Ack, Collection, Database};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use prost::{Message, bytes::Bytes};
use serde_json::json;
use tonic::{Response, Status};

use crate::{
    decode,
    error::IntoStatus,
    flight_sql::FlightSql,
    running::Running,
    session::Session,
    session_options::{self, CloseSessionResult, CloseStatus},
    ticket::StatementTicket,
};

/// The collection a path names.
pub(crate) fn path_name(descriptor: &FlightDescriptor) -> Result<&str, Status> {
    match &descriptor.path[..] {
        [name] => Ok(name),
        other => Err(Status::invalid_argument(format!(
            "a path of {} parts: the path is the collection's name alone",
            other.len()
        ))),
    }
}

/// The query that reads a collection whole.
pub(crate) fn select_all(name: &str) -> String {
    format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""))
}

fn collection(db: &Database, name: &str) -> Result<Collection, Status> {
    drift_udfs::collection(db, name).map_err(IntoStatus::into_status)
}

/// DoPut by path: each batch is inserted and acknowledged by itself.
pub(crate) async fn put(
    db: &Database,
    mut messages: PeekableFlightDataStream,
) -> Result<Response<BoxStream<'static, Result<PutResult, Status>>>, Status> {
    let descriptor = match messages.peek().await {
        Some(Ok(data)) => data.flight_descriptor.clone().unwrap_or_default(),
        _ => return Err(Status::invalid_argument("the stream ended before its descriptor")),
    };
    let collection = collection(db, path_name(&descriptor)?)?;
    let (_, batches) = decode::open(messages).await?;
    let is_durable = collection.acks_are_durable();
    let acks = batches.and_then(move |batch| {
        let collection = collection.clone();
        async move {
            let ack = collection.insert(batch).await.map_err(IntoStatus::into_status)?;
            Ok(put_result(ack, is_durable))
        }
    });
    Ok(Response::new(acks.boxed()))
}

fn put_result(ack: Ack, is_durable: bool) -> PutResult {
    let metadata = json!({ "rows": ack.rows, "seq": ack.seq.0, "durable": is_durable });
    PutResult { app_metadata: metadata.to_string().into() }
}

/// The actions beside those of Flight SQL.
pub(crate) fn actions() -> impl Iterator<Item = ActionType> {
    let actions = [
        ("flush", "Writes what is in memory to segments. Body: a collection's name, or empty for all."),
        ("compact", "Flushes, then writes dead and scattered rows anew. Body: a collection's name, or empty for all."),
        ("stats", "Figures of collections as JSON. Body: a collection's name, or empty for all."),
        ("CancelFlightInfo", "Cancels a query whose rows are under way."),
        ("SetSessionOptions", "Sets options of this connection, such as drift.target_recall."),
        ("GetSessionOptions", "The options of this connection."),
        ("CloseSession", "Takes the options of this connection back to their defaults."),
    ];
    actions.into_iter().map(|(name, description)| ActionType { r#type: name.into(), description: description.into() })
}

/// Does one of [`actions`]; the body of its result.
pub(crate) async fn action(sql: &FlightSql, session: &Session, action: Action) -> Result<Bytes, Status> {
    let body = match action.r#type.as_str() {
        "flush" => flush(&sql.db, name(&action.body)?).await?,
        "compact" => compact(&sql.db, name(&action.body)?).await?,
        "stats" => stats(&sql.db, name(&action.body)?)?,
        "CancelFlightInfo" => {
            let request = CancelFlightInfoRequest::decode(action.body)
                .map_err(|e| Status::invalid_argument(format!("not a CancelFlightInfoRequest: {e}")))?;
            let status = cancel(&sql.running, &request.info.unwrap_or_default());
            CancelFlightInfoResult::new(status).encode_to_vec()
        }
        "SetSessionOptions" => session_options::set(&session.context(&sql.db), &action.body)?.encode_to_vec(),
        "GetSessionOptions" => session_options::get(&session.context(&sql.db)).encode_to_vec(),
        "CloseSession" => {
            session.close();
            CloseSessionResult { status: CloseStatus::Closed as i32 }.encode_to_vec()
        }
        other => return Err(Status::unimplemented(format!("unknown action '{other}': ListActions names them"))),
    };
    Ok(body.into())
}

/// Cancels the queries `info` leads to; there is nothing to cancel before their rows are fetched.
pub(crate) fn cancel(running: &Running, info: &arrow_flight::FlightInfo) -> CancelStatus {
    match StatementTicket::queries(info).filter(|query| running.cancel(query)).count() {
        0 => CancelStatus::NotCancellable,
        _ => CancelStatus::Cancelled,
    }
}

/// An action's body: a name, or nothing.
fn name(body: &Bytes) -> Result<Option<&str>, Status> {
    let name =
        std::str::from_utf8(body).map_err(|_| Status::invalid_argument("the body is a collection's name in UTF-8"))?;
    Ok(Some(name).filter(|name| !name.is_empty()))
}

fn named(db: &Database, name: Option<&str>) -> Result<Vec<Collection>, Status> {
    name.map_or_else(|| Ok(db.collections()), |name| Ok(vec![collection(db, name)?]))
}

async fn flush(db: &Database, name: Option<&str>) -> Result<Vec<u8>, Status> {
    for collection in named(db, name)? {
        collection.flush().await.map_err(IntoStatus::into_status)?;
    }
    stats(db, name)
}

async fn compact(db: &Database, name: Option<&str>) -> Result<Vec<u8>, Status> {
    flush(db, name).await?;
    for collection in named(db, name)? {
        collection.compact().await.map_err(IntoStatus::into_status)?;
    }
    stats(db, name)
}

fn stats(db: &Database, name: Option<&str>) -> Result<Vec<u8>, Status> {
    let figures = named(db, name)?.into_iter().map(|collection| {
        let (status, schema) = (collection.status(), collection.schema());
        json!({
            "collection": collection.name(),
            "metric": schema.metric.to_string(),
            "dimension": schema.dim,
            "rows": status.rows,
            "l0_rows": status.l0_rows,
            "segments": status.segments,
            "buckets": status.buckets,
            "segment_bytes": status.segment_bytes,
            "seq": status.seq.0,
        })
    });
    Ok(serde_json::Value::from_iter(figures).to_string().into_bytes())
}
