use drift_kernels::{
    Bit1Scan, Bit1Survivors, Bit1Table, bit1_bounds, bit1_survivors, bit1_survivors_of_four, dot, l2_sq, rotate,
};
use drift_types::Metric;

use crate::{
    Bit1Block,
    rounding::{ULP, UNDERFLOW, norm_above, summation},
};

/// The largest f16, times the scales of a run: beyond what any of its factors is.
const LARGEST_HALF: f32 = 65504.0;

/// Relative error of rounding to f16.
const HALF_ULP: f32 = 1.0 / 2048.0;

/// Relative error of [`rotate`].
const ROTATION: f32 = 4e-6;

/// Up to here signs and query have so few degrees of freedom that a bound for certain costs little.
const CERTAIN_DIM: usize = 4;

/// One search over 1-bit codes: the table of its query, and the survivors of the run scanned last.
///
/// With signs s and factors a, b of a row ([`Bit1`](crate::Bit1)) and the centre c of its run, its
/// score is about
/// - squared L2: |q - c|^2 + a - b <s, P(q - o)>, o being the origin that the run was coded with;
/// - inner product: -<q, c> - b/2 <s, Pq>, since <q, x - c> = <Pq, r> ~ |r|^2 <s, Pq> / <s, r>.
///
/// The lower bound has <s, .> larger by a width, for a run with [`Bit1Scales::error`] e:
/// eps sqrt((e |p|)^2 + t^2), where p is q - c or q, and t^2 = groups step^2 / 12 the variance of the
/// table's rounding. In up to four dimensions it is e |p| sqrt(dim - 1) + groups step / 2, which holds
/// for certain. What f16 and f32 lose is added. Where f32 overflows the bound is -inf.
///
/// The unit vectors of a cosine index are compared by squared L2.
///
/// [`Bit1Scales::error`]: crate::Bit1Scales::error
#[derive(Clone, Debug)]
pub struct Bit1Scanner {
    vector: Vec<f32>,
    /// |q|, rounded up.
    norm: f32,
    inner_product: bool,
    eps: f32,
    /// L2: the origin the table was made for; empty before the first.
    origin: Vec<f32>,
    /// |q - o| or |q|, rounded up: what was rotated into the table.
    rotated_norm: f32,
    rotated: Vec<f32>,
    table: Bit1Table,
    /// Of the table's rounding of <s, .>; in f64, where no square over- or underflows.
    variance: f64,
    /// |s|.
    root_dim: f32,
    survivors: Bit1Survivors,
}

/// The score of a run's centre, from which the scores of its rows are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CentreScore {
    /// |q - c|^2, or -<q, c>.
    pub score: f32,
    /// How far the true score may be from it, and for inner product also what a rerank may lose of
    /// <q, c> in f32.
    pub error: f32,
}

impl CentreScore {
    /// For squared L2, of a centre of `dim` values whose distance is known as [`l2_sq`] computes it.
    #[inline]
    pub fn of_l2_sq(score: f32, dim: usize) -> Self {
        Self { score, error: summation(dim) * score }
    }
}

/// One of the searches that scan a run together.
#[derive(Debug)]
pub struct Bit1Probe<'a> {
    /// Gets the survivors.
    pub scanner: &'a mut Bit1Scanner,
    /// The score of the run's centre for this search.
    pub centre: CentreScore,
    /// Rows whose lower bound is greater are ruled out.
    pub threshold: f32,
}

impl Bit1Scanner {
    /// Prepares a search for `query`, given in index space. `eps` chooses how sure lower bounds are: in
    /// 1.9 standard deviations 97 of 100 rows keep theirs.
    ///
    /// # Panics
    /// When `query` has no or more than 2,048 values.
    pub fn new(query: &[f32], metric: Metric, eps: f32) -> Self {
        let mut scanner = Self {
            vector: query.to_vec(),
            norm: norm_above(query),
            inner_product: metric == Metric::InnerProduct,
            eps,
            origin: Vec::new(),
            rotated_norm: 0.0,
            rotated: Vec::new(),
            table: Bit1Table::new(query.len()),
            variance: 0.0,
            root_dim: (query.len() as f32).sqrt(),
            survivors: Bit1Survivors::default(),
        };
        if scanner.inner_product {
            scanner.fill_table();
        }
        scanner
    }

