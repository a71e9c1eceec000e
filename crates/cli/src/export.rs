//! `drift export`: a collection as a plain Parquet file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use clap::Args;
use drift_engine::{Database, ScanRequest};
use futures::TryStreamExt;
use parquet::{arrow::ArrowWriter, errors::ParquetError};

use crate::{
    error::{Error, Result},
    place::{self, Db},
    progress::{rows_bar, thousands},
};

/// Write a collection to a plain Parquet file.
///
/// Rows come in no order, all from one moment.
#[derive(Args)]
pub(crate) struct Export {
    /// The collection.
    table: String,
    /// The file to write; one that exists is not touched.
    #[arg(value_name = "FILE.parquet")]
    file: PathBuf,
    #[command(flatten)]
    place: Db,
}

impl Export {
    pub async fn run(self) -> Result<()> {
        if self.file.exists() {
            return Err(Error::invalid(format!("{} exists already: name another file", self.file.display())));
        }
        let db = place::open(&self.place.db).await?;
        // Written beside its place and moved there whole, so that no half a file bears the name.
        let part = self.file.with_extension("parquet.part");
        let written = write(&db, &self.table, &part).await;
        if written.is_err() {
            // The reason of the failure matters, not what is left of it.
            let _ = fs::remove_file(&part);
        }
        let rows = written?;
        fs::rename(&part, &self.file).map_err(|e| Error::io(format!("cannot write {}", self.file.display()), e))?;
        println!("exported {} rows of '{}' to {}", thousands(rows), self.table, self.file.display());
        db.close().await?;
        Ok(())
    }
}

/// Writes all rows of a collection; how many they are.
async fn write(db: &Database, name: &str, path: &Path) -> Result<u64> {
    let collection = drift_udfs::collection(db, name)?;
    let unwritable = |e: ParquetError| Error::invalid(format!("cannot write {}: {e}", path.display()));
    let file = File::create(path).map_err(|e| Error::io(format!("cannot create {}", path.display()), e))?;
    let mut writer = ArrowWriter::try_new(file, collection.arrow_schema(), None).map_err(unwritable)?;
    let bar = rows_bar(collection.status().rows, "exporting");
    let mut batches = collection.scan(ScanRequest::default());
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        bar.set_position(rows);
        writer.write(&batch).map_err(unwritable)?;
    }
    writer.close().map_err(unwritable)?;
    bar.finish_and_clear();
    Ok(rows)
}
