//! Integers (keys, sequence numbers, ordinals) by frame of reference: of each block of 1,024 values
//! the smallest is kept, and the others as differences from it, in as many bits as the largest
//! difference needs. Any value is read in constant time, so that the bytes can stay packed in memory.
//!
//! `docs/format/codecs.md` draws the bytes.

use bytes::Bytes;

use crate::{CodecError, bits};

/// Values of one block; the last may have fewer.
pub const BLOCK: usize = 1024;

/// Bytes in front for each block: base (u64) and width (u8).
const HEADER: usize = 9;

/// Packed integers, checked once when parsed.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Bytes,
    len: usize,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// The smallest value.
    base: u64,
    /// Where its differences begin in the bytes.
    offset: usize,
    /// Bits of a difference, at most 64.
    width: u32,
}

/// Appends the packed form of `values`: 9 bytes per block, then the differences.
pub fn pack(values: &[u64], out: &mut Vec<u8>) {
    let frames: Vec<(u64, u32)> = values.chunks(BLOCK).map(frame).collect();
    for &(base, width) in &frames {
        out.extend_from_slice(&base.to_le_bytes());
        out.push(width as u8);
    }
    for (block, &(base, width)) in values.chunks(BLOCK).zip(&frames) {
        bits::pack(block.iter().map(|value| value - base), width, out);
    }
}

/// The smallest of a block's values, and how many bits the differences from it need.
fn frame(block: &[u64]) -> (u64, u32) {
    let (min, max) = block.iter().fold((u64::MAX, 0), |(min, max), &value| (value.min(min), value.max(max)));
    (min, bits::width_of(max - min))
}

impl Packed {
    /// Takes the bytes that [`pack`] wrote for `len` values, and no others.
    ///
    /// # Errors
    /// When the bytes cannot be those. What is read from accepted bytes need not be what was packed:
    /// a checksum has to see to that.
    pub fn parse(bytes: Bytes, len: usize) -> Result<Self, CodecError> {
        let count = len.div_ceil(BLOCK);
        let headers = count.checked_mul(HEADER).and_then(|headers| bytes.get(..headers));
        let headers = headers.ok_or(CodecError::Corrupt("they are too few for the headers of their blocks"))?;
        let mut blocks = Vec::with_capacity(count);
        let mut offset = headers.len();
        for (i, &[b0, b1, b2, b3, b4, b5, b6, b7, width]) in headers.as_chunks::<HEADER>().0.iter().enumerate() {
            if width > 64 {
                return Err(CodecError::Corrupt("a block claims integers of more than 64 bits"));
            }
            let (base, width) = (u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]), u32::from(width));
            blocks.push(Block { base, offset, width });
            offset += bits::packed_len(block_len(len, i), width);
        }
        if bytes.len() != offset {
            return Err(CodecError::Corrupt("their number is not what the widths of the blocks make it"));
        }
        Ok(Self { bytes, len, blocks })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes this takes in memory, packed values and the list of blocks.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() + self.blocks.len() * size_of::<Block>()
    }

    /// Value `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> u64 {
        assert!(index < self.len, "value {index} of {}", self.len);
        self.value(self.blocks[index / BLOCK], index % BLOCK)
    }

    /// All values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Appends all values to `out`.
    pub fn unpack_into(&self, out: &mut Vec<u64>) {
        out.reserve(self.len);
        for (i, &block) in self.blocks.iter().enumerate() {
            out.extend((0..block_len(self.len, i)).map(|j| self.value(block, j)));
        }
    }

    /// Value `index` of a block. Forged headers may make base and difference overflow.
    fn value(&self, block: Block, index: usize) -> u64 {
        if block.width == 0 {
            return block.base;
        }
        block.base.wrapping_add(bits::get(&self.bytes[block.offset..], block.width, index))
    }
}

/// Values in block `index` of `len` values.
fn block_len(len: usize, index: usize) -> usize {
    (len - index * BLOCK).min(BLOCK)
}
