use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::{concat::concat_batches, take::take_record_batch};
use drift_types::{Metric, SeqNo, VectorId, Vectors};

use crate::{
    CollectionSchema, Result,
    id_map::RowAddress,
    search::unit_rows,
    snapshot::{L0Table, SegmentView},
    vectors,
};

/// Rows on their way into a segment.
pub(crate) struct RowSet {
    dim: usize,
    /// As inserted, row-major.
    pub vectors: Vec<f32>,
    /// Under cosine: the rows at unit length, and one over their lengths.
    pub unit: Option<(Vec<f32>, Vec<f32>)>,
    pub ids: Vec<VectorId>,
    pub seqs: Vec<SeqNo>,
    /// Where each row was; `None` for new ones.
    pub from: Vec<Option<RowAddress>>,
    /// Every column but the vector's.
    pub payload: RecordBatch,
}

/// The columns of a segment's payload: all but the vector's.
pub(crate) fn payload_columns(schema: &CollectionSchema) -> Vec<usize> {
    (0..schema.arrow.fields().len()).filter(|&i| i != schema.vector).collect()
}

impl RowSet {
    /// Rows of `batch`, which has the collection's own schema.
    pub fn new(
        schema: &CollectionSchema,
        batch: &RecordBatch,
        ids: Vec<VectorId>,
        seqs: Vec<SeqNo>,
        from: Vec<Option<RowAddress>>,
    ) -> Result<Self> {
        let payload = batch.project(&payload_columns(schema))?;
        Ok(Self::from_parts(schema, vectors(schema, batch).to_vec(), ids, seqs, from, payload))
    }

    fn from_parts(
        schema: &CollectionSchema,
        vectors: Vec<f32>,
        ids: Vec<VectorId>,
        seqs: Vec<SeqNo>,
        from: Vec<Option<RowAddress>>,
        payload: RecordBatch,
    ) -> Self {
        let dim = schema.dim.expect("a collection with rows has a dimension");
        let unit = (schema.metric == Metric::Cosine).then(|| unit_rows(&vectors, dim));
        Self { dim, vectors, unit, ids, seqs, from, payload }
    }

    /// The live rows of frozen tables; `None` when there is none.
    pub fn from_tables(schema: &CollectionSchema, tables: &[L0Table]) -> Result<Option<Self>> {
        let (mut batches, mut ids, mut seqs, mut from) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for table in tables {
            for (first, batch) in table.payload.batches() {
                let live = (0..batch.num_rows() as u32).filter(|row| !table.dead.contains(first + row));
                let live: UInt32Array = live.collect();
                for &row in live.values() {
                    let ordinal = first + row;
                    ids.push(table.memtable.id(ordinal));
                    seqs.push(table.memtable.seq(ordinal));
                    from.push(Some(RowAddress { place: table.place, ordinal }));
                }
                batches.push(take_record_batch(batch, &live)?);
            }
        }
        if ids.is_empty() {
            return Ok(None);
        }
        Self::new(schema, &concat_batches(&schema.arrow, &batches)?, ids, seqs, from).map(Some)
    }

    /// These rows of one segment, by ascending ordinals.
    pub async fn from_segment(schema: &CollectionSchema, view: &SegmentView, ordinals: &[u32]) -> Result<Self> {
        let mut rows = Vec::new();
        for of_run in ordinals.chunk_by(|&a, &b| view.run_of(a) == view.run_of(b)) {
            let run = view.run_of(of_run[0]);
            let (exact, first) = (view.reader.exact(run).await?, view.reader.runs()[run as usize].first_row);
            of_run.iter().for_each(|ordinal| rows.extend_from_slice(exact.row((ordinal - first) as usize)));
        }
        let block = view.reader.ids().await?;
        // One read for all runs: a page of the payload holds rows of several.
        let payload = view.reader.payload_once(ordinals, &payload_columns(schema)).await?;
        let ids = ordinals.iter().map(|&o| block.id(o)).collect();
        let seqs = ordinals.iter().map(|&o| block.seq(o)).collect();
        let from = ordinals.iter().map(|&ordinal| Some(RowAddress { place: view.place, ordinal })).collect();
        Ok(Self::from_parts(schema, rows, ids, seqs, from, payload))
    }

    /// One set of all rows of `sets`, which has at least one.
    pub fn concat(sets: Vec<Self>) -> Result<Self> {
        let schema = sets[0].payload.schema();
        let payloads =
            sets.iter().map(|s| s.payload.clone().with_schema(schema.clone())).collect::<Result<Vec<_>, _>>()?;
        let payload = concat_batches(&schema, &payloads)?;
        let mut sets = sets.into_iter();
        let mut all = sets.next().expect("at least one set");
        for set in sets {
            all.vectors.extend(set.vectors);
            if let (Some((rows, inv)), Some((more_rows, more_inv))) = (&mut all.unit, set.unit) {
                rows.extend(more_rows);
                inv.extend(more_inv);
            }
            all.ids.extend(set.ids);
            all.seqs.extend(set.seqs);
            all.from.extend(set.from);
        }
        Ok(Self { payload, ..all })
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The rows in index space.
    pub fn index_rows(&self) -> Vectors<'_> {
        Vectors::new(self.unit.as_ref().map_or(&self.vectors, |(rows, _)| rows), self.dim)
    }

    /// The rows in the order of `order`, which names each once.
    pub fn reorder(self, order: &[u32]) -> Result<Self> {
        let rows = |data: &[f32]| -> Vec<f32> {
            order.iter().flat_map(|&i| &data[i as usize * self.dim..(i as usize + 1) * self.dim]).copied().collect()
        };
        fn pick<T: Copy>(items: &[T], order: &[u32]) -> Vec<T> {
            order.iter().map(|&i| items[i as usize]).collect()
        }
        Ok(Self {
            dim: self.dim,
            vectors: rows(&self.vectors),
            unit: self.unit.as_ref().map(|(unit, inv)| (rows(unit), pick(inv, order))),
            ids: pick(&self.ids, order),
            seqs: pick(&self.seqs, order),
            from: pick(&self.from, order),
            payload: take_record_batch(&self.payload, &UInt32Array::from(order.to_vec()))?,
        })
    }
}
