//! Each class of errors: what had certainly no effect, and what may have had one.
use crate::PROGRAM;
use crate::server::{Server, pair};
use dsfuzz_client::testing::{Program, Proxy, await_cut, await_unread, free_port, init, kind, text};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const NIL: Value = Value::Null;

#[test]
fn a_replica_refuses_writes_and_reads_are_its_own_only_if_asked_for() {
    let (leader, replica) = pair("");
    leader.client("set", json!({}), NIL).ok("add", 1);
    replica.until("box.space.dsfuzz_set and box.space.dsfuzz_set:count() == 1");
    let mut bound = replica.open("set", json!({}), NIL);
    for (f, value) in [("add", json!(2)), ("read", NIL), ("setup", NIL)] {
        assert_eq!(kind(&bound.call(f, (), value)), ("fail", "read-only"), "{f}");
    }
    let all = json!({"read_from_replica": true, "reads": "commit"});
    assert_eq!(replica.open("set", all.clone(), NIL).ok("read", ()), json!([1]));
    assert_eq!(kind(&replica.open("set", all.clone(), NIL).call("add", (), 2)), ("fail", "read-only"));
    let mut last = init("set", replica.port, json!({"read_from_replica": "final"}), NIL);
    assert_eq!(kind(&Program::open(PROGRAM, last.clone()).unwrap().call("read", (), ())), ("fail", "read-only"));
    last.is_final = true;
    assert_eq!(Program::open(PROGRAM, last).unwrap().ok("read", ()), json!([1]));
    leader.client("counter", json!({}), NIL);
    let mut counter = init("counter", replica.port, json!({"read_from_replica": "final"}), NIL);
    counter.is_final = true;
    let answer = Program::open(PROGRAM, counter).unwrap().call("read", (), ());
    assert_eq!(kind(&answer), ("fail", "read-only"), "it may hold what will be rolled back");
    leader.client("transactions", json!({}), NIL);
    replica.until("box.space.dsfuzz_transactions and box.space.dsfuzz_transactions.index.pk");
    let mut transactions = replica.open("transactions", all, NIL);
    assert_eq!(transactions.ok("txn", json!([["r", 1, null]])), json!([["r", 1, null]]));
    assert_eq!(kind(&transactions.call("txn", (), json!([["r", 1, null], ["w", 1, 2]]))), ("fail", "read-only"));
    assert_eq!(
        leader.lua("return box.space.dsfuzz_set:count(), box.space.dsfuzz_transactions:count()"),
        "---\n- 1\n- 0"
    );
}

#[test]
fn a_transaction_without_a_quorum_is_rolled_back() {
    // How long a transaction waits for its quorum.
    let waits =
        |leader: &Server, seconds: f64| leader.lua(&format!("box.cfg{{replication_synchro_timeout = {seconds}}}"));
    let (leader, replica) = pair("replication_synchro_quorum = 2, replication_synchro_timeout = 600");
    let mut client = leader.client("register", json!({"sync": true}), NIL);
    client.ok("write", 1);
    replica.signal("-STOP");
    // The instance answers what it has, committed or not; a read that is committed does not.
    let mut reader = leader.open("register", json!({"sync": true}), NIL);
    let mut careful = leader.open("register", json!({"sync": true, "reads": "commit"}), NIL);
    (client.deadline_ms, careful.deadline_ms) = (600_000, 2_000);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| kind(&client.call("write", (), 2)) == ("info", "timeout"));
        let end = Instant::now() + Duration::from_secs(60);
        while reader.ok("read", ()) != json!(2) {
            assert!(Instant::now() < end, "the write is not seen before its commit");
        }
        assert_eq!(kind(&careful.call("read", (), ())), ("info", "timeout"));
        waits(&leader, 0.1);
        assert!(writer.join().unwrap(), "the quorum is missing");
    });
    assert_eq!(reader.ok("read", ()), json!(1), "it was rolled back");
    careful.deadline_ms = 5_000;
    let mut sure = leader.open("register", json!({"sync": true, "quorum_timeout": "fail"}), NIL);
    assert_eq!(kind(&sure.call("write", (), 3)), ("fail", "aborted"));
    waits(&leader, 2.0);
    replica.signal("-CONT");
    leader.until("box.info.replication[2].downstream.status == 'follow'");
    let end = Instant::now() + Duration::from_secs(60);
    while kind(&sure.call("write", (), 4)) != ("ok", "") {
        assert!(Instant::now() < end, "the quorum does not come back");
    }
    assert_eq!(careful.ok("read", ()), json!(4));
}

#[test]
fn a_conflict_of_two_transactions_is_one() {
    // Vinyl's transactions may wait for each other: one is paused in its commit while another commits what it has read.
    let server = Server::start("");
    let mut client = server.client("register", json!({"engine": "vinyl"}), NIL);
    client.ok("write", 1);
    // The trigger lets another fiber write between the read of a call and its commit.
    server.lua(
        "armed = true box.space.dsfuzz_register:before_replace(function(old, new) if armed then armed = false \
         require('fiber').new(function() box.space.dsfuzz_register:replace({'null', 5, 9}) end) require('fiber').sleep(0.2) end return new end)",
    );
    assert_eq!(kind(&client.call("cas", (), json!([1, 2]))), ("fail", "conflict"));
    assert_eq!(client.ok("read", ()), json!(5));
}