    /// Says with which origin the runs to come were coded. Free if it is the present one; free, too,
    /// for inner products, which need none.
    ///
    /// # Panics
    /// When `origin` has not the dimension of the query.
    pub fn set_origin(&mut self, origin: &[f32]) {
        assert_eq!(origin.len(), self.vector.len(), "origin of another dimension");
        if !self.inner_product && !is_same(&self.origin, origin) {
            self.origin.clear();
            self.origin.extend_from_slice(origin);
            self.fill_table();
        }
    }

    /// The score of a run's centre, computed exactly. A router that knows it already saves this.
    ///
    /// # Panics
    /// When `centre` has not the dimension of the query.
    pub fn centre_score(&self, centre: &[f32]) -> CentreScore {
        if self.inner_product {
            let error = 2.0 * summation(self.vector.len()) * self.norm * norm_above(centre);
            CentreScore { score: -dot(&self.vector, centre), error }
        } else {
            CentreScore::of_l2_sq(l2_sq(&self.vector, centre), self.vector.len())
        }
    }

    /// The rows of a run whose lower bound is not greater than `threshold`, of all or, where `allowed`
    /// is given, of those whose bits are set: bit i of its words stands for row i of the run. They may
    /// be read again by [`Bit1Scanner::survivors`] until the next scan.
    ///
    /// # Panics
    /// When the block's lengths do not agree with each other or with the query's dimension, `allowed`
    /// has fewer bits than the block rows, or for L2 no origin was set.
    #[inline]
    pub fn scan(
        &mut self,
        block: &Bit1Block<'_>,
        centre: CentreScore,
        threshold: f32,
        allowed: Option<&[u64]>,
    ) -> &Bit1Survivors {
        let mut survivors = std::mem::take(&mut self.survivors);
        let scan = self.bounds_of(block, centre, self.eps, threshold);
        bit1_survivors(&scan, block.tiles, block.rows, allowed, &mut survivors);
        self.survivors = survivors;
        &self.survivors
    }

    /// The rows that the last scan has not ruled out.
    #[inline]
    pub fn survivors(&self) -> &Bit1Survivors {
        &self.survivors
    }

    /// The estimated score of each row of the run; -inf where overflow leaves nothing to say.
    ///
    /// # Panics
    /// When `out` has not a place for each of the block's rows, and as [`Bit1Scanner::scan`].
    pub fn estimate(&self, block: &Bit1Block<'_>, centre: CentreScore, out: &mut [f32]) {
        assert_eq!(out.len(), block.rows, "results for another number of rows");
        let scan = self.bounds_of(block, centre, 0.0, f32::INFINITY);
        let base = if scan.base.is_finite() { centre.score } else { f32::NEG_INFINITY };
        let scan = Bit1Scan { base, width: 0.0, ..scan };
        bit1_bounds(&scan, block.tiles, out);
    }

    /// The lower bound of each row of the run, whatever the threshold, and by `eps` in place of the
    /// scanner's own. So are centroids ranked, coded around the origin as their centre.
    ///
    /// # Panics
    /// When `out` has not a place for each of the block's rows, and as [`Bit1Scanner::scan`].
    pub fn lower_bounds(&self, block: &Bit1Block<'_>, centre: CentreScore, eps: f32, out: &mut [f32]) {
        assert_eq!(out.len(), block.rows, "results for another number of rows");
        let scan = self.bounds_of(block, centre, eps, f32::INFINITY);
        bit1_bounds(&scan, block.tiles, out);
    }

