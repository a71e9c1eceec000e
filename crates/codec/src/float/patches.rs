//! Exceptions: the values of a chunk that its codec cannot express, and their positions.

use super::CHUNK;
use crate::{CodecError, bits, cursor::Cursor};

/// Bits of a position.
const POSITION: u32 = (CHUNK - 1).ilog2() + 1;

/// Bits of an exception of `width` bits, with its position.
pub(super) fn width(width: u32) -> usize {
    (width + POSITION) as usize
}

/// Bytes that so many exceptions of `width` bits take.
pub(super) fn packed_len(count: usize, width: u32) -> usize {
    bits::packed_len(count, width) + bits::packed_len(count, POSITION)
}

/// The positions of what a codec has missed.
pub(super) fn find(missed: &[bool]) -> Vec<u16> {
    let mut found = vec![0; missed.len()];
    let mut count = 0;
    // Written always and kept sometimes: without a branch that nobody can predict.
    for (at, &missed) in missed.iter().enumerate() {
        found[count] = at as u16;
        count += usize::from(missed);
    }
    found.truncate(count);
    found
}

/// Appends first the values, below 2^`width`, then the positions.
pub(super) fn write(positions: &[u16], width: u32, value: impl Fn(usize) -> u32, out: &mut Vec<u8>) {
    bits::pack(positions.iter().map(|&at| u64::from(value(usize::from(at)))), width, out);
    bits::pack(positions.iter().map(|&at| u64::from(at)), POSITION, out);
}

/// Calls `patch` with position, below `len`, and value of each of `count` exceptions.
pub(super) fn read(
    from: &mut Cursor<'_>,
    count: u16,
    width: u32,
    len: usize,
    mut patch: impl FnMut(usize, u32),
) -> Result<(), CodecError> {
    let count = usize::from(count);
    let values = from.take(bits::packed_len(count, width))?;
    let positions = from.take(bits::packed_len(count, POSITION))?;
    for i in 0..count {
        let at = bits::get(positions, POSITION, i) as usize;
        if at >= len {
            return Err(CodecError::Corrupt("an exception lies beyond the chunk"));
        }
        patch(at, bits::get(values, width, i) as u32);
    }
    Ok(())
}
