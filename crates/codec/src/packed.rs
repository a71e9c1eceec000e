//! Integers (keys, sequence numbers, ordinals) by frame of reference: of each block of 1,024 values
//! the smallest is kept, and the others as differences from it, in as many bits as the largest
//! difference needs. Any value is read in constant time, so that the bytes can stay packed in memory.
//! Full blocks are in the FastLanes layout, for those who read all; a shorter last one is packed one
//! after the other, and so costs no full one.
//!
//! `docs/format/codecs.md` draws the bytes.

use bytes::Bytes;

use crate::{CodecError, bits, lanes};

/// Values of one block; the last may have fewer.
pub const BLOCK: usize = lanes::BLOCK;

/// Bytes in front for each block: base (u64) and width (u8).
const HEADER: usize = 9;

/// Packed integers, checked once when parsed.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Bytes,
    len: usize,
    /// Where in the bytes the differences of each block begin.
    starts: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    /// How many values.
    len: usize,
    /// The smallest value.
    base: u64,
    /// Bits of a difference, at most 64.
    width: u32,
    /// Differences, and what follows them.
    differences: &'a [u8],
}

/// Appends the packed form of `values`: 9 bytes per block, then the differences.
pub fn pack(values: &[u64], out: &mut Vec<u8>) {
    let frames: Vec<(u64, u32)> = values.chunks(BLOCK).map(frame).collect();
    for &(base, width) in &frames {
        out.extend_from_slice(&base.to_le_bytes());
        out.push(width as u8);
    }
    for (block, &(base, width)) in values.chunks(BLOCK).zip(&frames) {
        match block.try_into() {
            Ok(full) => lanes::pack_u64(full, base, width, out),
            Err(_) => bits::pack(block.iter().map(|value| value - base), width, out),
        }
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
        let mut start = count.saturating_mul(HEADER);
        if start > bytes.len() {
            return Err(CodecError::Corrupt("they are too few for the headers of their blocks"));
        }
        let mut starts = Vec::with_capacity(count);
        for block in 0..count {
            let (_, width) = header(&bytes, block);
            if width > 64 {
                return Err(CodecError::Corrupt("a block claims integers of more than 64 bits"));
            }
            starts.push(start);
            start += bits::packed_len(block_len(len, block), width);
        }
        if bytes.len() != start {
            return Err(CodecError::Corrupt("their number is not what the widths of the blocks make it"));
        }
        Ok(Self { bytes, len, starts })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes this takes in memory, packed values and where their blocks begin.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() + size_of_val(&self.starts[..])
    }

    /// Value `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> u64 {
        assert!(index < self.len, "value {index} of {}", self.len);
        self.block(index / BLOCK).value(index % BLOCK)
    }

    /// All values in order, a block unpacked at a time.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut values = [0; BLOCK];
        (0..self.len).map(move |index| {
            let at = index % BLOCK;
            if at == 0 {
                self.block(index / BLOCK).unpack(&mut values);
            }
            values[at]
        })
    }

    fn block(&self, index: usize) -> Block<'_> {
        let (base, width) = header(&self.bytes, index);
        let (len, differences) = (block_len(self.len, index), &self.bytes[self.starts[index]..]);
        Block { len, base, width, differences }
    }
}

impl Block<'_> {
    /// Forged headers may make base and difference overflow.
    fn value(&self, index: usize) -> u64 {
        let difference = match (self.width, self.len) {
            (0, _) => 0,
            (width, BLOCK) => lanes::get_u64(self.differences, width, index),
            (width, _) => bits::get(self.differences, width, index),
        };
        self.base.wrapping_add(difference)
    }

    /// Fills as many of `values` as there are.
    fn unpack(&self, values: &mut [u64; BLOCK]) {
        match self.len {
            BLOCK => lanes::unpack_u64(self.differences, self.base, self.width, values),
            len => (0..len).for_each(|i| values[i] = self.value(i)),
        }
    }
}

/// Base and width of a block.
fn header(bytes: &[u8], block: usize) -> (u64, u32) {
    let [b0, b1, b2, b3, b4, b5, b6, b7, width] = bytes.as_chunks::<HEADER>().0[block];
    (u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]), u32::from(width))
}

/// Values in block `index` of `len` values.
fn block_len(len: usize, index: usize) -> usize {
    (len - index * BLOCK).min(BLOCK)
}
