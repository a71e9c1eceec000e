//! The page: the unit in which files are aligned.

/// Bytes per page: what direct I/O asks for on every common disk.
pub const PAGE: usize = 4096;

/// The smallest multiple of [`PAGE`] that is at least `n` bytes.
pub const fn align_up(n: usize) -> usize {
    n.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_to_the_next_page() {
        assert_eq!([0, 1, PAGE - 1, PAGE, PAGE + 1].map(align_up), [0, PAGE, PAGE, PAGE, 2 * PAGE]);
    }
}
