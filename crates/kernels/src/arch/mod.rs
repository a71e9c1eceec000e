//! The SIMD fence. Each instruction set fills one table of function pointers; nobody else calls
//! into the arch modules, so a table that [`available`] returns is the proof that its kernels may run.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod bit1;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod scalar;

use std::{fmt, sync::OnceLock};

use crate::{KEY_LANES, Sq8Query};

/// The instruction sets the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Portable Rust.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// The same with VBMI; only scans of 1-bit codes tell it apart.
    Avx512Vbmi,
    /// AArch64 with Advanced SIMD.
    Neon,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512Vbmi => "avx512vbmi",
            Self::Neon => "neon",
        })
    }
}

/// The instruction set the kernels of this process run on, scans of 1-bit codes apart
/// ([`bit1_isas`](crate::bit1_isas)).
pub fn isa() -> Isa {
    kernels().isa
}

/// Four rows of one length.
type Rows<'a> = [&'a [f32]; 4];

/// The leaf kernels of one instruction set. They need equal lengths, which the methods check.
pub(crate) struct Kernels {
    pub(crate) isa: Isa,
    l2_sq: unsafe fn(&[f32], &[f32]) -> f32,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    l2_sq_four: unsafe fn(&[f32], Rows<'_>) -> [f32; 4],
    dot_four: unsafe fn(&[f32], Rows<'_>) -> [f32; 4],
    dot_tile: unsafe fn(Rows<'_>, Rows<'_>) -> [[f32; 4]; 4],
    sq8_dot_four: unsafe fn(&Sq8Query, [&[u8]; 4]) -> [f32; 4],
    sq8_dot_run: unsafe fn(&Sq8Query, [&[u8]; 4]) -> [f32; 4],
    sq8_set_residual: unsafe fn(&mut Sq8Query, &[f32], &[f32]),
    rotate: unsafe fn(&mut [f32]),
    keys_of_counts: unsafe fn(&mut [f32], &[u32], f32) -> usize,
    least_of_lanes: unsafe fn(&[f32], f32) -> [f32; KEY_LANES],
    places_within: unsafe fn(&[f32], f32, f32, &mut Vec<u32>),
}

impl Kernels {
    pub(crate) fn l2_sq(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of different length");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.l2_sq)(a, b) }
    }

    pub(crate) fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len(), "vectors of different length");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.dot)(a, b) }
    }

    pub(crate) fn l2_sq_four(&self, query: &[f32], rows: Rows<'_>) -> [f32; 4] {
        assert!(rows.iter().all(|row| row.len() == query.len()), "rows of another length");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.l2_sq_four)(query, rows) }
    }

    pub(crate) fn dot_four(&self, query: &[f32], rows: Rows<'_>) -> [f32; 4] {
        assert!(rows.iter().all(|row| row.len() == query.len()), "rows of another length");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.dot_four)(query, rows) }
    }

    /// The inner product of each of `a` with each of `b`: `[i][j]` is <a_i, b_j>.
    pub(crate) fn dot_tile(&self, a: Rows<'_>, b: Rows<'_>) -> [[f32; 4]; 4] {
        let dim = a[0].len();
        assert!(a.iter().chain(&b).all(|row| row.len() == dim), "rows of another length");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.dot_tile)(a, b) }
    }

    pub(crate) fn sq8_dot_four(&self, query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
        assert!(rows.iter().all(|row| row.len() == query.stride()), "codes of another stride");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.sq8_dot_four)(query, rows) }
    }

    /// [`Kernels::sq8_dot_four`], the faster for rows that lie one behind the other.
    pub(crate) fn sq8_dot_run(&self, query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
        assert!(rows.iter().all(|row| row.len() == query.stride()), "codes of another stride");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.sq8_dot_run)(query, rows) }
    }

    pub(crate) fn sq8_set_residual(&self, query: &mut Sq8Query, q: &[f32], centre: &[f32]) {
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.sq8_set_residual)(query, q, centre) }
    }

    pub(crate) fn rotate(&self, x: &mut [f32]) {
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.rotate)(x) }
    }

    pub(crate) fn keys_of_counts(&self, distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
        assert_eq!(distances.len(), counts.len(), "counts of another number of keys");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.keys_of_counts)(distances, counts, per_doubling) }
    }

    pub(crate) fn least_of_lanes(&self, keys: &[f32], above: f32) -> [f32; KEY_LANES] {
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.least_of_lanes)(keys, above) }
    }

    pub(crate) fn places_within(&self, keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.places_within)(keys, above, upto, out) }
    }
}

/// Fills a table from a module that names its kernels as the table does.
macro_rules! table {
    ($isa:expr, $module:ident) => {
        &Kernels {
            isa: $isa,
            l2_sq: $module::l2_sq,
            dot: $module::dot,
            l2_sq_four: $module::l2_sq_four,
            dot_four: $module::dot_four,
            dot_tile: $module::dot_tile,
            sq8_dot_four: $module::sq8_dot_four,
            sq8_dot_run: $module::sq8_dot_run,
            sq8_set_residual: $module::sq8_set_residual,
            rotate: $module::rotate,
            keys_of_counts: $module::keys_of_counts,
            least_of_lanes: $module::least_of_lanes,
            places_within: $module::places_within,
        }
    };
}

/// Every table that may run on this machine, the best first.
pub(crate) fn available() -> Vec<&'static Kernels> {
    let mut tables: Vec<&'static Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx512vnni") {
            tables.push(table!(Isa::Avx512Vnni, avx512));
        }
        if has!("avx2") && has!("fma") {
            tables.push(table!(Isa::Avx2, avx2));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        tables.push(table!(Isa::Neon, neon));
    }
    tables.push(table!(Isa::Scalar, scalar));
    tables
}

/// The best table, chosen once.
pub(crate) fn kernels() -> &'static Kernels {
    static BEST: OnceLock<&'static Kernels> = OnceLock::new();
    BEST.get_or_init(|| available()[0])
}

#[cfg(test)]
mod tests;
