//! Whose copy a read shows: in a cluster of three, and of a copy that is shorter than the leader's.
use crate::PROGRAM;
use crate::program::{Opening, Program};
use crate::server::{Server, cluster};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const NIL: Value = Value::Null;

fn opening(servers: &[Server], node: usize, object: &'static str, settings: Value) -> Opening {
    let nodes = (1..=3).map(|number| (format!("n{number}"), "127.0.0.1".to_owned())).collect();
    Opening { nodes, ..Opening::new(servers[node].port, object).settings(settings) }.deadline(20_000)
}

fn open(servers: &[Server], node: usize, settings: Value) -> Program {
    opening(servers, node, "set", settings).start(PROGRAM)
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
    writer.ok("setup", NIL, NIL);
    for element in 0..700 {
        writer.ok("add", NIL, json!(element));
    }
    let all: Vec<i64> = (0..700).collect();
    for node in 0..3 {
        let opening = opening(&servers, node, "set", json!({"read": "replica"}));
        let mut reader = Opening { is_final: true, ..opening }.start(PROGRAM);
        assert_eq!(reader.ok("read", NIL, NIL), json!(all), "n{}", node + 1);
    }
}

#[test]
fn registers_and_logs_are_read_from_the_servers_own_copy() {
    let servers = cluster();
    let start = |node, object, settings| opening(&servers, node, object, settings).start(PROGRAM);
    let mut registers = start(0, "register", json!({}));
    registers.ok("setup", NIL, NIL);
    let mut log = start(1, "log", json!({}));
    log.ok("setup", NIL, NIL);
    for value in 0..40 {
        registers.ok("write", json!(value % 4), json!(value));
        log.ok("send", NIL, json!([["send", value % 2, value]]));
    }
    for node in 0..3 {
        // The first read waits until the copy has everything.
        for is_final in [true, false] {
            let opening = Opening { is_final, ..opening(&servers, node, "register", json!({"read": "replica"})) };
            let mut registers = opening.start(PROGRAM);
            let read: Vec<Value> = (0..5).map(|key| registers.ok("read", json!(key), NIL)).collect();
            assert_eq!(json!(read), json!([36, 37, 38, 39, null]), "n{}", node + 1);
        }
        let opening = opening(&servers, node, "log", json!({"read": "replica"}));
        let mut log = Opening { is_final: true, ..opening }.start(PROGRAM);
        log.ok("assign", NIL, json!([0, 5]));
        let all: Vec<[i64; 2]> = (0..40).step_by(2).map(|value| [value + 1, value]).collect();
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), json!([["poll", {"0": all}]]), "n{}", node + 1);
        assert_eq!(log.ok("poll", NIL, json!([["poll"]])), json!([["poll", {}]]));
    }
}

#[test]
fn a_server_without_a_copy_says_so() {
    let servers = cluster();
    let read = |object, node, from| {
        let mut client = opening(&servers, node, object, json!({"read": from, "replicas": 1})).start(PROGRAM);
        if object == "log" {
            client.ok("assign", NIL, json!([0]));
            return client.ask("poll", NIL, json!([["poll"]]));
        }
        client.ask("read", json!(0), NIL)
    };
    for (object, stream, nothing) in [
        ("set", "dsfuzz-set", json!([])),
        ("register", "KV_dsfuzz-register", NIL),
        ("log", "dsfuzz-log", json!([["poll", {}]])),
    ] {
        opening(&servers, 0, object, json!({"replicas": 1})).start(PROGRAM).ok("setup", NIL, NIL);
        let leader = leader(&servers, stream);
        for node in 0..3 {
            let answer = read(object, node, "replica");
            let expected = if node == leader { NIL } else { json!("not-leader") };
            assert_eq!(
                answer["error"]["code"],
                expected,
                "{object}: n{} of leader n{}: {answer}",
                node + 1,
                leader + 1
            );
            assert_eq!(read(object, node, "leader")["value"], nothing, "{object}");
        }
    }
}

/// A proxy before a server that changes what the server says; both texts are equally long. Returns its port.
fn changed(server: u16, from: &'static str, to: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            std::thread::spawn(move || relay(server, client, from, to));
        }
    });
    port
}

/// Hands on whole lines, so that no text is cut in two.
fn relay(mut server: TcpStream, mut client: TcpStream, from: &str, to: &str) {
    let (mut held, mut buffer) = (Vec::new(), [0u8; 65536]);
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        let Some(end) = held.iter().rposition(|byte| *byte == b'\n') else { continue };
        let lines: Vec<u8> = held.drain(..=end).collect();
        let text = String::from_utf8(lines).unwrap().replace(from, to);
        if client.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_copy_that_lost_its_end_is_read_as_it_is_once_it_had_time() {
    let server = Server::start("");
    for (object, stream) in [("set", "dsfuzz-set"), ("register", "KV_dsfuzz-register"), ("log", "dsfuzz-log")] {
        let mut writer = Opening::new(server.port, object).start(PROGRAM);
        writer.ok("setup", NIL, NIL);
        for value in 1..=3 {
            match object {
                "set" => writer.ok("add", NIL, json!(value)),
                "register" => writer.ok("write", json!(0), json!(value)),
                _ => writer.ok("send", NIL, json!([["send", 0, value]])),
            };
        }
        // The leader has two messages that this copy has not.
        let behind = changed(server.port, "\"last_seq\":3,", "\"last_seq\":5,");
        for is_final in [false, true] {
            let opening = Opening { is_final, ..Opening::new(behind, object).settings(json!({"read": "replica"})) };
            let mut reader = opening.deadline(3000).start(PROGRAM);
            let began = Instant::now();
            let (read, expected) = match object {
                "set" => (reader.ok("read", NIL, NIL), json!([1, 2, 3])),
                "register" => (reader.ok("read", json!(0), NIL), json!(3)),
                _ => {
                    reader.ok("assign", NIL, json!([0]));
                    (reader.ok("poll", NIL, json!([["poll"]])), json!([["poll", {"0": [[1, 1], [2, 2], [3, 3]]}]]))
                }
            };
            assert_eq!(read, expected, "{stream}");
            let waited = began.elapsed() > Duration::from_millis(1000);
            assert_eq!(waited, is_final, "{stream}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn revisions_of_a_bucket_are_versions() {
    let server = Server::start("");
    let versions = || Opening::new(server.port, "register").params(json!({"versions": true}));
    let mut client = versions().start(PROGRAM);
    client.ok("setup", NIL, NIL);
    assert_eq!(client.ok("read", json!(0), NIL), json!([0, null]));
    assert_eq!(client.ok("write", json!(0), json!(7)), json!(1));
    assert_eq!(client.ok("write", json!(1), json!(8)), json!(2));
    assert_eq!(client.ok("write", json!(0), json!(9)), json!(3));
    let mut replica = versions().settings(json!({"read": "replica"})).start(PROGRAM);
    for client in [&mut client, &mut replica] {
        assert_eq!(
            (client.ok("read", json!(0), NIL), client.ok("read", json!(1), NIL)),
            (json!([3, 9]), json!([2, 8]))
        );
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
