//! Each class of errors: what had certainly no effect, and what may have had one.
use crate::PROGRAM;
use crate::program::{Opening, Program, is, kind};
use crate::server::{FakeServer, Server};
use dsfuzz_client::testing::free_port;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const NIL: Value = Value::Null;

/// A primary and its replica in step.
fn pair() -> (Server, Server) {
    let primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    replica.until(&["INFO", "replication"], "master_link_status:up");
    primary.until(&["INFO", "replication"], "state=online");
    (primary, replica)
}

fn set(port: u16, settings: Value) -> Program {
    Opening::new(port, "set").settings(settings).start(PROGRAM)
}

#[test]
fn a_replica_refuses_writes_and_reads_are_its_own_only_if_asked_for() {
    let (primary, replica) = pair();
    set(primary.port, json!({})).ok("add", NIL, json!(1));
    replica.until(&["KEYS", "*"], "{set:null}");
    let mut bound = set(replica.port, json!({}));
    assert_eq!(bound.not_ok("add", NIL, json!(2)), is("fail", "read-only"));
    assert_eq!(bound.not_ok("read", NIL, NIL), is("fail", "read-only"));
    assert_eq!(set(replica.port, json!({"read_from_replica": true})).ok("read", NIL, NIL), json!([1]));
    let last = Opening::new(replica.port, "set").settings(json!({"read_from_replica": "final"}));
    assert_eq!(last.start(PROGRAM).not_ok("read", NIL, NIL), is("fail", "read-only"));
    assert_eq!(Opening { is_final: true, ..last }.start(PROGRAM).ok("read", NIL, NIL), json!([1]));
    for (object, f, value) in [
        ("register", "cas", json!([null, 1])),
        ("rows", "add", json!(1)),
        ("transactions", "txn", json!([["w", 1, 2], ["r", 1, null]])),
        ("transactions", "txn", json!([["r", 1, null], ["r", 2, null]])),
        ("queue", "drain", NIL),
        ("lock", "acquire", NIL),
        ("semaphore", "acquire", NIL),
    ] {
        let mut client = Opening::new(replica.port, object).start(PROGRAM);
        assert_eq!(client.not_ok(f, NIL, value), is("fail", "read-only"), "{object} {f}");
    }
    let accounts = json!({"balances": {"0": 1}});
    let mut bank = Opening::new(replica.port, "bank").params(accounts).start(PROGRAM);
    assert_eq!(bank.not_ok("setup", NIL, NIL), is("fail", "read-only"), "the next node is asked");
}

#[test]
fn a_write_that_too_few_replicas_have_is_not_acknowledged() {
    let (primary, replica) = pair();
    set(primary.port, json!({"wait": 1, "wait_timeout_ms": 4000})).ok("add", NIL, json!(1));
    let mut client = set(primary.port, json!({"wait": 1, "wait_timeout_ms": 300}));
    replica.signal("-STOP");
    assert_eq!(client.not_ok("add", NIL, json!(2)), is("info", "warning"));
    replica.signal("-CONT");
    primary.until(&["WAIT", "1", "5000"], ":1");
    let mut read: Vec<i64> = serde_json::from_value(client.ok("read", NIL, NIL)).unwrap();
    read.sort_unstable();
    assert_eq!(read, [1, 2], "it was written all the same");
    let mut queue = Opening::new(primary.port, "queue").settings(json!({"wait": 2, "wait_timeout_ms": 100}));
    queue.settings = json!({});
    queue.start(PROGRAM).ok("enqueue", NIL, json!(5));
    queue.settings = json!({"wait": 2, "wait_timeout_ms": 100});
    let answer = queue.start(PROGRAM).ask("dequeue", NIL, NIL);
    assert_eq!((kind(&answer), &answer["value"]), (is("info", "warning"), &json!(5)), "{answer}");
}

#[test]
fn a_primary_without_its_replicas_writes_nothing() {
    let server = Server::start(&["--min-replicas-to-write", "1"]);
    let mut client = set(server.port, json!({}));
    assert_eq!(client.not_ok("add", NIL, json!(1)), is("fail", "NOREPLICAS"));
    assert_eq!(client.ok("read", NIL, NIL), json!([]));
    let mut transactions = Opening::new(server.port, "transactions").start(PROGRAM);
    let answer = transactions.ask("txn", NIL, json!([["w", 1, 2], ["w", 2, 2]]));
    assert_eq!(kind(&answer), is("fail", "NOREPLICAS"), "{answer}");
    let mut lock = Opening::new(server.port, "lock").start(PROGRAM);
    assert_eq!(lock.not_ok("acquire", NIL, NIL), is("fail", "NOREPLICAS"));
}

