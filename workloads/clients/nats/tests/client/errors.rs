//! Each class of errors: what had certainly no effect, and what may have had one.
use crate::PROGRAM;
use crate::program::{Opening, Program, is, kind};
use crate::server::Server;
use dsfuzz_client::testing::free_port;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const NIL: Value = Value::Null;

fn open(port: u16, settings: Value) -> Program {
    Opening::new(port, "set").settings(settings).start(PROGRAM)
}

#[test]
fn a_second_setup_of_a_run_is_right_and_another_runs_stream_is_refused() {
    let server = Server::start("");
    for object in ["set", "register", "queue"] {
        Opening::new(server.port, object).start(PROGRAM).ok("setup", NIL, NIL);
        Opening::new(server.port, object).start(PROGRAM).ok("setup", NIL, NIL);
        let other = Opening { run: "run-2".to_owned(), ..Opening::new(server.port, object) };
        let answer = other.start(PROGRAM).ask("setup", NIL, NIL);
        assert_eq!(kind(&answer), is("fail", "exists"), "{answer}");
        assert!(answer["error"]["text"].as_str().unwrap().contains("dsfuzz run run-1"), "{answer}");
    }
    // One with the same subjects under another name.
    let answer = server.ask("$JS.API.STREAM.CREATE.mine", r#"{"name":"mine","subjects":["other.>"]}"#).unwrap();
    assert!(!answer.contains("error"), "{answer}");
    let answer = open(server.port, json!({"stream": "other"})).ask("setup", NIL, NIL);
    assert_eq!(kind(&answer), is("fail", "exists"), "{answer}");
}

#[test]
fn what_a_server_cannot_give_is_refused_before_the_load() {
    let server = Server::start("");
    let answer = open(server.port, json!({"replicas": 3})).ask("setup", NIL, NIL);
    assert_eq!(kind(&answer), is("fail", "js-resources"), "{answer}");
    let answer = open(server.port, json!({"replica": 3})).opened.clone();
    assert!(
        answer["error"]["text"].as_str().unwrap().contains("unknown key `replica` in `settings`; there are replicas, "),
        "{answer}"
    );
}

#[test]
fn users_are_told_and_a_wrong_password_is_denied() {
    let server = Server::start("authorization { user: me, password: right }");
    open(server.port, json!({"user": "me", "password": "right"})).ok("setup", NIL, NIL);
    for settings in [json!({"user": "me", "password": "wrong"}), json!({})] {
        let answer = open(server.port, settings).opened.clone();
        assert_eq!(answer["error"]["code"], "denied", "{answer}");
    }
}

#[test]
fn a_server_that_is_gone_refuses_and_one_that_dies_leaves_doubt() {
    let answer = open(free_port(), json!({})).opened.clone();
    assert_eq!(answer["error"]["code"], "refused", "{answer}");

    let server = Server::start("");
    let mut client = open(server.port, json!({}));
    client.ok("setup", NIL, NIL);
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
    let server = Server::start("");
    let mut client = Opening::new(server.port, "set").deadline(800).start(PROGRAM);
    client.ok("setup", NIL, NIL);
    server.signal("-STOP");
    let began = Instant::now();
    assert_eq!(client.not_ok("add", NIL, json!(1)), is("info", "timeout"));
    assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
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
    let answer = client.ask("add", NIL, json!(1));
    assert_eq!(kind(&answer), is("info", "lost"), "{answer}");
    assert_eq!(client.not_ok("add", NIL, json!(2)), is("fail", "refused"));
    // A library that connects again does so at once, or after some milliseconds.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((server.connections.load(Ordering::SeqCst), server.messages.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn a_server_that_is_too_old_is_refused_before_the_load() {
    let server = CuttingServer::start("2.8.4");
    let answer = open(server.port, json!({})).ask("setup", NIL, NIL);
    assert_eq!(kind(&answer), is("fail", "not-supported"));
    assert!(answer["error"]["text"].as_str().unwrap().contains("2.8.4, and 2.9 is the least"), "{answer}");
    assert_eq!(server.messages.load(Ordering::SeqCst), 0);
}
