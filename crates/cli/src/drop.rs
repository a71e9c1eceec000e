//! `drift drop`: a collection and all its rows.

use clap::Args;

use crate::{
    create::quoted,
    error::Result,
    place::Place,
    shell::{self, Session},
};

/// Drop a collection and all its rows.
#[derive(Args)]
pub(crate) struct DropCollection {
    /// The collection.
    name: String,
    #[command(flatten)]
    place: Place,
}

impl DropCollection {
    pub async fn run(self) -> Result<()> {
        let mut session = Session::open(&self.place.db.db, self.place.host.as_deref()).await?;
        session.run(&format!("DROP TABLE {}", quoted(&self.name)), &shell::silent()).await?;
        session.close().await?;
        println!("dropped '{}'", self.name);
        Ok(())
    }
}
