//! Kernels for 1-bit codes, with a table of their own: they ask for other features than the rest.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use std::sync::OnceLock;

use super::Isa;
use crate::bit1::{Bit1Scan, Bit1Survivors, Bit1Table, Tiles};

/// The kernels of one instruction set. They need tables and tiles of one dimension, which the methods
/// check.
pub(crate) struct Bit1Kernels {
    pub(crate) isa: Isa,
    fill: unsafe fn(&mut Bit1Table, &[f32]),
    bounds: unsafe fn(&Bit1Scan<'_>, Tiles<'_>, &mut [f32]),
    survivors: unsafe fn(&Bit1Scan<'_>, Tiles<'_>, &mut Bit1Survivors),
    survivors_of_four: unsafe fn([&Bit1Scan<'_>; 4], Tiles<'_>, [&mut Bit1Survivors; 4]),
}

impl Bit1Kernels {
    pub(crate) fn fill(&self, table: &mut Bit1Table, v: &[f32]) {
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.fill)(table, v) }
    }

    pub(crate) fn bounds(&self, scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
        assert_eq!(out.len(), tiles.rows(), "results for another number of rows");
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.bounds)(scan, tiles, out) }
    }

    pub(crate) fn survivors(&self, scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
        out.reset(tiles.rows());
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.survivors)(scan, tiles, out) }
    }

    pub(crate) fn survivors_of_four(
        &self,
        scans: [&Bit1Scan<'_>; 4],
        tiles: Tiles<'_>,
        mut outs: [&mut Bit1Survivors; 4],
    ) {
        let dim = scans[0].table.dim();
        assert!(scans.iter().all(|scan| scan.table.dim() == dim), "tables of different dimensions");
        outs.iter_mut().for_each(|out| out.reset(tiles.rows()));
        // SAFETY: only `available` hands out tables, after it detected their features.
        unsafe { (self.survivors_of_four)(scans, tiles, outs) }
    }
}

/// Fills a table from a module that names its kernels as the table does.
macro_rules! table {
    ($isa:expr, $module:ident) => {
        &Bit1Kernels {
            isa: $isa,
            fill: $module::fill,
            bounds: $module::bounds,
            survivors: $module::survivors,
            survivors_of_four: $module::survivors_of_four,
        }
    };
}

/// Every table that may run on this machine, the best first.
pub(crate) fn available() -> Vec<&'static Bit1Kernels> {
    let mut tables: Vec<&'static Bit1Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        if avx512 && has!("avx512vnni") && has!("avx512vbmi") && has!("popcnt") {
            tables.push(table!(Isa::Avx512Vbmi, avx512));
        }
        if has!("avx2") && has!("f16c") {
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
pub(crate) fn kernels() -> &'static Bit1Kernels {
    static BEST: OnceLock<&'static Bit1Kernels> = OnceLock::new();
    BEST.get_or_init(|| available()[0])
}

#[cfg(test)]
mod tests;
