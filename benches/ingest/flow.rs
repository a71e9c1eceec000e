//! What is written, batch by batch.

use std::time::{Duration, Instant};

use drift_benches::{data::Rows, table};
use drift_engine::{Collection, Result};
use drift_types::VectorId;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Rows come.
    Insert,
    /// As many come as go, the oldest first.
    Replace,
}

impl Phase {
    pub const ALL: [Self; 2] = [Self::Insert, Self::Replace];

    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Replace => "replace",
        }
    }
}

/// Writes all rows in batches. Returns how long the calls took: batches are made between them.
pub async fn write(collection: &Collection, rows: &Rows, batch_rows: usize, phase: Phase) -> Result<Duration> {
    let mut time = Duration::ZERO;
    let rows_before = if phase == Phase::Replace { rows.len() as i64 } else { 0 };
    for (number, values) in (0..).zip(rows.data.chunks(batch_rows * rows.dim)) {
        let old = number * batch_rows as i64..(number + 1) * batch_rows as i64;
        let new = old.start + rows_before..old.end + rows_before;
        let batch = table::batch(new.collect(), values.to_vec(), rows.dim);
        let gone: Vec<VectorId> = old.map(VectorId::from_i64).collect();
        let start = Instant::now();
        collection.insert(batch).await?;
        if phase == Phase::Replace {
            let acknowledged = collection.delete(&gone).await?;
            assert_eq!(acknowledged.rows, gone.len() as u64, "all of the oldest are deleted");
        }
        time += start.elapsed();
    }
    Ok(time)
}
