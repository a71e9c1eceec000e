//! `drift list`: the collections of a database.

use clap::Args;

use crate::{
    collections::{self, Figures},
    config,
    error::Result,
    place::Place,
    shell::Remote,
};

/// List the collections: rows, segments, buckets, bytes.
///
/// Reads the files alone and writes nothing, so a server may have the database open.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
}

impl List {
    pub async fn run(self) -> Result<()> {
        let figures = match &self.place.host {
            Some(host) => Figures::of_json(&Remote::connect(host).await?.action("stats", "").await?),
            None => {
                let seen = drift_engine::look(&self.place.db.db, &config::settings()?).await?;
                seen.collections.iter().map(Figures::seen).collect()
            }
        };
        if figures.is_empty() {
            println!("no collections yet: make one with 'drift create' or 'drift import'");
        } else {
            collections::print(&figures);
        }
        Ok(())
    }
}
