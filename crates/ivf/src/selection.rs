use crate::groups::Groups;

/// Keys taken at a time, if so many are left, and those that share a bin with the last of them.
pub(crate) const CHUNK: usize = 12;
/// Equal parts of the range of a batch, as many as a byte numbers.
const BINS: usize = 256;

/// Takes the least of many keys, a chunk at a time, without sorting them.
///
/// Batches come from [`Groups`] and are ordered by counting how many keys fall into each of equal
/// parts of their range: a chunk is some such parts.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    groups: Groups,
    /// What no key of the groups is less than.
    beyond: f32,
    unordered: Vec<u32>,
    /// The bin of each of `unordered`.
    bins: Vec<u8>,
    /// By bins, the least first.
    batch: Vec<u32>,
    /// Where in the batch each bin ends.
    ends: Vec<u32>,
    /// Bins taken, and what is in them.
    bin: usize,
    taken: usize,
}

impl Selection {
    /// Of these keys, each finite, or infinite to be never taken.
    pub fn new(keys: Vec<f32>) -> Self {
        Self {
            groups: Groups::new(keys),
            beyond: f32::NEG_INFINITY,
            unordered: Vec::new(),
            bins: Vec::new(),
            batch: Vec::new(),
            ends: Vec::new(),
            bin: 0,
            taken: 0,
        }
    }

    /// Appends the places of the least keys, in no order. Returns what no key left is less than:
    /// infinity once none is left.
    pub fn take(&mut self, out: &mut Vec<u32>) -> f32 {
        if self.taken == self.batch.len() && self.beyond < f32::INFINITY {
            self.take_batch();
        }
        let first = self.taken;
        while self.taken < self.batch.len().min(first + CHUNK) {
            self.taken = self.ends[self.bin] as usize;
            self.bin += 1;
        }
        let chunk = &self.batch[first..self.taken];
        out.extend_from_slice(chunk);
        if self.taken == self.batch.len() {
            return self.beyond;
        }
        // The keys of further bins are greater.
        chunk.iter().map(|&place| self.groups.key(place)).fold(f32::NEG_INFINITY, f32::max)
    }

    fn take_batch(&mut self) {
        let range = self.groups.take(&mut self.unordered);
        self.beyond = range.map_or(f32::INFINITY, |(_, greatest)| greatest);
        self.find_bins(range.unwrap_or_default());
        self.order_by_bins();
        (self.bin, self.taken) = (0, 0);
    }

    /// Bins never fall as keys rise. It is one for all where their range is empty or overflows.
    fn find_bins(&mut self, (least, greatest): (f32, f32)) {
        let bins_per_unit = BINS as f32 / (greatest - least);
        // Conversion saturates, and of NaN makes 0.
        let bin = |&place: &u32| ((self.groups.key(place) - least) * bins_per_unit) as u8;
        self.bins.clear();
        self.bins.extend(self.unordered.iter().map(bin));
    }

    fn order_by_bins(&mut self) {
        self.ends.clear();
        self.ends.resize(BINS, 0);
        for &bin in &self.bins {
            self.ends[usize::from(bin)] += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        self.batch.resize(self.unordered.len(), 0);
        for (&place, &bin) in self.unordered.iter().zip(&self.bins) {
            let end = &mut self.ends[usize::from(bin)];
            self.batch[*end as usize] = place;
            *end += 1;
        }
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
