//! Every instruction set of this machine against the scalar twin: every dimension up to 2,048, at
//! every misalignment of the tiles, to the bit.

use super::*;
use crate::{bit1::BIT1_ROWS, bit1_tile_len};

/// Random codes and factors of `rows` rows, from `offset` bytes on.
fn random_tiles(rng: &mut fastrand::Rng, dim: usize, rows: usize, offset: usize) -> Vec<u8> {
    let tile = bit1_tile_len(dim);
    let mut bytes: Vec<u8> = (0..offset + rows.div_ceil(BIT1_ROWS) * tile).map(|_| rng.u8(..)).collect();
    for tile in bytes[offset..].chunks_mut(tile) {
        for row in 0..BIT1_ROWS {
            // Infinities and NaN in one row of fifty, else numbers of either sign around 1.
            let mut factor = || if rng.u8(..50) == 0 { 0x7c00 | rng.u16(..) } else { rng.u16(..) & 0x83ff | 0x3c00 };
            crate::bit1_put_factors(tile, row, factor(), factor());
        }
    }
    bytes
}

fn random_table(rng: &mut fastrand::Rng, dim: usize) -> Bit1Table {
    let extreme = dim.is_multiple_of(3); // sums as large as they get
    let v: Vec<f32> = (0..dim).map(|_| if extreme { 1.0 } else { rng.f32() - 0.3 }).collect();
    let mut table = Bit1Table::new(dim);
    table.set(&v);
    table
}

/// Bits of 128 rows, none in half of the tiles.
fn random_words(rng: &mut fastrand::Rng) -> [u64; 2] {
    std::array::from_fn(|_| (0..4).map(|tile| if rng.bool() { u64::from(rng.u16(..)) << (16 * tile) } else { 0 }).sum())
}

/// A scan whose threshold splits the rows.
fn scan(table: &Bit1Table, threshold: f32) -> Bit1Scan<'_> {
    Bit1Scan { table, base: 3.0, a_scale: 0.7, b_scale: 0.1, width: 1.5, threshold }
}

fn kept(kernels: &Bit1Kernels, scan: &Bit1Scan<'_>, tiles: Tiles<'_>) -> Vec<(u32, u32)> {
    let mut out = Bit1Survivors::default();
    kernels.survivors(scan, tiles, &mut out);
    out.iter().map(|(row, lower)| (row, lower.to_bits())).collect()
}

#[test]
fn every_path_of_this_machine_is_here() {
    let names: Vec<String> = available().iter().map(|k| k.isa.to_string()).collect();
    println!("instruction sets tested: {}", names.join(", "));
    assert_eq!(names.last().map(String::as_str), Some("scalar"));
    #[cfg(target_arch = "x86_64")]
    for (has, name) in [
        (std::arch::is_x86_feature_detected!("avx512vbmi"), "avx512vbmi"),
        (std::arch::is_x86_feature_detected!("avx2"), "avx2"),
    ] {
        assert!(!has || names.contains(&name.to_owned()), "this machine has {name}, but its path did not run");
    }
}

#[test]
fn bounds_and_survivors_equal_scalar_in_every_dimension() {
    let mut rng = fastrand::Rng::with_seed(1);
    let scalar = *available().last().unwrap();
    for dim in 1..=crate::MAX_ROTATED_DIM {
        let (rows, offset) = (rng.usize(1..70), dim % 64);
        let bytes = random_tiles(&mut rng, dim, rows, offset);
        let words = random_words(&mut rng);
        let table = random_table(&mut rng, dim);
        let all = Tiles::new(&bytes[offset..], dim, rows, None);
        let some = Tiles::new(&bytes[offset..], dim, rows, Some(&words));
        let mut want = vec![0.0; rows];
        scalar.bounds(&scan(&table, 0.0), all, &mut want);
        let mut sorted = want.clone();
        sorted.sort_by(f32::total_cmp);
        let scan = scan(&table, sorted[rows / 2]);
        let survives = |&row: &usize| want[row] <= scan.threshold;
        let named = |row: usize| (row as u32, want[row].to_bits());
        let survivors: Vec<_> = (0..rows).filter(survives).map(named).collect();
        let chosen: Vec<_> =
            (0..rows).filter(survives).filter(|&row| crate::bits::get(&words, row)).map(named).collect();
        for k in available() {
            let what = format!("{} at dimension {dim}", k.isa);
            let mut got = vec![0.0; rows];
            k.bounds(&scan, all, &mut got);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got), bits(&want), "{what}");
            assert_eq!(kept(k, &scan, all), survivors, "{what}");
            assert_eq!(kept(k, &scan, some), chosen, "{what}");
        }
    }
}

