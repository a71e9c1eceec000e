use crate::{arch::kernels, fours::in_fours};

/// Squared Euclidean distance.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn l2_sq(a: &[f32], b: &[f32]) -> f32 {
    kernels().l2_sq(a, b)
}

/// Inner product.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    kernels().dot(a, b)
}

/// Squared length.
pub fn norm_sq(a: &[f32]) -> f32 {
    dot(a, a)
}

/// Squared Euclidean distance of `query` to each row of row-major `rows` (`out.len()` rows of
/// `query.len()` values).
///
/// # Panics
/// When `rows` does not hold `out.len()` such rows.
pub fn l2_sq_rows(query: &[f32], rows: &[f32], out: &mut [f32]) {
    let kernels = kernels();
    in_fours(rows, query.len(), out, |four| kernels.l2_sq_four(query, four));
}

/// Squared Euclidean distance of `query` to those rows of row-major `rows` that `which` numbers, in its
/// order.
///
/// # Panics
/// When `out` is not as long as `which`, or a row of that number does not exist.
#[inline]
pub fn l2_sq_of(query: &[f32], rows: &[f32], which: &[u32], out: &mut [f32]) {
    assert_eq!(which.len(), out.len(), "results for another number of rows");
    let kernels = kernels();
    let row = |i: u32| &rows[i as usize * query.len()..][..query.len()];
    for (which, out) in which.chunks(4).zip(out.chunks_mut(4)) {
        let last = which.len() - 1;
        let four = std::array::from_fn(|j| row(which[j.min(last)]));
        out.copy_from_slice(&kernels.l2_sq_four(query, four)[..out.len()]);
    }
}

/// Inner product of `query` with each row of row-major `rows` (`out.len()` rows of `query.len()`
/// values).
///
/// # Panics
/// When `rows` does not hold `out.len()` such rows.
pub fn dot_rows(query: &[f32], rows: &[f32], out: &mut [f32]) {
    let kernels = kernels();
    in_fours(rows, query.len(), out, |four| kernels.dot_four(query, four));
}

/// `acc += x`, element by element.
///
/// # Panics
/// When the lengths differ.
pub fn add_assign(acc: &mut [f32], x: &[f32]) {
    assert_eq!(acc.len(), x.len(), "vectors of different length");
    for (acc, x) in acc.iter_mut().zip(x) {
        *acc += x;
    }
}

/// `x *= factor`, element by element.
pub fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}
