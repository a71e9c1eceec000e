//! The Arrow rows of an L0 table: a persistent list of batches. Small neighbours are merged as they
//! come (each row is copied O(log n) times), so that a stream of single rows stays short to walk.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

const MERGED_ROWS_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct PayloadList {
    parts: Arc<Vec<Part>>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Part {
    first: u32,
    batch: RecordBatch,
}

impl PayloadList {
    /// The list with `batch`, of so many bytes, behind its last row. It cannot fail: the rows may be in the log.
    pub fn append(&self, batch: RecordBatch, bytes: usize) -> Self {
        let mut parts = self.parts.as_ref().clone();
        let last = parts.last().map_or(0, |p| p.first + p.batch.num_rows() as u32);
        let mut first = last;
        let (mut from, mut rows) = (parts.len(), batch.num_rows());
        while let Some(part) = from.checked_sub(1).map(|i| &parts[i]) {
            let merged = rows + part.batch.num_rows();
            if merged > MERGED_ROWS_MAX || part.batch.num_rows() > 2 * rows {
                break;
            }
            (from, rows, first) = (from - 1, merged, part.first);
        }
        match concat_batches(&batch.schema(), parts[from..].iter().map(|p| &p.batch).chain([&batch])) {
            Ok(merged) => {
                parts.truncate(from);
                parts.push(Part { first, batch: merged });
            }
            // More text than a column can hold, for instance.
            Err(_) => parts.push(Part { first: last, batch }),
        }
        Self { parts: Arc::new(parts), bytes: self.bytes + bytes }
    }

    /// What all batches take up.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch that holds row `ordinal`, and the row's index in it.
    pub fn locate(&self, ordinal: u32) -> (usize, usize) {
        let part = self.parts.partition_point(|p| p.first <= ordinal) - 1;
        (part, (ordinal - self.parts[part].first) as usize)
    }

    /// All batches in row order, each with its first row.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = (u32, &RecordBatch)> {
        self.parts.iter().map(|p| (p.first, &p.batch))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};

    use super::*;

    #[test]
    fn rows_keep_their_ordinals_through_merges() {
        let mut list = PayloadList::default();
        let mut next = 0i64;
        for rows in [1, 1, 1, 5, 4000, 1, 1, 9000, 1, 2, 3, 4, 5, 6, 7, 8] {
            let column = Int64Array::from_iter_values(next..next + rows);
            next += rows;
            let batch = RecordBatch::try_from_iter([("n", Arc::new(column) as _)]).unwrap();
            list = list.append(batch, 8 * rows as usize);
        }
        assert_eq!(list.bytes(), 8 * next as usize);
        assert!(list.batches().len() < 10);
        for ordinal in 0..next {
            let (part, row) = list.locate(ordinal as u32);
            let (_, batch) = list.batches().nth(part).unwrap();
            assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(row), ordinal);
        }
    }
}
