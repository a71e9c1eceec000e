//! What can go wrong, as one line a person can act on.

use std::io;

use arrow_flight::error::FlightError;
use datafusion::error::DataFusionError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line or the data must be mended.
    #[error("{0}")]
    Invalid(String),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] drift_engine::Error),
    /// A statement was refused or failed.
    #[error("{}", statement_message(.0))]
    Sql(#[from] DataFusionError),
    /// The server could not start or stopped.
    #[error(transparent)]
    Server(#[from] drift_flight_server::Error),
    /// A server answered with an error.
    #[error("{}", remote_message(.0))]
    Remote(#[from] FlightError),
    /// A segment cannot be read.
    #[error(transparent)]
    Segment(#[from] drift_segment::Error),
    /// A store cannot be opened.
    #[error(transparent)]
    Storage(#[from] drift_storage::Error),
    /// The operating system refused something.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// The prompt broke.
    #[error("cannot read from the terminal: {0}; pass statements with -c or -f")]
    Prompt(#[from] rustyline::error::ReadlineError),
}

/// A result of this crate.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A command line or data that must be mended.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// What the operating system refused.
    pub fn io(what: impl Into<String>, error: io::Error) -> Self {
        Self::Io(what.into(), error)
    }
}

/// What the engine says if it spoke, else DataFusion's own words without its backtrace.
fn statement_message(error: &DataFusionError) -> String {
    match drift_udfs::engine_error(error) {
        Some(engine) => engine.to_string(),
        None => error.strip_backtrace().trim_end().to_owned(),
    }
}

/// The server's message without the wrapping of the transport.
fn remote_message(error: &FlightError) -> String {
    match error {
        FlightError::Tonic(status) => status.message().to_owned(),
        other => other.to_string(),
    }
}
