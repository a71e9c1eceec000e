//! Arrays of little-endian numbers.

/// Appends `values` to `out`.
pub(crate) fn put_f32s(out: &mut Vec<u8>, values: &[f32]) {
    let start = out.len();
    out.resize(start + size_of_val(values), 0);
    let (slots, _) = out[start..].as_chunks_mut();
    slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = value.to_le_bytes());
}

/// The numbers in `bytes`, of a multiple of 4 bytes.
pub(crate) fn f32s(bytes: &[u8]) -> Vec<f32> {
    let (values, rest) = bytes.as_chunks();
    debug_assert!(rest.is_empty());
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// The numbers in `bytes`, of a multiple of 8 bytes.
pub(crate) fn u64s(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (values, rest) = bytes.as_chunks();
    debug_assert!(rest.is_empty());
    values.iter().map(|value| u64::from_le_bytes(*value))
}