#[test]
fn a_transaction_that_loses_its_race_is_a_conflict() {
    let server =
        FakeServer::start(vec!["+OK\r\n*2\r\n$2\r\n10\r\n$1\r\n5\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n"]);
    let mut bank = Opening::new(server.port, "bank").settings(json!({"bank": "watch"})).start(PROGRAM);
    let transfer = json!({"from": 0, "to": 1, "amount": 1});
    assert_eq!(bank.not_ok("transfer", NIL, transfer), is("fail", "conflict"));
}

#[test]
fn passwords_and_users_are_told_and_a_wrong_one_is_denied() {
    let server = Server::start(&["--requirepass", "right"]);
    server.until(&["PING"], "NOAUTH");
    set(server.port, json!({"password": "right", "db": "3"})).ok("add", NIL, json!(1));
    assert_eq!(set(server.port, json!({"password": "right"})).ok("read", NIL, NIL), json!([]));
    let denied = set(server.port, json!({"password": "wrong"}));
    assert_eq!(kind(&denied.opened).1, "denied", "{}", denied.opened);
    assert_eq!(set(server.port, json!({})).not_ok("add", NIL, json!(1)), is("fail", "denied"));
}

#[test]
fn a_server_that_is_gone_refuses_and_one_that_dies_leaves_doubt() {
    let refused = set(free_port(), json!({}));
    assert_eq!(kind(&refused.opened).1, "refused", "{}", refused.opened);

    // It dies while it owes an answer.
    let server = Server::start(&[]);
    let mut client = set(server.port, json!({}));
    client.ok("add", NIL, json!(1));
    server.signal("-STOP");
    client.send("add", NIL, json!(2));
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-KILL");
    let answer = client.answer();
    assert_eq!(kind(&answer), is("info", "lost"), "{answer}");
    // From then on nothing is sent.
    let answer = client.ask("add", NIL, json!(3));
    assert_eq!(kind(&answer), is("fail", "refused"), "{answer}");
}

#[test]
fn a_server_that_is_silent_is_given_up_before_the_deadline() {
    let server = Server::start(&[]);
    let mut client = Opening::new(server.port, "set").deadline(800).start(PROGRAM);
    server.signal("-STOP");
    let began = Instant::now();
    assert_eq!(client.not_ok("add", NIL, json!(1)), is("info", "timeout"));
    assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
    server.signal("-CONT");
}

#[test]
fn nothing_is_sent_twice() {
    // The connection is cut after the request; a second one would be counted.
    let server = FakeServer::start(vec![]);
    let mut client = set(server.port, json!({}));
    assert_eq!(client.opened["type"], "init_ok", "without a login nothing is sent: {}", client.opened);
    assert_eq!(client.not_ok("add", NIL, json!(1)), is("info", "lost"));
    assert_eq!(server.requests(), 1);
    // Another call has a connection of its own.
    assert_eq!(client.not_ok("add", NIL, json!(2)), is("info", "lost"));
    assert_eq!(server.requests(), 2);

    for reply in ["-LOADING Redis is loading the dataset in memory\r\n", "-MASTERDOWN Link with MASTER is down\r\n"] {
        let server = FakeServer::start(vec![reply]);
        let mut client = set(server.port, json!({}));
        assert_eq!(client.not_ok("add", NIL, json!(1)).0, "fail", "{reply}");
        assert_eq!(server.requests(), 1);
    }
    for reply in ["-UNBLOCKED force unblock from blocking operation\r\n", "-ERR something new\r\n", "+", "?\r\n"] {
        let server = FakeServer::start(vec![reply]);
        let mut client = Opening::new(server.port, "set").deadline(1000).start(PROGRAM);
        assert_eq!(client.not_ok("add", NIL, json!(1)).0, "info", "{reply}");
        assert_eq!(server.requests(), 1);
    }
}

#[test]
fn a_server_that_is_too_old_is_refused_before_the_load() {
    let old = || FakeServer::start(vec!["$22\r\nredis_version:4.0.14\r\n\r\n"]);
    let server = old();
    let answer = Opening::new(server.port, "rows").start(PROGRAM).ask("setup", NIL, NIL);
    assert_eq!(kind(&answer), is("fail", "not-supported"));
    let text = answer["error"]["text"].as_str().unwrap();
    assert!(text.contains("4.0.14") && text.contains("5.0 is the least"), "{text}");
    let server = old();
    Opening::new(server.port, "set").start(PROGRAM).ok("setup", NIL, NIL);
}

#[test]
fn mistakes_in_settings_are_named_before_anything_is_sent() {
    for (settings, named) in [
        (json!({"weight": 1}), "unknown key `weight` in `settings`; there are wait, "),
        (json!({"port": "admin"}), "`settings.port`: no port of n1 is named admin; there are client"),
    ] {
        let answer = set(1, settings).opened.clone();
        assert_eq!(answer["error"]["code"], "malformed", "{answer}");
        assert!(answer["error"]["text"].as_str().unwrap().contains(named), "{answer}");
    }
}
