use drift_kernels::{Sq8Query, dot, sq8_centred_dot_at};
use drift_types::Metric;

use crate::{
    CentreScore, Sq8Block,
    rounding::{ULP, UNDERFLOW, l2_bounds, largest, norm_above, summation},
};

/// What a rescorer needs of a run beside its codes, for the origin o that its segment has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sq8Offsets {
    /// |x^ - o|^2 - |c - o|^2 of each row, c being the run's centre.
    from_origin: Vec<f32>,
    /// At least the largest |x^ - c| of the rows.
    radius: f32,
}

/// One search over single rows of SQ8 codes: those that 1-bit codes could not rule out, a few of each
/// run. Unlike [`Sq8Scanner`](crate::Sq8Scanner) it rounds the query once, not for each run.
///
/// With w = u - 128, centre c and step s of a run, a row is x^ = c + s w, and its estimated score is
/// - squared L2: |x^ - q|^2 = |q - c|^2 + (|x^ - o|^2 - |c - o|^2) - 2 s <w, q - o>, whatever o is;
/// - inner product: -<q, x^> = -<q, c> - s <w, q>.
///
/// q - o, or q, is rounded to 14 bits, which moves it by at most [`Sq8Query::error`].
#[derive(Clone, Debug)]
pub struct Sq8Rescorer {
    inner_product: bool,
    /// |q|, rounded up.
    norm: f32,
    /// |q - o| or |q|, rounded up: of what is rounded.
    rounded_norm: f32,
    query: Sq8Query,
    summation: f32,
    dots: Vec<f32>,
    bounds: Vec<(f32, f32)>,
}

impl Sq8Offsets {
    /// Of a run of a segment with this origin.
    ///
    /// # Panics
    /// When the lengths of block and origin do not agree.
    pub fn new(block: &Sq8Block<'_>, origin: &[f32]) -> Self {
        assert_eq!(block.centre.len(), origin.len(), "origin of another dimension");
        let stride = drift_kernels::sq8_stride(origin.len());
        let centre: Vec<f32> = block.centre.iter().zip(origin).map(|(c, o)| c - o).collect();
        let (zero, mut residual) = (vec![0.0; origin.len()], vec![0.0; origin.len()]);
        let from_origin = block.codes.chunks_exact(stride).zip(block.norms_sq).map(|(codes, norm_sq)| {
            drift_kernels::sq8_decode(codes, &zero, block.step, &mut residual);
            norm_sq + 2.0 * dot(&residual, &centre)
        });
        let from_origin = from_origin.collect();
        Self { from_origin, radius: (largest(block.norms_sq) + UNDERFLOW).sqrt() * (1.0 + 8.0 * ULP) }
    }

    /// Tells the processor that what it has of a row will be read soon.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    pub fn bring_near(&self, row: u32) {
        drift_kernels::prefetch(std::slice::from_ref(&self.from_origin[row as usize]));
    }

    /// Bytes it holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        4 * self.from_origin.len()
    }
}

impl Sq8Rescorer {
    /// Prepares a search for `query`, given in index space, in runs whose segments have this origin.
    ///
    /// # Panics
    /// When `origin` has not the dimension of the query.
    pub fn new(query: &[f32], metric: Metric, origin: &[f32]) -> Self {
        let inner_product = metric == Metric::InnerProduct;
        let mut rounded = Sq8Query::new(query.len());
        if inner_product {
            rounded.set(query);
        } else {
            rounded.set_residual(query, origin);
        }
        let norm = norm_above(query);
        let rounded_norm = if inner_product { norm } else { rounded.norm_sq().sqrt() * 1.001 + rounded.error() };
        Self {
            inner_product,
            norm,
            rounded_norm,
            query: rounded,
            summation: summation(query.len()),
            dots: Vec::new(),
            bounds: Vec::new(),
        }
    }

    /// Bounds on the true score, real or as f32 kernels compute it, of some rows of a run: those of row
    /// `rows[i]` in place i, valid until the next call. `centre` is the score of the run's centre.
    /// (-inf, inf) where overflow leaves nothing to say.
    ///
    /// # Panics
    /// When the run has no such row, or its lengths do not agree with the query's dimension.
    #[inline]
    pub fn bounds(
        &mut self,
        block: &Sq8Block<'_>,
        offsets: &Sq8Offsets,
        centre: CentreScore,
        rows: &[u32],
    ) -> &[(f32, f32)] {
        self.dots.resize(rows.len(), 0.0);
        sq8_centred_dot_at(&self.query, block.codes, rows, &mut self.dots);
        let slack = self.slack(offsets.radius, centre);
        self.bounds.clear();
        for (&row, dot) in rows.iter().zip(&self.dots) {
            let (estimate, (lower, upper)) = if self.inner_product {
                let estimate = centre.score - block.step * dot;
                let half = (self.norm * block.error + slack) * (1.0 + 8.0 * ULP);
                (estimate, (estimate - half, estimate + half))
            } else {
                let estimate = centre.score + (offsets.from_origin[row as usize] - 2.0 * block.step * dot);
                (estimate, l2_bounds(estimate, slack, block.error, self.summation))
            };
            // Subtracting catches an infinity or NaN in any of the three.
            let known = (upper - lower - estimate).is_finite();
            self.bounds.push(if known { (lower, upper) } else { (f32::NEG_INFINITY, f32::INFINITY) });
        }
        &self.bounds
    }

    /// What rounding the query and f32 may have added to or taken from an estimate, at most.
    fn slack(&self, radius: f32, centre: CentreScore) -> f32 {
        // How far the parts reach that are added up; |c - o| <= |q - o| + |q - c|.
        let (factor, reach) = if self.inner_product {
            (1.0, centre.score.abs() + radius * self.rounded_norm)
        } else {
            let distance = centre.score.max(0.0).sqrt();
            (2.0, centre.score.abs() + radius * (radius + 4.0 * self.rounded_norm + 2.0 * distance))
        };
        factor * radius * self.query.error() + centre.error + 2.0 * self.summation * reach + UNDERFLOW
    }
}
