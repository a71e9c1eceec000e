//! What a ticket of ours says: everything a DoGet needs, so that the server keeps nothing in between.

use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, Ticket,
    sql::{Any, ProstMessageExt, TicketStatementQuery},
};
use arrow_schema::Schema;
use prost::Message;
use tonic::Status;
use ulid::Ulid;

use crate::error::IntoStatus;

/// The handle in a `TicketStatementQuery`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatementTicket {
    /// A name to cancel the query by.
    #[prost(string, tag = "1")]
    pub query: String,
    #[prost(oneof = "Work", tags = "2, 3, 4")]
    pub work: Option<Work>,
}

/// What is to be fetched.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Work {
    /// The rows of a query.
    #[prost(string, tag = "2")]
    Sql(String),
    /// The rows of a prepared query, by its handle.
    #[prost(string, tag = "3")]
    Prepared(String),
    /// The row count of an update that was done when the ticket was made.
    #[prost(uint64, tag = "4")]
    Updated(u64),
}

impl StatementTicket {
    /// A ticket under a new name.
    pub fn new(work: Work) -> Self {
        Self { query: Ulid::new().to_string(), work: Some(work) }
    }

    /// Reads the handle of a `TicketStatementQuery`.
    pub fn read(handle: &[u8]) -> Result<Self, Status> {
        Self::decode(handle).map_err(|e| Status::invalid_argument(format!("not a ticket of this server: {e}")))
    }

    fn to_bytes(&self) -> Vec<u8> {
        TicketStatementQuery { statement_handle: self.encode_to_vec().into() }.as_any().encode_to_vec()
    }

    /// The names of the queries that `info` leads to.
    pub fn queries(info: &FlightInfo) -> impl Iterator<Item = String> {
        info.endpoint.iter().filter_map(|endpoint| {
            let any = Any::decode(endpoint.ticket.as_ref()?.ticket.as_ref()).ok()?;
            let ticket = any.unpack::<TicketStatementQuery>().ok()??;
            Some(Self::read(&ticket.statement_handle).ok()?.query)
        })
    }

    /// A FlightInfo whose one endpoint is this ticket on the connection it came by.
    pub fn info(&self, schema: &Schema, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        flight_info(self.to_bytes(), schema, descriptor)
    }
}

/// A FlightInfo for a metadata command, which is its own ticket.
pub(crate) fn command_info(
    command: &impl ProstMessageExt,
    schema: &Schema,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Status> {
    flight_info(command.as_any().encode_to_vec(), schema, descriptor)
}

fn flight_info(ticket: Vec<u8>, schema: &Schema, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new().try_with_schema(schema).map_err(IntoStatus::into_status)?;
    Ok(info.with_endpoint(endpoint).with_descriptor(descriptor))
}
