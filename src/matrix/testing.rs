//! Rows and hand-made cells for tests.
use super::{Cell, Found, Row, rows};
use dsfuzz_checkers::Validity;

/// The row of this name.
pub(super) fn row(name: &str) -> Row {
    rows().unwrap().into_iter().find(|row| row.name == name).unwrap()
}

/// A cell with these violations: checker, first time, operations.
pub(super) fn cell(row: &Row, seed: u64, validity: Validity, found: &[(&str, Option<f64>, usize)]) -> Cell {
    let found = found.iter().map(|(checker, first_s, ops)| Found {
        checker: (*checker).to_owned(),
        kind: "duplicate-id".to_owned(),
        first_s: *first_s,
        faults: vec!["clock".to_owned()],
        ops: *ops,
    });
    Cell {
        row: row.name.clone(),
        seed,
        without_fault: false,
        validity,
        sentence: "said".to_owned(),
        found: found.collect(),
        run: "run".into(),
    }
}
