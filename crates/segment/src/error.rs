use arrow_schema::ArrowError;

/// What can go wrong with a segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Invalid(String),

    /// A column is of a type that cannot be stored, or too large for its type.
    #[error("a column cannot be written or built: {0}")]
    Column(#[from] ArrowError),

    /// The file's bytes are not what was written.
    #[error(
        "'{path}' is corrupt at byte {offset}: {message}; restore the file from a copy, or import \
         its collection again"
    )]
    Corrupt {
        /// The segment, relative to the store's root.
        path: String,
        /// Where the damaged part starts.
        offset: u64,
        /// What is wrong there.
        message: String,
    },

    /// The file is sound, but of a format this program does not know.
    #[error("'{path}' needs a newer drift: {message}; upgrade to read it")]
    Newer {
        /// The segment, relative to the store's root.
        path: String,
        /// What is not known.
        message: String,
    },

    /// The file is sound, but of a format this program knows no more.
    #[error("'{path}' needs an older drift: {message}; export its collection with that and import it again")]
    Older {
        /// The segment, relative to the store's root.
        path: String,
        /// What is not known any more.
        message: String,
    },

    /// The store failed, or the file ends too early.
    #[error(transparent)]
    Storage(#[from] drift_storage::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Column(error.into())
    }
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why bytes could not be read, before anybody has said which file they are from.
#[derive(Debug, PartialEq)]
pub(crate) enum Flaw {
    /// They are damaged.
    Corrupt(String),
    /// They are from the future.
    Newer(String),
    /// They are from before anything was promised.
    Older(String),
}

impl Flaw {
    /// The flaw of a part that starts at `offset` of `path`.
    pub(crate) fn at(self, path: &str, offset: u64) -> Error {
        let path = path.to_owned();
        match self {
            Self::Corrupt(message) => Error::Corrupt { path, offset, message },
            Self::Newer(message) => Error::Newer { path, message },
            Self::Older(message) => Error::Older { path, message },
        }
    }
}

impl From<&str> for Flaw {
    fn from(message: &str) -> Self {
        Self::Corrupt(message.to_owned())
    }
}

impl From<String> for Flaw {
    fn from(message: String) -> Self {
        Self::Corrupt(message)
    }
}

/// Compares the checksum of `bytes` with the one written down elsewhere.
pub(crate) fn verify(bytes: &[u8], crc: u32) -> Result<(), Flaw> {
    let found = crc32c::crc32c(bytes);
    if found == crc {
        return Ok(());
    }
    Err(format!("checksum {found:08x} instead of {crc:08x}").into())
}
