use crate::groups::Groups;

/// Keys taken at a time, if so many are left, and those that share a bin with the last of them.
pub(crate) const CHUNK: usize = 12;
/// Equal parts of the range of a batch.
const BINS: usize = 256;
/// Keys of a usual batch.
const BATCH: usize = 256;

/// Takes the least of many keys, a chunk at a time, without sorting them.
///
/// Batches come from [`Groups`] and are ordered by counting how many keys fall into each of equal
/// parts of their range: a chunk is some such parts.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    groups: Groups,
    /// What no key of the groups is less than.
    beyond: f32,
    /// By bins, the least first.
    batch: Vec<u32>,
    unordered: Vec<u32>,
    taken: usize,
    /// Of the batch.
    least: f32,
    bins_per_unit: f32,
}

impl Selection {
    /// Of these keys, each finite, or infinite to be never taken.
    pub fn new(keys: Vec<f32>) -> Self {
        let groups = Groups::new(keys);
        let (batch, unordered) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        Self { groups, beyond: f32::NEG_INFINITY, batch, unordered, taken: 0, least: 0.0, bins_per_unit: 0.0 }
    }

    /// Appends the places of the least keys, in no order. Returns what no key left is less than:
    /// infinity once none is left.
    pub fn take(&mut self, out: &mut Vec<u32>) -> f32 {
        if self.taken == self.batch.len() && self.beyond < f32::INFINITY {
            self.take_batch();
        }
        let left = &self.batch[self.taken..];
        let (mut n, mut greatest) = (0, f32::NEG_INFINITY);
        while n < left.len() && (n < CHUNK || self.bin_at(left[n]) == self.bin(greatest)) {
            greatest = greatest.max(self.groups.key(left[n]));
            n += 1;
        }
        out.extend_from_slice(&left[..n]);
        self.taken += n;
        // The keys of further bins are greater.
        if self.taken < self.batch.len() { greatest } else { self.beyond }
    }

    fn take_batch(&mut self) {
        self.unordered.clear();
        self.beyond = self.groups.take(&mut self.unordered);
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for &place in &self.unordered {
            let key = self.groups.key(place);
            (least, most) = (least.min(key), most.max(key));
        }
        self.least = least;
        self.bins_per_unit = BINS as f32 / (most - least);
        self.order_by_bins();
        self.taken = 0;
    }

    fn order_by_bins(&mut self) {
        let mut ends = [0u32; BINS];
        for &place in &self.unordered {
            ends[self.bin_at(place)] += 1;
        }
        let mut end = 0;
        for bin in &mut ends {
            end += *bin;
            *bin = end;
        }
        self.batch.resize(self.unordered.len(), 0);
        for &place in &self.unordered {
            let end = &mut ends[self.bin_at(place)];
            *end -= 1;
            self.batch[*end as usize] = place;
        }
    }

    fn bin_at(&self, place: u32) -> usize {
        self.bin(self.groups.key(place))
    }

    /// Never falls as keys rise. One for all where the range is empty or overflows.
    fn bin(&self, key: f32) -> usize {
        (((key - self.least) * self.bins_per_unit) as usize).min(BINS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All chunks of the keys, checked: each within its limit, and not below the one before.
    fn chunks(keys: &[f32]) -> Vec<Vec<u32>> {
        let mut selection = Selection::new(keys.to_vec());
        let (mut chunks, mut before) = (Vec::new(), f32::NEG_INFINITY);
        loop {
            let mut chunk = Vec::new();
            let limit = selection.take(&mut chunk);
            for &place in &chunk {
                assert!((before..=limit).contains(&keys[place as usize]));
            }
            chunks.push(chunk);
            before = limit;
            if limit == f32::INFINITY {
                return chunks;
            }
        }
    }

    proptest! {
        #[test]
        fn each_finite_key_is_taken_once_and_in_chunks_that_ascend(
            keys in prop::collection::vec(prop_oneof![
                8 => -1e3f32..1e3,
                2 => (0..4u8).prop_map(f32::from),
                1 => Just(f32::INFINITY),
                1 => Just(f32::MIN),
                1 => Just(f32::MAX),
                1 => Just(1e-40),
            ], 0..2000),
        ) {
            let mut taken = chunks(&keys).concat();
            taken.sort_unstable();
            let finite = (0..keys.len() as u32).filter(|&i| keys[i as usize] < f32::INFINITY);
            prop_assert_eq!(taken, finite.collect::<Vec<_>>());
        }
    }

    #[test]
    fn chunks_are_small_and_full_within_a_batch() {
        let keys: Vec<f32> = (0..1_000).map(|i| ((i * 7919) % 10_007) as f32).collect();
        let sizes: Vec<usize> = chunks(&keys).iter().map(Vec::len).collect();
        assert!(sizes.iter().all(|&n| n <= 2 * CHUNK), "{sizes:?}");
        assert!(sizes.iter().filter(|&&n| n < CHUNK).count() <= sizes.len() / 4, "{sizes:?}");
    }
}
