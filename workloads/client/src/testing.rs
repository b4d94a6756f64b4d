//! For tests of client programs: the program as a [child](Program), and a [proxy](Proxy) that cuts its connection.
mod program;
mod proxy;
mod server;
mod signals;
mod sockets;

pub use program::Program;
pub use proxy::Proxy;
pub use server::{ServerProcess, started};
pub use signals::signal;
pub use sockets::{await_closed, await_cut, await_unread};

use crate::lines::{Answer, Init, NodeAddress, VERSION};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;

/// Whether something listens on a port of loopback.
///
/// A connection to a port of its own range on which nobody listens may get that port as its own, and so reach itself.
pub fn is_listening(port: u16) -> bool {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port));
    stream.is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
}

/// A port of loopback that is free now.
///
/// # Panics
/// If no port is free.
pub fn free_port() -> u16 {
    free_port_of("127.0.0.1")
}

/// A port of this address of loopback that is free now.
///
/// # Panics
/// If no port is free.
pub fn free_port_of(address: &str) -> u16 {
    TcpListener::bind((address, 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The deadline of a call in tests that are not about deadlines: longer than any call on a busy machine.
pub const DEADLINE_MS: u64 = 60_000;

/// The first line for a client of an object without settings and parameters.
pub fn plain(object: &str, port: u16) -> Init {
    init(object, port, json!({}), Value::Null)
}

/// The first line for a client on loopback.
pub fn init(object: &str, port: u16, settings: Value, params: Value) -> Init {
    Init {
        version: VERSION,
        node: "n1".to_owned(),
        address: "127.0.0.1".to_owned(),
        ports: BTreeMap::from([("client".to_owned(), port)]),
        process: 0,
        options: BTreeMap::new(),
        settings,
        workload: object.to_owned(),
        object: object.to_owned(),
        functions: Vec::new(),
        params,
        nodes: vec![NodeAddress { name: "n1".to_owned(), address: "127.0.0.1".to_owned(), ports: BTreeMap::new() }],
        run: "this-run".to_owned(),
        scratch: String::new(),
        deadline_ms: DEADLINE_MS,
        is_final: false,
    }
}

/// What a test says about an answer: its type, the code of its error, and the reply.
pub fn shown(answer: &Answer) -> (&'static str, &str, Value) {
    match answer {
        Answer::InitOk { .. } => ("init_ok", "", json!(null)),
        Answer::Ok { value, .. } => ("ok", "", value.clone()),
        Answer::Fail(error) => ("fail", &error.error.code, error.value.clone()),
        Answer::Info(error) => ("info", &error.error.code, error.value.clone()),
        Answer::Error(error) => ("error", &error.error.code, error.value.clone()),
    }
}

/// The type of an answer, and the code of its error.
pub fn kind(answer: &Answer) -> (&'static str, &str) {
    let (kind, code, _) = shown(answer);
    (kind, code)
}

/// The words of an answer's error.
pub fn text(answer: &Answer) -> &str {
    match answer {
        Answer::InitOk { .. } | Answer::Ok { .. } => "",
        Answer::Fail(error) | Answer::Info(error) | Answer::Error(error) => &error.error.text,
    }
}
