//! The promise a rerank rests on: the true score of every row lies within the bounds, whatever the
//! scale and offset of the data, for both metrics, also after other blocks were scanned.

use drift_codec::{Bit1Scanner, Sq8, Sq8Offsets, Sq8Rescorer, Sq8Scanner};
use drift_kernels::{dot, l2_sq};
use drift_types::Metric;

/// The true score in f64.
fn exact(query: &[f32], row: &[f32], inner_product: bool) -> f64 {
    let pairs = query.iter().zip(row).map(|(&q, &x)| (f64::from(q), f64::from(x)));
    if inner_product { -pairs.map(|(q, x)| q * x).sum::<f64>() } else { pairs.map(|(q, x)| (q - x).powi(2)).sum() }
}

/// The true score as a rerank computes it.
fn rerank(query: &[f32], row: &[f32], inner_product: bool) -> f32 {
    if inner_product { -dot(query, row) } else { l2_sq(query, row) }
}

/// Rows around an offset, with duplicates, a rare outlier and a narrow dimension.
fn random_rows(rng: &mut fastrand::Rng, n: usize, dim: usize, offset: f32, scale: f32) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..n * dim).map(|_| offset + scale * (rng.f32() + rng.f32() - 1.0)).collect();
    for row in rows.chunks_mut(dim) {
        row[0] = offset;
        if rng.u8(..20) == 0 {
            row[dim - 1] += 30.0 * scale;
        }
    }
    let copied = rng.usize(..n);
    rows.copy_within(copied * dim..(copied + 1) * dim, 0);
    rows
}

#[test]
fn the_true_score_lies_within_the_bounds() {
    let mut rng = fastrand::Rng::with_seed(11);
    let regimes = [(0.0, 1.0), (1e3, 1.0), (1e3, 1e-3), (-1e6, 1.0), (0.0, 1e-6), (0.0, 1e-25), (0.0, 1e18)];
    for (offset, scale) in regimes {
        for dim in [1, 2, 7, 64, 65, 384, 1000] {
            for inner_product in [false, true] {
                check(&mut rng, dim, offset, scale, inner_product);
            }
        }
    }
}

/// The same of rows here and there, of which only the distance of their run's centre is known.
fn check_rescored(rng: &mut fastrand::Rng, query: &[f32], rows: &[f32], origin: &[f32], metric: Metric) {
    let dim = query.len();
    let sq8 = Sq8::train(rows, dim);
    let codes = sq8.encode(rows);
    let block = codes.block(&sq8);
    let offsets = Sq8Offsets::new(&block, origin);
    let centre = Bit1Scanner::new(query, metric, 1.0).centre_score(&sq8.centre);
    let some: Vec<u32> = (0..(rows.len() / dim) as u32).filter(|_| rng.bool()).collect();
    let mut rescorer = Sq8Rescorer::new(query, metric, origin);
    let bounds = rescorer.bounds(&block, &offsets, centre, &some);
    assert_eq!(bounds.len(), some.len());
    for (&row, &bounds) in some.iter().zip(bounds) {
        let row = &rows[row as usize * dim..][..dim];
        assert_within(bounds, query, row, metric == Metric::InnerProduct, "rescored");
    }
}

fn assert_within((lower, upper): (f32, f32), query: &[f32], row: &[f32], inner_product: bool, of: &str) {
    let (exact, rerank) = (exact(query, row, inner_product), rerank(query, row, inner_product));
    let what = format!("{of}, inner product {inner_product}: {exact} or {rerank}, not in {lower}..={upper}");
    assert!(f64::from(lower) <= exact && exact <= f64::from(upper), "{what}");
    // Where products overflow, the rerank itself may be infinity less infinity.
    assert!(rerank.is_nan() || (lower..=upper).contains(&rerank), "{what}");
}

