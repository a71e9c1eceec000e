//! Errors of the server itself, and the one place where errors become gRPC statuses.

use std::net::SocketAddr;

use arrow_flight::error::FlightError;
use arrow_schema::ArrowError;
use datafusion::error::DataFusionError;
use drift_engine::ErrorKind;
use tonic::{Code, Status};

/// Why the server cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is reachable from elsewhere and nothing would keep strangers out.
    #[error(
        "refusing to listen on {0}: whoever reaches it could read and change everything; listen on 127.0.0.1, or allow it with --insecure"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another port, or 0 for any free one")]
    Listen(SocketAddr, std::io::Error),
    /// The listener broke.
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// The gRPC transport broke.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The committed description of `drift.v1` does not decode.
    #[error("the description of drift.v1 does not decode: {0}; generate it again as proto/drift.proto says")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a client is told of an error.
pub(crate) trait IntoStatus {
    fn into_status(self) -> Status;
}

impl IntoStatus for drift_engine::Error {
    fn into_status(self) -> Status {
        Status::new(code(self.kind()), self.to_string())
    }
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Unavailable | ErrorKind::Closed => Code::Unavailable,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

impl IntoStatus for DataFusionError {
    fn into_status(self) -> Status {
        if let Some(error) = drift_udfs::engine_error(&self) {
            return error.clone().into_status();
        }
        let root = self.find_root();
        let code = match root {
            DataFusionError::NotImplemented(_) => Code::Unimplemented,
            DataFusionError::ResourcesExhausted(_) => Code::ResourceExhausted,
            DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => Code::Internal,
            DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => Code::Unavailable,
            // Planning and execution errors come from the statement or its data.
            _ => Code::InvalidArgument,
        };
        Status::new(code, root.strip_backtrace())
    }
}

impl IntoStatus for ArrowError {
    fn into_status(self) -> Status {
        Status::internal(format!("arrow: {self}"))
    }
}

impl IntoStatus for FlightError {
    fn into_status(self) -> Status {
        self.into()
    }
}
