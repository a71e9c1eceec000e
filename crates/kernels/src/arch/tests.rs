//! Every instruction set of this machine against the scalar twin: every dimension up to 300 and
//! some larger, at every misalignment of the slices.

use super::*;

fn dimensions() -> impl Iterator<Item = usize> {
    (1..=300).chain([384, 511, 768, 784, 1000, 1536, 2047, 2048])
}

/// A query and four rows of `dim` values, each to be read from `offset` floats on.
fn vectors(rng: &mut fastrand::Rng, dim: usize, offset: usize) -> Vec<Vec<f32>> {
    (0..5).map(|_| (0..dim + offset).map(|_| 4.0 * rng.f32() - 2.0).collect()).collect()
}

/// Within what reordering the sum of these terms may change.
fn assert_near(got: f32, want: f32, terms: impl Iterator<Item = f32>, what: &str) {
    let slack = 2e-6 * terms.map(f32::abs).sum::<f32>();
    assert!((got - want).abs() <= slack, "{what}: {got} but scalar {want}");
}

#[test]
fn every_path_of_this_machine_is_here() {
    let names: Vec<String> = available().iter().map(|k| k.isa.to_string()).collect();
    println!("instruction sets tested: {}", names.join(", "));
    assert_eq!(names.last().map(String::as_str), Some("scalar"));
    assert_eq!(isa().to_string(), names[0]);
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512vnni") {
            assert_eq!(isa(), Isa::Avx512Vnni, "this machine has VNNI, but its path did not run");
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            assert!(names.contains(&"avx2".into()), "this machine has AVX2, but it did not run");
        }
    }
}

