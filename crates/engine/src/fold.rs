//! Errors of the crates below, folded into the engine's.

use crate::{Error, ErrorKind};

impl From<drift_storage::Error> for Error {
    fn from(e: drift_storage::Error) -> Self {
        use drift_storage::Error as E;
        let kind = match &e {
            E::NotFound { .. } => ErrorKind::NotFound,
            E::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            E::InUse { .. } => ErrorKind::Unavailable,
            E::Invalid(_) => ErrorKind::Invalid,
            E::Corrupt { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<drift_manifest::Error> for Error {
    fn from(e: drift_manifest::Error) -> Self {
        use drift_manifest::Error as E;
        let kind = match e {
            E::Storage(e) => return e.into(),
            E::Corrupt { .. } => ErrorKind::Corrupt,
            E::Invalid(_) => ErrorKind::Invalid,
            E::Fenced { .. } => ErrorKind::Closed,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<drift_segment::Error> for Error {
    fn from(e: drift_segment::Error) -> Self {
        use drift_segment::Error as E;
        let kind = match e {
            E::Storage(e) => return e.into(),
            E::Corrupt { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<drift_wal::Error> for Error {
    fn from(e: drift_wal::Error) -> Self {
        use drift_wal::Error as E;
        let kind = match e {
            E::Io { .. } | E::Fenced { .. } => ErrorKind::Unavailable,
            E::TooLarge { .. } | E::Outdated { .. } => ErrorKind::Invalid,
            E::Poisoned => ErrorKind::Closed,
            _ => ErrorKind::Corrupt,
        };
        Self::new(kind, e.to_string())
    }
}
