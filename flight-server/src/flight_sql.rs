//! Flight SQL: each command answered by the file that knows.
//!
//! A query is planned when its FlightInfo is asked for and runs, by that plan, when its ticket is fetched. An update
//! runs at once, when the info is asked for: clients do not all fetch what they expect to be empty,
//! and a statement must not be done twice because a ticket was.

use std::pin::Pin;

use arrow_array::RecordBatch;
use arrow_flight::{
    Action, ActionType, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc,
    Ticket,
    flight_service_server::FlightService,
    sql::{
        ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs,
        CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
        CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
        CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
        CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{DoPutError, FlightSqlService, PeekableFlightDataStream},
    },
};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use drift_engine::Database;
use futures::{Stream, StreamExt, stream};
use prost::{Message, bytes::Bytes};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    bound::Bound,
    catalog, decode,
    encode::Rows,
    error::IntoStatus,
    ingest, parameters, plain,
    planned::PlannedTickets,
    prepared::{Prepared, PreparedStatements},
    running::Running,
    session::Session,
    sql_info::SQL_INFO,
    statement,
    ticket::{StatementTicket, Work, command_info},
    xdbc_types::XDBC_TYPES,
};

/// The Flight SQL service over one database.
pub(crate) struct FlightSql {
    pub db: Database,
    pub prepared: PreparedStatements,
    pub planned: PlannedTickets,
    pub running: Running,
}

type Info = Result<Response<FlightInfo>, Status>;
type Get = Result<Response<<FlightSql as FlightService>::DoGetStream>, Status>;

impl FlightSql {
    pub fn context<T>(&self, request: &Request<T>) -> SessionContext {
        Session::of(request).context(&self.db)
    }

    /// Plans a statement for a FlightInfo, and keeps the plan for its ticket; an update runs.
    pub async fn info(&self, session: Session, sql: String, descriptor: FlightDescriptor) -> Info {
        let ctx = session.context(&self.db);
        let statement = drift_sql::Prepared::new(&sql);
        let planned = statement.planned(&ctx).await.map_err(IntoStatus::into_status)?;
        let schema = statement::schema(planned.plan());
        let ticket = match statement::is_update(planned.plan()) {
            true => StatementTicket::new(Work::Updated(statement::update(&ctx, planned.plan().clone()).await?)),
            false => StatementTicket::new(Work::Sql(sql)),
        };
        self.planned.keep(&ticket.query, session, statement);
        Ok(Response::new(ticket.info(&schema, descriptor)?))
    }

    /// The rows of the SQL text in a ticket, by the plan that its FlightInfo was made from if that is
    /// still at hand.
    async fn ticket_rows(&self, query: &str, session: &Session, sql: &str) -> Result<Rows, Status> {
        let ctx = session.context(&self.db);
        let statement = self.planned.take(query, session).unwrap_or_else(|| drift_sql::Prepared::new(sql));
        let planned = statement.planned(&ctx).await.map_err(IntoStatus::into_status)?;
        statement::run(&ctx, planned.plan().clone()).await
    }

    async fn bound(&self, handle: &[u8]) -> Result<Bound, Status> {
        Bound::new(&self.db, &*self.prepared.get(handle)?).await
    }

    /// The schema of a prepared query as it is bound.
    pub async fn prepared_schema(&self, handle: &[u8]) -> Result<SchemaRef, Status> {
        Ok(self.bound(handle).await?.schema)
    }

    /// Rows under a name they can be cancelled by.
    fn fetch(&self, query: String, rows: Rows) -> Get {
        let Rows { schema, batches } = rows;
        let batches = self.running.track(query, batches);
        Ok(Response::new(Rows { schema, batches }.into_flight_data()))
    }
}

fn info(command: &impl ProstMessageExt, schema: &Schema, request: Request<FlightDescriptor>) -> Info {
    Ok(Response::new(command_info(command, schema, request.into_inner())?))
}

fn get(batch: Result<RecordBatch, Status>) -> Get {
    Ok(Response::new(Rows::ready(batch?).into_flight_data()))
}

fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(IntoStatus::into_status)?;
    Ok(bytes)
}