    /// What to compute for a block.
    fn bounds_of(&self, block: &Bit1Block<'_>, centre: CentreScore, eps: f32, threshold: f32) -> Bit1Scan<'_> {
        assert!(self.inner_product || !self.origin.is_empty(), "no origin was set");
        let CentreScore { score, error } = centre;
        // How far the query is from what residuals are compared with, and how far the table's vector
        // and the part of a row's factor that is taken off it reach.
        let (distance, spread) = if self.inner_product {
            (self.norm, self.norm)
        } else {
            let distance = (score + error).max(0.0).sqrt() * (1.0 + 2.0 * ULP);
            (distance, 2.0 * self.rotated_norm + distance)
        };
        let (a_scale, b_scale) =
            if self.inner_product { (0.0, 0.5 * block.scales.b) } else { (block.scales.a, block.scales.b) };
        let width = self.width(block.scales.error, distance, spread, eps);
        let reach = LARGEST_HALF * a_scale + LARGEST_HALF * b_scale * (self.table.reach() + width);
        let slack = 2.0 * summation(self.vector.len()) * (score.abs() + reach);
        // Whatever is infinite or NaN among all these makes this so, or leaves no room below f32::MAX.
        let known = score.abs() + error + reach + slack <= f32::MAX / 4.0;
        let base = if known { score - error - slack - UNDERFLOW } else { f32::NEG_INFINITY };
        Bit1Scan { table: &self.table, base, a_scale, b_scale, width, threshold }
    }

    /// By how much <s, .> may be larger than the table has it.
    fn width(&self, error: f32, distance: f32, spread: f32, eps: f32) -> f32 {
        let dim = self.vector.len();
        let statistical = if dim <= CERTAIN_DIM {
            let table = 0.501 * self.table.groups() as f32 * self.table.step();
            error * distance * ((dim - 1) as f32).sqrt() + table
        } else {
            let code = f64::from(error) * f64::from(distance);
            eps * (code * code + self.variance).sqrt() as f32
        };
        let arithmetic = self.root_dim * (HALF_ULP * distance + ROTATION * spread) + self.table.lost();
        (statistical + arithmetic) * (1.0 + 2.0 * HALF_ULP)
    }

    fn fill_table(&mut self) {
        self.rotated.clear();
        if self.inner_product {
            self.rotated.extend_from_slice(&self.vector);
        } else {
            self.rotated.extend(self.vector.iter().zip(&self.origin).map(|(q, o)| q - o));
        }
        self.rotated_norm = norm_above(&self.rotated);
        rotate(&mut self.rotated);
        self.table.set(&self.rotated);
        self.variance = f64::from(self.table.step()).powi(2) * self.table.groups() as f64 / 12.0;
    }
}

/// Whether two vectors are equal, without a branch for each value: it is asked before each run.
fn is_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(true, |same, (a, b)| same & (a == b))
}

/// [`Bit1Scanner::scan`] of several searches that read the run once, four at a time.
///
/// # Panics
/// As that.
pub fn bit1_scan_batch(probes: &mut [Bit1Probe<'_>], block: &Bit1Block<'_>, allowed: Option<&[u64]>) {
    let (fours, rest) = probes.as_chunks_mut::<4>();
    for four in fours {
        let mut outs = four.each_mut().map(|probe| std::mem::take(&mut probe.scanner.survivors));
        let scans = four
            .each_ref()
            .map(|probe| probe.scanner.bounds_of(block, probe.centre, probe.scanner.eps, probe.threshold));
        bit1_survivors_of_four(scans.each_ref(), block.tiles, block.rows, allowed, outs.each_mut());
        for (probe, out) in four.iter_mut().zip(outs) {
            probe.scanner.survivors = out;
        }
    }
    for probe in rest {
        probe.scanner.scan(block, probe.centre, probe.threshold, allowed);
    }
}
