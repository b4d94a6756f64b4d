//! The README names every checker and every model, and nothing else.
use crate::history::Format;
use crate::{CHECKERS, MODELS};
use std::collections::BTreeSet;

const README: &str = include_str!("../../README.md");

/// The table under a heading: its rows, cell by cell.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn names(rows: &[Vec<&'static str>]) -> BTreeSet<&'static str> {
    rows.iter().map(|row| row[0].trim_matches('`')).collect()
}

#[test]
fn every_checker_stands_in_the_table_with_its_promise_and_cost() {
    let rows = table("Checkers");
    assert_eq!(names(&rows), CHECKERS.iter().map(|doc| doc.name).collect());
    assert_eq!(rows.len(), CHECKERS.len());
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
}

#[test]
fn every_model_stands_in_the_table_with_its_functions() {
    let rows = table("Models");
    assert_eq!(names(&rows), MODELS.iter().map(|doc| doc.name).collect());
    for model in MODELS {
        let row = rows.iter().find(|row| row[0].trim_matches('`') == model.name).unwrap();
        let functions: Vec<&str> = row[2].split(", ").map(|name| name.trim_matches('`')).collect();
        assert_eq!(functions, model.functions, "{}", model.name);
    }
}

#[test]
fn formats_and_the_compiler_are_named() {
    for format in Format::ALL {
        assert!(README.contains(&format!("`{}`", format.name())), "{format}");
    }
    assert!(README.contains(&format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"))));
}
