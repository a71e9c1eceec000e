/// Flushes after which a bucket's last change is forgotten.
const FLUSHES: u64 = 4;

/// Whether a bucket still cools down from its last split or merge. Counted in flushes and in rows, not
/// in time: until four flushes have come, or a quarter of its rows are others, a part of a split is
/// not joined to another bucket, and a bucket that took in another's rows is not split.
pub fn is_cooling(flushes_since: u64, rows_changed_since: u64, rows: u64) -> bool {
    flushes_since < FLUSHES && 4 * rows_changed_since < rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_or_rows_end_it() {
        assert!(is_cooling(0, 0, 100) && is_cooling(3, 24, 100));
        assert!(!is_cooling(4, 0, 100), "flushes");
        assert!(!is_cooling(0, 25, 100), "rows");
    }
}
