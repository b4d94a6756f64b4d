//! Every value of plans and recipes, replaced by values of wrong kinds: no message speaks of Rust's types.
#[path = "examples/files.rs"]
mod files;

use dsfuzz::plan::Plan;
use dsfuzz::targets::{Recipe, builtin, builtin_yaml};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Words of Rust and of its deserializers.
const FOREIGN: &[&str] = &[
    "::",
    "struct",
    "tuple",
    "enum ",
    "variant",
    "newtype",
    "identifier",
    "did not match",
    "invalid type",
    "invalid length",
    "invalid value",
    "missing field",
    "unknown field",
    "expected a ",
    "expected one of",
    "unit",
    "u64",
    "u32",
    "i64",
    "f64",
    "usize",
    "map key",
    "trailing",
];

/// Values of every kind.
fn wrong() -> [Value; 8] {
    [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!("quagga"),
        json!([1]),
        json!([[1], "x", {}]),
        json!({"quagga": 1}),
    ]
}

/// The paths to all values in a tree.
fn paths(tree: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                paths(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| paths(value, &format!("{at}/{index}"), all))
        }
        _ => {}
    }
}

/// The messages of all replacements, each once. `known`: the places that earlier trees had, without positions in lists.
fn messages(tree: &Value, known: &mut BTreeSet<String>, read: impl Fn(&str) -> Result<(), String>) -> BTreeSet<String> {
    let mut all = Vec::new();
    paths(tree, "", &mut all);
    let place = |path: &String| {
        path.split('/').map(|step| if step.parse::<usize>().is_ok() { "*" } else { step }).collect::<Vec<_>>().join("/")
    };
    let mut messages = BTreeSet::new();
    for path in all.into_iter().filter(|path| known.insert(place(path))) {
        for wrong in wrong() {
            let mut changed = tree.clone();
            *changed.pointer_mut(&path).expect("a path of this tree") = wrong.clone();
            let Err(message) = read(&changed.to_string()) else { continue };
            // The first line is the sentence; the others show the source and the cure.
            messages.insert(format!("{path} = {wrong}: {}", message.lines().next().unwrap_or_default()));
        }
    }
    messages
}

/// The messages with foreign words. Names in them, such as that of a folder, are the plan's own.
fn foreign(messages: BTreeSet<String>) -> Vec<String> {
    let speaks = |message: &String| {
        let (_, said) = message.split_once(": ").expect("a path and a message");
        FOREIGN.iter().any(|word| said.contains(word))
    };
    messages.into_iter().filter(speaks).collect()
}

fn plan(text: &str) -> Result<(), String> {
    Plan::from_yaml_str(text).map(drop).map_err(|error| error.to_string())
}

/// The whole plan with every default.
fn effective(text: &str) -> Value {
    Plan::from_yaml_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")).to_json().expect("JSON")
}

#[test]
fn no_mistake_in_a_plan_is_told_in_words_of_rust() {
    let base = "name: p\ncluster: {lab: 3}\ntarget: etcd\n";
    let declared = "declared: {object: register, keys: 4, checkers: [linearizable], final: [{f: read, mode: leader}], \
                    functions: {write: {weight: 2, value: {list: [unique, {between: [1, 5]}, {one-of: [1, 2]}, {object: {a: \
                    nothing}}, {reply-of: write}]}}, read: {}}}";
    let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
    for workload in dsfuzz_workloads::WORKLOADS.iter().map(|doc| doc.name) {
        let options = if workload == "declared" { declared.to_owned() } else { format!("{workload}: {{}}") };
        seen.extend(messages(&effective(&format!("{base}workload: {{{options}}}\n")), &mut known, plan));
    }
    for fault in dsfuzz_nemesis::FAULTS.iter().map(|fault| fault.name) {
        let fault = if fault == "own" { "own: {name: compact}" } else { fault };
        let text = format!("{base}workload: register\nnemesis: {{faults: [{fault}]}}\n");
        seen.extend(messages(&effective(&text), &mut known, plan));
    }
    for cluster in [
        "nodes: [n1, n2]\n  ssh: {user: me, port: 22}",
        "exec: {nodes: [n1, {name: n2, address: 10.0.0.1}], command: [enter, '{{ node }}'], ping_port: 4}",
    ] {
        let text = format!("name: p\ncluster:\n  {cluster}\ntarget: etcd\nworkload: register\n");
        seen.extend(messages(&effective(&text), &mut known, plan));
    }
    assert!(seen.len() > 1000, "{}", seen.len());
    let foreign = foreign(seen);
    assert!(foreign.is_empty(), "{}:\n{}", foreign.len(), foreign.join("\n"));
}

#[test]
fn no_mistake_in_a_recipe_is_told_in_words_of_rust() {
    let mut recipes: Vec<String> =
        builtin().iter().map(|name| builtin_yaml(name).expect("built in").to_owned()).collect();
    recipes.extend(files::ending("recipe.yaml").iter().map(|file| std::fs::read_to_string(file).expect("a recipe")));
    assert!(recipes.len() > 10, "{}", recipes.len());
    let (mut seen, mut known) = (BTreeSet::new(), BTreeSet::new());
    for text in &recipes {
        let recipe = Recipe::parse(text, "recipe").expect("a recipe");
        let tree = serde_json::to_value(&recipe).expect("JSON");
        seen.extend(messages(&tree, &mut known, |text| {
            Recipe::parse(text, "recipe").map(drop).map_err(|error| error.to_string())
        }));
    }
    assert!(seen.len() > 1000, "{}", seen.len());
    let foreign = foreign(seen);
    assert!(foreign.is_empty(), "{}:\n{}", foreign.len(), foreign.join("\n"));
}
