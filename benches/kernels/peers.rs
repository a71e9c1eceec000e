//! The same by two libraries of kernels.

use std::hint::black_box;

use drift_kernels::sq8_stride;
use numkong::{Dot, Euclidean};
use simsimd::{BinarySimilarity, SpatialSimilarity};

use crate::{
    contenders::{Contender, Kind},
    set::{Run, Set},
};

/// All of theirs.
pub fn contenders(set: &Set) -> Vec<Contender<'_>> {
    let query = &set.queries[0];
    // Whatever the values are, as many bytes are compared.
    let codes: Vec<i8> = query.iter().map(|x| (x * 100.0) as i8).collect();
    let bits: Vec<u8> = codes.iter().map(|x| x.cast_unsigned()).take(set.dim.div_ceil(8)).collect();
    let (dim, codes_again) = (set.dim, codes.clone());
    vec![
        floats(set, "simsimd l2", Kind::L2, |row| <f32 as SpatialSimilarity>::l2sq(query, row)),
        floats(set, "numkong l2", Kind::L2, |row| <f32 as Euclidean>::sqeuclidean(query, row)),
        floats(set, "simsimd dot", Kind::Dot, |row| <f32 as SpatialSimilarity>::dot(query, row)),
        floats(set, "numkong dot", Kind::Dot, |row| <f32 as Dot>::dot(query, row)),
        codes_of(set, "simsimd i8 dot", move |row| <i8 as SpatialSimilarity>::dot(&codes, &row[..dim])),
        codes_of(set, "numkong i8 dot", move |row| <i8 as Dot>::dot(&codes_again, &row[..dim]).map(f64::from)),
        signs(set, "simsimd hamming", move |row| <u8 as BinarySimilarity>::hamming(&bits, row)),
    ]
}

fn floats<'a>(set: &Set, name: &str, kind: Kind, kernel: impl Fn(&[f32]) -> Option<f64> + 'a) -> Contender<'a> {
    let dim = set.dim;
    let scan = move |run: &Run| run.floats.chunks_exact(dim).for_each(|row| drop(black_box(kernel(row))));
    Contender { name: name.into(), kind, bytes_per_row: 4.0 * dim as f64, queries: 1, scan: Box::new(scan) }
}

fn codes_of<'a>(set: &Set, name: &str, kernel: impl Fn(&[i8]) -> Option<f64> + 'a) -> Contender<'a> {
    let stride = sq8_stride(set.dim);
    let scan = move |run: &Run| run.signed.chunks_exact(stride).for_each(|row| drop(black_box(kernel(row))));
    let bytes_per_row = stride as f64;
    Contender { name: name.into(), kind: Kind::Bits8, bytes_per_row, queries: 1, scan: Box::new(scan) }
}

/// Over the bits alone, one row behind the other.
fn signs<'a>(set: &Set, name: &str, kernel: impl Fn(&[u8]) -> Option<f64> + 'a) -> Contender<'a> {
    let bytes = set.dim.div_ceil(8);
    let scan = move |run: &Run| run.signs.chunks_exact(bytes).for_each(|row| drop(black_box(kernel(row))));
    Contender { name: name.into(), kind: Kind::Bits1, bytes_per_row: bytes as f64, queries: 1, scan: Box::new(scan) }
}
