use std::sync::LazyLock;

const TABLE: usize = 1024;
static LN_1P: LazyLock<[f32; TABLE]> = LazyLock::new(|| std::array::from_fn(|i| (i as f32).ln_1p()));

/// ln(1 + n): a search asks it of each bucket, mostly of small numbers.
pub(crate) fn ln_1p(n: u32) -> f32 {
    LN_1P.get(n as usize).copied().unwrap_or_else(|| (n as f32).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_formula_agree() {
        for n in [0, 1, 2, 1023, 1024, 5_000_000] {
            assert_eq!(ln_1p(n), (n as f32).ln_1p());
        }
    }
}
