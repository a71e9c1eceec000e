use drift_manifest::{Catalog, CatalogEntry, VersionLog, paths};

use super::{Checked, Finding, Verification, collection, log, nothing_at, open_store};
use crate::{Result, Settings};

/// Reads the whole database at `uri` and says what is wrong with it: every checksum, every reference
/// from one file to another, the order of versions, bucket tables, tombstones, the conservation hash,
/// the log. `on_part` is told of each part once it has been read.
///
/// Nothing is locked and nothing written, and a server may go on writing meanwhile: what it removes
/// while it is read is looked for again under the newest manifest. Memory holds one part of a segment
/// at a time, and one log file.
///
/// Nothing names the newest catalog, manifest and log file: one of them that is lost as a whole is missed
/// only where it leaves a gap, or where an older manifest names what is gone.
///
/// # Errors
/// `NotFound` if there is no database, and those of the store where it cannot even be listed. What
/// is damaged is no error but part of the answer.
pub async fn verify(
    uri: &str,
    settings: &Settings,
    on_part: &mut (dyn FnMut(&Checked) + Send),
) -> Result<Verification> {
    let store = open_store(uri).await?;
    let mut parts = Vec::new();
    let mut finish = |part: Checked| {
        on_part(&part);
        parts.push(part);
    };
    let chain = VersionLog::<Catalog>::catalog(store.clone()).verify().await?;
    if chain.versions == 0 && chain.wrong.is_empty() {
        return Err(nothing_at(uri));
    }
    let wrong = chain.wrong.into_iter().map(|e| Finding::of_manifest(paths::CATALOG_DIR, e)).collect();
    finish(Checked { files: chain.versions, bytes: chain.bytes, wrong, ..Checked::new("catalog") });
    if let Some(catalog) = chain.latest {
        for CatalogEntry { name, collection } in &catalog.collections {
            if let Some(part) = collection::check(&store, *collection, name).await? {
                finish(part);
            }
        }
        finish(log::check(&store, settings, &catalog).await?);
    }
    Ok(Verification { uri: uri.to_owned(), parts })
}
