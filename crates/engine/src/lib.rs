//! The engine: collections of vectors that are searchable the moment they are acknowledged.
//!
//! A [`Database`] holds [`Collection`]s. A write goes through one thread that logs it, applies it to
//! L0 and publishes a new snapshot (`write`); a search holds one snapshot and waits for nobody
//! (`search`), and some are run again exactly to see what they missed (`audit`); the janitor moves L0
//! into segments and splits what outgrows its bucket (`maintain`); `recover` puts it all together
//! again from manifests and the log. [`look`] and [`verify`] read a database from outside (`inspect`).
#![forbid(unsafe_code)]

mod audit;
mod canonical;
mod collection;
mod common;
mod compute;
mod database;
mod ddl;
mod dead_set;
mod error;
mod fold;
mod id_map;
mod inspect;
mod log_record;
mod maintain;
mod observed;
mod origins;
mod payload_list;
mod recover;
mod report;
mod request;
mod rows;
mod schema;
mod search;
mod settings;
mod snapshot;
mod stored_segment;
mod survival;
mod take_back;
mod totals;
mod versions;
mod write;

pub use canonical::{CanonicalBatch, canonical_keys, canonicalise, vectors};
pub use collection::{BatchStream, Collection};
pub use database::Database;
pub use drift_ivf::Urgency;
pub use drift_manifest::{Action, Event, RecallSample};
pub use error::{Error, ErrorKind, Result};
pub use inspect::{Checked, CollectionLook, DatabaseLook, Finding, SegmentLook, Verification, look, verify};
pub use report::{BucketReport, ManifestReport, SegmentReport};
pub use request::{
    Ack, CollectionStatus, RowPredicate, ScanRequest, SearchRequest, SearchResult, SearchStats, StopReason,
};
pub use schema::{CollectionSchema, CollectionSpec, DIM_MAX};
pub use search::K_MAX;
pub use settings::{Durability, Settings};
pub use totals::MaintenanceTotals;
pub use write::ReadMark;
