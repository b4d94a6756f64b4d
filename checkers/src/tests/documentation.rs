//! The README names every checker and every model, and nothing else.
use crate::history::Format;
use crate::{CHECKERS, CheckerDoc, MODELS, ModelDoc};

const README: &str = include_str!("../../README.md");

/// The text with these rows in the table under this head.
fn with_table(text: &str, head: &str, rows: &[[String; 3]]) -> String {
    let head = format!("| {head} |\n|---|---|---|\n");
    let (before, rest) = text.split_once(&head).expect("the table");
    let after = rest.find("\n\n").map_or("", |end| &rest[end + 1..]);
    let row = |cells: &[String; 3]| {
        assert!(cells.iter().all(|cell| !cell.is_empty() && !cell.contains(['|', '\n'])), "{cells:?}");
        format!("| {} |\n", cells.join(" | "))
    };
    format!("{before}{head}{}{after}", rows.iter().map(row).collect::<String>())
}

/// The tables of checkers and models follow from their lists; with `DSFUZZ_BLESS` set they are written anew.
#[test]
fn the_tables_are_those_of_the_lists() {
    let quoted =
        |model: &ModelDoc| model.functions.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let checker = |doc: &CheckerDoc| [format!("`{}`", doc.name), doc.doc.to_owned(), doc.cost.to_owned()];
    let model = |model: &ModelDoc| [format!("`{}`", model.name), model.doc.to_owned(), quoted(model)];
    let checkers: Vec<_> = CHECKERS.iter().map(checker).collect();
    let models: Vec<_> = MODELS.iter().map(model).collect();
    let expected = with_table(README, "checker | promise | cost", &checkers);
    let expected = with_table(&expected, "model | what it is | functions", &models);
    if std::env::var_os("DSFUZZ_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"), expected).expect("the README can be written");
        return;
    }
    assert!(README == expected, "write the tables anew: DSFUZZ_BLESS=1 cargo test -p dsfuzz-checkers --lib the_tables");
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
