//! The memtable against naive twins, through its public interface.

mod append;
mod data;
mod graph;
mod search;
