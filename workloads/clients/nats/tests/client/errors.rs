//! Each class of errors: what had certainly no effect, and what may have had one.
use crate::server::Server;
use crate::{plain, refused, start};
use dsfuzz_client::lines::Init;
use dsfuzz_client::testing::{Program, await_closed, await_unread, free_port, init, kind, text};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NIL: Value = Value::Null;

fn open(port: u16, settings: Value) -> Program {
    start(init("set", port, settings, NIL))
}

#[test]
fn a_second_setup_of_a_run_is_right_and_another_runs_stream_is_refused() {
    let server = Server::start("");
    for object in ["set", "register", "queue"] {
        start(plain(object, server.port)).ok("setup", ());
        start(plain(object, server.port)).ok("setup", ());
        let other = Init { run: "run-2".to_owned(), ..plain(object, server.port) };
        let answer = start(other).call("setup", (), ());
        assert_eq!(kind(&answer), ("fail", "exists"), "{answer:?}");
        assert!(text(&answer).contains("dsfuzz run this-run"), "{answer:?}");
    }
    // One with the same subjects under another name.
    let answer = server.ask("$JS.API.STREAM.CREATE.mine", r#"{"name":"mine","subjects":["other.>"]}"#).unwrap();
    assert!(!answer.contains("error"), "{answer:?}");
    let answer = open(server.port, json!({"stream": "other"})).call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "exists"), "{answer:?}");
}

#[test]
fn what_a_server_cannot_give_is_refused_before_the_load() {
    let server = Server::start("");
    let answer = open(server.port, json!({"replicas": 3})).call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "js-resources"), "{answer:?}");
    let answer = refused(init("set", server.port, json!({"replica": 3}), NIL));
    assert!(text(&answer).contains("unknown key `replica` in `settings`; there are replicas, "), "{answer:?}");
}

#[test]
fn users_are_told_and_a_wrong_password_is_denied() {
    let server = Server::start("authorization { user: me, password: right }");
    open(server.port, json!({"user": "me", "password": "right"})).ok("setup", ());
    for settings in [json!({"user": "me", "password": "wrong"}), json!({})] {
        let answer = refused(init("set", server.port, settings, NIL));
        assert_eq!(kind(&answer), ("error", "denied"), "{answer:?}");
    }
}

#[test]
fn a_server_that_is_gone_refuses_and_one_that_dies_leaves_doubt() {
    let answer = refused(plain("set", free_port()));
    assert_eq!(kind(&answer), ("error", "refused"), "{answer:?}");

    let server = Server::start("");
    let mut client = open(server.port, json!({}));
    client.ok("setup", ());
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
    let server = Server::start("");
    let mut client = open(server.port, json!({}));
    client.ok("setup", ());
    client.deadline_ms = 800;
    server.signal("-STOP");
    let answer = client.call("add", (), 1);
    assert_eq!(kind(&answer), ("info", "timeout"));
    assert_eq!(text(&answer), "no answer within 760 ms");
    server.signal("-CONT");
}

/// A server that greets, reads until something is published, and cuts the connection. It offers another server, and counts
/// connections and messages.
struct CuttingServer {
    port: u16,
    connections: Arc<AtomicUsize>,
    messages: Arc<AtomicUsize>,
}

impl CuttingServer {
    fn start(version: &'static str) -> CuttingServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, messages) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = (connections.clone(), messages.clone());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                counted.0.fetch_add(1, Ordering::SeqCst);
                let info = json!({"server_id": "a", "server_name": "n1", "version": version, "proto": 1, "go": "go",
                    "host": "127.0.0.1", "port": port, "headers": true, "max_payload": 1_048_576, "client_id": 1,
                    "connect_urls": [format!("127.0.0.1:{port}")]});
                let _ = stream.write_all(format!("INFO {info}\r\n").as_bytes());
                let (mut seen, mut buffer) = (String::new(), [0u8; 4096]);
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    if text.contains("PING\r\n") {
                        let _ = stream.write_all(b"PONG\r\n");
                    }
                    seen.push_str(&text);
                    if seen.contains("PUB ") && seen.ends_with("\r\n") {
                        break;
                    }
                }
                counted.1.fetch_add(seen.matches("PUB ").count(), Ordering::SeqCst);
            }
        });
        CuttingServer { port, connections, messages }
    }
}

#[test]
fn nothing_is_sent_twice_and_no_second_connection_is_opened() {
    let server = CuttingServer::start("2.10.0");
    let mut client = open(server.port, json!({}));
    let answer = client.call("add", (), 1);
    assert_eq!(kind(&answer), ("info", "lost"), "{answer:?}");
    // A library that connects again does so at the next call, or while the client waits for it.
    for value in 2..3000 {
        assert_eq!(kind(&client.call("add", (), value)), ("fail", "refused"));
    }
    assert_eq!((server.connections.load(Ordering::SeqCst), server.messages.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_server_that_is_too_old_is_refused_before_the_load() {
    let server = CuttingServer::start("2.8.4");
    let answer = open(server.port, json!({})).call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "not-supported"));
    assert!(text(&answer).contains("2.8.4, and 2.9 is the least"), "{answer:?}");
    assert_eq!(server.messages.load(Ordering::SeqCst), 0);
}
