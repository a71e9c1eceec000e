use crate::Violation;

/// What can go wrong with versions and what they name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An object is not what was written.
    #[error("'{path}' is corrupt at byte {offset}: {message}; restore it from a copy, or the database from a backup")]
    Corrupt {
        /// The object, relative to the store's root.
        path: String,
        /// Where in the object.
        offset: u64,
        /// What is wrong there.
        message: String,
    },

    /// Another writer has taken over. This one must stop: nothing it does can be committed.
    #[error(
        "fenced: a writer of epoch {theirs} has taken over from epoch {ours}; stop this process, or reopen the database"
    )]
    Fenced {
        /// The epoch of the refused version.
        ours: u64,
        /// The epoch of the version that stands in its place.
        theirs: u64,
    },

    /// A version breaks an invariant, so it was not written.
    #[error("refused to commit: {0}")]
    Violation(#[from] Violation),

    /// The caller's argument makes no sense.
    #[error("{0}")]
    Invalid(String),

    /// The store failed.
    #[error(transparent)]
    Storage(#[from] drift_storage::Error),
}

impl Error {
    pub(crate) fn corrupt(path: &str, offset: usize, message: impl Into<String>) -> Self {
        Self::Corrupt { path: path.into(), offset: offset as u64, message: message.into() }
    }
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;
