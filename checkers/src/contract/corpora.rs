//! Histories of other tools with known verdicts, where they are present: `DSFUZZ_CORPORA`, by default `../shared/corpora`
//! beside the workspace.
use super::scene::{Scene, Step};
use crate::history::{History, Outcome};
use crate::registry::{Options, checker_with};
use crate::value::Value;
use crate::verdict::{Budget, Validity};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// As much of EDN, and of JSON, as these files use: maps, vectors, keywords, texts, integers, nil.
fn parse(text: &mut &str) -> Option<Value> {
    *text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
    let first = text.chars().next()?;
    if first == '[' || first == '{' {
        *text = &text[1..];
        let mut items = Vec::new();
        loop {
            *text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(rest) = text.strip_prefix([']', '}']) {
                *text = rest;
                break;
            }
            items.push(parse(text)?);
            *text = text.trim_start().strip_prefix(':').filter(|_| first == '{' && items.len() % 2 == 1).map_or(
                *text,
                |rest| {
                    // A colon with a space after it is JSON's, otherwise it begins a keyword.
                    if text.trim_start()[1..].starts_with(|c: char| c.is_alphabetic()) { text } else { rest }
                },
            );
        }
        let name =
            |value: &Value| if let Value::Text(text) = value { text.clone() } else { Arc::from(value.to_string()) };
        let pairs = || items.chunks(2).map(|pair| (name(&pair[0]), pair[1].clone()));
        return Some(if first == '[' { Value::list(items) } else { Value::Map(pairs().collect()) });
    }
    if let Some(rest) = text.strip_prefix('"') {
        let (word, after) = rest.split_once('"')?;
        *text = after.trim_start().strip_prefix(':').unwrap_or(after);
        return Some(Value::text(word));
    }
    let end = text.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    *text = rest;
    Some(match word.strip_prefix(':') {
        Some(keyword) => Value::text(keyword),
        None if word == "nil" || word == "null" => Value::Nil,
        None => word.parse().map_or_else(|_| Value::text(word), Value::Int),
    })
}

fn history(text: &str) -> History {
    let mut records = Vec::new();
    let mut rest = text;
    while let Some(value) = parse(&mut rest) {
        match value {
            Value::List(items) => records.extend(items.iter().cloned()),
            other => records.push(other),
        }
    }
    let mut scene = Scene::new();
    let mut ids: HashMap<i64, u64> = HashMap::new();
    let mut next = 0;
    for record in &records {
        let Value::Map(fields) = record else { panic!("{record}") };
        let field = |name: &str| {
            fields.iter().find(|(known, _)| &**known == name).map_or(Value::Nil, |(_, value)| value.clone())
        };
        let Some(process) = field("process").as_int().or(field("process").is_nil().then_some(0)) else { continue };
        let id = *ids.entry(process).or_insert_with(|| {
            next += 1;
            next
        });
        let f = if field("f") == Value::text("transfer") { "transfer" } else { "read" };
        let outcome = match field("type").to_string().as_str() {
            "\"invoke\"" => {
                scene.call(id, &Step::new(f, Value::Nil, field("value")));
                continue;
            }
            "\"ok\"" => Outcome::Ok,
            "\"fail\"" => Outcome::Fail,
            _ => Outcome::Info,
        };
        scene.reply(id, outcome, field("value"));
        if outcome == Outcome::Info {
            ids.remove(&process);
        }
    }
    scene.finish()
}

#[test]
fn elle_clis_banks_and_forks() {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from);
    let folder = [&folder, &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora")]
        .into_iter()
        .find(|folder| folder.join("expected.tsv").is_file())
        .cloned();
    let Some(folder) = folder else {
        eprintln!("NOT RUN: no histories with known verdicts; name their folder in DSFUZZ_CORPORA");
        return;
    };
    let total = |total: i64| ("total", Value::Int(total));
    let negative = ("negative_balances", Value::Bool(true));
    let cases = [
        ("bank.edn", "bank", vec![total(100)], Validity::Valid, 321),
        ("bank.edn", "bank", vec![], Validity::Valid, 321),
        ("bank-neg.edn", "bank", vec![total(30), negative], Validity::Valid, 1),
        ("bank-neg.edn", "bank", vec![], Validity::Unknown, 1),
        ("bank-negative-balances.json", "bank", vec![], Validity::Invalid, 2),
        ("long-fork.edn", "long-fork", vec![("group_size", Value::Int(3))], Validity::Invalid, 2),
        ("long-fork.edn", "long-fork", vec![], Validity::Invalid, 2),
    ];
    for (file, checker, options, expected, ops) in cases {
        let text = std::fs::read_to_string(folder.join("elle-cli/jepsen").join(file)).expect("a file of the corpus");
        let history = history(&text);
        assert_eq!(history.ops().len(), ops, "{file}");
        let options = Options(options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let checker = checker_with(checker, &options).expect("in the list");
        let verdict = checker.check(&history, &Budget::unlimited());
        assert_eq!(verdict.validity, expected, "{file}: {}", verdict.summary);
    }
}