#[test]
fn users_and_passwords() {
    let server = Server::start("");
    let login = |user: &str, password: &str| init("set", server.port, json!({"user": user, "password": password}), NIL);
    Program::open(PROGRAM, login("dsfuzz", "right")).unwrap().ok("setup", ());
    for (user, password) in [("dsfuzz", "wrong"), ("dsfuzz", ""), ("nobody", "right")] {
        let answer = Program::open(PROGRAM, login(user, password)).unwrap_err();
        assert_eq!(kind(&answer), ("error", "denied"), "{user} {password}");
    }
    let answer = Program::open(PROGRAM, login("bare", "right")).unwrap().call("add", (), 1);
    assert_eq!(kind(&answer), ("fail", "denied"), "it may not carry out scripts");
}

#[test]
fn a_server_that_is_gone_refuses_and_one_that_dies_leaves_doubt() {
    let nobody = Program::open(PROGRAM, init("set", free_port(), json!({}), NIL)).unwrap_err();
    assert_eq!(kind(&nobody), ("error", "refused"));

    let server = Server::start("");
    let mut client = server.client("set", json!({}), NIL);
    client.ok("add", 1);
    server.signal("-STOP");
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| client.call("add", (), 2));
        await_unread(server.port);
        server.signal("-KILL");
        asked.join().unwrap()
    });
    assert_eq!(kind(&answer), ("info", "lost"));
    // From then on nothing is sent.
    await_cut(server.port);
    assert_eq!(kind(&client.call("add", (), 3)), ("fail", "refused"));
}

#[test]
fn a_server_that_is_silent_is_given_up_before_the_deadline() {
    let server = Server::start("");
    let mut client = server.open("set", json!({}), NIL);
    client.ok("setup", ());
    let patience = client.deadline_ms;
    client.deadline_ms = 800;
    server.signal("-STOP");
    let answer = client.call("add", (), 1);
    assert_eq!(kind(&answer), ("info", "timeout"));
    assert_eq!(text(&answer), "no answer within 760 ms");
    client.deadline_ms = patience;
    server.signal("-CONT");
    server.until("box.space.dsfuzz_set:count() == 1");
    // The late answer is not taken for the next call's.
    assert_eq!(client.ok("read", ()), json!([1]));
}

#[test]
fn nothing_is_sent_twice_and_a_closed_connection_is_noticed() {
    let server = Server::start("");
    let proxy = Proxy::before(server.port, b"box.begin()");
    let mut client = Program::open(PROGRAM, init("counter", proxy.port, json!({}), NIL)).unwrap();
    client.ok("setup", ());
    client.ok("add", 1);
    assert_eq!((proxy.connections(), proxy.seen()), (1, 1));
    proxy.cut_after_next();
    assert_eq!(kind(&client.call("add", (), 10)), ("info", "lost"));
    assert_eq!((proxy.connections(), proxy.seen()), (1, 2), "the request went once");
    server.until("box.space.dsfuzz_counter:get('null')[2] == 11");
    // Another call has another connection; one that was cut while nothing was asked is not sent upon.
    client.ok("add", 100);
    proxy.cut();
    await_cut(proxy.port);
    client.ok("add", 1000);
    assert_eq!((proxy.connections(), proxy.seen()), (3, 4));
    assert_eq!(client.ok("read", ()), json!(1111));
}

/// A server that says this first and answers nothing.
fn says(greeting: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            stream.write_all(greeting.as_bytes()).unwrap();
            open.push(stream);
        }
    });
    port
}

#[test]
fn a_server_that_is_too_old_is_refused_before_the_load() {
    let greeting = |version: &str| format!("{version:<63}\n{:<63}\n", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=");
    for (version, sync, least) in [("2.4.2", true, "2.5"), ("1.10.11", false, "2.2")] {
        let port = says(greeting(&format!("Tarantool {version} (Binary) 8c1ed3a2-7ce2-4eb0-a1c5-94d1eb2b2a9d")));
        let mut client = Program::open(PROGRAM, init("set", port, json!({"sync": sync}), NIL)).unwrap();
        let answer = client.call("setup", (), ());
        assert_eq!(kind(&answer), ("fail", "not-supported"));
        let text = format!("{answer:?}");
        assert!(text.contains(version) && text.contains(&format!("{least} is the least")), "{text}");
    }
    let port = says(greeting("SSH-2.0-OpenSSH_9.2p1"));
    let answer = Program::open(PROGRAM, init("set", port, json!({}), NIL)).unwrap_err();
    assert_eq!(kind(&answer), ("error", "refused"), "{answer:?}");
}

#[test]
fn mistakes_in_settings_are_named_before_anything_is_sent() {
    for (settings, named) in [
        (json!({"synchronous": 1}), "unknown key `synchronous` in `settings`; there are user, "),
        (json!({"port": "admin"}), "`settings.port`: no port of n1 is named admin; there are client"),
        (json!({"sync": "maybe"}), "is not true or false"),
        (json!({"reads": "quorum"}), "`settings.reads`: unknown name `quorum`; there are local, commit"),
    ] {
        let answer = Program::open(PROGRAM, init("set", 1, settings, NIL)).unwrap_err();
        assert_eq!(kind(&answer), ("error", "malformed"), "{answer:?}");
        assert!(format!("{answer:?}").contains(named), "{answer:?}");
    }
}
