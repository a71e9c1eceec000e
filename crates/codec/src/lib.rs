//! Numbers to bytes and back.
//!
//! - [`float`]: chunks of f32 without loss, by whichever codec makes each chunk smallest.
//! - [`packed`]: integers without loss, any of them read without unpacking the others.
//! - [`Sq8`]: vectors with loss, eight bits a dimension, searched without decoding, with bounds that
//!   make an exact rerank possible.
//! - [`Bit1`]: vectors with more loss, one bit a dimension: a first sieve, whose bounds hold with a
//!   probability that the search chooses.
#![forbid(unsafe_code)]

mod bit1;
mod bit1_factors;
mod bit1_scanner;
mod bits;
mod cursor;
mod error;
pub mod float;
mod lanes;
pub mod packed;
mod rounding;
mod sq8;
mod sq8_rescorer;
mod sq8_scanner;

pub use bit1::{Bit1, Bit1Block, Bit1Codes, Bit1Scales};
pub use bit1_scanner::{Bit1Probe, Bit1Scanner, CentreScore, bit1_scan_batch};
pub use error::CodecError;
pub use sq8::{Sq8, Sq8Block, Sq8Codes};
pub use sq8_rescorer::{Sq8Offsets, Sq8Rescorer};
pub use sq8_scanner::Sq8Scanner;
