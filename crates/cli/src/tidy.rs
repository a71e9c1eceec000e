//! `drift flush` and `drift compact`: what a database does by itself, at once.

use clap::Args;
use drift_engine::Collection;

use crate::{
    collections::{self, Figures},
    error::Result,
    place::{self, Place},
    shell::Remote,
};

/// What is done; named as the server's actions are.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Flush,
    Compact,
}

impl Work {
    fn action(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Compact => "compact",
        }
    }

    async fn run(self, collection: &Collection) -> Result<()> {
        collection.flush().await?;
        match self {
            Self::Flush => Ok(()),
            Self::Compact => Ok(collection.compact().await?),
        }
    }
}

#[derive(Args)]
pub(crate) struct Tidy {
    /// The collection; all if none is named.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Tidy {
    pub async fn run(self, work: Work) -> Result<()> {
        let figures = match &self.place.host {
            Some(host) => {
                let name = self.name.as_deref().unwrap_or_default();
                Figures::of_json(&Remote::connect(host).await?.action(work.action(), name).await?)
            }
            None => self.run_here(work).await?,
        };
        collections::print(&figures);
        Ok(())
    }

    async fn run_here(&self, work: Work) -> Result<Vec<Figures>> {
        let db = place::open(&self.place.db.db).await?;
        let collections = match &self.name {
            Some(name) => vec![drift_udfs::collection(&db, name)?],
            None => db.collections(),
        };
        for collection in &collections {
            work.run(collection).await?;
        }
        let figures = collections.iter().map(Figures::of).collect();
        db.close().await?;
        Ok(figures)
    }
}
