//! The plans under `examples/`: each is a plan, its target is there and carries its workloads.
#[path = "examples/files.rs"]
mod files;

use dsfuzz::plan::Plan;
use dsfuzz::targets;
use dsfuzz_workloads::{Next, WorkloadOptions};
use std::path::PathBuf;

/// Each plan with its file.
fn plans() -> Vec<(PathBuf, Plan)> {
    let texts = files::ending(".yaml").into_iter().map(|file| (std::fs::read_to_string(&file).expect("a text"), file));
    let plans = texts.filter(|(text, _)| text.contains("\nworkload:") || text.contains("\nworkloads:"));
    let plans = plans.map(|(text, file)| {
        let plan = Plan::from_yaml_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, plan)
    });
    plans.collect()
}

#[test]
fn every_example_is_a_plan_whose_target_carries_it() {
    let plans = plans();
    assert!(plans.len() > 50, "{}", plans.len());
    for (file, plan) in plans {
        let at = file.display();
        let target = targets::load(&plan.target, file.parent().expect("a folder"), &plan.options)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        for workload in plan.all_workloads() {
            assert!(target.carries(workload.name(), workload.object()), "{at}: {}", workload.name());
        }
    }
}

/// What a plan may give a number or a text is said by the recipe, so that nothing else gets as far as the nodes.
#[test]
fn every_option_of_every_recipe_has_bounds() {
    let built_in = targets::builtin().into_iter().map(|name| (name.to_owned(), PathBuf::new()));
    let recipes = files::ending("recipe.yaml").into_iter().map(|file| (file.display().to_string(), PathBuf::new()));
    let (mut lacking, mut numbers) = (Vec::new(), 0);
    for (name, folder) in built_in.chain(recipes) {
        let target =
            targets::load(&name, &folder, &Default::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (option, doc) in &target.recipe().options {
            let bounded = match &doc.default {
                _ if !doc.choices.is_empty() => true,
                serde_json::Value::Number(_) => !doc.at_least.is_empty() && !doc.at_most.is_empty(),
                serde_json::Value::String(_) => doc.matches.is_some(),
                _ => true,
            };
            numbers += usize::from(doc.default.is_number());
            lacking.extend((!bounded).then(|| format!("{name}: {option}")));
        }
        let nodes: Vec<String> = (1..=3).map(|node| format!("n{node}")).collect();
        assert_eq!(target.beyond_bounds(&nodes), [""; 0], "{name}");
    }
    assert!(numbers > 25, "{numbers}");
    assert_eq!(lacking, [""; 0], "these options take anything");
}

#[test]
fn the_example_of_a_declared_workload_makes_the_calls_that_it_declares() {
    let (_, plan) =
        plans().into_iter().find(|(file, _)| file.ends_with("etcd/declared.yaml")).expect("the example is there");
    let workload = plan.workload.expect("one workload");
    assert!(matches!(workload, WorkloadOptions::Declared(_)));
    let workload = workload.build();
    let mut generator = workload.generator(7, 0, 2);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..500 {
        let Next::Call(call) = generator.next() else { panic!("a call") };
        generator.taken();
        *seen.entry(call.f.to_string()).or_default() += 1;
    }
    let share = |f: &str| f64::from(seen[f]) / 500.0;
    assert!((0.5..0.7).contains(&share("read")), "{seen:?}");
    assert!((0.14..0.26).contains(&share("cas")) && (0.14..0.26).contains(&share("write")), "{seen:?}");
    assert_eq!(workload.settle().len(), 8, "one final read for each key");
    assert_eq!(workload.checkers(), ["linearizable"]);
}
