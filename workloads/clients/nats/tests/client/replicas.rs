//! A cluster of three: whose copy a read shows.
use crate::PROGRAM;
use crate::program::{Opening, Program};
use crate::server::{Server, cluster};
use serde_json::{Value, json};

const NIL: Value = Value::Null;

fn open(servers: &[Server], node: usize, settings: Value) -> Program {
    let nodes = (1..=3).map(|number| (format!("n{number}"), "127.0.0.1".to_owned())).collect();
    Opening { nodes, ..Opening::new(servers[node].port, "set").settings(settings) }.deadline(20_000).start(PROGRAM)
}

/// The position of the server that leads the stream.
fn leader(servers: &[Server]) -> usize {
    let info = servers[0].ask("$JS.API.STREAM.INFO.dsfuzz-set", "").unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    info["cluster"]["leader"].as_str().unwrap()[1..].parse::<usize>().unwrap() - 1
}

#[test]
fn a_set_is_read_from_the_servers_own_copy() {
    let servers = cluster();
    let mut writer = open(&servers, 0, json!({}));
    writer.ok("setup", NIL, NIL);
    for element in 0..700 {
        writer.ok("add", NIL, json!(element));
    }
    let all: Vec<i64> = (0..700).collect();
    for node in 0..3 {
        let mut reader = open(&servers, node, json!({"read": "replica"}));
        assert_eq!(reader.ok("read", NIL, NIL), json!(all), "n{}", node + 1);
    }
}

#[test]
fn a_server_without_a_copy_says_so() {
    let servers = cluster();
    open(&servers, 0, json!({"replicas": 1})).ok("setup", NIL, NIL);
    let leader = leader(&servers);
    for node in 0..3 {
        let answer = open(&servers, node, json!({"read": "replica"})).ask("read", NIL, NIL);
        let expected = if node == leader { NIL } else { json!("not-leader") };
        assert_eq!(answer["error"]["code"], expected, "n{} of leader n{}: {answer}", node + 1, leader + 1);
        let answer = open(&servers, node, json!({"read": "leader"})).ask("read", NIL, NIL);
        assert_eq!(answer["value"], json!([]), "{answer}");
    }
}

#[test]
fn a_replicated_counter_is_the_sum_of_the_servers_own_copy() {
    let servers = cluster();
    let open = |node: usize, kind: &str| {
        let nodes = (1..=3).map(|number| (format!("n{number}"), "127.0.0.1".to_owned())).collect();
        let workload = if kind == "g-set" { "elements" } else { "sums" };
        let opening = Opening { nodes, workload, ..Opening::new(servers[node].port, "crdt") };
        opening.params(json!({"type": kind})).deadline(20_000).start(PROGRAM)
    };
    for (kind, expected) in [("pn-counter", json!(-1)), ("g-set", json!([3, -4]))] {
        let mut writer = open(0, kind);
        writer.ok("setup", NIL, NIL);
        for amount in [3, -4] {
            writer.ok("add", NIL, json!(amount));
        }
        writer.ok("add", json!(1), json!(9));
        for node in 0..3 {
            assert_eq!(open(node, kind).ok("read", NIL, NIL), expected, "{kind} on n{}", node + 1);
        }
        assert_eq!(writer.not_ok("remove", NIL, json!(3)), crate::program::is("fail", "not-supported"));
    }
}
