//! A mode as a process.
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn connected(port: u16) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
                return stream;
            }
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_call_of_a_function_status_is_answered_and_is_not_the_question_for_the_nodes_status() {
    let held: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports = [0, 1].map(|at| held[at].local_addr().expect("an address").port());
    drop(held);
    let data = tempfile::tempdir().expect("a folder");
    let process = Command::new(env!("CARGO_BIN_EXE_dsfuzz-specimen"))
        .args(["--mode", "two-phase", "--mistake", "none", "--me", "n1"])
        .args(["--clients", &format!("127.0.0.1:{}", ports[0]), "--nodes", &format!("n1=127.0.0.1:{}", ports[1])])
        .arg("--data")
        .arg(data.path())
        .spawn();
    let _served = Served(process.expect("the program"));
    let mut calls = connected(ports[0]);
    let call = json!({"id": 1, "process": 0, "workload": "w", "object": "commit", "f": "status", "key": 1, "deadline_ms": 1000});
    calls.write_all(format!("{call}\n").as_bytes()).expect("sent");
    let mut line = String::new();
    BufReader::new(&calls).read_line(&mut line).expect("an answer");
    let answer: Json = serde_json::from_str(&line).expect("JSON");
    assert_eq!(answer["id"], 1, "{answer}");
    let mut question = connected(ports[0]);
    question.write_all(b"{\"f\":\"status\"}\n").expect("sent");
    let mut status = String::new();
    question.read_to_string(&mut status).expect("the connection ends");
    assert!(status.contains("\"role\""), "{status}");
}
