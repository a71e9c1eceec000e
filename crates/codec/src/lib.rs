//! Numbers to bytes and back. So far the lossy quantizer SQ8: eight bits a dimension, searched
//! without decoding, with bounds that make an exact rerank possible.
#![forbid(unsafe_code)]

mod sq8;
mod sq8_scanner;

pub use sq8::{Sq8, Sq8Block, Sq8Codes};
pub use sq8_scanner::Sq8Scanner;
