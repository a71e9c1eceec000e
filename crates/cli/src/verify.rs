//! `drift verify`: is every byte what was written, and is everything there?

use clap::Args;
use drift_engine::Checked;

use crate::{
    config,
    error::{Error, Result},
    progress::{bytes, thousands},
};

/// Read a whole database and say what is wrong with it: checksums, references, tombstones, buckets, log.
///
/// Writes nothing, so a server may have the database open. Ends with status 1 if anything is wrong.
#[derive(Args)]
pub(crate) struct Verify {
    /// Directory (or URI) of the database.
    #[arg(env = "DRIFT_DB", default_value = "drift-data", value_name = "DIR")]
    db: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub async fn run(self) -> Result<()> {
        let json = self.json;
        let mut tell = |part: &Checked| {
            if !json {
                print(part);
            }
        };
        let found = drift_engine::verify(&self.db, &config::settings()?, &mut tell).await?;
        if json {
            println!("{}", serde_json::to_string_pretty(&found).expect("a report is plain data"));
        }
        match found.wrong().count() {
            0 => Ok(()),
            1 => Err(Error::invalid(format!("1 thing is wrong with {}", self.db))),
            n => Err(Error::invalid(format!("{n} things are wrong with {}", self.db))),
        }
    }
}

fn print(part: &Checked) {
    let Checked { part, files, bytes: size, rows, unnamed_files, wrong } = part;
    let verdict = if wrong.is_empty() { "sound" } else { "WRONG" };
    println!("{verdict}  {part}: {} files, {}, {} rows", thousands(*files), bytes(*size), thousands(*rows));
    if *unnamed_files > 0 {
        println!("       {unnamed_files} more files that nothing names: the next start removes them");
    }
    for finding in wrong {
        println!("       {}", finding.message);
    }
}
