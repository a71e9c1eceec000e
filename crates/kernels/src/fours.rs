/// Runs a kernel that takes four rows at a time over row-major `rows` of `row_len` values each,
/// writing one number per row. The last call repeats its last row where fewer than four are left.
///
/// # Panics
/// When `rows` does not hold `out.len()` rows.
pub(crate) fn in_fours<T>(rows: &[T], row_len: usize, out: &mut [f32], kernel: impl Fn([&[T]; 4]) -> [f32; 4]) {
    assert_eq!(rows.len(), out.len() * row_len, "{} rows of {row_len} values expected", out.len());
    for (i, out) in out.chunks_mut(4).enumerate() {
        let first = 4 * i;
        let last = first + out.len() - 1;
        out.copy_from_slice(&kernel(four_rows(rows, row_len, first, last))[..out.len()]);
    }
}

/// Rows `first..first + 4`, none beyond `last`, which is repeated instead.
pub(crate) fn four_rows<T>(rows: &[T], row_len: usize, first: usize, last: usize) -> [&[T]; 4] {
    std::array::from_fn(|j| {
        let row = (first + j).min(last);
        &rows[row * row_len..(row + 1) * row_len]
    })
}
