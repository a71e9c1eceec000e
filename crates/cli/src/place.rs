//! Where a command works: on a directory of this machine, or on a server.

use clap::Args;
use drift_engine::Database;

use crate::{config, error::Result};

/// The database of a command that opens it itself.
#[derive(Args, Clone, Debug)]
pub(crate) struct Db {
    /// Directory (or URI) of the database; made when there is none.
    #[arg(long, env = "DRIFT_DB", default_value = "drift-data", value_name = "DIR")]
    pub db: String,
}

/// A database, or the server that has it open.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    #[command(flatten)]
    pub db: Db,
    /// Ask this server instead of opening the directory, such as grpc://127.0.0.1:50051.
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
}

/// Opens the database at `uri`.
///
/// # Errors
/// Those of the engine (the directory is in use, or cannot be written) and of the settings.
pub(crate) async fn open(uri: &str) -> Result<Database> {
    Ok(Database::open(uri, config::settings()?).await?)
}
