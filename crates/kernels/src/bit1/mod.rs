//! Scans of 1-bit codes: signs of rotated residuals, sixteen rows to a tile, against a table of the
//! query. What codes and factors mean, and where the formulas come from, is said in `drift-codec`.

mod scan;
mod survivors;
mod table;
mod tiles;

pub(crate) use scan::table_lines;
pub use scan::{Bit1Scan, bit1_bounds, bit1_isas, bit1_survivors, bit1_survivors_of_four, bit1_survivors_on};
pub use survivors::Bit1Survivors;
pub use table::Bit1Table;
pub(crate) use tiles::Tiles;
pub use tiles::{BIT1_ROWS, bit1_put_factors, bit1_put_signs, bit1_tile_len};
