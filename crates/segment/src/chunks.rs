use std::{collections::BTreeMap, ops::Range};

use bytes::{Buf, BufMut};
use drift_codec::{
    CodecError,
    float::{CHUNK, FloatCodec, decode_chunk},
};

use crate::error::{Flaw, verify};

/// Bytes of an entry of the chunk table.
pub(crate) const ENTRY_BYTES: usize = 8;

/// What a run's region in COLD holds, and so in which of its chunks a row lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub rows: usize,
    pub dim: usize,
    /// Whether 1 / |x| of each row follow, for cosine.
    pub has_norms: bool,
}

impl Layout {
    /// Values of the vectors.
    pub fn values(self) -> usize {
        self.rows * self.dim
    }

    /// Values behind them.
    pub fn norms(self) -> usize {
        if self.has_norms { self.rows } else { 0 }
    }

    fn vector_chunks(self) -> usize {
        self.values().div_ceil(CHUNK)
    }

    fn chunks(self) -> usize {
        self.vector_chunks() + self.norms().div_ceil(CHUNK)
    }

    /// Bytes of the chunk table.
    pub fn table_bytes(self) -> usize {
        self.chunks() * ENTRY_BYTES
    }

    /// Number of values in a chunk.
    fn values_in(self, chunk: usize) -> usize {
        let vectors = self.vector_chunks();
        let left = match chunk < vectors {
            true => self.values() - chunk * CHUNK,
            false => self.norms() - (chunk - vectors) * CHUNK,
        };
        left.min(CHUNK)
    }

    /// The chunks that hold what belongs to a row.
    pub fn chunks_of(self, row: u32) -> impl Iterator<Item = usize> {
        let values = self.values_of(row);
        (values.start / CHUNK..values.end.div_ceil(CHUNK)).chain(self.norm_of(row).map(|(chunk, _)| chunk))
    }

    /// Where a row is among the values of the vectors.
    pub fn values_of(self, row: u32) -> Range<usize> {
        row as usize * self.dim..(row as usize + 1) * self.dim
    }

    /// Where a row's 1 / |x| is: chunk and position in it.
    pub fn norm_of(self, row: u32) -> Option<(usize, usize)> {
        self.has_norms.then(|| (self.vector_chunks() + row as usize / CHUNK, row as usize % CHUNK))
    }
}

/// How long the chunks of a region are, how they are coded, and what proves them: the end of a region, as
/// [`ExactRun`](crate::ExactRun) draws it.
#[derive(Debug)]
pub struct ChunkTable(Box<[u8]>);

/// One entry.
#[derive(Clone, Copy)]
struct Entry {
    length: usize,
    codec: u8,
    crc: u32,
}

impl ChunkTable {
    /// Appends the entry of a coded chunk.
    pub fn put(table: &mut Vec<u8>, chunk: &[u8], codec: FloatCodec) {
        table.put_u16_le(chunk.len() as u16);
        table.put_u8(codec as u8);
        table.put_u8(0);
        table.put_u32_le(crc32c::crc32c(chunk));
    }

    /// Reads the table at the end of a region of `region_bytes`; `crc` proves it.
    pub(crate) fn parse(table: &[u8], layout: Layout, region_bytes: u64, crc: u32) -> Result<Self, Flaw> {
        debug_assert_eq!(table.len(), layout.table_bytes());
        verify(table, crc)?;
        let table = Self(table.into());
        let chunks: u64 = table.entries().map(|entry| entry.length as u64).sum();
        match chunks + table.bytes() == region_bytes {
            true => Ok(table),
            false => Err("the region is not as long as its chunks".into()),
        }
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.chunks_exact(ENTRY_BYTES).map(|mut entry| {
            let (length, codec) = (entry.get_u16_le() as usize, entry.get_u8());
            entry.advance(1);
            Entry { length, codec, crc: entry.get_u32_le() }
        })
    }

    /// For each of some chunks, in ascending order, where it is in the region.
    pub(crate) fn places(&self, chunks: &[usize]) -> Vec<Range<u64>> {
        let mut start = 0;
        let mut wanted = chunks.iter().peekable();
        let mut places = Vec::with_capacity(chunks.len());
        for (chunk, entry) in self.entries().enumerate() {
            let end = start + entry.length as u64;
            if wanted.next_if(|&&wanted| wanted == chunk).is_some() {
                places.push(start..end);
            }
            start = end;
        }
        places
    }

    /// Decodes one chunk.
    pub(crate) fn decode(&self, layout: Layout, chunk: usize, bytes: &[u8]) -> Result<Vec<f32>, Flaw> {
        let mut values = vec![0.0; layout.values_in(chunk)];
        let entry = self.entries().nth(chunk).ok_or("there is no such chunk")?;
        entry.decode(bytes, &mut values)?;
        Ok(values)
    }

    /// Decodes all chunks that begin at `chunks` into as many values as there are.
    pub(crate) fn decode_all(&self, mut chunks: &[u8], vectors: &mut [f32], norms: &mut [f32]) -> Result<(), Flaw> {
        let values = vectors.chunks_mut(CHUNK).chain(norms.chunks_mut(CHUNK));
        for (entry, values) in self.entries().zip(values) {
            let (chunk, rest) = chunks.split_at_checked(entry.length).ok_or("a chunk leaves its region")?;
            entry.decode(chunk, values)?;
            chunks = rest;
        }
        Ok(())
    }
}

impl Entry {
    fn decode(self, chunk: &[u8], values: &mut [f32]) -> Result<(), Flaw> {
        verify(chunk, self.crc)?;
        Ok(decode_chunk(FloatCodec::try_from(self.codec)?, chunk, values)?)
    }
}

/// Chunks that have been decoded, of one region.
pub(crate) type Decoded = BTreeMap<usize, Vec<f32>>;

impl From<CodecError> for Flaw {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::UnknownCodec(codec) => Self::Newer(format!("it has a chunk of the unknown codec {codec}")),
            CodecError::Corrupt(_) => Self::Corrupt(error.to_string()),
        }
    }
}
