//! The one place where errors of the engine become errors of DataFusion.

use datafusion::error::DataFusionError;
use drift_engine::{Collection, Database, Error, ErrorKind};

/// An engine error as DataFusion carries it; [`engine_error`] finds it again.
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The engine error at the root of `error`, if there is one: it knows what the caller should do.
pub fn engine_error(error: &DataFusionError) -> Option<&Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// An error of DataFusion as the engine passes it on: a source of rows that failed.
pub fn from_datafusion(error: &DataFusionError) -> Error {
    match (engine_error(error), error.find_root()) {
        (Some(error), _) => error.clone(),
        (None, DataFusionError::ResourcesExhausted(_)) => Error::new(ErrorKind::Unavailable, error.to_string()),
        (None, _) => Error::invalid(error.strip_backtrace()),
    }
}

/// The error of a request that must be mended.
pub(crate) fn invalid(message: impl Into<String>) -> DataFusionError {
    to_datafusion(Error::invalid(message))
}

/// The collection `name`.
///
/// # Errors
/// `NotFound`, with the names that would have been found.
pub fn collection(database: &Database, name: &str) -> Result<Collection, DataFusionError> {
    database.collection(name).map_err(|error| match error.kind() {
        // The engine does not know how its callers make one.
        ErrorKind::NotFound if database.collections().is_empty() => {
            to_datafusion(Error::new(ErrorKind::NotFound, format!("{error}, make one with CREATE TABLE")))
        }
        _ => to_datafusion(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_error_is_found_below_contexts() {
        let error = to_datafusion(Error::invalid("mend it")).context("while planning");
        assert_eq!(engine_error(&error).map(Error::kind), Some(ErrorKind::Invalid));
        assert!(engine_error(&DataFusionError::Plan("other".into())).is_none());
    }
}