#[test]
fn float_kernels_agree_with_scalar() {
    let mut rng = fastrand::Rng::with_seed(1);
    for dim in dimensions() {
        for offset in 0..4 {
            let data = vectors(&mut rng, dim, offset);
            let [q, rows @ ..]: [&[f32]; 5] = std::array::from_fn(|i| &data[i][offset..]);
            for k in available() {
                let what = format!("{} at dimension {dim}, offset {offset}", k.isa);
                let squares = |row: &[f32]| q.iter().zip(row).map(|(a, b)| (a - b).powi(2)).collect();
                let products = |row: &[f32]| q.iter().zip(row).map(|(a, b)| a * b).collect();
                let (l2_four, dot_four) = (k.l2_sq_four(q, rows), k.dot_four(q, rows));
                let tile = k.dot_tile([rows[0], rows[1], rows[2], q], rows);
                for (j, row) in rows.into_iter().enumerate() {
                    let (squares, products): (Vec<f32>, Vec<f32>) = (squares(row), products(row));
                    let (l2, dot) = (scalar::l2_sq(q, row), scalar::dot(q, row));
                    assert_near(k.l2_sq(q, row), l2, squares.iter().copied(), &what);
                    assert_near(l2_four[j], l2, squares.iter().copied(), &what);
                    assert_near(k.dot(q, row), dot, products.iter().copied(), &what);
                    assert_near(dot_four[j], dot, products.iter().copied(), &what);
                    assert_near(tile[3][j], dot, products.iter().copied(), &what);
                    for i in 0..3 {
                        let want = scalar::dot(rows[i], row);
                        let terms = rows[i].iter().zip(row).map(|(a, b)| a * b);
                        assert_near(tile[i][j], want, terms, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn sq8_kernels_equal_scalar_and_a_naive_sum() {
    let mut rng = fastrand::Rng::with_seed(2);
    for dim in dimensions().chain([4096, 8192, crate::MAX_DIM]) {
        let stride = crate::sq8_stride(dim);
        let mut query = Sq8Query::new(dim);
        let extreme = dim % 3 == 0 || dim > 2048; // all sums as large as they get
        let value = |rng: &mut fastrand::Rng| if extreme { 1.0 } else { rng.f32() - 0.3 };
        query.set(&(0..dim).map(|_| value(&mut rng)).collect::<Vec<_>>());
        for offset in 0..4 {
            let code = |rng: &mut fastrand::Rng| if extreme { 255 } else { rng.u8(..) };
            let data: Vec<u8> = (0..4 * stride + offset).map(|_| code(&mut rng)).collect();
            let rows: [&[u8]; 4] = std::array::from_fn(|j| &data[offset + j * stride..][..stride]);
            let want = rows.map(|row| {
                let centred = row.iter().map(|&u| i64::from(u) - 128);
                let sum: i64 = centred.zip(query.values()).map(|(u, &v)| u * i64::from(v)).sum();
                query.finish(sum + 128 * query.values().iter().map(|&v| i64::from(v)).sum::<i64>())
            });
            for k in available() {
                let got = k.sq8_dot_four(&query, rows);
                assert_eq!(got, want, "{} at dimension {dim}, offset {offset}", k.isa);
                assert_eq!(k.sq8_dot_run(&query, rows), want, "{} at dimension {dim}, offset {offset}", k.isa);
            }
        }
    }
}

#[test]
fn rounding_a_residual_equals_scalar() {
    let mut rng = fastrand::Rng::with_seed(4);
    for dim in dimensions() {
        let data = vectors(&mut rng, dim, 3);
        let (q, centre) = (&data[0][3..], &data[1][1..=dim]);
        let mut want = Sq8Query::new(dim);
        scalar::sq8_set_residual(&mut want, q, centre);
        for k in available() {
            let mut got = Sq8Query::new(dim);
            k.sq8_set_residual(&mut got, q, centre);
            assert_eq!(got, want, "{} at dimension {dim}", k.isa);
        }
    }
}

#[test]
fn rows_of_any_number_equal_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(3);
    let dim = 70;
    let q: Vec<f32> = (0..dim).map(|_| rng.f32()).collect();
    let mut query = Sq8Query::new(dim);
    query.set(&q);
    for n in 0..10 {
        let rows: Vec<f32> = (0..n * dim).map(|_| rng.f32()).collect();
        let codes: Vec<u8> = (0..n * 128).map(|_| rng.u8(..)).collect();
        let (mut l2, mut dot, mut sq8) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        crate::l2_sq_rows(&q, &rows, &mut l2);
        crate::dot_rows(&q, &rows, &mut dot);
        crate::sq8_centred_dot_rows(&query, &codes, &mut sq8);
        for (i, row) in rows.chunks(dim).enumerate() {
            assert!((l2[i] - scalar::l2_sq(&q, row)).abs() < 1e-4);
            assert!((dot[i] - scalar::dot(&q, row)).abs() < 1e-4);
            assert_eq!(sq8[i], scalar::sq8_dot_four(&query, [&codes[i * 128..][..128]; 4])[0]);
        }
    }
}

#[test]
fn distances_to_rows_by_number_are_those_to_all() {
    let mut rng = fastrand::Rng::with_seed(4);
    for dim in [1, 7, 64, 70] {
        let q: Vec<f32> = (0..dim).map(|_| rng.f32()).collect();
        let rows: Vec<f32> = (0..20 * dim).map(|_| rng.f32()).collect();
        let mut all = vec![0.0; 20];
        crate::l2_sq_rows(&q, &rows, &mut all);
        for n in 0..12 {
            let which: Vec<u32> = (0..n).map(|_| rng.u32(..20)).collect();
            let mut some = vec![0.0; n];
            crate::l2_sq_of(&q, &rows, &which, &mut some);
            assert!(which.iter().zip(some).all(|(&i, distance)| distance == all[i as usize]), "{n} rows of {dim}");
        }
    }
}

#[test]
#[should_panic(expected = "different length")]
fn lengths_are_checked_in_release_too() {
    crate::l2_sq(&[1.0; 4], &[1.0; 5]);
}

/// Keys of which some are equal, extreme or no numbers.
fn keys(rng: &mut fastrand::Rng, n: usize) -> Vec<f32> {
    let odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 0.0, 0.25];
    (0..n).map(|_| if rng.u8(..) < 40 { odd[rng.usize(..odd.len())] } else { rng.f32() - 0.5 }).collect()
}

#[test]
fn passes_over_keys_agree_with_their_definition() {
    let mut rng = fastrand::Rng::with_seed(4);
    for n in (0..200).chain([1_000, 8_191]) {
        let distances = keys(&mut rng, n);
        let counts: Vec<u32> = (0..n).map(|_| rng.u32(..) >> rng.u32(..32) & if rng.bool() { !0 } else { 0 }).collect();
        let (above, upto) = (rng.f32() - 0.6, rng.f32() - 0.3);
        let per_doubling = rng.f32();
        let key = |i: usize| match distances[i] - per_doubling * crate::log2(counts[i]) {
            _ if counts[i] == 0 => f32::INFINITY,
            key if key.is_nan() => f32::MAX,
            key => key.clamp(f32::MIN, f32::MAX),
        };
        let made: Vec<f32> = (0..n).map(key).collect();
        let least = |keys: &[f32], lane: usize| {
            let of_lane = keys.iter().skip(lane).step_by(KEY_LANES).copied().filter(|&key| key > above);
            of_lane.fold(f32::INFINITY, f32::min)
        };
        let within = |keys: &[f32]| -> Vec<u32> {
            (0..n as u32).filter(|&i| keys[i as usize] > above && keys[i as usize] <= upto).collect()
        };
        for k in available() {
            let mut got = distances.clone();
            let finite = k.keys_of_counts(&mut got, &counts, per_doubling);
            assert_eq!((finite, &got), (counts.iter().filter(|&&count| count > 0).count(), &made), "{} of {n}", k.isa);
            for keys in [&made, &distances] {
                let lanes = k.least_of_lanes(keys, above);
                assert!((0..KEY_LANES).all(|lane| lanes[lane] == least(keys, lane)), "{} of {n}", k.isa);
                let mut places = vec![7; 3];
                k.places_within(keys, above, upto, &mut places);
                assert_eq!(places, within(keys), "{} of {n}", k.isa);
            }
        }
    }
}
