//! Two runs with one seed: the same symbolic faults and, for each worker, the same choices as far as both got.
use crate::stage::{Stage, history};
use dsfuzz_checkers::History;
use std::collections::BTreeMap;

const KEYS: i64 = 4;
const PLAN: &str = "\
name: twice
cluster: {lab: 3}
target: etcd
workload: {register: {keys: 4, ops_per_key: 100}}
load: {clients: 2n, rate: 200/s, time: 9s}
nemesis: {every: 3s, for: 1s, quiet_start: 1s, quiet_end: 2s, faults: [partition, kill, clock]}
";

/// Two for each of three nodes.
const CLIENTS: u32 = 6;

/// A worker's choice: the function, which of the keys in use, and what is written.
type Choice = (String, i64, Option<i64>);

#[test]
fn one_seed_gives_the_same_faults_and_the_same_choices() {
    let stage = Stage::new();
    let plan = stage.write("plan.yaml", PLAN);
    let run = |seed: &str| {
        // What etcd makes of it is not the question here.
        let output = stage.run(&["run", &plan, "--seed", seed]);
        assert!([0, 2].contains(&output.code), "{output}");
        history(&stage.latest("twice"))
    };
    let (first, second, other) = (run("11"), run("11"), run("12"));
    assert!(first.faults.len() >= 2, "{:?}", first.faults);
    assert_eq!(planned(&first), planned(&second));
    assert_ne!(planned(&first), planned(&other));

    let (first, second, other) = (choices(&first), choices(&second), choices(&other));
    assert_eq!(first.len(), CLIENTS as usize);
    let both = |one: &[Choice], two: &[Choice]| {
        let got = one.len().min(two.len());
        assert!(got > 20, "a worker made {got} calls");
        one[..got] == two[..got]
    };
    for (worker, one) in &first {
        assert!(both(one, &second[worker]), "worker {worker}: {one:?} {:?}", second[worker]);
        assert!(!both(one, &other[worker]), "worker {worker} chooses the same with another seed");
    }
}

fn planned(history: &History) -> Vec<String> {
    history.faults.iter().map(|fault| format!("{} {}", fault.kind, fault.planned)).collect()
}

fn choices(history: &History) -> BTreeMap<u32, Vec<Choice>> {
    let mut choices: BTreeMap<u32, Vec<Choice>> = BTreeMap::new();
    // Clients that join those that hang come when they are needed, and have numbers above the plan's.
    for op in history.ops().iter().filter(|op| !op.settle && op.worker < CLIENTS) {
        let Some(key) = op.key.as_int() else { panic!("a key is a number: {:?}", op.key) };
        // Of a compare-and-set, what it expects depends on what was read before, and is no choice.
        let written = op.input.as_list().map_or(op.input, |pair| pair.at(1)).as_int();
        let choice = (history.name(op.function).to_owned(), key % KEYS, written);
        choices.entry(op.worker).or_default().push(choice);
    }
    choices
}