fn row_count(count: u64) -> Result<i64, Status> {
    i64::try_from(count).map_err(|_| Status::internal("a row count beyond 63 bits"))
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        Ok(Response::new(Box::pin(stream::iter([Ok(HandshakeResponse::default())]))))
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        refuse_transaction(query.transaction_id.as_ref())?;
        self.info(Session::of(&request), query.query, request.into_inner()).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Get {
        let ticket = StatementTicket::read(&ticket.statement_handle)?;
        let rows = match ticket.work {
            Some(Work::Sql(sql)) => self.ticket_rows(&ticket.query, &Session::of(&request), &sql).await?,
            Some(Work::Prepared(handle)) => self.bound(handle.as_bytes()).await?.rows(),
            Some(Work::Updated(count)) => statement::updated(count),
            None => return Err(Status::invalid_argument("an empty ticket: ask for a FlightInfo first")),
        };
        self.fetch(ticket.query, rows)
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        let ctx = self.context(&request);
        let plan = statement::plan(&ctx, &command.query).await?;
        row_count(statement::update(&ctx, plan).await?)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let (schema, batches) = decode::open(request.into_inner()).await?;
        row_count(ingest::ingest(&self.db, &command, schema, batches).await?)
    }

    // Prepared statements

    async fn do_action_create_prepared_statement(
        &self,
        action: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        refuse_transaction(action.transaction_id.as_ref())?;
        let session = Session::of(&request);
        let statement = drift_sql::Prepared::new(action.query);
        let planned = statement.planned(&session.context(&self.db)).await.map_err(IntoStatus::into_status)?;
        // No schema at all is how a client tells an update from a query.
        let dataset_schema = match statement::is_update(planned.plan()) {
            true => Bytes::new(),
            false => ipc(&statement::schema(planned.plan()))?,
        };
        let parameters = parameters::schema(planned.plan())?;
        let handle = self.prepared.add(Prepared::new(statement, parameters.fields().len(), session));
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema,
            parameter_schema: ipc(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        action: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        self.prepared.close(&action.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let handle = command.prepared_statement_handle;
        let prepared = self.prepared.get(&handle)?;
        let (_, batches) = decode::open(request.into_inner()).await?;
        prepared.bind(parameters::collect(batches).await?);
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let handle = command.prepared_statement_handle;
        let bound = self.bound(&handle).await?;
        let schema = bound.schema.clone();
        let work = match bound.is_update() {
            true => Work::Updated(bound.update().await?),
            false => Work::Prepared(String::from_utf8_lossy(&handle).into_owned()),
        };
        Ok(Response::new(StatementTicket::new(work).info(&schema, request.into_inner())?))
    }

    async fn do_get_prepared_statement(&self, command: CommandPreparedStatementQuery, _: Request<Ticket>) -> Get {
        let handle = command.prepared_statement_handle;
        let rows = self.bound(&handle).await?.rows();
        self.fetch(String::from_utf8_lossy(&handle).into_owned(), rows)
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let handle = command.prepared_statement_handle;
        let prepared = self.prepared.get(&handle)?;
        let mut messages = request.into_inner();
        if has_data(&mut messages).await {
            let (_, batches) = decode::open(messages).await?;
            prepared.bind(parameters::collect(batches).await?);
        }
        row_count(self.bound(&handle).await?.update().await?)
    }

    async fn do_action_cancel_query(
        &self,
        action: ActionCancelQueryRequest,
        _: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info =
            FlightInfo::decode(action.info).map_err(|e| Status::invalid_argument(format!("not a FlightInfo: {e}")))?;
        Ok(ActionCancelQueryResult { result: plain::cancel(&self.running, &info) as i32 })
    }

    // What there is

    async fn get_flight_info_catalogs(&self, query: CommandGetCatalogs, request: Request<FlightDescriptor>) -> Info {
        info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Get {
        get(catalog::catalogs(&self.context(&request), query))
    }

    async fn get_flight_info_schemas(&self, query: CommandGetDbSchemas, request: Request<FlightDescriptor>) -> Info {
        info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Get {
        get(catalog::schemas(&self.context(&request), query))
    }

    async fn get_flight_info_tables(&self, query: CommandGetTables, request: Request<FlightDescriptor>) -> Info {
        info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Get {
        get(catalog::tables(&self.context(&request), query).await)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Get {
        get(catalog::table_types(query))
    }

    async fn get_flight_info_sql_info(&self, query: CommandGetSqlInfo, request: Request<FlightDescriptor>) -> Info {
        info(&query, &SQL_INFO.schema(), request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Get {
        get(query.into_builder(&SQL_INFO).build().map_err(IntoStatus::into_status))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &XDBC_TYPES.schema(), request)
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _: Request<Ticket>) -> Get {
        get(query.into_builder(&XDBC_TYPES).build().map_err(IntoStatus::into_status))
    }

    // Keys

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &catalog::PRIMARY_KEYS, request)
    }

    async fn do_get_primary_keys(&self, query: CommandGetPrimaryKeys, _: Request<Ticket>) -> Get {
        get(catalog::primary_keys(&self.db, &query))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &catalog::FOREIGN_KEYS, request)
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Get {
        get(Ok(RecordBatch::new_empty(catalog::FOREIGN_KEYS.clone())))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &catalog::FOREIGN_KEYS, request)
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Get {
        get(Ok(RecordBatch::new_empty(catalog::FOREIGN_KEYS.clone())))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        info(&query, &catalog::FOREIGN_KEYS, request)
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Get {
        get(Ok(RecordBatch::new_empty(catalog::FOREIGN_KEYS.clone())))
    }

    // What is no Flight SQL: plain Flight

    async fn do_put_fallback(
        &self,
        request: Request<PeekableFlightDataStream>,
        message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        if !message.type_url.is_empty() {
            return Err(Status::unimplemented(format!("a DoPut of {} is not supported", message.type_url)));
        }
        plain::put(&self.db, request.into_inner()).await
    }

    async fn do_put_error_callback(
        &self,
        _: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(Status::invalid_argument(format!("{error} Send a descriptor with the collection's name as its path.")))
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let session = Session::of(&request);
        let body = plain::action(self, &session, request.into_inner()).await?;
        Ok(Response::new(stream::iter([Ok(arrow_flight::Result::new(body))]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(plain::actions().map(Ok).collect())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {
        // The list is static: see `sql_info.rs`.
    }
}

/// Whether a DoPut carries a schema, not just its command.
async fn has_data(messages: &mut PeekableFlightDataStream) -> bool {
    matches!(messages.peek().await, Some(Ok(data)) if !data.data_header.is_empty())
}

fn refuse_transaction(transaction: Option<&Bytes>) -> Result<(), Status> {
    match transaction {
        Some(id) if !id.is_empty() => {
            Err(Status::unimplemented("there are no transactions: each statement is atomic by itself"))
        }
        _ => Ok(()),
    }
}
