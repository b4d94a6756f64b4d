//! A Redis Cluster: three primaries without replicas, on three addresses of loopback.
use crate::PROGRAM;
use crate::program::{Opening, Program, is};
use crate::server::{FakeServer, Server};
use serde_json::{Value, json};

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

fn open(servers: &[Server], object: &'static str, settings: Value) -> Program {
    let nodes = servers.iter().zip(1..).map(|(server, number)| (format!("n{number}"), server.address.clone()));
    let opening = Opening::new(servers[0].port, object).settings(settings);
    Opening { address: servers[0].address.clone(), nodes: nodes.collect(), ..opening }.start(PROGRAM)
}

#[test]
fn one_redirect_is_followed_and_the_answer_names_the_node() {
    let servers = cluster();
    let mut client = open(&servers, "set", json!({"cluster": true}));
    let mut answered = std::collections::BTreeSet::new();
    for key in 0..40 {
        let answer = client.ask("add", json!(key), json!(key));
        assert_eq!(answer["type"], "ok", "{answer}");
        let node = answer["node"].as_str().unwrap_or("n1").to_owned();
        let owner = &servers[node[1..].parse::<usize>().unwrap() - 1];
        let keys = owner.raw(&["KEYS", &format!("*{{set:{key}}}")]).unwrap();
        assert!(keys.starts_with("*1"), "key {key} is not at {node}, which is said to have answered");
        assert_eq!(client.ok("read", json!(key), NIL), json!([key]));
        answered.insert(node);
    }
    assert_eq!(answered.into_iter().collect::<Vec<_>>(), ["n1", "n2", "n3"]);

    // Without `cluster` a redirect is a refusal.
    let mut bound = open(&servers, "set", json!({}));
    let refused = (0..40).filter(|key| bound.ask("add", json!(key), json!(1))["error"]["code"] == "not-leader").count();
    assert!((5..40).contains(&refused), "{refused}");

    let mut lists = open(&servers, "transactions", json!({"cluster": "true"}));
    for key in 0..10 {
        let txn = json!([["append", key, 1], ["r", key, null]]);
        assert_eq!(lists.ok("txn", NIL, txn), json!([["append", key, 1], ["r", key, [1]]]));
    }
    let several = || json!([["append", 1, 5], ["append", 2, 5]]);
    assert_eq!(lists.not_ok("txn", NIL, several()), is("fail", "not-supported"));
    open(&servers, "transactions", json!({"cluster": true, "hash_tag": "one"})).ok("txn", NIL, several());

    // A node that is gone: nothing was sent.
    let mut servers = servers;
    drop(servers.pop());
    let mut client = open(&servers, "register", json!({"cluster": true}));
    let answers: Vec<Value> = (0..20).map(|key| client.ask("write", json!(key), json!(1))).collect();
    let failed = answers.iter().filter(|answer| answer["type"] == "fail");
    assert!(failed.clone().count() > 0, "{answers:?}");
    for answer in failed {
        let code = answer["error"]["code"].as_str().unwrap();
        assert!(["refused", "not-leader", "CLUSTERDOWN"].contains(&code), "{answer}");
    }
}

#[test]
fn a_second_redirect_is_not_followed_and_a_foreign_server_is_not_asked() {
    let second = FakeServer::start(vec!["-MOVED 866 127.0.0.1:1\r\n"]);
    let moved: &'static str = format!("-MOVED 866 127.0.0.1:{}\r\n", second.port).leak();
    let first = FakeServer::start(vec![moved, "-MOVED 866 10.255.255.1:6379\r\n", "-TRYAGAIN Multiple keys\r\n"]);
    let opening = Opening::new(first.port, "set").settings(json!({"cluster": true}));
    let mut client = opening.start(PROGRAM);
    assert_eq!(client.not_ok("add", json!(1), json!(1)), is("fail", "not-leader"));
    assert_eq!((first.requests(), second.requests()), (1, 1));
    assert_eq!(client.not_ok("add", json!(1), json!(1)), is("fail", "not-leader"));
    assert_eq!(client.not_ok("add", json!(1), json!(1)), is("fail", "TRYAGAIN"));
    assert_eq!((first.requests(), second.requests()), (3, 1));
}

#[test]
fn a_slot_that_moves_is_asked_for_with_asking() {
    let second = FakeServer::start(vec!["+OK\r\n:1\r\n"]);
    let ask: &'static str = format!("-ASK 866 127.0.0.1:{}\r\n", second.port).leak();
    let first = FakeServer::start(vec![ask]);
    let mut client = Opening::new(first.port, "set").settings(json!({"cluster": true})).start(PROGRAM);
    client.ok("add", json!(1), json!(1));
    assert_eq!((first.requests(), second.requests()), (1, 1));
}
