//! `drift inspect`: what a segment or a database holds.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use drift_engine::{CollectionLook, SegmentLook};
use drift_segment::{PartCache, SegmentReader};
use drift_storage::Store;

use crate::{
    config,
    error::{Error, Result},
    progress::{bytes, thousands},
};

/// Describe a segment (its columns, and how bytes and runs are spread), or the collections of a database.
///
/// Reads the files alone and writes nothing, so the database may be in use.
#[derive(Args)]
pub(crate) struct Inspect {
    /// A segment, or the directory (or URI) of a database.
    #[arg(value_name = "FILE.drift | DIR")]
    place: PathBuf,
}

impl Inspect {
    pub async fn run(self) -> Result<()> {
        match self.place.to_str() {
            Some(place) if self.place.is_dir() || place.contains("://") => inspect_database(place).await,
            _ => inspect_segment(&self.place).await,
        }
    }
}

async fn inspect_segment(file: &Path) -> Result<()> {
    let refused = |e| Error::io(format!("cannot open {}", file.display()), e);
    let path = file.canonicalize().map_err(refused)?;
    let unfit = || Error::invalid(format!("{} is no file with a name in UTF-8", path.display()));
    let parent = path.parent().and_then(|parent| parent.to_str()).ok_or_else(unfit)?;
    let name = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()).ok_or_else(unfit)?;
    let store = Store::open(parent).await?;
    // Nothing is read twice, so nothing need be kept.
    let reader = SegmentReader::open(store, name.to_owned(), None, Arc::new(PartCache::new(0))).await?;
    print!("{}", reader.describe());
    let mut wrong = reader.verify().await.into_iter();
    match wrong.next() {
        None => {
            println!("\n  every byte that is read is what was written: all checksums match");
            Ok(())
        }
        Some(first) => {
            wrong.for_each(|error| println!("\n  {error}"));
            Err(first.into())
        }
    }
}

async fn inspect_database(uri: &str) -> Result<()> {
    let seen = drift_engine::look(uri, &config::settings()?).await?;
    println!("{}: {} collections, opened {} times", seen.uri, seen.collections.len(), seen.epoch);
    seen.collections.iter().for_each(print_collection);
    Ok(())
}

fn print_collection(look: &CollectionLook) {
    let (schema, status) = (&look.schema, &look.status);
    println!("\n{}", look.name);
    println!("  collection  {}, manifest {}", look.id, look.version);
    println!("  rows        {}, of which only the log has {}", thousands(status.rows), thousands(status.l0_rows));
    let dim = schema.dim.map_or("no row yet".to_owned(), |dim| format!("{dim} dimensions"));
    println!("  vectors     '{}', {dim}, {}", schema.vector_name(), schema.metric);
    println!("  key         {}", schema.key_name().unwrap_or("generated"));
    for field in schema.arrow.fields() {
        println!("  column      '{}' {}", field.name(), field.data_type());
    }
    println!("  buckets     {}", thousands(status.buckets as u64));
    println!("  segments    {}, {}", look.segments.len(), bytes(status.segment_bytes));
    for SegmentLook { path, rows, live_rows, bytes: size } in &look.segments {
        println!("    {path}  {} of {} rows live, {}", thousands(*live_rows), thousands(*rows), bytes(*size));
    }
}
