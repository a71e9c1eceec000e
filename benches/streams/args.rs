use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use drift_benches::{
    data::{self, Rows},
    stream::{self, Churn, Stream},
};
use drift_engine::Settings;

/// Streams that drift, through the engine's own doors.
#[derive(Parser)]
pub struct Args {
    #[command(subcommand)]
    workload: Workload,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Subcommand)]
enum Workload {
    /// Rows in the file's order.
    Commits {
        #[command(flatten)]
        files: Files,
        /// Only the newest rows stay: this share of all.
        #[arg(long)]
        window: Option<f64>,
    },
    /// Label by label, then half of all deleted.
    Classes {
        #[command(flatten)]
        files: Files,
    },
    /// Cluster by cluster.
    Clusters {
        #[command(flatten)]
        files: Files,
        /// How many.
        #[arg(long, default_value_t = 20)]
        clusters: usize,
    },
    /// Clusters that are born and die; half of what came is deleted.
    Churn {
        /// Rows inserted.
        #[arg(long, default_value_t = 200_000)]
        rows: usize,
    },
}

#[derive(ClapArgs)]
struct Files {
    /// Rows: a Parquet file with a column of vectors.
    #[arg(long)]
    base: PathBuf,
    /// Queries, likewise; without, a tenth of the rows.
    #[arg(long)]
    query: Option<PathBuf>,
    /// At most so many rows.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
}

/// How a stream is run, whichever it is.
#[derive(ClapArgs)]
pub struct Run {
    /// Steps that insert.
    #[arg(long, default_value_t = 10, global = true)]
    steps: usize,
    /// Queries asked after each step.
    #[arg(long, default_value_t = 500, global = true)]
    queries: usize,
    /// Seconds over which the rows are spread; 0: as fast as they are taken.
    #[arg(long, default_value_t = 15.0, global = true)]
    pub stream_s: f64,
    /// Milliseconds between the queries that are asked while rows come; 0: none are.
    #[arg(long, default_value_t = 5, global = true)]
    pub busy_ms: u64,
    /// Costs at equal recall are measured after every so many steps, and after the last; 0: never.
    #[arg(long, default_value_t = 3, global = true)]
    pub sweep_every: usize,
    /// Rows that L0 holds before it is flushed: an eighth of what it holds by default, for the streams
    /// are small.
    #[arg(long, default_value_t = 4_096, global = true)]
    memtable_rows: usize,
    /// Share of a core that audits may take; 0: the stop rule stays as it is.
    #[arg(long, default_value_t = Settings::default().audit_cpu_share, global = true)]
    audits: f32,
    /// Controls to go without.
    #[arg(long, value_delimiter = ',', global = true)]
    pub without: Vec<Control>,
    /// CSV file to append to.
    #[arg(long, global = true)]
    pub record: Option<PathBuf>,
    /// Machine and commit, for the record.
    #[arg(long, default_value = "", global = true)]
    pub tag: String,
    /// Directory to write the stream into, for other engines.
    #[arg(long, global = true)]
    pub export: Option<PathBuf>,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Control {
    /// Without maintenance.
    Off,
    /// Freshly built.
    Fresh,
}

impl Args {
    /// What the record calls the workload.
    pub fn name(&self) -> &'static str {
        match self.workload {
            Workload::Commits { window: None, .. } => "commits",
            Workload::Commits { window: Some(_), .. } => "commits window",
            Workload::Classes { .. } => "classes",
            Workload::Clusters { .. } => "clusters",
            Workload::Churn { .. } => "churn",
        }
    }

    /// The stream itself.
    pub fn stream(&self) -> Stream {
        let Run { steps, queries: asked, .. } = self.run;
        match &self.workload {
            Workload::Commits { files, window } => {
                let (rows, queries) = files.read();
                let window = window.map(|share| (share * rows.len() as f64) as usize);
                stream::in_order(rows, queries, steps, asked, window)
            }
            Workload::Classes { files } => {
                let (rows, queries) = files.read();
                let labels = |path: &PathBuf| data::numbers(&data::batches(path), "label");
                let query = files.query.as_ref().expect("classes needs a file of queries, for their labels");
                stream::by_label((rows, &labels(&files.base)), (queries, &labels(query)), steps, asked, true)
            }
            Workload::Clusters { files, clusters } => {
                let (rows, queries) = files.read();
                stream::by_cluster(rows, queries, *clusters, steps, asked)
            }
            Workload::Churn { rows } => stream::churn(Churn { rows: *rows, steps, asked }),
        }
    }

    /// Whether costs at equal recall are measured after this one of so many steps.
    pub fn is_swept(&self, step: usize, steps: usize) -> bool {
        let every = self.run.sweep_every;
        every > 0 && (step + 1 == steps || (step + 1).is_multiple_of(every))
    }

    /// Settings of the engine, with or without maintenance.
    pub fn settings(&self, maintenance: bool) -> Settings {
        let Run { memtable_rows: memtable_rows_max, audits: audit_cpu_share, .. } = self.run;
        Settings { maintenance, memtable_rows_max, audit_cpu_share, ..Settings::default() }
    }
}

impl Files {
    fn read(&self) -> (Rows, Rows) {
        let mut rows = Rows::read(&self.base);
        rows.truncate(self.limit);
        match &self.query {
            Some(query) => (rows, Rows::read(query)),
            None => stream::hold_out(&rows),
        }
    }
}
