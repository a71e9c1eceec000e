//! The way of a write: one thread per database orders, logs, applies and acknowledges.

mod apply;
mod bulk_number;
mod command;
mod writer;

pub(crate) use apply::{CollectionState, Commit, MovedRows, RECORD_ROWS_MAX, generated_ids};
pub(crate) use bulk_number::BulkNumber;
pub use command::ReadMark;
pub(crate) use command::{Command, InsertRows, ReadAt};
pub(crate) use writer::{Writer, WriterHandle};
