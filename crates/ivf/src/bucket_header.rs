/// The largest drift that is told.
const DRIFT_MAX: f32 = 1e3;

/// What is always in memory about a bucket: enough to route and to decide on maintenance.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketHeader {
    /// Live rows.
    pub n_live: u32,
    /// Rows still stored, but deleted or superseded.
    pub n_dead: u32,
    /// What rows and queries are routed by; it stays while rows come and go, so it may lag behind
    /// the mean.
    pub centroid: Vec<f32>,
    /// Sum of the live rows.
    pub sum: Vec<f32>,
    /// s^2: mean squared distance of the live rows to their mean.
    pub mean_sq_radius: f32,
    /// Largest squared norm of a row that was ever added.
    pub max_norm_sq: f32,
}

impl BucketHeader {
    /// The header of a bucket without rows.
    pub fn empty(centroid: Vec<f32>) -> Self {
        let sum = vec![0.0; centroid.len()];
        Self { n_live: 0, n_dead: 0, centroid, sum, mean_sq_radius: 0.0, max_norm_sq: 0.0 }
    }

    /// The header of a bucket of these rows (`dim` values each); its centroid is their mean.
    pub fn from_rows<'a>(dim: usize, rows: impl IntoIterator<Item = &'a [f32], IntoIter: Clone>) -> Self {
        let rows = rows.into_iter();
        let mut sum = vec![0f64; dim];
        let (mut n, mut max_norm_sq) = (0u32, 0f32);
        for row in rows.clone() {
            sum.iter_mut().zip(row).for_each(|(s, &x)| *s += x as f64);
            max_norm_sq = max_norm_sq.max(drift_kernels::norm_sq(row));
            n += 1;
        }
        let count = n.max(1) as f64;
        let centroid: Vec<f32> = sum.iter().map(|s| (s / count) as f32).collect();
        // A second pass: the difference of two large sums would lose a small radius far from the origin.
        let scatter: f64 = rows.map(|row| drift_kernels::l2_sq(row, &centroid) as f64).sum();
        Self {
            n_live: n,
            n_dead: 0,
            centroid,
            sum: sum.into_iter().map(|s| s as f32).collect(),
            mean_sq_radius: (scatter / count) as f32,
            max_norm_sq,
        }
    }

    /// The mean of the live rows; zero when there is none.
    pub fn mean(&self) -> Vec<f32> {
        let count = self.n_live.max(1) as f32;
        self.sum.iter().map(|s| s / count).collect()
    }

    /// |mean - centroid| / s: how far the rows have wandered from what they are routed by, free of the
    /// data's scale. 0 without rows; at most 1,000, which rows of no extent reach at once.
    pub fn drift(&self) -> f32 {
        if self.n_live == 0 {
            return 0.0;
        }
        let moved_sq = drift_kernels::l2_sq(&self.mean(), &self.centroid);
        // Rounding moves the mean of rows of no extent a little.
        let rounding = 1e-10 * drift_kernels::norm_sq(&self.centroid);
        if moved_sq <= rounding { 0.0 } else { (moved_sq / self.mean_sq_radius).sqrt().min(DRIFT_MAX) }
    }

    /// Adds another bucket's rows. The centroid stays.
    ///
    /// Scatters combine as in Chan, Golub & LeVeque (1979):
    /// n s^2 = n_a s_a^2 + n_b s_b^2 + (n_a n_b / n) |mu_a - mu_b|^2.
    pub fn merge(&mut self, other: &Self) {
        let (a, b) = (self.n_live as f64, other.n_live as f64);
        let n = (a + b).max(1.0);
        let between = drift_kernels::l2_sq(&self.mean(), &other.mean()) as f64;
        let scatter = a * self.mean_sq_radius as f64 + b * other.mean_sq_radius as f64 + a * b / n * between;
        self.mean_sq_radius = (scatter / n) as f32;
        drift_kernels::add_assign(&mut self.sum, &other.sum);
        self.n_live += other.n_live;
        self.n_dead += other.n_dead;
        self.max_norm_sq = self.max_norm_sq.max(other.max_norm_sq);
    }

    /// Counts a live row as dead and takes it out of the sum and the radius.
    ///
    /// # Panics
    /// When no row is live.
    pub fn remove(&mut self, row: &[f32]) {
        assert!(self.n_live > 0, "a bucket without live rows has none to remove");
        let n = self.n_live as f64;
        let to_mean = drift_kernels::l2_sq(row, &self.mean()) as f64;
        let left = n - 1.0;
        // The merge formula solved for one of its parts, a single row of radius 0.
        let scatter = n * self.mean_sq_radius as f64 - if left > 0.0 { n / left * to_mean } else { 0.0 };
        self.mean_sq_radius = if left > 0.0 { (scatter / left).max(0.0) as f32 } else { 0.0 };
        self.sum.iter_mut().zip(row).for_each(|(s, x)| *s -= x);
        self.n_live -= 1;
        self.n_dead += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32, scale: f32) -> bool {
        (a - b).abs() <= 1e-4 * scale
    }

    #[test]
    fn merging_and_removing_equal_counting_afresh() {
        let rows: Vec<[f32; 3]> =
            (0..40).map(|i| [i as f32, (i * i % 17) as f32 - 500.0, ((i * 7) % 5) as f32]).collect();
        let of = |rows: &[[f32; 3]]| BucketHeader::from_rows(3, rows.iter().map(|r| &r[..]));
        let mut header = of(&rows[..15]);
        let centroid = header.centroid.clone();
        header.merge(&of(&rows[15..]));
        for row in &rows[30..] {
            header.remove(row);
        }
        let afresh = of(&rows[..30]);
        assert_eq!((header.n_live, header.n_dead), (30, 10));
        assert_eq!(header.centroid, centroid);
        assert!(close(header.mean_sq_radius, afresh.mean_sq_radius, afresh.mean_sq_radius));
        let sums = header.sum.iter().zip(&afresh.sum);
        assert!(sums.into_iter().all(|(&a, &b)| close(a, b, 20_000.0)));
    }

    #[test]
    fn a_bucket_may_lose_its_last_row() {
        let mut header = BucketHeader::from_rows(2, [&[3.0, 4.0][..]]);
        assert_eq!((header.mean_sq_radius, header.max_norm_sq), (0.0, 25.0));
        header.remove(&[3.0, 4.0]);
        assert_eq!((header.n_live, header.mean_sq_radius, header.mean()), (0, 0.0, vec![0.0, 0.0]));
        header.merge(&BucketHeader::from_rows(2, [&[1.0, 0.0][..], &[3.0, 0.0]]));
        assert_eq!((header.n_live, header.mean_sq_radius, header.mean()), (2, 1.0, vec![2.0, 0.0]));
    }

    #[test]
    fn no_rows_are_no_trouble() {
        let header = BucketHeader::from_rows(2, []);
        assert_eq!((header.n_live, header.mean_sq_radius, header.max_norm_sq), (0, 0.0, 0.0));
    }
}
