//! A Redis Cluster: three primaries without replicas, on three addresses of loopback.
use crate::server::{FakeServer, Server};
use crate::start;
use dsfuzz_client::lines::{Answer, Init, NodeAddress};
use dsfuzz_client::testing::{Program, init, kind};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NIL: Value = Value::Null;

/// The last slot of each of the first two servers.
const LAST: [u32; 2] = [5460, 10922];

fn cluster() -> Vec<Server> {
    let start = |last: u8| {
        let address = format!("127.0.0.{last}");
        let cluster = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-announce-ip"];
        let arguments: Vec<&str> = cluster.into_iter().chain([address.as_str()]).collect();
        Server::start_at(&address, &arguments)
    };
    let servers: Vec<Server> = (11..14).map(start).collect();
    let ranges = [(0, LAST[0]), (LAST[0] + 1, LAST[1]), (LAST[1] + 1, 16383)];
    for (server, (first, last)) in servers.iter().zip(ranges) {
        let slots: Vec<String> = (first..=last).map(|slot| slot.to_string()).collect();
        let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        assert_eq!(server.raw(&words).as_deref(), Some("+OK\r\n"));
    }
    for server in &servers[1..] {
        servers[0].raw(&["CLUSTER", "MEET", &server.address, &server.port.to_string()]);
    }
    for server in &servers {
        server.until(&["CLUSTER", "INFO"], "cluster_state:ok");
        server.until(&["CLUSTER", "INFO"], "cluster_slots_assigned:16384");
        server.until(&["CLUSTER", "INFO"], "cluster_known_nodes:3");
    }
    servers
}

fn open(servers: &[Server], object: &str, settings: Value) -> Program {
    let node = |(server, number): (&Server, u32)| NodeAddress {
        name: format!("n{number}"),
        address: server.address.clone(),
        ports: BTreeMap::new(),
    };
    let nodes = servers.iter().zip(1..).map(node).collect();
    start(Init { address: servers[0].address.clone(), nodes, ..init(object, servers[0].port, settings, NIL) })
}

#[test]
fn one_redirect_is_followed_and_the_answer_names_the_node() {
    let servers = cluster();
    let mut client = open(&servers, "set", json!({"cluster": true}));
    let mut answered = std::collections::BTreeSet::new();
    for key in 0..40 {
        let answer = client.call("add", key, key);
        let Answer::Ok { node, .. } = answer else { panic!("{answer:?}") };
        let node = node.unwrap_or_else(|| "n1".to_owned());
        let owner = &servers[node[1..].parse::<usize>().unwrap() - 1];
        let keys = owner.raw(&["KEYS", &format!("*{{set:{key}}}")]).unwrap();
        assert!(keys.starts_with("*1"), "key {key} is not at {node}, which is said to have answered");
        assert_eq!(client.ok_at("read", key, ()), json!([key]));
        answered.insert(node);
    }
    assert_eq!(answered.into_iter().collect::<Vec<_>>(), ["n1", "n2", "n3"]);

    // Without `cluster` a redirect is a refusal.
    let mut bound = open(&servers, "set", json!({}));
    let refused = (0..40).filter(|key| kind(&bound.call("add", *key, 1)).1 == "not-leader").count();
    assert!((5..40).contains(&refused), "{refused}");

    let mut lists = open(&servers, "transactions", json!({"cluster": "true"}));
    for key in 0..10 {
        let txn = json!([["append", key, 1], ["r", key, null]]);
        assert_eq!(lists.ok("txn", txn), json!([["append", key, 1], ["r", key, [1]]]));
    }
    let several = || json!([["append", 1, 5], ["append", 2, 5]]);
    assert_eq!(kind(&lists.call("txn", (), several())), ("fail", "not-supported"));
    open(&servers, "transactions", json!({"cluster": true, "hash_tag": "one"})).ok("txn", several());

    // A node that is gone: nothing was sent.
    let mut servers = servers;
    drop(servers.pop());
    let mut client = open(&servers, "register", json!({"cluster": true}));
    let answers: Vec<Answer> = (0..20).map(|key| client.call("write", key, 1)).collect();
    let failed = answers.iter().map(kind).filter(|(kind, _)| *kind == "fail");
    assert!(failed.clone().count() > 0, "{answers:?}");
    for (_, code) in failed {
        assert!(["refused", "not-leader", "CLUSTERDOWN"].contains(&code), "{answers:?}");
    }
}

#[test]
fn a_second_redirect_is_not_followed_and_a_foreign_server_is_not_asked() {
    let second = FakeServer::start(vec!["-MOVED 866 127.0.0.1:1\r\n"]);
    let moved: &'static str = format!("-MOVED 866 127.0.0.1:{}\r\n", second.port).leak();
    let first = FakeServer::start(vec![moved, "-MOVED 866 10.255.255.1:6379\r\n", "-TRYAGAIN Multiple keys\r\n"]);
    let mut client = start(init("set", first.port, json!({"cluster": true}), NIL));
    assert_eq!(kind(&client.call("add", 1, 1)), ("fail", "not-leader"));
    assert_eq!((first.requests(), second.requests()), (1, 1));
    assert_eq!(kind(&client.call("add", 1, 1)), ("fail", "not-leader"));
    assert_eq!(kind(&client.call("add", 1, 1)), ("fail", "TRYAGAIN"));
    assert_eq!((first.requests(), second.requests()), (3, 1));
}

#[test]
fn a_slot_that_moves_is_asked_for_with_asking() {
    let second = FakeServer::start(vec!["+OK\r\n:1\r\n"]);
    let ask: &'static str = format!("-ASK 866 127.0.0.1:{}\r\n", second.port).leak();
    let first = FakeServer::start(vec![ask]);
    let mut client = start(init("set", first.port, json!({"cluster": true}), NIL));
    client.ok_at("add", 1, 1);
    assert_eq!((first.requests(), second.requests()), (1, 1));
}
