//! Bytes and places: immutable objects in a directory, in memory, or in an object store.
//!
//! Everything above speaks to a [`Store`]; this is the only crate that names opendal. Objects are
//! written once and never changed, so a reader needs no lock, and the one commit primitive is
//! "create if absent" ([`Store::put_if_absent`]).
#![forbid(unsafe_code)]

mod aligned;
pub mod cache;
mod direct;
mod environment;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
mod local;
mod location;
mod lock;
pub mod page;
mod path;
mod remote;
mod store;

pub use error::{Error, Result};
pub use lock::StoreLock;
pub use store::{Put, Store};
