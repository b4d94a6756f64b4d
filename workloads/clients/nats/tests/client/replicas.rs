//! Whose copy a read shows: in a cluster of three, and of a copy that is shorter than the leader's.
use crate::server::{Server, cluster};
use crate::{plain, start};
use dsfuzz_client::lines::{Init, NodeAddress};
use dsfuzz_client::testing::{Program, init, kind, shown};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NIL: Value = Value::Null;

fn opening(servers: &[Server], node: usize, object: &str, settings: Value) -> Init {
    let node_of =
        |number| NodeAddress { name: format!("n{number}"), address: "127.0.0.1".to_owned(), ports: BTreeMap::new() };
    let nodes = (1..=3).map(node_of).collect();
    Init { nodes, deadline_ms: 20_000, ..init(object, servers[node].port, settings, NIL) }
}

fn open(servers: &[Server], node: usize, settings: Value) -> Program {
    start(opening(servers, node, "set", settings))
}

/// The position of the server that leads the stream.
fn leader(servers: &[Server], stream: &str) -> usize {
    let info = servers[0].ask(&format!("$JS.API.STREAM.INFO.{stream}"), "").unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    info["cluster"]["leader"].as_str().unwrap()[1..].parse::<usize>().unwrap() - 1
}

#[test]
fn a_set_is_read_from_the_servers_own_copy() {
    let servers = cluster();
    let mut writer = open(&servers, 0, json!({}));
    writer.ok("setup", ());
    for element in 0..700 {
        writer.ok("add", element);
    }
    let all: Vec<i64> = (0..700).collect();
    for node in 0..3 {
        let opening = opening(&servers, node, "set", json!({"read": "replica"}));
        let mut reader = start(Init { is_final: true, ..opening });
        assert_eq!(reader.ok("read", ()), json!(all), "n{}", node + 1);
    }
}

#[test]
fn registers_and_logs_are_read_from_the_servers_own_copy() {
    let servers = cluster();
    let mut registers = start(opening(&servers, 0, "register", json!({})));
    registers.ok("setup", ());
    let mut log = start(opening(&servers, 1, "log", json!({})));
    log.ok("setup", ());
    for value in 0..40 {
        registers.ok_at("write", json!(value % 4), value);
        log.ok("send", json!([["send", value % 2, value]]));
    }
    for node in 0..3 {
        // The first read waits until the copy has everything.
        for is_final in [true, false] {
            let opening = Init { is_final, ..opening(&servers, node, "register", json!({"read": "replica"})) };
            let mut registers = start(opening);
            let read: Vec<Value> = (0..5).map(|key| registers.ok_at("read", key, ())).collect();
            assert_eq!(json!(read), json!([36, 37, 38, 39, null]), "n{}", node + 1);
        }
        let opening = opening(&servers, node, "log", json!({"read": "replica"}));
        let mut log = start(Init { is_final: true, ..opening });
        log.ok("assign", json!([0, 5]));
        let all: Vec<[i64; 2]> = (0..40).step_by(2).map(|value| [value + 1, value]).collect();
        assert_eq!(log.ok("poll", json!([["poll"]])), json!([["poll", {"0": all}]]), "n{}", node + 1);
        assert_eq!(log.ok("poll", json!([["poll"]])), json!([["poll", {}]]));
    }
}

#[test]
fn a_server_without_a_copy_says_so() {
    let servers = cluster();
    let read = |object, node, from| {
        let mut client = start(opening(&servers, node, object, json!({"read": from, "replicas": 1})));
        if object == "log" {
            client.ok("assign", json!([0]));
            return client.call("poll", (), json!([["poll"]]));
        }
        client.call("read", 0, ())
    };
    for (object, stream, nothing) in [
        ("set", "dsfuzz-set", json!([])),
        ("register", "KV_dsfuzz-register", NIL),
        ("log", "dsfuzz-log", json!([["poll", {}]])),
    ] {
        start(opening(&servers, 0, object, json!({"replicas": 1}))).ok("setup", ());
        let leader = leader(&servers, stream);
        for node in 0..3 {
            let answer = read(object, node, "replica");
            let expected = if node == leader { "" } else { "not-leader" };
            assert_eq!(kind(&answer).1, expected, "{object}: n{} of leader n{}: {answer:?}", node + 1, leader + 1);
            assert_eq!(shown(&read(object, node, "leader")).2, nothing, "{object}");
        }
    }
}

