//! Rows in runs, in every form that is scanned.

use drift_codec::{Bit1, Bit1Block, Bit1Codes, Sq8, Sq8Codes};

/// Rows of one run: what a bucket has.
pub const RUN: usize = 128;

/// A run in each of its forms.
pub struct Run {
    pub floats: Vec<f32>,
    pub sq8: (Sq8, Sq8Codes),
    pub bit1: Bit1Codes,
    /// The 8-bit codes as numbers around 0, which peers want.
    #[cfg(feature = "peers")]
    pub signed: Vec<i8>,
    /// One bit per value, row by row from a new byte on: whether it is positive.
    #[cfg(feature = "peers")]
    pub signs: Vec<u8>,
}

/// Random rows, their runs, and four queries.
pub struct Set {
    pub dim: usize,
    pub origin: Vec<f32>,
    pub queries: [Vec<f32>; 4],
    pub runs: Vec<Run>,
}

impl Set {
    pub fn new(rows: usize, dim: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(1);
        let origin = vec![0.0; dim];
        let mut bit1 = Bit1::new(&origin);
        let mut random = |n: usize| (0..n * dim).map(|_| rng.f32() - 0.5).collect::<Vec<f32>>();
        let queries = std::array::from_fn(|_| random(1));
        let runs = (0..rows / RUN).map(|_| {
            let floats = random(RUN);
            let sq8 = Sq8::train(&floats, dim);
            let codes = sq8.encode(&floats);
            let bit1 = bit1.encode(&floats, &sq8.centre);
            #[cfg(feature = "peers")]
            let signs = floats.chunks(dim).flat_map(|row| row.chunks(8).map(signs)).collect();
            #[cfg(feature = "peers")]
            let signed = codes.codes.iter().map(|code| (code ^ 0x80).cast_signed()).collect();
            Run {
                floats,
                sq8: (sq8, codes),
                bit1,
                #[cfg(feature = "peers")]
                signed,
                #[cfg(feature = "peers")]
                signs,
            }
        });
        let runs = runs.collect();
        Self { dim, origin, queries, runs }
    }

    pub fn rows(&self) -> usize {
        RUN * self.runs.len()
    }
}

impl Run {
    pub fn block(&self) -> Bit1Block<'_> {
        self.bit1.block()
    }
}

#[cfg(feature = "peers")]
fn signs(values: &[f32]) -> u8 {
    values.iter().rev().fold(0, |bits, x| bits << 1 | u8::from(*x > 0.0))
}
