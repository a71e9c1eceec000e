use drift_memtable::Memtable;
use drift_types::{Metric, SeqNo, VectorId};
use rand::Rng;

use crate::data::{append, ids, rng, uniform};

/// Rows, keys and sequence numbers read back in order.
fn contents(memtable: &Memtable) -> (Vec<f32>, Vec<VectorId>, Vec<SeqNo>) {
    let (mut rows, mut keys, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
    for chunk in memtable.chunks() {
        assert_eq!(chunk.first as usize, keys.len());
        rows.extend_from_slice(chunk.rows.data());
        keys.extend_from_slice(chunk.ids);
        seqs.extend_from_slice(chunk.seqs);
    }
    (rows, keys, seqs)
}

#[test]
fn every_version_keeps_its_rows() {
    let (mut rng, dim) = (rng(1), 3);
    let mut versions = vec![Memtable::new(dim, Metric::L2)];
    let (mut rows, mut seqs) = (Vec::new(), Vec::new());
    for seq in 0..150 {
        let batch = match rng.random_range(0..20) {
            0 => rng.random_range(4000..9000),
            1 => 0,
            _ => rng.random_range(1..200),
        };
        let data = uniform(&mut rng, batch * dim);
        versions.push(append(versions.last().expect("one at least"), &data, dim, seq));
        rows.extend(data);
        seqs.extend(std::iter::repeat_n(SeqNo(seq), batch));
    }
    let keys = ids(0..seqs.len());
    for version in &versions {
        let n = version.len();
        assert_eq!(contents(version), (rows[..n * dim].to_vec(), keys[..n].to_vec(), seqs[..n].to_vec()));
    }
    let last = versions.last().expect("one at least");
    for ordinal in 0..last.len() {
        let at = ordinal as u32;
        assert_eq!(last.row(at), &rows[ordinal * dim..(ordinal + 1) * dim]);
        assert_eq!((last.id(at), last.seq(at)), (keys[ordinal], seqs[ordinal]));
    }
}

#[test]
fn single_rows_gather_into_few_chunks() {
    let mut memtable = Memtable::new(1, Metric::L2);
    for row in 0..10_000 {
        memtable = append(&memtable, &[row as f32], 1, row);
        let log2 = memtable.len().ilog2() as usize;
        assert!(memtable.chunks().count() <= memtable.len() / 2048 + log2 + 2);
    }
}

#[test]
fn an_unsealed_range_is_never_moved_by_appends() {
    let (mut rng, dim) = (rng(2), 768);
    let first = uniform(&mut rng, 16_000 * dim);
    let mut memtable = append(&Memtable::new(dim, Metric::L2), &first, dim, 0);
    let mut offered = None;
    for seq in 1..100 {
        let batch = rng.random_range(1..150);
        memtable = append(&memtable, &uniform(&mut rng, batch * dim), dim, seq);
        let Some(range) = memtable.unsealed() else {
            assert!(offered.is_none(), "an offer is not taken back");
            continue;
        };
        assert!(range.start == 0 && range.len() >= 16_384 && range.end as usize <= memtable.len());
        let places: Vec<_> = memtable
            .chunks()
            .take_while(|chunk| chunk.first < range.end)
            .map(|chunk| chunk.rows.data().as_ptr())
            .collect();
        let seen = (range, places);
        assert_eq!(offered.get_or_insert(seen.clone()), &seen);
    }
    assert!(offered.is_some());
}

#[test]
fn short_vectors_are_scanned_faster_than_any_graph() {
    let memtable = append(&Memtable::new(16, Metric::L2), &vec![0.5; 40_000 * 16], 16, 1);
    assert_eq!(memtable.unsealed(), None);
}
