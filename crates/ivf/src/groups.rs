/// How many groups the keys are dealt to in turn. Numbers of near buckets are near, so this spreads
/// them, and a group's least key is among the least of all.
const GROUPS: usize = 32;
/// Keys that are passed over at once where none is wanted.
const BLOCK: usize = 16;

/// Takes the least of many keys, a batch at a time.
///
/// A batch are the keys up to the greatest of the least keys of 32 groups: one of each group at least,
/// and, if they are dealt at random, 32 ln 32 = 110 or so, however many keys there are. They are found in
/// two passes without a selection, and without branches that depend on single keys.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    /// Key i is of group i mod [`GROUPS`].
    keys: Vec<f32>,
    /// Whatever is not above this has been taken.
    taken: f32,
}

impl Groups {
    /// Of these keys, each finite, or infinite to be never taken.
    pub fn new(keys: Vec<f32>) -> Self {
        Self { keys, taken: f32::NEG_INFINITY }
    }

    /// The key at a place.
    pub fn key(&self, place: u32) -> f32 {
        self.keys[place as usize]
    }

    /// Puts the places of the least keys into `out`, in no order. Returns the least and the greatest of
    /// them; no key left is less than that. None if none was left.
    pub fn take(&mut self, out: &mut Vec<u32>) -> Option<(f32, f32)> {
        out.clear();
        let (least, limit) = self.next_range()?;
        let wanted = |key: f32| self.is_left(key) & (key <= limit);
        out.resize(self.keys.len(), 0);
        let mut n = 0;
        // Each is written, and the next over it if it was not wanted.
        let mut look_through = |first: usize, keys: &[f32]| {
            for (place, &key) in (first..).zip(keys) {
                out[n] = place as u32;
                n += usize::from(wanted(key));
            }
        };
        let (blocks, rest) = self.keys.as_chunks::<BLOCK>();
        for (i, block) in blocks.iter().enumerate() {
            if block.iter().fold(false, |any, &key| any | wanted(key)) {
                look_through(BLOCK * i, block);
            }
        }
        look_through(BLOCK * blocks.len(), rest);
        out.truncate(n);
        self.taken = limit;
        Some((least, limit))
    }

    /// The least and the greatest of the groups' least keys, of those that have some left.
    fn next_range(&self) -> Option<(f32, f32)> {
        let mut least = [f32::INFINITY; GROUPS];
        for keys in self.keys.chunks(GROUPS) {
            for (least, &key) in least.iter_mut().zip(keys) {
                *least = if self.is_left(key) & (key < *least) { key } else { *least };
            }
        }
        let of_groups_with_some = least.into_iter().filter(|&least| least < f32::INFINITY).map(|key| (key, key));
        of_groups_with_some.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    fn is_left(&self, key: f32) -> bool {
        (key > self.taken) & (key < f32::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_many_keys_stay_small() {
        // Near keys have near numbers.
        let mut groups = Groups::new((0..8_000).map(|i| ((i as f32) - 3_000.5).abs()).collect());
        for _ in 0..10 {
            let mut batch = Vec::new();
            groups.take(&mut batch);
            assert!((GROUPS..4 * GROUPS).contains(&batch.len()), "{}", batch.len());
        }
    }
}
