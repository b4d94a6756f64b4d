//! Each class of errors: what had certainly no effect, and what may have had one.
use crate::server::{FakeServer, Server};
use crate::{plain, refused, start};
use dsfuzz_client::lines::Init;
use dsfuzz_client::testing::{Program, await_closed, await_unread, free_port, init, kind, shown, text};
use serde_json::{Value, json};

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
    start(init("set", port, settings, NIL))
}

#[test]
fn a_replica_refuses_writes_and_reads_are_its_own_only_if_asked_for() {
    let (primary, replica) = pair();
    set(primary.port, json!({})).ok("add", 1);
    replica.until(&["KEYS", "*"], "{set:null}");
    let mut bound = set(replica.port, json!({}));
    assert_eq!(kind(&bound.call("add", (), 2)), ("fail", "read-only"));
    assert_eq!(kind(&bound.call("read", (), ())), ("fail", "read-only"));
    assert_eq!(set(replica.port, json!({"read_from_replica": true})).ok("read", ()), json!([1]));
    let last = init("set", replica.port, json!({"read_from_replica": "final"}), NIL);
    assert_eq!(kind(&start(last.clone()).call("read", (), ())), ("fail", "read-only"));
    assert_eq!(start(Init { is_final: true, ..last }).ok("read", ()), json!([1]));
    for (object, f, value) in [
        ("register", "cas", json!([null, 1])),
        ("rows", "add", json!(1)),
        ("transactions", "txn", json!([["w", 1, 2], ["r", 1, null]])),
        ("transactions", "txn", json!([["r", 1, null], ["r", 2, null]])),
        ("queue", "drain", NIL),
        ("lock", "acquire", NIL),
        ("semaphore", "acquire", NIL),
    ] {
        let mut client = start(plain(object, replica.port));
        assert_eq!(kind(&client.call(f, (), value)), ("fail", "read-only"), "{object} {f}");
    }
    let accounts = json!({"balances": {"0": 1}});
    let mut bank = start(init("bank", replica.port, json!({}), accounts));
    assert_eq!(kind(&bank.call("setup", (), ())), ("fail", "read-only"), "the next node is asked");
}

#[test]
fn a_write_that_too_few_replicas_have_is_not_acknowledged() {
    let (primary, replica) = pair();
    set(primary.port, json!({"wait": 1, "wait_timeout_ms": 4000})).ok("add", 1);
    let mut client = set(primary.port, json!({"wait": 1, "wait_timeout_ms": 300}));
    replica.signal("-STOP");
    assert_eq!(kind(&client.call("add", (), 2)), ("info", "warning"));
    replica.signal("-CONT");
    primary.until(&["WAIT", "1", "5000"], ":1");
    let mut read: Vec<i64> = serde_json::from_value(client.ok("read", ())).unwrap();
    read.sort_unstable();
    assert_eq!(read, [1, 2], "it was written all the same");
    start(plain("queue", primary.port)).ok("enqueue", 5);
    let doubted = json!({"wait": 2, "wait_timeout_ms": 100});
    let answer = start(init("queue", primary.port, doubted, NIL)).call("dequeue", (), ());
    assert_eq!(shown(&answer), ("info", "warning", json!(5)), "{answer:?}");
}

#[test]
fn a_primary_without_its_replicas_writes_nothing() {
    let server = Server::start(&["--min-replicas-to-write", "1"]);
    let mut client = set(server.port, json!({}));
    assert_eq!(kind(&client.call("add", (), 1)), ("fail", "NOREPLICAS"));
    assert_eq!(client.ok("read", ()), json!([]));
    let mut transactions = start(plain("transactions", server.port));
    let answer = transactions.call("txn", (), json!([["w", 1, 2], ["w", 2, 2]]));
    assert_eq!(kind(&answer), ("fail", "NOREPLICAS"), "{answer:?}");
    let mut lock = start(plain("lock", server.port));
    assert_eq!(kind(&lock.call("acquire", (), ())), ("fail", "NOREPLICAS"));
}

#[test]
fn a_transaction_that_loses_its_race_is_a_conflict() {
    let server =
        FakeServer::start(vec!["+OK\r\n*2\r\n$2\r\n10\r\n$1\r\n5\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n"]);
    let mut bank = start(init("bank", server.port, json!({"bank": "watch"}), NIL));
    let transfer = json!({"from": 0, "to": 1, "amount": 1});
    assert_eq!(kind(&bank.call("transfer", (), transfer)), ("fail", "conflict"));
}

