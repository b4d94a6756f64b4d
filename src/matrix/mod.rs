//! The matrix: every mode of the specimens with every mistake, under the plans that bring the mistakes out.
//!
//! Cells are read from the folders of runs, and summaries from cells. Never: runs anything.
mod cell;
mod page;
mod rows;
mod summary;

pub use cell::{Cell, Found, file_name};
pub use page::{Facts, page, reasons};
pub use rows::{NO_MISTAKE, Row, rows};
pub use summary::{Summary, exit, of};

#[cfg(test)]
mod testing;
