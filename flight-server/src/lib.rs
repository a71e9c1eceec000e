//! The network side of Drift: Arrow Flight SQL, plain Arrow Flight and gRPC on one port.
//!
//! - [`serve`] runs it; `server.rs` says what stands on the port.
//! - `flight.rs` is the door of every Flight call: it answers the plain ones (`plain.rs`) and hands
//!   the rest to Flight SQL (`flight_sql.rs` and the files named after what they answer).
//! - `exchange/` answers a stream of query vectors with a stream of neighbours.
//! - `grpc.rs` is the service `drift.v1.Drift` of `proto/drift.proto`.
//! - What a client sends is checked in `decode.rs` before Arrow sees it; what it gets is shaped in
//!   `encode.rs`; every error becomes a status in `error.rs`, every panic in `panics.rs`.

#![forbid(unsafe_code)]

mod bound;
mod catalog;
mod columns;
mod connection;
mod decode;
mod encode;
mod error;
mod exchange;
mod flight;
mod flight_sql;
mod grpc;
mod ingest;
mod panics;
mod parameters;
mod plain;
mod planned;
mod prepared;
mod query_threads;
mod running;
mod server;
mod session;
mod session_options;
mod sql_info;
mod statement;
mod ticket;
mod xdbc_types;

#[allow(missing_docs, clippy::all, reason = "generated from proto/drift.proto")]
#[path = "gen/drift.v1.rs"]
mod proto;

pub use error::{Error, Result};
pub use server::{ServerConfig, bind, serve};
