//! `drift flush`: everything in memory into segments.

use clap::Args;

use crate::{
    collections::{self, Figures},
    error::Result,
    place::{self, Place},
    shell::Remote,
};

/// Write everything in L0 to segments. Never needed for durability: the log has it already.
#[derive(Args)]
pub(crate) struct Flush {
    /// The collection; all if none is named.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Flush {
    pub async fn run(self) -> Result<()> {
        let figures = match &self.place.host {
            Some(host) => {
                let name = self.name.as_deref().unwrap_or_default();
                Figures::of_json(&Remote::connect(host).await?.action("flush", name).await?)
            }
            None => self.flush_here().await?,
        };
        collections::print(&figures);
        Ok(())
    }

    async fn flush_here(&self) -> Result<Vec<Figures>> {
        let db = place::open(&self.place.db.db).await?;
        let collections = match &self.name {
            Some(name) => vec![drift_udfs::collection(&db, name)?],
            None => db.collections(),
        };
        for collection in &collections {
            collection.flush().await?;
        }
        let figures = collections.iter().map(Figures::of).collect();
        db.close().await?;
        Ok(figures)
    }
}
