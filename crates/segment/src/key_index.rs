use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use drift_codec::packed::{Packed, pack};
use drift_storage::page::PAGE;
use drift_types::VectorId;

use crate::{
    directory::Place,
    error::{Flaw, verify},
    footer::Section,
    le,
};

const HEADER_BYTES: usize = 16;
const FENCE_BYTES: usize = 12;

/// Where to look for a key: the first key of each page of IDIX, kept in memory.
///
/// ```text
/// IDIX          4,096 each   pages
/// KEY_FENCES    u64  pages   the first key of each page
///               u32  pages   crc32c of each page
/// ```
///
/// Entries are sorted by key, then by ordinal; all rows have one.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    offset: u64,
    first_keys: Vec<u64>,
    sums: Vec<u8>,
}

impl KeyIndex {
    pub(crate) fn parse(section: Section, fences: &[u8]) -> Result<Self, Flaw> {
        let pages = fences.len() / FENCE_BYTES;
        if pages == 0 || fences.len() != pages * FENCE_BYTES || section.length != (pages * PAGE) as u64 {
            return Err("KEY_FENCES has not one fence for each page of IDIX".into());
        }
        let (first_keys, sums) = fences.split_at(8 * pages);
        let first_keys: Vec<u64> = le::u64s(first_keys).collect();
        if !first_keys.is_sorted() {
            return Err("KEY_FENCES is not sorted".into());
        }
        Ok(Self { offset: section.offset, first_keys, sums: sums.to_vec() })
    }

    /// All pages.
    pub(crate) fn pages(&self) -> Range<u32> {
        0..self.first_keys.len() as u32
    }

    /// The pages that may hold `key`: one, unless it is some page's first or has very many rows.
    pub(crate) fn pages_of(&self, key: VectorId) -> Range<u32> {
        // Rows of this key may begin at the end of the page before the one it is first of.
        let start = self.first_keys.partition_point(|first| *first < key.0).saturating_sub(1);
        let end = self.first_keys.partition_point(|first| *first <= key.0);
        start as u32..end as u32
    }

    /// Where `page`, one of [`Self::pages_of`], lies.
    pub(crate) fn place(&self, page: u32) -> Place {
        let crc = (&self.sums[4 * page as usize..]).get_u32_le();
        Place { offset: self.offset + u64::from(page) * PAGE as u64, length: PAGE as u64, crc }
    }
}

/// A page of IDIX: some rows' keys, ascending, with their ordinals.
///
/// ```text
/// 0    entries            u32  n
/// 4    keys' length       u32  k
/// 8    ordinals' length   u32  o
/// 12   zero               u32
/// 16   keys               k    n numbers, packed
///      ordinals           o    n numbers, packed
///      zeros up to 4,096
/// ```
#[derive(Debug)]
pub struct KeyPage {
    keys: Packed,
    ordinals: Packed,
}

impl KeyPage {
    /// The ordinals of the rows that hold `key`, ascending.
    pub fn rows_of(&self, key: VectorId) -> impl Iterator<Item = u32> {
        let start = partition_point(self.keys.len(), |i| self.keys.get(i) < key.0);
        (start..self.keys.len()).take_while(move |i| self.keys.get(*i) == key.0).map(|i| self.ordinals.get(i) as u32)
    }

    /// Its entries, by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (VectorId, u32)> {
        self.keys.iter().map(VectorId).zip(self.ordinals.iter().map(|ordinal| ordinal as u32))
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (PAGE + size_of::<Self>()) as u64
    }

    /// Reads a page of a segment of `rows` rows.
    pub(crate) fn parse(page: Bytes, crc: u32, rows: u32) -> Result<Self, Flaw> {
        verify(&page, crc)?;
        let mut header = page.get(..HEADER_BYTES).ok_or("no whole page of IDIX")?;
        let mut number = || header.get_u32_le() as usize;
        let (entries, keys, ordinals) = (number(), number(), number());
        let body = page.slice(HEADER_BYTES..);
        if keys > body.len() || ordinals > body.len() - keys {
            return Err("entries leave their page of IDIX".into());
        }
        let packed = |range| Packed::parse(body.slice(range), entries).map_err(|e| format!("IDIX: {e}"));
        let (keys, ordinals) = (packed(0..keys)?, packed(keys..keys + ordinals)?);
        if ordinals.iter().any(|ordinal| ordinal >= u64::from(rows)) {
            return Err("a page of IDIX names a row that is not there".into());
        }
        Ok(Self { keys, ordinals })
    }
}

/// Lays out IDIX and KEY_FENCES.
pub(crate) fn encode(keys: &[VectorId]) -> (Vec<u8>, Vec<u8>) {
    let mut entries: Vec<(u64, u64)> = keys.iter().map(|key| key.0).zip(0..).collect();
    entries.sort_unstable();
    let (mut pages, mut first_keys, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = &entries[..];
    while let Some((first_key, _)) = rest.first() {
        let most = rest.len().min(PAGE);
        let fitting = partition_point(most, |i| page(&rest[..=i]).len() <= PAGE);
        let (now, later) = rest.split_at(fitting);
        let mut page = page(now);
        page.resize(PAGE, 0);
        first_keys.put_u64_le(*first_key);
        sums.put_u32_le(crc32c::crc32c(&page));
        pages.extend_from_slice(&page);
        rest = later;
    }
    first_keys.extend_from_slice(&sums);
    (pages, first_keys)
}

/// A page without the zeros at its end, longer than a page if there are too many entries.
fn page(entries: &[(u64, u64)]) -> Vec<u8> {
    let (keys, ordinals): (Vec<u64>, Vec<u64>) = entries.iter().copied().unzip();
    let mut body = Vec::with_capacity(PAGE);
    pack(&keys, &mut body);
    let keys_length = body.len();
    pack(&ordinals, &mut body);

    let mut page = Vec::with_capacity(PAGE);
    page.put_u32_le(entries.len() as u32);
    page.put_u32_le(keys_length as u32);
    page.put_u32_le((body.len() - keys_length) as u32);
    page.put_u32_le(0);
    page.extend_from_slice(&body);
    page
}

/// The first of `0..len` that `before` is not true of, given that none after it is.
fn partition_point(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut start, mut end) = (0, len);
    while start < end {
        let middle = start.midpoint(end);
        if before(middle) { start = middle + 1 } else { end = middle }
    }
    start
}
