//! `drift demo`: search and drift on real and seeded data, in about a minute.

mod drift_stream;
mod measure;
mod sample;

use std::{env, fs, path::PathBuf};

use clap::Args;

use crate::{
    error::{Error, Result},
    place,
};

/// See it work: real data, questions in SQL, and an index under drift.
#[derive(Args)]
pub(crate) struct Demo {
    /// Directory of the demo's database, which is kept; a temporary one if not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Keep the temporary directory.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub async fn run(self) -> Result<()> {
        let keep = self.keep || self.dir.is_some();
        let dir = self.dir.unwrap_or_else(|| env::temp_dir().join(format!("drift-demo-{}", ulid::Ulid::new())));
        let uri =
            dir.to_str().ok_or_else(|| Error::invalid("the directory's name is no UTF-8: name another with --dir"))?;
        println!("The demo's database is {uri}\n");
        let outcome = show(uri).await;
        if !keep {
            fs::remove_dir_all(&dir).map_err(|e| Error::io(format!("cannot remove {uri}"), e))?;
        }
        outcome?;
        println!("{}", next_steps(keep.then_some(uri)));
        Ok(())
    }
}

async fn show(uri: &str) -> Result<()> {
    let db = place::open(uri).await?;
    sample::show(&db).await?;
    drift_stream::show(&db).await?;
    Ok(db.close().await?)
}

fn title(text: &str) {
    println!("== {text}\n");
}

fn next_steps(kept: Option<&str>) -> String {
    let dir = kept.unwrap_or("demo-data");
    let again = match kept {
        Some(_) => String::new(),
        None => format!("  keep the data         drift demo --dir {dir}\n"),
    };
    format!(
        "== What to try next

{again}  ask yourself          drift sql {dir}
  your own vectors      drift import FILE.parquet --table t --db {dir}
  serve them            drift serve {dir}
  from Python           python clients/python/quickstart.py 127.0.0.1:50051"
    )
}
