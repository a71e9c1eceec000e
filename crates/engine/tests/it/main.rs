//! The engine from outside: against a naive model, across restarts and crashes.

mod audit;
mod bad_input;
mod bulk;
mod compaction;
mod deadline;
mod deletes;
mod faults;
mod filtered;
mod fixture;
mod interrupted;
mod larger_than_memory;
mod model;
mod outside;
mod recall;
mod remote;
mod reports;
mod restart;
mod round_trips;
