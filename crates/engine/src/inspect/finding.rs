use std::fmt;

use serde::Serialize;

/// What helps against every damage.
const REMEDY: &str = "restore it from a copy, or the database from a backup";

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, relative to the store's root; a local log file with its whole path.
    pub file: String,
    /// Where in the file, in bytes, if it is about a place.
    pub offset: Option<u64>,
    /// All of it in words: the file, what is wrong, what to do.
    pub message: String,
    /// Whether the file is not there at all. That proves nothing while its database goes on.
    #[serde(skip)]
    pub(super) is_missing: bool,
}

impl Finding {
    /// What is wrong with `file` as a whole, as the rest of a sentence that begins with its name.
    pub(super) fn new(file: &str, what: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), offset: None, message: format!("'{file}' {what}; {REMEDY}"), is_missing: false }
    }

    fn at(file: String, offset: Option<u64>, error: impl fmt::Display) -> Self {
        Self { file, offset, message: error.to_string(), is_missing: false }
    }

    /// What an error of the store says about `file`.
    fn of_store(file: &str, error: drift_storage::Error) -> Self {
        use drift_storage::Error as E;
        match error {
            E::NotFound { path } => Self { is_missing: true, ..Self::new(&path, "is missing") },
            E::Corrupt { path, length, range } => {
                let what = format!("ends at byte {length}, but is read up to byte {}", range.end);
                Self { offset: Some(length), ..Self::new(&path, what) }
            }
            other => Self::at(file.to_owned(), None, other),
        }
    }

    /// What an error says that was met while `file` was looked at.
    pub(super) fn of_manifest(file: &str, error: drift_manifest::Error) -> Self {
        use drift_manifest::Error as E;
        match error {
            E::Storage(error) => Self::of_store(file, error),
            E::Corrupt { ref path, offset, .. } => Self::at(path.clone(), Some(offset), &error),
            other => Self::at(file.to_owned(), None, other),
        }
    }

    /// What an error says that was met while the segment `file` was looked at.
    pub(super) fn of_segment(file: &str, error: drift_segment::Error) -> Self {
        use drift_segment::Error as E;
        match error {
            E::Storage(error) => Self::of_store(file, error),
            E::Corrupt { ref path, offset, .. } => Self::at(path.clone(), Some(offset), &error),
            other => Self::at(file.to_owned(), None, other),
        }
    }

    /// What an error of the log says.
    pub(super) fn of_log(error: drift_wal::Error) -> Self {
        use drift_wal::Error as E;
        let (file, offset) = match &error {
            E::Corrupt { path, offset, .. } | E::UnknownKind { path, offset, .. } => (path.clone(), Some(*offset)),
            E::Missing { path }
            | E::WrongDatabase { path, .. }
            | E::Version { path, .. }
            | E::Io { path, .. }
            | E::Outdated { path, .. } => (path.clone(), None),
            _ => ("wal".to_owned(), None),
        };
        Self::at(file, offset, error)
    }
}

/// A part of a database that has been read through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Which: `catalog`, `collection 'docs'` or `log`.
    pub part: String,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows stored, dead ones included; of the log, rows in insert records.
    pub rows: u64,
    /// Files that nothing names: garbage that a search may still read, or what a crash has left.
    /// The next start removes them.
    pub unnamed_files: u64,
    /// What is wrong.
    pub wrong: Vec<Finding>,
}

impl Checked {
    pub(super) fn new(part: impl Into<String>) -> Self {
        Self { part: part.into(), files: 0, bytes: 0, rows: 0, unnamed_files: 0, wrong: Vec::new() }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, files, bytes, rows, unnamed_files, wrong } = self;
        write!(f, "{part}: {files} files, {bytes} bytes, {rows} rows")?;
        if *unnamed_files > 0 {
            write!(f, ", {unnamed_files} more files that nothing names")?;
        }
        match wrong.len() {
            0 => f.write_str(": sound"),
            1 => f.write_str(": 1 thing is wrong"),
            n => write!(f, ": {n} things are wrong"),
        }
    }
}

/// What a database was found to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The database.
    pub uri: String,
    /// Its parts.
    pub parts: Vec<Checked>,
}

impl Verification {
    /// All that is wrong.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.parts.iter().flat_map(|part| &part.wrong)
    }
}
