//! Which rows of a table or segment are dead. Cloning is cheap and copies nothing; a change copies
//! the one chunk it touches, so that every snapshot keeps the set it was published with.

use std::sync::Arc;

use drift_kernels::bits;

const CHUNK_ROWS: usize = 4096;

type Chunk = [u64; CHUNK_ROWS / 64];

/// A persistent set of row ordinals.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadSet {
    chunks: Arc<Vec<Option<Arc<Chunk>>>>,
    count: u32,
}

impl DeadSet {
    /// Number of dead rows.
    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn contains(&self, ordinal: u32) -> bool {
        match self.chunks.get(ordinal as usize / CHUNK_ROWS) {
            Some(Some(chunk)) => bits::get(&chunk[..], ordinal as usize % CHUNK_ROWS),
            _ => false,
        }
    }

    /// Marks a row dead; returns whether it was live.
    pub fn insert(&mut self, ordinal: u32) -> bool {
        if self.contains(ordinal) {
            return false;
        }
        let (index, bit) = (ordinal as usize / CHUNK_ROWS, ordinal as usize % CHUNK_ROWS);
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= index {
            chunks.resize(index + 1, None);
        }
        let chunk = chunks[index].get_or_insert_with(|| Arc::new([0; CHUNK_ROWS / 64]));
        bits::set(&mut Arc::make_mut(chunk)[..], bit);
        self.count += 1;
        true
    }

    /// Number of dead rows in `first..first + rows`.
    pub fn count_in(&self, first: u32, rows: u32) -> u32 {
        if self.count == 0 {
            return 0;
        }
        let (first, end) = (first as usize, (first + rows) as usize);
        let mut dead = 0;
        let mut at = first;
        while at < end {
            let stop = end.min((at / CHUNK_ROWS + 1) * CHUNK_ROWS);
            if let Some(Some(chunk)) = self.chunks.get(at / CHUNK_ROWS) {
                dead += count_between(&chunk[..], at % CHUNK_ROWS, stop - at);
            }
            at = stop;
        }
        dead
    }

    /// The dead rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks
            .iter()
            .enumerate()
            .filter_map(|(i, c)| c.as_ref().map(|c| (i, c)))
            .flat_map(|(i, chunk)| bits::iter_ones(&chunk[..]).map(move |bit| (i * CHUNK_ROWS + bit) as u32))
    }
}

impl FromIterator<u32> for DeadSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ordinals: I) -> Self {
        let mut set = Self::default();
        for ordinal in ordinals {
            set.insert(ordinal);
        }
        set
    }
}

fn count_between(words: &[u64], first: usize, len: usize) -> u32 {
    let end = first + len;
    (first / 64..end.div_ceil(64))
        .map(|w| {
            let mut word = words[w];
            if w == first / 64 {
                word &= u64::MAX << (first % 64);
            }
            if (w + 1) * 64 > end {
                word &= u64::MAX >> ((w + 1) * 64 - end);
            }
            word.count_ones()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn agrees_with_a_tree_set_and_old_versions_keep_their_rows() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let (mut set, mut twin) = (DeadSet::default(), BTreeSet::new());
        for step in 0..20_000 {
            let ordinal = rng.random_range(0..30_000);
            let before = set.clone();
            assert_eq!(set.insert(ordinal), twin.insert(ordinal));
            assert!(before.count() as usize + 1 >= twin.len());
            if step % 500 == 0 {
                let (first, rows) = (rng.random_range(0..30_000), rng.random_range(0..9_000));
                assert_eq!(set.count_in(first, rows) as usize, twin.range(first..first + rows).count());
                assert_eq!(before.count_in(0, 40_000), before.count());
            }
        }
        assert!(set.iter().eq(twin.iter().copied()));
        assert_eq!(set.count() as usize, twin.len());
    }
}
