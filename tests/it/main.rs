//! What users do, from outside.

mod cli;
mod exchange;
mod flight;
mod layering;
mod parameters;
mod prepared;
mod server;
mod slt;
mod take_back;
