//! A run of rows with the codes that a scan reads.

use drift_codec::{Sq8, Sq8Block, Sq8Codes};
use drift_types::{SeqNo, VectorId, Vectors};

/// A run of consecutive rows, as a flush or an exact scan reads them.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Ordinal of the first row; the others follow.
    pub first: u32,
    /// The rows, in index space.
    pub rows: Vectors<'a>,
    /// The key of each row.
    pub ids: &'a [VectorId],
    /// The sequence number of each row.
    pub seqs: &'a [SeqNo],
}

/// Rows that are still being gathered into a chunk.
#[derive(Default)]
pub(crate) struct RowBuffer {
    rows: Vec<f32>,
    ids: Vec<VectorId>,
    seqs: Vec<SeqNo>,
}

impl RowBuffer {
    /// Adds rows that share one sequence number.
    pub(crate) fn push(&mut self, rows: Vectors<'_>, ids: &[VectorId], seq: SeqNo) {
        self.rows.extend_from_slice(rows.data());
        self.ids.extend_from_slice(ids);
        self.seqs.resize(self.ids.len(), seq);
    }

    /// Adds the rows of a chunk.
    pub(crate) fn push_chunk(&mut self, chunk: &TailChunk) {
        self.rows.extend_from_slice(&chunk.rows);
        self.ids.extend_from_slice(&chunk.ids);
        self.seqs.extend_from_slice(&chunk.seqs);
    }

    /// Encodes the rows; from here on they never change.
    pub(crate) fn into_chunk(self, first: u32, dim: usize) -> TailChunk {
        let quantizer = Sq8::train(&self.rows, dim);
        let codes = quantizer.encode(&self.rows);
        TailChunk { first, dim, rows: self.rows, ids: self.ids, seqs: self.seqs, quantizer, codes }
    }
}

/// An immutable run of rows: exact values, keys, sequence numbers, and int8 codes with a
/// quantizer of its own, so that codes fit the rows however the stream drifts.
pub(crate) struct TailChunk {
    pub(crate) first: u32,
    dim: usize,
    rows: Vec<f32>,
    ids: Vec<VectorId>,
    seqs: Vec<SeqNo>,
    quantizer: Sq8,
    codes: Sq8Codes,
}

impl TailChunk {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ordinal after the last row's.
    pub(crate) fn end(&self) -> u32 {
        self.first + self.ids.len() as u32
    }

    pub(crate) fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..(i + 1) * self.dim]
    }

    pub(crate) fn id(&self, i: usize) -> VectorId {
        self.ids[i]
    }

    pub(crate) fn seq(&self, i: usize) -> SeqNo {
        self.seqs[i]
    }

    pub(crate) fn view(&self) -> Chunk<'_> {
        Chunk { first: self.first, rows: Vectors::new(&self.rows, self.dim), ids: &self.ids, seqs: &self.seqs }
    }

    pub(crate) fn block(&self) -> Sq8Block<'_> {
        self.codes.block(&self.quantizer)
    }

    /// Heap bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.rows[..])
            + size_of_val(&self.ids[..])
            + size_of_val(&self.seqs[..])
            + size_of_val(&self.quantizer.centre[..])
            + size_of_val(&self.codes.codes[..])
            + size_of_val(&self.codes.norms_sq[..])
    }
}
