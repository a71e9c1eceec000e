//! New versions of the catalog and of manifests.

use std::time::Duration;

use drift_manifest::{Commit, Error as LogError, Numbered, VersionLog};

use crate::{Error, ErrorKind, Result};

/// A store that does not answer is asked again after this pause, then after twice as long,
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// up to this one.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// So long a caller waits for the end of what goes on without him.
const PATIENCE: Duration = Duration::from_secs(30);

/// Does `work` to its end, also when nobody waits for it any more: what becomes durable must become visible.
///
/// # Errors
/// Those of `work`, and `Unavailable` if it takes too long. It goes on then.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::time::timeout(PATIENCE, tokio::spawn(work)).await {
        Ok(ended) => ended.map_err(|e| Error::internal(format!("a change ended early: {e}")))?,
        Err(_) => {
            let goes_on = "the store does not answer; the change is made once it does: look again later";
            Err(Error::new(ErrorKind::Unavailable, goes_on))
        }
    }
}

/// Makes `next` the version after `newest`. A store that does not answer is asked until it does: without an answer
/// nobody knows which version is the newest, and nothing can follow it. To be called within [`to_the_end`].
///
/// # Errors
/// `Unavailable` if another writer was faster, `Closed` if one has taken over.
pub(crate) async fn commit_version<T: Numbered>(log: &VersionLog<T>, next: &T, newest: &T) -> Result<()> {
    let mut pause = PAUSE_MIN;
    loop {
        match log.commit(next, Some(newest)).await {
            Ok(Commit::Committed) => return Ok(()),
            Ok(Commit::Conflict(_)) => {
                let raced = "another writer has changed the database: restart this one";
                return Err(Error::new(ErrorKind::Unavailable, raced));
            }
            Err(LogError::Storage(e)) => {
                tracing::warn!("version {} may not be there yet, trying again: {e}", next.stamp().id);
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(PAUSE_MAX);
            }
            Err(e) => return Err(e.into()),
        }
    }
}
