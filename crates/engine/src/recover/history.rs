use drift_ivf::StopRules;
use drift_manifest::{History, Manifest};

use crate::{Error, ErrorKind, Result, common::Common};

/// The history a manifest names. No row depends on it, so one that is damaged or gone is done without.
pub(super) async fn stored_history(common: &Common, manifest: &Manifest) -> Result<History> {
    let Some(blob) = &manifest.history else { return Ok(History::default()) };
    let stored = blob.read(&common.store).await.and_then(|bytes| History::decode(&blob.path, &bytes));
    match stored.map_err(Error::from) {
        Ok(history) => Ok(history),
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
            tracing::warn!("going on without what is remembered of maintenance and recall: {e}");
            Ok(History::default())
        }
        Err(e) => Err(e),
    }
}

/// The stop rules as they were fitted last; the default one if they never were.
pub(crate) fn stored_rules(history: &History) -> StopRules {
    history.weights.as_deref().and_then(StopRules::from_weights).unwrap_or_default()
}
