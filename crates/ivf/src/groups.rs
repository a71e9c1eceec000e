use drift_kernels::{least_of_lanes, places_within};

/// Takes the least of many keys, a batch at a time.
///
/// A batch are the keys up to the greatest of the least keys of 32 groups, to which they are dealt in turn:
/// numbers of near buckets are near, so this spreads them. It is one of each group at least, and, if they
/// are dealt at random, 32 ln 32 = 110 or so, however many keys there are. They are found in two passes
/// without a selection.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    /// Key i is of group i mod [`drift_kernels::KEY_LANES`].
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
        places_within(&self.keys, self.taken, limit, out);
        self.taken = limit;
        Some((least, limit))
    }

    /// The least and the greatest of the groups' least keys, of those that have some left.
    fn next_range(&self) -> Option<(f32, f32)> {
        let least = least_of_lanes(&self.keys, self.taken);
        let of_groups_with_some = least.into_iter().filter(|&least| least < f32::INFINITY).map(|key| (key, key));
        of_groups_with_some.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }
}

#[cfg(test)]
mod tests {
    use drift_kernels::KEY_LANES;

    use super::*;

    #[test]
    fn batches_of_many_keys_stay_small() {
        // Near keys have near numbers.
        let mut groups = Groups::new((0..8_000).map(|i| ((i as f32) - 3_000.5).abs()).collect());
        for _ in 0..10 {
            let mut batch = Vec::new();
            groups.take(&mut batch);
            assert!((KEY_LANES..4 * KEY_LANES).contains(&batch.len()), "{}", batch.len());
        }
    }
}
