//! What users do, from outside.

mod cli;
mod flight;
mod layering;
mod parameters;
mod slt;
