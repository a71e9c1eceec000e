//! Packed integers against the slice they were packed from, and against bytes that nobody packed.

use bytes::Bytes;
use drift_codec::packed::{BLOCK, Packed, pack};
use proptest::prelude::*;

fn packed_bytes(values: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(values, &mut bytes);
    bytes
}

fn check(values: &[u64]) {
    let bytes = Bytes::from(packed_bytes(values));
    let packed = Packed::parse(bytes.clone(), values.len()).expect("packed above");
    assert_eq!((packed.len(), packed.is_empty()), (values.len(), values.is_empty()));
    assert!(packed.bytes_len() >= bytes.len());
    assert!((0..values.len()).all(|i| packed.get(i) == values[i]));
    assert!(packed.iter().eq(values.iter().copied()));
}

/// Lists whose values span `width` bits from some base.
fn list() -> impl Strategy<Value = Vec<u64>> {
    let len = prop_oneof![0..10usize, 0..3 * BLOCK, Just(BLOCK), Just(2 * BLOCK), Just(BLOCK + 1)];
    (0u32..=64, any::<u64>(), len).prop_flat_map(|(width, base, len)| {
        let span = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        let value = any::<u64>().prop_map(move |value| base.min(u64::MAX - span) + (value & span));
        prop::collection::vec(value, len)
    })
}

/// Reads all there is of whatever was accepted.
fn read_all(bytes: Vec<u8>, len: usize) {
    if let Ok(packed) = Packed::parse(Bytes::from(bytes), len) {
        assert!(packed.iter().eq((0..len).map(|i| packed.get(i))));
    }
}

proptest! {
    #[test]
    fn integers_come_back(values in list()) {
        check(&values);
    }

    #[test]
    fn random_bytes_are_an_error_or_integers(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0..3000usize) {
        read_all(bytes, len);
    }

    #[test]
    fn changed_bytes_are_an_error_or_integers(values in list(), at: prop::sample::Index, change in 1u8..) {
        let mut bytes = packed_bytes(&values);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        read_all(bytes, values.len());
    }

    #[test]
    fn other_lengths_are_an_error(values in list(), cut: prop::sample::Index) {
        let mut bytes = packed_bytes(&values);
        bytes.push(0);
        prop_assert!(Packed::parse(Bytes::from(bytes.clone()), values.len()).is_err());
        bytes.pop();
        prop_assume!(!bytes.is_empty());
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Packed::parse(Bytes::from(bytes), values.len()).is_err());
    }
}

#[test]
fn edges_come_back() {
    check(&[]);
    check(&[u64::MAX]);
    check(&[0, u64::MAX]);
    check(&[7; 5000]);
    check(&(0..5000).collect::<Vec<u64>>());
}

#[test]
fn a_claimed_length_allocates_nothing() {
    for len in [1, usize::MAX, usize::MAX / 9, 1 << 40] {
        assert!(Packed::parse(Bytes::new(), len).is_err());
    }
}

#[test]
fn a_short_block_costs_no_full_one() {
    let mut rng = fastrand::Rng::with_seed(5);
    let mut values: Vec<u64> = (0..128).map(|_| 1 << 40 | rng.u64(..1 << 20)).collect();
    (values[0], values[1]) = (1 << 40, (1 << 40) + (1 << 20) - 1);
    assert_eq!(packed_bytes(&values).len(), 9 + 320);
    assert_eq!(packed_bytes(&[9; 128]).len(), 9);
}
