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