#[test]
fn tables_equal_scalar_in_every_dimension() {
    let mut rng = fastrand::Rng::with_seed(2);
    for dim in 1..=crate::MAX_ROTATED_DIM {
        let v: Vec<f32> = (0..dim + 1).map(|_| rng.f32() - 0.5).collect();
        let mut want = Bit1Table::new(dim);
        scalar::fill(&mut want, &v[1..]);
        for k in available() {
            let mut got = Bit1Table::new(dim);
            k.fill(&mut got, &v[1..]);
            assert_eq!(got, want, "{} at dimension {dim}", k.isa);
        }
    }
}

#[test]
fn four_scans_at_once_equal_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(3);
    for dim in (1..=100).chain([384, 768, 784, 2048]) {
        let rows = rng.usize(1..70);
        let bytes = random_tiles(&mut rng, dim, rows, 0);
        let words = random_words(&mut rng);
        let tables: [Bit1Table; 4] = std::array::from_fn(|_| random_table(&mut rng, dim));
        let scans: [Bit1Scan<'_>; 4] = std::array::from_fn(|i| scan(&tables[i], i as f32 - 2.0));
        for allowed in [None, Some(&words[..])] {
            let tiles = Tiles::new(&bytes, dim, rows, allowed);
            for k in available() {
                let mut outs: [Bit1Survivors; 4] = Default::default();
                k.survivors_of_four(scans.each_ref(), tiles, outs.each_mut());
                for (scan, out) in scans.iter().zip(&outs) {
                    let got: Vec<_> = out.iter().map(|(row, lower)| (row, lower.to_bits())).collect();
                    assert_eq!(got, kept(k, scan, tiles), "{} at dimension {dim}", k.isa);
                }
            }
        }
    }
}

#[test]
fn sums_equal_a_naive_sum_of_signs() {
    let mut rng = fastrand::Rng::with_seed(4);
    for dim in [1, 4, 30, 100, 384, 2048] {
        let v: Vec<f32> = (0..dim).map(|_| rng.f32() - 0.5).collect();
        let signs: Vec<f32> = (0..dim).map(|_| if rng.bool() { 1.0 } else { -1.0 }).collect();
        let mut table = Bit1Table::new(dim);
        table.set(&v);
        let mut tile = vec![0; bit1_tile_len(dim)];
        crate::bit1_put_signs(&mut tile, 5, &signs);
        crate::bit1_put_factors(&mut tile, 5, 0, 0x3c00); // a = 0, b = 1
        let scan = Bit1Scan { table: &table, base: 0.0, a_scale: 1.0, b_scale: 1.0, width: 0.0, threshold: 0.0 };
        let mut bounds = [0.0; 6];
        crate::bit1_bounds(&scan, &tile, &mut bounds);
        let exact: f32 = v.iter().zip(&signs).map(|(v, s)| v * s).sum();
        let slack = 0.51 * table.step() * table.groups() as f32;
        assert!((-bounds[5] - exact).abs() <= slack, "{} is not {exact} at dimension {dim}", -bounds[5]);
    }
}

#[test]
fn no_rows_have_no_survivors() {
    let table = Bit1Table::new(5);
    for k in available() {
        assert_eq!(kept(k, &scan(&table, f32::INFINITY), Tiles::new(&[], 5, 0, None)), []);
        k.bounds(&scan(&table, 0.0), Tiles::new(&[], 5, 0, None), &mut []);
    }
}
