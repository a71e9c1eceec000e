//! Statements on a server, which plans and runs them; asked over Arrow Flight.

use std::sync::Arc;

use arrow_flight::{Action, FlightClient, Ticket, error::FlightError};
use arrow_schema::Schema;
use datafusion::{common::instant::Instant, config::ConfigOptions};
use datafusion_cli::print_options::PrintOptions;
use futures::TryStreamExt;
use tonic::transport::Endpoint;

use crate::error::{Error, Result};

/// A connection to a server. `SET` lasts as long as it.
pub(crate) struct Remote {
    client: FlightClient,
}

impl Remote {
    /// Connects to `grpc://host:port`.
    ///
    /// # Errors
    /// When the address is none, or nobody answers there.
    pub async fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("grpc://").or(url.strip_prefix("grpc+tcp://")).unwrap_or(url);
        if address.contains("://") {
            return Err(Error::invalid(format!("'{url}' is no address of a server: give grpc://HOST:PORT")));
        }
        let unreachable = |e: tonic::transport::Error| {
            Error::invalid(format!(
                "no server answers at grpc://{address} ({}): start one with 'drift serve DIR'",
                root(&e)
            ))
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(Self { client: FlightClient::new(channel) })
    }

    /// Runs one statement and prints what it yields.
    pub async fn run(&mut self, sql: &str, print: &PrintOptions) -> Result<()> {
        let start = Instant::now();
        let mut stream = self.client.do_get(Ticket::new(sql.to_owned())).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        let schema = stream.schema().cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        let mut format = ConfigOptions::default().format;
        format.null = "NULL".into();
        Ok(print.print_batches(schema, &batches, start, rows, &format)?)
    }

    /// Asks for an action such as `flush` and returns its answer, JSON text.
    pub async fn action(&mut self, name: &str, body: &str) -> Result<serde_json::Value> {
        let answers = self.client.do_action(Action::new(name, body.to_owned())).await?;
        let answers: Vec<_> = answers.try_collect().await?;
        let body = answers.first().map(|body| &body[..]).unwrap_or(b"null");
        Ok(serde_json::from_slice(body).map_err(|e| FlightError::DecodeError(format!("the answer is no JSON: {e}")))?)
    }
}

/// The innermost cause, which says more than "transport error".
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
