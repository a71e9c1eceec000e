//! The door of every Flight call: Flight SQL's commands go to Flight SQL, a path or plain SQL text is
//! answered here.

use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo,
    SchemaAsIpc, SchemaResult, Ticket,
    flight_service_server::FlightService,
    sql::{Any, Command},
};
use arrow_ipc::writer::IpcWriteOptions;
use drift_engine::Database;
use futures::{StreamExt, TryStreamExt, future::ready, stream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    error::IntoStatus,
    exchange,
    flight_sql::FlightSql,
    plain::{path_name, select_all},
    planned::PlannedTickets,
    prepared::PreparedStatements,
    running::Running,
    session::Session,
    statement,
};

/// What Flight SQL's commands are packed as.
const COMMAND_PREFIX: &str = "type.googleapis.com/";
/// Actions that arrow-flight lists for every Flight SQL server, and this one has not.
const ABSENT_ACTIONS: [&str; 5] =
    ["CreatePreparedSubstraitPlan", "BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"];

/// The Flight service.
pub(crate) struct Flight {
    sql: FlightSql,
}

impl Flight {
    pub fn new(db: Database) -> Self {
        Self {
            sql: FlightSql {
                db,
                prepared: PreparedStatements::default(),
                planned: PlannedTickets::default(),
                running: Running::default(),
            },
        }
    }

    async fn path_info<T>(&self, name: &str, request: &Request<T>) -> Result<FlightInfo, Status> {
        let rows = drift_udfs::collection(&self.sql.db, name).map_err(IntoStatus::into_status)?.status().rows;
        let descriptor = FlightDescriptor::new_path(vec![name.to_owned()]);
        let info = self.sql.info(Session::of(request), select_all(name), descriptor).await?;
        Ok(info.into_inner().with_total_records(i64::try_from(rows).unwrap_or(-1)))
    }
}

/// What a descriptor asks for.
enum Asked {
    Command(Command),
    Sql(String),
    Collection(String),
}

fn asked(descriptor: &FlightDescriptor) -> Result<Asked, Status> {
    if descriptor.cmd.is_empty() {
        return Ok(Asked::Collection(path_name(descriptor)?.to_owned()));
    }
    match command(&descriptor.cmd) {
        Some(any) => Ok(Asked::Command(any.try_into().map_err(|e| Status::invalid_argument(format!("{e}")))?)),
        None => Ok(Asked::Sql(text(&descriptor.cmd)?)),
    }
}

/// A Flight SQL command, if `bytes` are one.
fn command(bytes: &[u8]) -> Option<Any> {
    Any::decode(bytes).ok().filter(|any| any.type_url.starts_with(COMMAND_PREFIX))
}

fn text(bytes: &[u8]) -> Result<String, Status> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty());
    text.map(str::to_owned).ok_or_else(|| Status::invalid_argument("neither a Flight SQL command nor SQL text"))
}

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = <FlightSql as FlightService>::HandshakeStream;
    type ListFlightsStream = <FlightSql as FlightService>::ListFlightsStream;
    type DoGetStream = <FlightSql as FlightService>::DoGetStream;
    type DoPutStream = <FlightSql as FlightService>::DoPutStream;
    type DoActionStream = <FlightSql as FlightService>::DoActionStream;
    type ListActionsStream = <FlightSql as FlightService>::ListActionsStream;
    type DoExchangeStream = <FlightSql as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.sql.handshake(request).await
    }

    /// All collections, or those whose names begin with the criteria's expression.
    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let prefix = String::from_utf8_lossy(&request.get_ref().expression).into_owned();
        let names =
            self.sql.db.collections().into_iter().map(|c| c.name().to_owned()).filter(|name| name.starts_with(&prefix));
        let mut flights = Vec::new();
        for name in names {
            flights.push(self.path_info(&name, &request).await);
        }
        Ok(Response::new(stream::iter(flights).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        match asked(request.get_ref())? {
            Asked::Command(_) => self.sql.get_flight_info(request).await,
            Asked::Collection(name) => Ok(Response::new(self.path_info(&name, &request).await?)),
            Asked::Sql(sql) => {
                let session = Session::of(&request);
                self.sql.info(session, sql, request.into_inner()).await
            }
        }
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        // Planning is short, so the first answer is the whole one.
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(PollInfo::new().with_info(info)))
    }

    /// The schema of a path, a command or SQL text; nothing runs.
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let ctx = self.sql.context(&request);
        let schema = match asked(request.get_ref())? {
            Asked::Collection(name) => {
                drift_udfs::collection(&self.sql.db, &name).map_err(IntoStatus::into_status)?;
                statement::schema(&statement::plan(&ctx, &select_all(&name)).await?)
            }
            Asked::Sql(sql) => statement::schema(&statement::plan(&ctx, &sql).await?),
            Asked::Command(Command::CommandStatementQuery(query)) => {
                statement::schema(&statement::plan(&ctx, &query.query).await?)
            }
            Asked::Command(Command::CommandPreparedStatementQuery(query)) => {
                self.sql.prepared_schema(&query.prepared_statement_handle).await?
            }
            // A FlightInfo for metadata does nothing but name its schema.
            Asked::Command(_) => {
                let info = self.sql.get_flight_info(request).await?.into_inner();
                return Ok(Response::new(SchemaResult { schema: info.schema }));
            }
        };
        let schema = SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into();
        Ok(Response::new(schema.map_err(IntoStatus::into_status)?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ticket = &request.get_ref().ticket;
        if command(ticket).is_some() {
            return self.sql.do_get(request).await;
        }
        let (ctx, sql) = (self.sql.context(&request), text(ticket)?);
        let plan = statement::plan(&ctx, &sql).await?;
        Ok(Response::new(statement::run(&ctx, plan).await?.into_flight_data()))
    }

    /// Flight SQL peeks at the descriptor and gives a path back: see `FlightSql::do_put_fallback`.
    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.sql.do_put(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.sql.do_action(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions = self.sql.list_actions(request).await?.into_inner();
        let present = |action: &ActionType| ready(!ABSENT_ACTIONS.contains(&action.r#type.as_str()));
        Ok(Response::new(actions.try_filter(present).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let ctx = self.sql.context(&request);
        Ok(Response::new(exchange::exchange(&self.sql.db, &ctx, request.into_inner()).await?))
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};

    use super::*;

    #[test]
    fn commands_are_told_from_sql_text() {
        let packed = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None }.as_any().encode_to_vec();
        assert!(matches!(asked(&FlightDescriptor::new_cmd(packed)), Ok(Asked::Command(_))));
        for sql in ["SELECT 1", "INSERT INTO t VALUES (1)", "\n-- a comment\nSELECT 1"] {
            assert!(matches!(asked(&FlightDescriptor::new_cmd(sql)), Ok(Asked::Sql(text)) if text == sql));
        }
        assert!(asked(&FlightDescriptor::new_cmd(vec![0xff, 0xfe])).is_err());
        assert!(matches!(asked(&FlightDescriptor::new_path(vec!["t".into()])), Ok(Asked::Collection(_))));
        assert!(asked(&FlightDescriptor::new_path(vec!["a".into(), "b".into()])).is_err());
    }
}
