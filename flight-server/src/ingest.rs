//! Bulk ingest: a stream of batches becomes a collection, or goes into one, whole or not at all.

use std::collections::VecDeque;

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use arrow_schema::SchemaRef;
use drift_engine::{Collection, CollectionSchema, CollectionSpec, Database, Error, ErrorKind, canonicalise};
use futures::{StreamExt, TryStreamExt, stream};
use tonic::{Code, Status};

use crate::{catalog::check_place, decode::Batches, error::IntoStatus};

/// Ingests `batches` as `command` says; the number of rows.
///
/// # Errors
/// What the client asked for and Drift does not do is refused before anything happens. When a batch
/// is refused no row of the stream stays, nor a collection made for it unless others have put rows
/// into it.
pub(crate) async fn ingest(
    db: &Database,
    command: &CommandStatementIngest,
    schema: SchemaRef,
    mut batches: Batches,
) -> Result<u64, Status> {
    check(command)?;
    let name = &command.table;
    let options = command.table_definition_options.unwrap_or_default();
    let exists = db.collection(name).is_ok();
    if !exists && options.if_not_exist() != TableNotExistOption::Create {
        let problem =
            format!("no collection '{name}': create it first, or ingest in the mode 'create' or 'create_append'");
        return Err(Status::not_found(problem));
    }
    match options.if_exists() {
        _ if !exists => {}
        TableExistsOption::Append => {
            let collection = db.collection(name).map_err(IntoStatus::into_status)?;
            return insert(&collection, batches).await;
        }
        TableExistsOption::Replace => {
            // What is there goes only when what comes looks sound.
            batches = check_first(&schema, batches).await?;
            db.drop_collection(name).await.map_err(IntoStatus::into_status)?;
        }
        _ => {
            let problem = format!("collection '{name}' exists already: ingest in the mode 'append' or 'replace'");
            return Err(Status::already_exists(problem));
        }
    }
    let collection = db.create_collection(name, CollectionSpec::new(schema)).await.map_err(IntoStatus::into_status)?;
    match insert(&collection, batches).await {
        Ok(rows) => Ok(rows),
        Err(status) => Err(match db.take_back(&collection).await {
            Ok(()) => status,
            Err(stays) => Status::new(status.code(), format!("{}; {stays}", status.message())),
        }),
    }
}

fn check(command: &CommandStatementIngest) -> Result<(), Status> {
    check_place(command.catalog.as_deref(), command.schema.as_deref())?;
    if command.temporary {
        return Err(Status::unimplemented("there are no temporary collections: ingest into a lasting one and drop it"));
    }
    if command.transaction_id.is_some() {
        return Err(Status::unimplemented("there are no transactions: each statement is atomic by itself"));
    }
    if let Some(option) = command.options.keys().next() {
        return Err(Status::invalid_argument(format!(
            "unknown ingest option '{option}': leave it out; for a metric, CREATE TABLE ... WITH (metric = '...') first and append"
        )));
    }
    let options = command.table_definition_options.unwrap_or_default();
    if options.if_not_exist() == TableNotExistOption::Unspecified
        || options.if_exists() == TableExistsOption::Unspecified
    {
        return Err(Status::invalid_argument("say what to do when the table exists and when it does not"));
    }
    Ok(())
}

/// Reads batches up to the first with rows and checks it against the collection `schema` would make.
async fn check_first(schema: &SchemaRef, mut batches: Batches) -> Result<Batches, Status> {
    let target = CollectionSchema::resolve(&CollectionSpec::new(schema.clone())).map_err(IntoStatus::into_status)?;
    let mut read = VecDeque::new();
    while let Some(batch) = batches.try_next().await? {
        let rows = batch.num_rows();
        if rows > 0 {
            canonicalise(&target, &batch).map_err(IntoStatus::into_status)?;
        }
        read.push_back(batch);
        if rows > 0 {
            break;
        }
    }
    Ok(stream::iter(read).map(Ok).chain(batches).boxed())
}

async fn insert(collection: &Collection, batches: Batches) -> Result<u64, Status> {
    let filled = batches.try_filter(|batch| std::future::ready(batch.num_rows() > 0));
    let ack = collection.insert_stream(filled.map_err(from_client).boxed()).await;
    Ok(ack.map_err(IntoStatus::into_status)?.rows)
}

/// The client's stream broke: the engine learns why, and so does the client.
fn from_client(status: Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, status.message())
}