#[test]
fn passwords_and_users_are_told_and_a_wrong_one_is_denied() {
    let server = Server::start(&["--requirepass", "right"]);
    server.until(&["PING"], "NOAUTH");
    set(server.port, json!({"password": "right", "db": "3"})).ok("add", 1);
    assert_eq!(set(server.port, json!({"password": "right"})).ok("read", ()), json!([]));
    let denied = refused(init("set", server.port, json!({"password": "wrong"}), NIL));
    assert_eq!(kind(&denied), ("error", "denied"), "{denied:?}");
    assert_eq!(kind(&set(server.port, json!({})).call("add", (), 1)), ("fail", "denied"));
}

#[test]
fn a_server_that_is_gone_refuses_and_one_that_dies_leaves_doubt() {
    let nobody = refused(plain("set", free_port()));
    assert_eq!(kind(&nobody), ("error", "refused"), "{nobody:?}");

    // It dies while it owes an answer.
    let server = Server::start(&[]);
    let mut client = set(server.port, json!({}));
    client.ok("add", 1);
    server.signal("-STOP");
    client.send("add", (), 2);
    await_unread(server.port);
    server.signal("-KILL");
    let answer = client.answer();
    assert_eq!(kind(&answer), ("info", "lost"), "{answer:?}");
    // Once the client has seen the end, nothing is sent.
    await_closed(server.port);
    let answer = client.call("add", (), 3);
    assert_eq!(kind(&answer), ("fail", "refused"), "{answer:?}");
}

#[test]
fn a_server_that_is_silent_is_given_up_before_the_deadline() {
    let server = Server::start(&[]);
    let mut client = set(server.port, json!({}));
    client.deadline_ms = 800;
    server.signal("-STOP");
    let answer = client.call("add", (), 1);
    assert_eq!(kind(&answer), ("info", "timeout"));
    assert_eq!(text(&answer), "no answer within 760 ms");
    server.signal("-CONT");
}

#[test]
fn nothing_is_sent_twice() {
    // The connection is cut after the request; a second one would be counted.
    let server = FakeServer::start(vec![]);
    let mut client = set(server.port, json!({}));
    assert_eq!(server.requests(), 0, "without a login nothing is sent");
    assert_eq!(kind(&client.call("add", (), 1)), ("info", "lost"));
    assert_eq!(server.requests(), 1);
    // Another call has a connection of its own.
    assert_eq!(kind(&client.call("add", (), 2)), ("info", "lost"));
    assert_eq!(server.requests(), 2);

    for reply in ["-LOADING Redis is loading the dataset in memory\r\n", "-MASTERDOWN Link with MASTER is down\r\n"] {
        let server = FakeServer::start(vec![reply]);
        let mut client = set(server.port, json!({}));
        assert_eq!(kind(&client.call("add", (), 1)).0, "fail", "{reply}");
        assert_eq!(server.requests(), 1);
    }
    for reply in ["-UNBLOCKED force unblock from blocking operation\r\n", "-ERR something new\r\n", "+", "?\r\n"] {
        let server = FakeServer::start(vec![reply]);
        let mut client = start(Init { deadline_ms: 1000, ..plain("set", server.port) });
        assert_eq!(kind(&client.call("add", (), 1)).0, "info", "{reply}");
        assert_eq!(server.requests(), 1);
    }
}

#[test]
fn a_server_that_is_too_old_is_refused_before_the_load() {
    let old = || FakeServer::start(vec!["$22\r\nredis_version:4.0.14\r\n\r\n"]);
    let server = old();
    let answer = start(plain("rows", server.port)).call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "not-supported"));
    let words = text(&answer);
    assert!(words.contains("4.0.14") && words.contains("5.0 is the least"), "{words}");
    let server = old();
    start(plain("set", server.port)).ok("setup", ());
}

#[test]
fn mistakes_in_settings_are_named_before_anything_is_sent() {
    for (settings, named) in [
        (json!({"weight": 1}), "unknown key `weight` in `settings`; there are wait, "),
        (json!({"port": "admin"}), "`settings.port`: no port of n1 is named admin; there are client"),
    ] {
        let answer = refused(init("set", 1, settings, NIL));
        assert_eq!(kind(&answer), ("error", "malformed"), "{answer:?}");
        assert!(text(&answer).contains(named), "{answer:?}");
    }
}
