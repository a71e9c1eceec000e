//! Numbers to bytes and back.
//!
//! - [`float`]: chunks of f32 without loss, by whichever codec makes each chunk smallest.
//! - [`packed`]: integers without loss, any of them read without unpacking the others.
//! - [`Sq8`]: vectors with loss, eight bits a dimension, searched without decoding, with bounds that
//!   make an exact rerank possible.
#![forbid(unsafe_code)]

mod bits;
mod cursor;
mod error;
pub mod float;
mod lanes;
pub mod packed;
mod sq8;
mod sq8_scanner;

pub use error::CodecError;
pub use sq8::{Sq8, Sq8Block, Sq8Codes};
pub use sq8_scanner::Sq8Scanner;