/// A proxy before a server that changes what the server says; both texts are equally long. Returns its port, and how often the
/// server has said it.
fn changed(server: u16, from: &'static str, to: &'static str) -> (u16, Arc<AtomicUsize>) {
    let said = Arc::new(AtomicUsize::new(0));
    let counted = said.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            let counted = counted.clone();
            std::thread::spawn(move || relay(server, client, from, to, &counted));
        }
    });
    (port, said)
}

/// Hands on whole lines, so that no text is cut in two.
fn relay(mut server: TcpStream, mut client: TcpStream, from: &str, to: &str, said: &AtomicUsize) {
    let (mut held, mut buffer) = (Vec::new(), [0u8; 65536]);
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        let Some(end) = held.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = held.drain(..=end).collect();
        let text = String::from_utf8(lines).unwrap();
        said.fetch_add(text.matches(from).count(), Ordering::SeqCst);
        let text = text.replace(from, to);
        if client.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_copy_that_lost_its_end_is_read_as_it_is_once_it_had_time() {
    let server = Server::start("");
    for (object, stream) in [("set", "dsfuzz-set"), ("register", "KV_dsfuzz-register"), ("log", "dsfuzz-log")] {
        let mut writer = start(plain(object, server.port));
        writer.ok("setup", ());
        for value in 1..=3 {
            match object {
                "set" => writer.ok("add", value),
                "register" => writer.ok_at("write", 0, value),
                _ => writer.ok("send", json!([["send", 0, value]])),
            };
        }
        // The leader has two messages that this copy has not.
        let (behind, said) = changed(server.port, "\"last_seq\":3,", "\"last_seq\":5,");
        let mut looks = Vec::new();
        for is_final in [false, true] {
            let opening = init(object, behind, json!({"read": "replica"}), NIL);
            let mut reader = start(Init { is_final, deadline_ms: 6000, ..opening });
            said.store(0, Ordering::SeqCst);
            let (read, expected) = match object {
                "set" => (reader.ok("read", ()), json!([1, 2, 3])),
                "register" => (reader.ok_at("read", 0, ()), json!(3)),
                _ => {
                    reader.ok("assign", json!([0]));
                    (reader.ok("poll", json!([["poll"]])), json!([["poll", {"0": [[1, 1], [2, 2], [3, 3]]}]]))
                }
            };
            assert_eq!(read, expected, "{stream}");
            looks.push(said.load(Ordering::SeqCst));
        }
        assert!(
            looks[1] > looks[0],
            "only a final read looks again whether the copy has caught up, {stream}: {looks:?}"
        );
    }
}

#[test]
fn revisions_of_a_bucket_are_versions() {
    let server = Server::start("");
    let versions = |settings| start(init("register", server.port, settings, json!({"versions": true})));
    let mut client = versions(json!({}));
    client.ok("setup", ());
    assert_eq!(client.ok_at("read", 0, ()), json!([0, null]));
    assert_eq!(client.ok_at("write", 0, 7), json!(1));
    assert_eq!(client.ok_at("write", 1, 8), json!(2));
    assert_eq!(client.ok_at("write", 0, 9), json!(3));
    let mut replica = versions(json!({"read": "replica"}));
    for client in [&mut client, &mut replica] {
        assert_eq!((client.ok_at("read", 0, ()), client.ok_at("read", 1, ())), (json!([3, 9]), json!([2, 8])));
    }
}

#[test]
fn a_replicated_counter_is_the_sum_of_the_servers_own_copy() {
    let servers = cluster();
    let open = |node: usize, of: &str| {
        let workload = if of == "g-set" { "elements" } else { "sums" }.to_owned();
        start(Init { workload, params: json!({"type": of}), ..opening(&servers, node, "crdt", json!({})) })
    };
    for (of, expected) in [("pn-counter", json!(-1)), ("g-set", json!([3, -4]))] {
        let mut writer = open(0, of);
        writer.ok("setup", ());
        for amount in [3, -4] {
            writer.ok("add", amount);
        }
        writer.ok_at("add", 1, 9);
        for node in 0..3 {
            assert_eq!(open(node, of).ok("read", ()), expected, "{of} on n{}", node + 1);
        }
        assert_eq!(kind(&writer.call("remove", (), 3)), ("fail", "not-supported"));
    }
}
