/// What one e-fold of rows is worth, in squared gaps of the index: the 2 s^2 of
/// score_b = ln n_b - D_b^2 / (2 s^2). Measured on text embeddings and on images: 0.03 to 0.4 are
/// alike, a few percent of rows better than distance alone where filters thin buckets unevenly;
/// from 2 on, big buckets push aside near ones.
const COUNT_WEIGHT: f32 = 0.1;

/// By how much the rows of a bucket bring it nearer: 2 s^2 ln n_b, the logarithm being that of
/// [`drift_kernels::log2`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Density {
    /// 2 s^2 ln 2.
    per_doubling: f32,
}

impl Density {
    /// Of an index with this gap. If that is not finite, nor will distances be: counts are then let be.
    pub fn new(gap: f32) -> Self {
        let per_doubling = COUNT_WEIGHT * gap * gap * std::f32::consts::LN_2;
        Self { per_doubling: if per_doubling.is_finite() { per_doubling } else { 0.0 } }
    }

    /// The key of a bucket of `count` rows, of which there are some, by its squared distance.
    pub fn key(self, dist_sq: f32, count: u32) -> f32 {
        dist_sq - self.per_doubling * drift_kernels::log2(count)
    }

    /// Turns squared distances into keys: infinite for buckets without rows, finite for others, whose number
    /// is returned.
    pub fn turn_to_keys(self, distances: &mut [f32], counts: &[u32]) -> usize {
        drift_kernels::keys_of_counts(distances, counts, self.per_doubling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_nearly_those_of_the_formula() {
        let density = Density::new(2.0);
        for count in [1, 2, 100, 1_000, 1_000_000] {
            let exact = 9.0 - 0.4 * (count as f32).ln();
            assert!((density.key(9.0, count) - exact).abs() < 0.4 * 0.06, "{count}");
            let mut keys = [9.0; 3];
            assert_eq!(density.turn_to_keys(&mut keys, &[count, 0, count]), 2);
            assert_eq!(keys, [density.key(9.0, count), f32::INFINITY, density.key(9.0, count)]);
        }
    }

    #[test]
    fn without_a_gap_counts_are_let_be() {
        assert!([f32::INFINITY, f32::NAN, 1e30].into_iter().all(|gap| Density::new(gap).key(1.0, 9) == 1.0));
    }
}
