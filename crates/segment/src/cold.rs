use bytes::{Buf, BufMut};
use drift_codec::{
    CodecError,
    float::{CHUNK, FloatCodec, decode_chunk, encode_chunk},
};
use drift_types::Compression;

use crate::error::{Flaw, verify};

const ENTRY_BYTES: usize = 8;

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

    /// Reads a region of `rows` rows, with norms if the metric is cosine; `crc` proves its table.
    pub(crate) fn parse(region: &[u8], rows: usize, dim: usize, norms: bool, crc: u32) -> Result<Self, Flaw> {
        let (values, norms) = (rows * dim, if norms { rows } else { 0 });
        let entries = values.div_ceil(CHUNK) + norms.div_ceil(CHUNK);
        let table = region.len().checked_sub(entries * ENTRY_BYTES).ok_or("the region is shorter than its rows")?;
        let (chunks, table) = region.split_at(table);
        verify(table, crc)?;
        let mut chunks = Chunks { chunks, table };
        let vectors = chunks.decode(values)?;
        let inv_norms = chunks.decode(norms)?;
        if !chunks.chunks.is_empty() {
            return Err("the region is longer than its rows".into());
        }
        Ok(Self { dim, vectors, inv_norms })
    }
}

/// The chunks that are still to be decoded, and their entries in the table.
struct Chunks<'a> {
    chunks: &'a [u8],
    table: &'a [u8],
}

impl Chunks<'_> {
    /// The next `count` values, which end with a chunk.
    fn decode(&mut self, count: usize) -> Result<Vec<f32>, Flaw> {
        let mut values = vec![0.0; count];
        for values in values.chunks_mut(CHUNK) {
            let (length, codec) = (self.table.get_u16_le() as usize, self.table.get_u8());
            self.table.advance(1);
            let (chunk, rest) = self.chunks.split_at_checked(length).ok_or("a chunk leaves its region")?;
            verify(chunk, self.table.get_u32_le())?;
            decode_chunk(FloatCodec::try_from(codec)?, chunk, values)?;
            self.chunks = rest;
        }
        Ok(values)
    }
}

impl From<CodecError> for Flaw {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::UnknownCodec(codec) => Self::Newer(format!("it has a chunk of the unknown codec {codec}")),
            CodecError::Corrupt(_) => Self::Corrupt(error.to_string()),
        }
    }
}

/// Lays out a region; returns it with the checksum of its table.
pub(crate) fn encode(vectors: &[f32], inv_norms: Option<&[f32]>, compression: Compression) -> (Vec<u8>, u32) {
    let (mut region, mut table) = (Vec::with_capacity(size_of_val(vectors)), Vec::new());
    for values in vectors.chunks(CHUNK).chain(inv_norms.unwrap_or_default().chunks(CHUNK)) {
        let start = region.len();
        let codec = encode_chunk(values, compression, &mut region);
        let chunk = &region[start..];
        table.put_u16_le(chunk.len() as u16);
        table.put_u8(codec as u8);
        table.put_u8(0);
        table.put_u32_le(crc32c::crc32c(chunk));
    }
    region.extend_from_slice(&table);
    (region, crc32c::crc32c(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 384;

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
        let run = ExactRun::parse(&region, 18, DIM, false, crc).unwrap();
        assert_eq!(bits(run.vectors()), bits(&vectors));
    }

    #[test]
    fn chunks_that_are_the_same_throughout_take_next_to_nothing() {
        let (vectors, norms) = (vectors(), [0.5; 18]);
        let (region, crc) = encode(&vectors, Some(&norms), Compression::Auto);
        assert!(region.len() < 4 * 9 * DIM, "{}", region.len());
        let run = ExactRun::parse(&region, 18, DIM, true, crc).unwrap();
        assert_eq!((bits(run.vectors()), run.inv_norm(17)), (bits(&vectors), 0.5));
    }

    #[test]
    fn a_codec_of_the_future_is_told_from_damage() {
        let (mut region, _) = encode(&vectors(), None, Compression::Raw);
        let table = region.len() - 7 * ENTRY_BYTES;
        region[table + 2] = 77;
        let found = ExactRun::parse(&region, 18, DIM, false, crc32c::crc32c(&region[table..]));
        assert!(matches!(found, Err(Flaw::Newer(_))), "{found:?}");
        region[table + 1] = 255;
        let found = ExactRun::parse(&region, 18, DIM, false, crc32c::crc32c(&region[table..]));
        assert!(matches!(found, Err(Flaw::Corrupt(_))), "{found:?}");
    }

    #[test]
    fn a_region_of_another_length_is_refused() {
        let (region, crc) = encode(&vectors(), None, Compression::Raw);
        for (rows, dim) in [(17, DIM), (19, DIM), (18, DIM - 1), (1 << 30, 1 << 16)] {
            assert!(ExactRun::parse(&region, rows, dim, false, crc).is_err(), "{rows} of {dim}");
        }
        assert!(ExactRun::parse(&region[1..], 18, DIM, false, crc).is_err());
    }
}
