//! The README names every checker and every model, and nothing else.
use crate::history::Format;
use crate::{CHECKERS, MODELS, ModelDoc};
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

/// The table of models follows from their list; with `DSFUZZ_WRITE` set it is written anew.
#[test]
fn the_table_of_models_is_that_of_the_list() {
    let quoted =
        |model: &ModelDoc| model.functions.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let row = |model: &ModelDoc| format!("| `{}` | {} | {} |\n", model.name, model.doc, quoted(model));
    let expected: String = MODELS.iter().map(row).collect();
    let (_, rest) = README.split_once("| model | what it is | functions |\n|---|---|---|\n").expect("the table");
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    if std::env::var_os("DSFUZZ_WRITE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let head = &README[..README.len() - rest.len()];
        std::fs::write(path, format!("{head}{expected}{}", &rest[end..])).expect("the README can be written");
        return;
    }
    let write = "DSFUZZ_WRITE=1 cargo test -p dsfuzz-checkers --lib the_table_of_models";
    assert_eq!(&rest[..end], expected, "write the table anew: {write}");
}

#[test]
fn formats_and_the_compiler_are_named() {
    for format in Format::ALL {
        assert!(README.contains(&format!("`{}`", format.name())), "{format}");
    }
    assert!(README.contains(&format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"))));
}

#[test]
fn the_documented_history_is_one() {
    let text = include_str!("../../../docs/checkers.md");
    let (_, rest) = text.split_once("\n## Writing a history yourself\n").expect("the section");
    let (section, _) = rest.split_once("\n## ").expect("a section after it");
    let (_, example) = section.split_once("```jsonl\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    assert_eq!(Format::detect(example.as_bytes()), Some(Format::Jsonl));
    let history = crate::history::read_jsonl(example.as_bytes()).expect("readable");
    assert_eq!((history.ops().len(), history.remarks.len(), history.complete), (3, 0, true));
    let verdict = crate::checker("linearizable").expect("a checker").check(&history, &crate::Budget::unlimited());
    assert_eq!(verdict.validity, crate::Validity::Valid, "{}", verdict.summary);
    // Every field of the example is explained.
    for line in example.lines() {
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect("an object");
        for field in fields.keys().filter(|field| *field != "type") {
            assert!(section.contains(&format!("`{field}`")), "{field}");
        }
    }
    // A call that nothing ends is unknown, too.
    let open: String = example.lines().take(4).map(|line| format!("{line}\n")).collect();
    let history = crate::history::read_jsonl(open.as_bytes()).expect("readable");
    assert_eq!(history.ops().iter().filter(|op| op.outcome == crate::history::Outcome::Info).count(), 1);
}
