//! A filter that a given share of all rows matches.

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use arrow_buffer::BooleanBuffer;
use drift_engine::{Result, RowPredicate};

/// Rows whose id, taken modulo 10,000 after a scrambling, is small: a share of all, here and there.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    below: u64,
}

impl Share {
    /// In steps of a ten-thousandth.
    pub fn of(share: f64) -> Self {
        Self { below: (share * 10_000.0).round() as u64 }
    }

    /// Whether the row with this id matches.
    pub fn matches(self, id: i64) -> bool {
        let scrambled = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        scrambled % 10_000 < self.below
    }
}

impl RowPredicate for Share {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn fingerprint(&self) -> Option<u128> {
        Some(self.below.into())
    }

    fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        Ok(BooleanBuffer::collect_bool(ids.len(), |i| self.matches(ids[i])))
    }
}
