use std::ops::Range;

use arrow_array::RecordBatch;
use drift_kernels::{MAX_DIM, MAX_ROTATED_DIM};
use drift_types::{BucketId, CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};

use crate::{Error, Result, SegmentMeta};

/// Everything a segment is built from. Rows stand in the order of the runs.
#[derive(Clone, Debug)]
pub struct SegmentInput {
    /// The new segment.
    pub id: SegmentId,
    /// Whose rows these are.
    pub collection: CollectionId,
    /// What to remember of the collection.
    pub meta: SegmentMeta,
    /// The runs: none empty, one after the other, covering all rows.
    pub runs: Vec<RunInput>,
    /// rows * dim values, row-major, as they were inserted.
    pub vectors: Vec<f32>,
    /// 1 / |x| of each row; for cosine, and only there.
    pub inv_norms: Option<Vec<f32>>,
    /// Each row's key.
    pub ids: Vec<VectorId>,
    /// Each row's sequence number.
    pub seqs: Vec<SeqNo>,
    /// What the 1-bit codes of all runs are relative to, in index space; `dim` values. Best near the
    /// rows, and best the same in all segments of a collection. None: no 1-bit codes.
    pub origin: Option<Vec<f32>>,
    /// How the vectors are stored.
    pub compression: Compression,
    /// Every column but the vector, as [`SegmentMeta::payload_schema`] says.
    pub payload: RecordBatch,
}

/// Rows of one bucket. Statistics are those of its rows in index space.
#[derive(Clone, Debug)]
pub struct RunInput {
    /// The bucket.
    pub bucket: BucketId,
    /// The bucket's generation.
    pub generation: u32,
    /// Ordinals of the rows.
    pub rows: Range<usize>,
    /// What its codes are relative to, in index space: best the bucket's own centroid, whose distance a
    /// search knows anyway; `dim` values.
    pub centre: Vec<f32>,
    /// Mean of the run's rows; `dim` values.
    pub centroid: Vec<f32>,
    /// Sum of the rows; `dim` values.
    pub sum: Vec<f32>,
    /// Mean squared distance of the rows to their mean.
    pub mean_sq_radius: f32,
    /// Largest squared norm of a row.
    pub max_norm_sq: f32,
}

impl SegmentInput {
    /// Refuses input whose members contradict each other.
    pub(crate) fn check(&self) -> Result<()> {
        let (meta, rows) = (&self.meta, self.ids.len());
        meta.check()?;
        let as_wide = |values: &[f32]| values.len() == meta.dim;
        let mut next = 0;
        let in_order = self.runs.iter().all(|run| {
            let follows = run.rows.start == next && run.rows.end > next;
            next = run.rows.end;
            follows && as_wide(&run.centre) && as_wide(&run.centroid) && as_wide(&run.sum)
        });
        let norms = self.inv_norms.as_ref().map(Vec::len);
        let problem = if rows == 0 {
            "a segment needs at least one row"
        } else if u32::try_from(rows).is_err() {
            "a segment holds at most 2^32 - 1 rows: split them over several"
        } else if meta.dim > MAX_DIM {
            "a vector has at most 65,536 dimensions"
        } else if self.origin.as_ref().is_some_and(|origin| !as_wide(origin) || meta.dim > MAX_ROTATED_DIM) {
            "an origin of 1-bit codes has the vectors' dimension, at most 2,048"
        } else if !in_order || next != rows {
            "the runs must cover all rows in order, with statistics of the vectors' dimension"
        } else if self.vectors.len() != rows * meta.dim || self.seqs.len() != rows {
            "each row needs a key, a sequence number and a vector"
        } else if norms != (meta.metric == Metric::Cosine).then_some(rows) {
            "each row needs a norm if the metric is cosine, and none otherwise"
        } else if self.payload.num_rows() != rows
            || self.payload.schema_ref().fields() != meta.payload_schema().fields()
        {
            "the payload must hold every row and every column but the vector"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(problem.to_owned()))
    }
}
