//! Arithmetic over slices: distances, SQ8 scans, nearest centroids, bit sets.
//!
//! All SIMD of the project lives behind one fence, [`arch`](self): the public functions are safe,
//! check their lengths, and run on the best instruction set this machine has ([`isa`]). The
//! portable twin of every kernel is [`scalar`].

mod arch;
pub mod bits;
mod float;
mod fours;
mod nearest;
mod sq8;

pub use arch::{Isa, isa, scalar};
pub use float::{add_assign, dot, dot_rows, l2_sq, l2_sq_rows, norm_sq, scale};
pub use nearest::nearest;
pub use sq8::{MAX_DIM, Sq8Query, sq8_centred_dot_rows, sq8_decode, sq8_encode, sq8_norm_sq, sq8_stride};
