//! A driver for tests: it answers from a script, and keeps what was sent.
use crate::client::SqlClient;
use crate::driver::{Address, Driver, Outcome};
use crate::errors::SqlError;
use crate::settings::Dialect;
use dsfuzz_client::{Call, CallError, Client, Init, Reply};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;

thread_local! {
    static SENT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static SCRIPT: RefCell<VecDeque<(String, Result<Outcome, SqlError>)>> = const { RefCell::new(VecDeque::new()) };
}

/// A connection to a script. What is not in the script is answered with nothing.
#[derive(Debug)]
pub(crate) struct Scripted;

impl Driver for Scripted {
    const DIALECTS: &'static [Dialect] = &[Dialect::Postgresql];

    async fn connect(_: &Address) -> Result<Scripted, SqlError> {
        SENT.with_borrow_mut(|sent| sent.push("(connect)".to_owned()));
        Ok(Scripted)
    }

    async fn run(&mut self, statement: &str) -> Result<Outcome, SqlError> {
        if statement == "select version()" {
            return Ok(rows(&[&["PostgreSQL 15.1"]]));
        }
        if statement.contains("inet_server_addr") {
            return Ok(Outcome::default());
        }
        SENT.with_borrow_mut(|sent| sent.push(statement.to_owned()));
        SCRIPT.with_borrow_mut(|script| match script.front() {
            Some((begins, _)) if statement.starts_with(begins.as_str()) => {
                script.pop_front().map_or(Ok(Outcome::default()), |(_, answer)| answer)
            }
            _ => Ok(Outcome { affected: 1, ..Outcome::default() }),
        })
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(self) {}
}

/// Rows of texts.
pub(crate) fn rows(rows: &[&[&str]]) -> Outcome {
    let rows = rows.iter().map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect();
    Outcome { rows, ..Outcome::default() }
}

/// The first line for a client of an object.
pub(crate) fn init_of(object: &str) -> Init {
    init_with(object, json!({}))
}

/// The same with settings.
pub(crate) fn init_with(object: &str, settings: Value) -> Init {
    let node = |name: &str, address: &str| json!({"name": name, "address": address, "ports": {"client": 5432}});
    let init = json!({"version": 1, "node": "n1", "address": "10.0.0.1", "ports": {"client": 5432}, "process": 0,
        "workload": object, "object": object, "settings": settings, "run": "r1",
        "nodes": [node("n1", "10.0.0.1"), node("n2", "10.0.0.2")]});
    serde_json::from_value(init).expect("an init")
}

/// Opens a client and makes one call: its end and the statements that were sent after the script.
pub(crate) fn call_of(
    init: Init,
    script: &[(&str, Result<Outcome, SqlError>)],
    f: &str,
    value: Value,
) -> (Result<Reply, CallError>, Vec<String>) {
    let script = script.iter().map(|(begins, answer)| ((*begins).to_owned(), answer.clone())).collect();
    SCRIPT.set(script);
    SENT.take();
    let call = Call { id: 1, f: f.to_owned(), key: json!(7), value, deadline_ms: 1000, is_final: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let end = runtime.block_on(async {
        let mut client = SqlClient::<Scripted>::open(init).await.expect("a client");
        client.call(&call).await
    });
    assert_eq!(SCRIPT.with_borrow(VecDeque::len), 0, "the script was not played to its end: {:?}", SENT.take());
    (end, SENT.take())
}
