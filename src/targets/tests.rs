use super::*;
use serde_json::json;

fn options(name: &str, value: serde_json::Value) -> BTreeMap<String, BTreeMap<String, serde_json::Value>> {
    BTreeMap::from([("etcd".to_owned(), BTreeMap::from([(name.to_owned(), value)]))])
}

#[test]
fn every_built_in_recipe_loads_and_fills_in() {
    for name in builtin() {
        let target = load(name, Path::new("."), &BTreeMap::new()).unwrap();
        assert_eq!((target.name(), target.recipe().doc.is_empty()), (name, false));
        let nodes =
            [1, 2, 3].map(|number| Node { name: Arc::from(format!("n{number}")), address: [10, 0, 0, number].into() });
        assert_eq!(target.layout(&nodes, "/var/lib/dsfuzz").unwrap().nodes.len(), 3);
    }
}

#[test]
fn options_are_checked_against_the_recipe() {
    let refused = |name: &str, value| load("etcd", Path::new("."), &options(name, value)).unwrap_err().to_string();
    assert!(refused("serialisable", json!(true)).contains("did you mean serializable?"));
    assert!(refused("serializable", json!("yes")).ends_with("etcd.serializable: \"yes\" is not true or false"));
    assert!(refused("version", json!(3)).ends_with("etcd.version: 3 is not debian or 3.5.1"));
    assert!(refused("election_ms", json!(0.5)).contains("0.5 is not a whole number from 5 to 50000"));
    let target = load("etcd", Path::new("."), &options("serializable", json!(true))).unwrap();
    let node = Node { name: Arc::from("n1"), address: [127, 0, 0, 1].into() };
    let endpoint = target.endpoint(&node, 4, Terms::load(std::time::Duration::from_secs(5)));
    assert_eq!((endpoint.options["serializable"].as_str(), endpoint.ports["client"]), ("true", 2379));
}

#[test]
fn a_value_beyond_a_bound_of_its_option_is_refused_with_the_bound() {
    let given = |target: &str, given: serde_json::Value| {
        let given = given.as_object().expect("options").clone().into_iter().collect();
        BTreeMap::from([(target.to_owned(), given)])
    };
    let refused = |target: &str, options: serde_json::Value| {
        load(target, Path::new("."), &given(target, options)).expect_err("beyond").to_string()
    };
    assert_eq!(
        refused("zookeeper", json!({"tick_ms": 0})),
        "option zookeeper.tick_ms: 0 is not a whole number from 100 to 20000"
    );
    assert_eq!(
        refused("nats", json!({"replicas": 0})),
        "option nats.replicas: 0 is not a whole number from 1 to 5, at most the number of nodes"
    );
    let nodes: Vec<String> = (1..=3).map(|node| format!("n{node}")).collect();
    let beyond = |target: &str, options: serde_json::Value, count: usize| {
        load(target, Path::new("."), &given(target, options)).expect("a target").beyond_bounds(&nodes[..count])
    };
    assert_eq!(
        beyond("nats", json!({"replicas": 4}), 3),
        ["option nats.replicas: 4 is more than 3 (the number of nodes)"]
    );
    assert_eq!(
        beyond("nats", json!({}), 1),
        ["option nats.replicas: 3, its default, is more than 1 (the number of nodes)"]
    );
    assert_eq!(beyond("nats", json!({"replicas": 3}), 3), [""; 0]);
    assert_eq!(
        beyond("zookeeper", json!({"tick_ms": 500, "session_ms": 999}), 3),
        ["option zookeeper.session_ms: 999 is less than 1000 (tick_ms * 2)"]
    );
    assert_eq!(beyond("zookeeper", json!({"tick_ms": 500, "session_ms": 1000}), 3), [""; 0]);
    assert_eq!(
        beyond("redis-sentinel", json!({"wait": 3}), 3),
        ["option redis-sentinel.wait: 3 is more than 2 (the number of nodes - 1)"]
    );
}

#[test]
fn unknown_targets_and_workloads_say_what_there_is() {
    let error = load("etcdd", Path::new("/nowhere"), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("built in are etcd") && error.contains("/nowhere/etcdd"), "{error}");
    let target = load("etcd", Path::new("."), &BTreeMap::new()).unwrap();
    let error =
        target.connect(&ClientWorkload::new("orders", &[]), &[], Path::new("."), "r").err().unwrap().to_string();
    assert!(error.contains("no client for workload orders") && error.contains("for register, sessions"), "{error}");
}
