//! Searches run again exactly, off the hot path: how much they found, and what that teaches the stop
//! rule.
//!
//! A search that is to be audited keeps its snapshot, so its answer is held against the rows it could
//! have found. Audits follow at once or not at all: what they pin is let go within moments.

mod account;
mod auditor;
mod offer;
mod rerun;
mod walks;

use account::Account;
pub(crate) use auditor::Auditor;
pub(crate) use offer::{Audits, Searched};
pub(crate) use walks::Walks;
