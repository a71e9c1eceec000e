//! The values of a chunk that its codec cannot express, and their positions.

use crate::{CodecError, cursor::Cursor};

/// Appends first the values, each as `N` bytes, then the positions.
pub(super) fn write<const N: usize>(positions: &[u16], value: impl FnMut(usize) -> [u8; N], out: &mut Vec<u8>) {
    out.extend(positions.iter().map(|&at| usize::from(at)).flat_map(value));
    out.extend(positions.iter().flat_map(|at| at.to_le_bytes()));
}

/// Calls `patch` with the position, below `len`, and the bytes of each of `count` values.
pub(super) fn read<const N: usize>(
    from: &mut Cursor<'_>,
    count: u16,
    len: usize,
    mut patch: impl FnMut(usize, [u8; N]),
) -> Result<(), CodecError> {
    let count = usize::from(count);
    let values = from.take(count * N)?.as_chunks().0;
    let positions = from.take(count * size_of::<u16>())?.as_chunks().0;
    for (&position, &value) in positions.iter().zip(values) {
        let at = usize::from(u16::from_le_bytes(position));
        if at >= len {
            return Err(CodecError::Corrupt("an exception lies beyond the chunk"));
        }
        patch(at, value);
    }
    Ok(())
}
