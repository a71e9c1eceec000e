//! `drift inspect`: what a segment holds.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use drift_segment::{PartCache, SegmentReader};
use drift_storage::Store;

use crate::error::{Error, Result};

/// Describe a segment: whose rows, which columns, how its bytes and runs are spread.
///
/// Reads the file alone, so the database may be in use.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The segment.
    #[arg(value_name = "FILE.drift")]
    file: PathBuf,
}

impl Inspect {
    pub async fn run(self) -> Result<()> {
        let refused = |e| Error::io(format!("cannot open {}", self.file.display()), e);
        let path = self.file.canonicalize().map_err(refused)?;
        let unfit = || Error::invalid(format!("{} is no file with a name in UTF-8", path.display()));
        let parent = path.parent().and_then(|parent| parent.to_str()).ok_or_else(unfit)?;
        let name = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()).ok_or_else(unfit)?;
        let store = Store::open(parent).await?;
        // Nothing is read twice, so nothing need be kept.
        let reader = SegmentReader::open(store, name.to_owned(), None, Arc::new(PartCache::new(0))).await?;
        print!("{}", reader.describe());
        Ok(())
    }
}
