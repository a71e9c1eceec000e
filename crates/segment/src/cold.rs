use drift_codec::float::{CHUNK, encode_chunk};
use drift_types::Compression;

use crate::{
    chunks::{ChunkTable, Decoded, Layout},
    error::Flaw,
};

/// The vectors of one run, bit for bit as they were inserted.
///
/// Values are cut into chunks of 1,024, each coded on its own: first those of the vectors, row
/// after row, then 1 / |x| of each row, for cosine only. The last chunk of either may be shorter.
/// Chunks follow each other without gaps, so raw vectors are one array at the region's beginning,
/// of which a chunk is a page.
///
/// ```text
/// chunks               codec crate
/// chunk table   8 c    for each chunk: length u16, codec u8, zero u8, crc32c u32
/// ```
///
/// The directory holds the checksum of the table.
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

    /// Reads a whole region; `crc` proves its table.
    pub(crate) fn parse(region: &[u8], layout: Layout, crc: u32) -> Result<Self, Flaw> {
        let table = region.len().checked_sub(layout.table_bytes()).ok_or("the region is shorter than its rows")?;
        let (chunks, table) = region.split_at(table);
        let table = ChunkTable::parse(table, layout, region.len() as u64, crc)?;
        let (mut vectors, mut inv_norms) = (vec![0.0; layout.values()], vec![0.0; layout.norms()]);
        table.decode_all(chunks, &mut vectors, &mut inv_norms)?;
        Ok(Self { dim: layout.dim, vectors, inv_norms })
    }

    /// Some rows alone, in this order, out of chunks that hold them.
    pub(crate) fn of_rows(rows: &[u32], layout: Layout, chunks: &Decoded) -> Self {
        let mut vectors = Vec::with_capacity(rows.len() * layout.dim);
        for values in rows.iter().map(|&row| layout.values_of(row)) {
            let mut at = values.start;
            while at < values.end {
                let piece = &chunks[&(at / CHUNK)][at % CHUNK..];
                let piece = &piece[..piece.len().min(values.end - at)];
                vectors.extend_from_slice(piece);
                at += piece.len();
            }
        }
        let norm = |&row: &u32| layout.norm_of(row).map(|(chunk, at)| chunks[&chunk][at]);
        Self { dim: layout.dim, vectors, inv_norms: rows.iter().filter_map(norm).collect() }
    }
}

/// Lays out a region; returns it with the checksum of its table.
pub(crate) fn encode(vectors: &[f32], inv_norms: Option<&[f32]>, compression: Compression) -> (Vec<u8>, u32) {
    let (mut region, mut table) = (Vec::with_capacity(size_of_val(vectors)), Vec::new());
    for values in vectors.chunks(CHUNK).chain(inv_norms.unwrap_or_default().chunks(CHUNK)) {
        let start = region.len();
        let codec = encode_chunk(values, compression, &mut region);
        ChunkTable::put(&mut table, &region[start..], codec);
    }
    region.extend_from_slice(&table);
    (region, crc32c::crc32c(&table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::ENTRY_BYTES;

    const DIM: usize = 384;

    fn layout(rows: usize, has_norms: bool) -> Layout {
        Layout { rows, dim: DIM, has_norms }
    }

    /// Rows that no codec makes smaller, and rows that are all the same.
    fn vectors() -> Vec<f32> {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut values: Vec<f32> = (0..7 * DIM).map(|_| f32::from_bits(rng.u32(..))).collect();
        values.extend(vec![-0.0; 11 * DIM]);
        values
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn raw_vectors_are_an_array() {
        let vectors = vectors();
        let (region, crc) = encode(&vectors, None, Compression::Raw);
        let array: Vec<u8> = vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(region.starts_with(&array));
        let run = ExactRun::parse(&region, layout(18, false), crc).unwrap();
        assert_eq!(bits(run.vectors()), bits(&vectors));
    }

    #[test]
    fn chunks_that_are_the_same_throughout_take_next_to_nothing() {
        let (vectors, norms) = (vectors(), [0.5; 18]);
        let (region, crc) = encode(&vectors, Some(&norms), Compression::Auto);
        assert!(region.len() < 4 * 9 * DIM, "{}", region.len());
        let run = ExactRun::parse(&region, layout(18, true), crc).unwrap();
        assert_eq!((bits(run.vectors()), run.inv_norm(17)), (bits(&vectors), 0.5));
    }

    #[test]
    fn a_codec_of_the_future_is_told_from_damage() {
        let (mut region, _) = encode(&vectors(), None, Compression::Raw);
        let table = region.len() - 7 * ENTRY_BYTES;
        region[table + 2] = 77;
        let found = ExactRun::parse(&region, layout(18, false), crc32c::crc32c(&region[table..]));
        assert!(matches!(found, Err(Flaw::Newer(_))), "{found:?}");
        region[table + 1] = 255;
        let found = ExactRun::parse(&region, layout(18, false), crc32c::crc32c(&region[table..]));
        assert!(matches!(found, Err(Flaw::Corrupt(_))), "{found:?}");
    }

    #[test]
    fn a_region_of_another_length_is_refused() {
        let (region, crc) = encode(&vectors(), None, Compression::Raw);
        for (rows, dim) in [(17, DIM), (19, DIM), (18, DIM - 1), (1 << 30, 1 << 16)] {
            let layout = Layout { rows, dim, has_norms: false };
            assert!(ExactRun::parse(&region, layout, crc).is_err(), "{rows} of {dim}");
        }
        assert!(ExactRun::parse(&region[1..], layout(18, false), crc).is_err());
    }
}
