//! `drift create`: a collection from its columns.

use clap::Args;
use drift_types::Metric;

use crate::{
    error::Result,
    place::Place,
    shell::{self, Session},
};

/// Create a collection. Columns are written as in CREATE TABLE.
#[derive(Args)]
#[command(
    after_help = "Example: drift create docs 'id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[384]' --metric cosine"
)]
pub(crate) struct Create {
    /// The collection.
    name: String,
    /// Its columns; one is the vector, FLOAT[dimension].
    columns: String,
    /// How vectors are compared: l2, cosine or inner_product.
    #[arg(long, default_value_t)]
    metric: Metric,
    #[command(flatten)]
    place: Place,
}

impl Create {
    pub async fn run(self) -> Result<()> {
        let Self { name, columns, metric, place } = self;
        let mut session = Session::open(&place.db.db, place.host.as_deref()).await?;
        let sql = format!("CREATE TABLE {} ({columns}) WITH (metric = '{metric}')", quoted(&name));
        session.run(&sql, &shell::silent()).await?;
        session.close().await?;
        println!("created '{name}' ({metric}): fill it with 'drift import FILE.parquet --table {name}' or INSERT");
        Ok(())
    }
}

/// `name` as an identifier in SQL, its case kept.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
