//! Arithmetic over slices: distances, rotation, scans of 8-bit and 1-bit codes, nearest centroids, least
//! keys, bit sets.
//!
//! All SIMD of the project lives behind one fence, [`arch`](self): the public functions are safe,
//! check their lengths, and run on the best instruction set this machine has ([`isa`]). The
//! portable twin of every kernel is [`scalar`].

mod arch;
mod bit1;
pub mod bits;
mod float;
mod fours;
mod keys;
mod lines;
mod nearest;
mod prefetch;
mod rotation;
mod sq8;

pub use arch::{Isa, isa, scalar};
pub use bit1::{
    BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, bit1_bounds, bit1_isas, bit1_put_factors, bit1_put_signs,
    bit1_survivors, bit1_survivors_of_four, bit1_survivors_on, bit1_tile_len,
};
pub use float::{add_assign, dot, dot_rows, l2_sq, l2_sq_of, l2_sq_rows, norm_sq, scale};
pub use keys::{KEY_LANES, keys_of_counts, least_of_lanes, log2, places_within};
pub use lines::Lines;
pub use nearest::nearest;
pub use prefetch::prefetch;
pub use rotation::{MAX_ROTATED_DIM, rotate};
pub use sq8::{
    MAX_DIM, Sq8Query, sq8_centred_dot_at, sq8_centred_dot_rows, sq8_decode, sq8_encode, sq8_norm_sq, sq8_stride,
};
