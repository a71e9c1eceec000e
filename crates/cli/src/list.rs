//! `drift list`: the collections of a database.

use clap::Args;

use crate::{
    collections::{self, Figures},
    error::Result,
    place::{self, Place},
    shell::Remote,
};

/// List the collections: rows, segments, buckets, bytes.
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
                let db = place::open(&self.place.db.db).await?;
                let figures = db.collections().iter().map(Figures::of).collect();
                db.close().await?;
                figures
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
