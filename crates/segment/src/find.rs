use std::{collections::BTreeMap, sync::Arc};

use drift_types::VectorId;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{Error, KeyFilter, KeyPage, Result, SegmentReader};

/// How many pages of the key index are read at once.
const CONCURRENT_PAGES: usize = 8;

impl SegmentReader {
    /// Tells most keys that are not in the segment.
    pub async fn key_filter(&self) -> Result<Arc<KeyFilter>> {
        self.part(0, self.opened.read_key_filter()).await
    }

    /// The rows that hold one of `keys`, which may come in any order: pairs of a position in `keys`
    /// and an ordinal, ascending. A key may have several rows, of which at most one is live: a bulk
    /// load writes a row's successor beside it.
    ///
    /// What is read and then cached: the filter, and for each key that passes it the page that may
    /// hold it, with one range read a page.
    pub async fn find(&self, keys: &[VectorId]) -> Result<Vec<(usize, u32)>> {
        let filter = self.key_filter().await?;
        let mut positions_on: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (position, key) in keys.iter().enumerate().filter(|(_, key)| filter.may_hold(**key)) {
            for page in self.opened.key_index.pages_of(*key) {
                positions_on.entry(page).or_default().push(position);
            }
        }
        let mut pages = stream::iter(positions_on)
            .map(|(page, positions)| async move { Ok::<_, Error>((self.key_page(page).await?, positions)) })
            .buffered(CONCURRENT_PAGES);
        let mut found = Vec::new();
        while let Some((page, positions)) = pages.try_next().await? {
            for position in positions {
                found.extend(page.rows_of(keys[position]).map(|ordinal| (position, ordinal)));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn key_page(&self, page: u32) -> Result<Arc<KeyPage>> {
        self.part(page, self.opened.read_key_page(page)).await
    }
}
