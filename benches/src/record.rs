//! Figures as CSV, one a line.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use arrow_array::Date32Array;
use clap::Args;

/// Lines of a CSV file to append to.
#[derive(Debug)]
pub struct Record {
    header: &'static str,
    lines: Vec<String>,
}

impl Record {
    /// An empty record with these columns.
    pub fn new(header: &'static str) -> Self {
        Self { header, lines: Vec::new() }
    }

    /// One figure: what it is of, column by column, and its value.
    pub fn put(&mut self, of: &[&str], value: f64) {
        self.lines.push(format!("{},{value:.4}", of.join(",")));
    }

    /// Appends the lines; a new file begins with the header.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn append(&self, path: &Path) {
        let is_new = !path.exists();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("the record can be written");
        let header = is_new.then_some(self.header).into_iter();
        for line in header.chain(self.lines.iter().map(String::as_str)) {
            writeln!(file, "{line}").expect("the record can be written");
        }
    }
}

/// Where a benchmark puts its figures.
#[derive(Clone, Debug, Args)]
pub struct Recording {
    /// CSV file to append to.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Machine and commit, for the record.
    #[arg(long, default_value = "")]
    tag: String,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Recording {
    /// Today, machine and commit.
    pub fn tag(&self) -> String {
        format!("{} {}", today(), self.tag)
    }

    /// Appends to the file, if one was named.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn append(&self, record: &Record) {
        if let Some(path) = &self.record {
            record.append(path);
        }
    }
}

/// Today as YYYY-MM-DD, in UTC.
pub fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let date = Date32Array::from(vec![(seconds / 86_400) as i32]);
    arrow_cast::display::array_value_to_string(&date, 0).expect("a date")
}
