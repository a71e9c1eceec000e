//! `drift sql`: the DataFusion CLI over Drift's session, here or on a server.
//!
//! Prompt, commands (`\d`, `\pset` ...), options and printing are those of the crate
//! `datafusion-cli`. The loop is ours, for two reasons: its own plans every statement itself, and
//! its planner refuses `CREATE TABLE .. WITH (metric = 'cosine')`; and it cannot ask a server.

mod local;
mod prompt;
mod remote;
mod statements;

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use datafusion_cli::{
    object_storage::instrumented::InstrumentedObjectStoreRegistry,
    print_format::PrintFormat,
    print_options::{MaxRows, PrintOptions},
};
use drift_engine::Database;

use crate::{
    error::{Error, Result},
    place,
};
use local::Local;
pub(crate) use remote::Remote;

/// Ask in SQL: a prompt, or statements from -c and -f.
///
/// Without DIR and --host the database is in memory and gone at the end.
#[derive(Args)]
pub(crate) struct Sql {
    /// Directory (or URI) of the database; made when there is none.
    #[arg(value_name = "DIR")]
    db: Option<String>,
    /// Ask this server instead, such as grpc://127.0.0.1:50051.
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    host: Option<String>,
    /// Run these statements, then exit. May be repeated.
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// Run the statements of this file, then exit. May be repeated; files run before -c.
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = PrintFormat::Table, hide_possible_values = true,
        value_name = "table|csv|tsv|json|nd-json")]
    format: PrintFormat,
    /// Print results only: no row counts, no times.
    #[arg(short, long)]
    quiet: bool,
    /// Rows shown of a table; `inf` shows all.
    #[arg(long, default_value = "40")]
    maxrows: MaxRows,
    /// Colour the statements typed at the prompt.
    #[arg(long)]
    color: bool,
}

impl Sql {
    pub async fn run(self) -> Result<()> {
        let uri = self.db.as_deref().unwrap_or("memory://");
        let mut session = Session::open(uri, self.host.as_deref()).await?;
        let mut print = PrintOptions {
            format: self.format,
            quiet: self.quiet,
            maxrows: self.maxrows,
            color: self.color,
            instrumented_registry: Arc::new(InstrumentedObjectStoreRegistry::new()),
        };
        for file in &self.file {
            session.run_file(file, &print).await?;
        }
        for command in &self.command {
            session.run(command, &print).await?;
        }
        if self.file.is_empty() && self.command.is_empty() {
            prompt::run(&mut session, &mut print).await?;
        }
        session.close().await
    }
}

/// What runs statements.
pub(crate) enum Session {
    /// A database this process has open.
    Local(Local),
    /// A server.
    Remote(Box<Remote>),
}

impl Session {
    /// Opens the database at `uri`, unless there is a `host` to ask.
    pub async fn open(uri: &str, host: Option<&str>) -> Result<Self> {
        Ok(match host {
            Some(host) => Self::Remote(Box::new(Remote::connect(host).await?)),
            None => Self::Local(Local::new(place::open(uri).await?)),
        })
    }

    /// A session over a database that is open.
    pub fn over(db: &Database) -> Self {
        Self::Local(Local::new(db.clone()))
    }

    /// Runs the statements of `text` one after the other and prints what they yield.
    ///
    /// # Errors
    /// Those of the first statement that fails; those after it do not run.
    pub async fn run(&mut self, text: &str, print: &PrintOptions) -> Result<()> {
        for statement in statements::split(text)? {
            match self {
                Self::Local(local) => local.run(statement, print).await?,
                Self::Remote(remote) => remote.run(statement, print).await?,
            }
        }
        Ok(())
    }

    /// As [`Session::run`], with the text of a file.
    pub async fn run_file(&mut self, path: &std::path::Path, print: &PrintOptions) -> Result<()> {
        let unreadable = |e| Error::io(format!("cannot read {}", path.display()), e);
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        self.run(&text, print).await
    }

    /// Closes what was opened.
    pub async fn close(self) -> Result<()> {
        match self {
            Self::Local(local) => local.close().await,
            Self::Remote(_) => Ok(()),
        }
    }
}

/// Prints at most `maxrows` rows as a table, and nothing else.
pub(crate) fn rows_only(maxrows: MaxRows) -> PrintOptions {
    PrintOptions {
        format: PrintFormat::Table,
        quiet: true,
        maxrows,
        color: false,
        instrumented_registry: Arc::new(InstrumentedObjectStoreRegistry::new()),
    }
}

/// Prints nothing at all.
pub(crate) fn silent() -> PrintOptions {
    rows_only(MaxRows::Limited(0))
}