fn check(rng: &mut fastrand::Rng, dim: usize, offset: f32, scale: f32, inner_product: bool) {
    let blocks: Vec<Vec<f32>> = (0..3)
        .map(|i| {
            let n = rng.usize(1..30);
            random_rows(rng, n, dim, offset, scale * [1.0, 0.1, 5.0][i])
        })
        .collect();
    // One query among the data, one that is a row, one far away.
    let queries = [
        random_rows(rng, 1, dim, offset, scale),
        blocks[0][..dim].to_vec(),
        random_rows(rng, 1, dim, offset + 100.0 * scale, scale),
    ];
    for query in &queries {
        let mut scanner = Sq8Scanner::new(query, inner_product);
        let mut seen = Vec::new();
        for rows in &blocks {
            let sq8 = Sq8::train(rows, dim);
            let codes = sq8.encode(rows);
            let estimates = scanner.scan(&codes.block(&sq8)).to_vec();
            assert_eq!(estimates.len(), rows.len() / dim);
            seen.extend(estimates.into_iter().zip(rows.chunks(dim)).map(|(e, r)| (e, codes.error, r)));
        }
        let metric = if inner_product { Metric::InnerProduct } else { Metric::L2 };
        let origins = [vec![0.0; dim], blocks[0][..dim].to_vec(), vec![offset + 3.0 * scale; dim]];
        for (rows, origin) in blocks.iter().zip(&origins) {
            check_rescored(rng, query, rows, origin, metric);
        }
        for (estimate, error, row) in seen {
            let (lower, upper) = scanner.bounds(estimate, error);
            assert_within((lower, upper), query, row, inner_product, &format!("dim {dim}, {offset} +- {scale}"));
        }
    }
}

/// Rows that the codes hold exactly leave no quantisation error for the other errors to hide in.
#[test]
fn bounds_hold_where_only_rounding_is_left() {
    let mut rng = fastrand::Rng::with_seed(13);
    for dim in [1, 3, 64, 300] {
        for _ in 0..20 {
            // A row and its mirror image: the mean is zero, the step one.
            let row: Vec<f32> = (0..dim).map(|_| [-127.0, 127.0][rng.usize(..2)]).collect();
            let rows: Vec<f32> = row.iter().copied().chain(row.iter().map(|x| -x)).collect();
            let sq8 = Sq8::train(&rows, dim);
            let codes = sq8.encode(&rows);
            assert_eq!(codes.error, 0.0);
            let near = |rng: &mut fastrand::Rng| 127.0 + 1e-3 * rng.f32();
            let queries: [Vec<f32>; 2] = [
                row.iter().map(|x| x.signum() * near(&mut rng)).collect(),
                (0..dim).map(|_| 100.0 * rng.f32() - 50.0).collect(),
            ];
            for (query, inner_product) in queries.iter().flat_map(|q| [(q, false), (q, true)]) {
                let mut scanner = Sq8Scanner::new(query, inner_product);
                let estimates = scanner.scan(&codes.block(&sq8)).to_vec();
                for (&estimate, row) in estimates.iter().zip(rows.chunks(dim)) {
                    let (lower, upper) = scanner.bounds(estimate, codes.error);
                    let exact = exact(query, row, inner_product);
                    assert!(
                        f64::from(lower) <= exact && exact <= f64::from(upper),
                        "dim {dim}, {inner_product}: {exact}, not in {lower}..={upper}"
                    );
                }
            }
        }
    }
}

/// Bounds that are always right are worth nothing if they are wide: on plain data they stay within
/// a few per cent of what the quantizer alone costs.
#[test]
fn the_bounds_are_hardly_wider_than_the_quantizer_makes_them() {
    let mut rng = fastrand::Rng::with_seed(12);
    for dim in [32, 384] {
        let rows: Vec<f32> = (0..200 * dim).map(|_| rng.f32()).collect();
        let query: Vec<f32> = (0..dim).map(|_| rng.f32()).collect();
        let sq8 = Sq8::train(&rows, dim);
        let codes = sq8.encode(&rows);
        let mut scanner = Sq8Scanner::new(&query, false);
        let estimates = scanner.scan(&codes.block(&sq8)).to_vec();
        for estimate in estimates {
            let (lower, upper) = scanner.bounds(estimate, codes.error);
            assert!(upper.sqrt() - lower.sqrt() <= 2.2 * codes.error, "dimension {dim}");
        }
        let norm = dot(&query, &query).sqrt();
        let mut scanner = Sq8Scanner::new(&query, true);
        let estimates = scanner.scan(&codes.block(&sq8)).to_vec();
        for estimate in estimates {
            let (lower, upper) = scanner.bounds(estimate, codes.error);
            assert!(upper - lower <= 2.2 * norm * codes.error, "dimension {dim}");
        }
    }
}

#[test]
fn overflow_leaves_no_bound_and_no_panic() {
    let rows = [f32::MAX, f32::MIN, 1.0, -1.0];
    let sq8 = Sq8::train(&rows, 2);
    let codes = sq8.encode(&rows);
    for inner_product in [false, true] {
        let mut scanner = Sq8Scanner::new(&[f32::MAX, f32::MAX], inner_product);
        let estimates = scanner.scan(&codes.block(&sq8)).to_vec();
        for estimate in estimates {
            let bounds = scanner.bounds(estimate, codes.error);
            assert_eq!(bounds, (f32::NEG_INFINITY, f32::INFINITY));
        }
    }
}
