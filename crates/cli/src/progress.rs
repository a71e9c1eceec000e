//! Progress of long work, on stderr; nothing is drawn when that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` rows with their rate.
pub(crate) fn rows_bar(total: u64, what: &str) -> ProgressBar {
    let template = "{msg:>12} [{bar:32}] {human_pos}/{human_len} rows, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a template that parses").progress_chars("=> ");
    ProgressBar::new(total).with_style(style).with_message(what.to_owned())
}

/// `value` with its thousands set apart: 1,234,567.
pub(crate) fn thousands(value: u64) -> String {
    indicatif::HumanCount(value).to_string()
}

/// `value` in KiB, MiB and so on.
pub(crate) fn bytes(value: u64) -> String {
    indicatif::BinaryBytes(value).to_string()
}
