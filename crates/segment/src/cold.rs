use crate::{
    error::{Flaw, verify},
    le,
};

/// The vectors of one run, bit for bit as they were inserted.
///
/// ```text
/// vectors     f32  rows * dim, row-major
/// inv norms   f32  rows, 1 / |x|; only where the metric is cosine
/// ```
///
/// The directory holds the checksum of the whole region.
#[derive(Debug)]
pub struct ExactRun {
    dim: usize,
    vectors: Vec<f32>,
    inv_norms: Vec<f32>,
}

impl ExactRun {
    /// The vector of row `i` of the run.
    ///
    /// # Panics
    /// When the run has no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.vectors[i * self.dim..(i + 1) * self.dim]
    }

    /// What row `i` is multiplied with to enter index space: 1 / |x| for cosine, else 1.
    ///
    /// # Panics
    /// When the metric is cosine and the run has no such row.
    pub fn inv_norm(&self, i: usize) -> f32 {
        if self.inv_norms.is_empty() { 1.0 } else { self.inv_norms[i] }
    }

    /// All vectors, row-major.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.vectors.len() / self.dim
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (4 * (self.vectors.len() + self.inv_norms.len()) + size_of::<Self>()) as u64
    }

    /// Reads a region of `rows` rows, with norms if the metric is cosine.
    pub(crate) fn parse(region: &[u8], rows: usize, dim: usize, norms: bool, crc: u32) -> Result<Self, Flaw> {
        let vectors = rows * dim * 4;
        if region.len() != vectors + if norms { rows * 4 } else { 0 } {
            return Err("the region is of another length than its rows".into());
        }
        verify(region, crc)?;
        let (vectors, inv_norms) = region.split_at(vectors);
        Ok(Self { dim, vectors: le::f32s(vectors), inv_norms: le::f32s(inv_norms) })
    }
}

/// Lays out a region.
pub(crate) fn encode(vectors: &[f32], inv_norms: Option<&[f32]>) -> Vec<u8> {
    let inv_norms = inv_norms.unwrap_or_default();
    let mut region = Vec::with_capacity(4 * (vectors.len() + inv_norms.len()));
    le::put_f32s(&mut region, vectors);
    le::put_f32s(&mut region, inv_norms);
    region
}
