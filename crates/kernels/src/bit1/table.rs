use super::tiles::code_lines;
use crate::{Lines, MAX_ROTATED_DIM, arch::bit1::kernels, sq8::round_small};

/// The entry of a group whose values are zero.
const ZERO: f32 = 127.0;

/// What <s, v> is, for a vector v and any signs s in {-1, +1}, as a sum of one byte per group of four
/// dimensions (the look-up table of Quicker ADC, arXiv 1812.09162, for signs). Refilled without
/// allocation.
///
/// Entry i of group g is round(sum of +-v_d / step) + 127 over d = 4 g to 4 g + 3, with + where bit
/// d - 4 g of i is set; step is a 127th of the largest |v_4g| + .. + |v_4g+3|. All instruction sets
/// make the same entries and the same sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Bit1Table {
    dim: usize,
    /// 16 bytes a group, eight groups to a line of signs.
    entries: Lines,
    step: f32,
    lost: f32,
}

impl Bit1Table {
    /// The table of the zero vector of `dim` dimensions.
    ///
    /// # Panics
    /// When `dim` is zero or exceeds [`MAX_ROTATED_DIM`].
    pub fn new(dim: usize) -> Self {
        assert!((1..=MAX_ROTATED_DIM).contains(&dim), "{dim} dimensions have no 1-bit codes");
        let mut entries = Lines::zeroed(2 * code_lines(dim));
        entries.as_bytes_mut().fill(ZERO as u8);
        Self { dim, entries, step: 0.0, lost: 0.0 }
    }

    /// Takes the vector `v`.
    ///
    /// # Panics
    /// When `v` has not the dimension of `new`.
    pub fn set(&mut self, v: &[f32]) {
        assert_eq!(v.len(), self.dim, "vector of another dimension");
        kernels().fill(self, v);
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What one unit of a sum is worth. Each group's entry is rounded by at most half of it (and a
    /// 10,000th more).
    pub fn step(&self) -> f32 {
        self.step
    }

    /// The number of groups that are rounded.
    pub fn groups(&self) -> usize {
        self.dim.div_ceil(4)
    }

    /// At least |<s, v>|, for any s, as far as the table has it.
    pub fn reach(&self) -> f32 {
        ZERO * self.step * self.groups() as f32
    }

    /// At least the part of |<s, v>| that the table does not have: nothing, but for vectors so small
    /// or so large that a table of zeros stands in for them. Infinite if a value is not finite.
    pub fn lost(&self) -> f32 {
        self.lost
    }

    /// Entries by line of signs: first those of the low four bits of its bytes, then of the high ones.
    pub(crate) fn lines(&self) -> &[[[u8; 64]; 2]] {
        self.entries.as_lines().as_chunks().0
    }

    /// What the sums of all rows have too much.
    pub(crate) fn bias(&self) -> i32 {
        ZERO as i32 * (self.entries.as_bytes().len() / 16) as i32
    }

    /// `set`, inlined into each instruction set for the compiler to vectorise.
    #[inline(always)]
    pub(crate) fn fill(&mut self, v: &[f32]) {
        /// Below, 127 / largest overflows or loses precision.
        const SMALLEST: f32 = 1e-30;

        let (groups, tail) = v.as_chunks::<4>();
        let mut last = [0.0; 4];
        last[..tail.len()].copy_from_slice(tail);
        // The bits of non-negative floats order as integers do, NaN last; and an integer maximum,
        // unlike a float one, may be taken in lanes.
        let size = |v: &[f32; 4]| (v[0].abs() + v[1].abs() + v[2].abs() + v[3].abs()).to_bits() as i32;
        let largest = groups.iter().map(size).fold(size(&last), i32::max);
        let largest = f32::from_bits(largest as u32);
        let known = (SMALLEST..=f32::MAX).contains(&largest);
        let to_int = if known { ZERO / largest } else { 0.0 };
        self.step = if known { largest / ZERO } else { 0.0 };
        self.lost = match largest {
            _ if known => 0.0,
            tiny if tiny < SMALLEST => tiny * self.groups() as f32,
            _ => f32::INFINITY,
        };
        let (entries, _) = self.entries.as_bytes_mut().as_chunks_mut::<16>();
        let (whole, rest) = entries.split_at_mut(groups.len());
        for (entries, v) in whole.iter_mut().zip(groups) {
            *entries = entries_of(v, to_int);
        }
        if let (Some(entries), false) = (rest.first_mut(), tail.is_empty()) {
            *entries = entries_of(&last, to_int);
        }
    }
}

#[inline(always)]
fn entries_of(v: &[f32; 4], to_int: f32) -> [u8; 16] {
    let signed = |i: usize, bit: usize| if i >> bit & 1 == 1 { v[bit] } else { -v[bit] };
    let mut entries = [0; 16];
    // A loop is vectorised for the caller's instruction set; `array::from_fn` is not inlined there.
    for (i, entry) in entries.iter_mut().enumerate() {
        let sum = signed(i, 0) + signed(i, 1) + signed(i, 2) + signed(i, 3);
        // Where the vector is not finite, `to_int` is zero and the sum may be NaN.
        *entry = round_small(if to_int == 0.0 { ZERO } else { sum * to_int + ZERO }) as u8;
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_the_formula() {
        let mut rng = fastrand::Rng::with_seed(1);
        for scale in [1e-25, 1.0, 1e30] {
            for dim in [1, 2, 3, 4, 5, 32, 33, 100, 384] {
                let v: Vec<f32> = (0..dim).map(|_| (rng.f32() - 0.5) * scale).collect();
                let mut table = Bit1Table::new(dim);
                table.set(&v);
                assert_eq!(table.lost(), 0.0);
                for (g, entries) in table.entries.as_bytes().chunks(16).enumerate() {
                    for (i, &entry) in entries.iter().enumerate() {
                        let values = v.iter().skip(4 * g).take(4).enumerate();
                        let signed = values.map(|(bit, &v)| f64::from(if i >> bit & 1 == 1 { v } else { -v }));
                        let exact = signed.sum::<f64>() / f64::from(table.step);
                        let error = exact - (f64::from(entry) - 127.0);
                        assert!(error.abs() <= 0.5001, "group {g}, entry {i} of {dim}");
                    }
                }
                assert!(v.iter().map(|v| v.abs()).sum::<f32>() <= table.reach() * 1.000_01);
            }
        }
    }

    #[test]
    fn zeros_lose_nothing_and_what_cannot_be_rounded_is_said_to_be_lost() {
        let mut table = Bit1Table::new(6);
        for (value, lost) in [(0.0, 0.0..=0.0), (1e-31, 6e-31..=1e-30), (1e38, f32::INFINITY..=f32::INFINITY)] {
            table.set(&[value; 6]);
            assert!(lost.contains(&table.lost()), "{} at {value}", table.lost());
            assert!(table.entries.as_bytes().iter().all(|&entry| entry == 127));
            assert_eq!(table, Bit1Table { lost: table.lost, ..Bit1Table::new(6) });
        }
        table.set(&[f32::NAN, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(table.lost(), f32::INFINITY);
        table.set(&[1.0; 6]);
        assert_eq!(table.lost(), 0.0);
    }
}
