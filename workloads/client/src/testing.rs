//! For tests of client programs: the program as a [child](Program), and a [proxy](Proxy) that cuts its connection.
use crate::lines::{Answer, Call, Init, Request, VERSION};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

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

/// What a client on loopback is told of an object.
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
        nodes: Vec::new(),
        run: "this-run".to_owned(),
        scratch: String::new(),
        deadline_ms: 5_000,
        is_final: false,
    }
}

/// A client program that is connected. It is killed when it is dropped, as dsfuzz kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    calls: u64,
    /// The deadline that calls are told, in milliseconds.
    pub deadline_ms: u64,
}

impl Program {
    /// Starts a program and tells it `init`.
    ///
    /// # Errors
    /// The answer to `init` of a client that does not connect.
    ///
    /// # Panics
    /// If the program breaks the protocol.
    pub fn open(program: &str, init: Init) -> Result<Program, Answer> {
        let deadline_ms = init.deadline_ms;
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let (input, output) = (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let mut opened = Program { child, input, output: BufReader::new(output), calls: 0, deadline_ms };
        match opened.ask(&Request::Init(Box::new(init))) {
            Answer::InitOk { .. } => Ok(opened),
            refused => Err(refused),
        }
    }

    /// Carries out a call.
    ///
    /// # Panics
    /// If the program breaks the protocol.
    pub fn call(&mut self, f: &str, key: impl Into<Value>, value: impl Into<Value>) -> Answer {
        self.calls += 1;
        let (id, deadline_ms) = (self.calls, self.deadline_ms);
        let call = Call { id, f: f.to_owned(), key: key.into(), value: value.into(), deadline_ms, is_final: false };
        self.ask(&Request::Invoke(call))
    }

    /// The reply to a call without a key that takes effect.
    ///
    /// # Panics
    /// If it does not take effect.
    pub fn ok(&mut self, f: &str, value: impl Into<Value>) -> Value {
        match self.call(f, Value::Null, value) {
            Answer::Ok { value, .. } => value,
            other => panic!("{f}: {other:?}"),
        }
    }

    /// Closes the program and waits for its end.
    ///
    /// # Panics
    /// If the program does not end well.
    pub fn close(mut self) {
        self.say(&Request::Close);
        assert!(self.child.wait().expect("its end").success(), "a client ends well");
    }

    /// Stops the program (SIGSTOP) until it goes on.
    ///
    /// # Panics
    /// If the program is gone.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets a stopped program go on.
    ///
    /// # Panics
    /// If the program is gone.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn say(&mut self, request: &Request) {
        let line = serde_json::to_string(request).expect("JSON");
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the program reads");
    }

    fn ask(&mut self, request: &Request) -> Answer {
        self.say(request);
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// A proxy on loopback before a server. It counts connections and how often the client sent a text, and cuts on demand.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    text: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    seen: AtomicUsize,
    /// How many texts it waits for until it cuts the connection; 0: it does not.
    cut_at: AtomicUsize,
    /// Whether it keeps that last text from the server.
    keeps: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy before the server on this port that looks for `text` in what the client sends.
    ///
    /// # Panics
    /// If no port is free.
    pub fn before(server: u16, text: &[u8]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (connections, seen, cut_at, keeps, open) = Default::default();
        let text = Mutex::new(text.to_vec());
        let shared = Arc::new(Shared { server, text, connections, seen, cut_at, keeps, open });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", accepting.server)) else { continue };
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                accepting.relay(client, server);
            }
        });
        Proxy { port, shared }
    }

    /// Looks for another text from now on, and counts from 0.
    ///
    /// # Panics
    /// If a thread of the proxy panicked.
    pub fn look_for(&self, text: &[u8]) {
        *self.shared.text.lock().expect("no panic") = text.to_vec();
        self.shared.seen.store(0, Ordering::SeqCst);
    }

    /// Cuts the connection as soon as the client has sent the text once more: the server gets it, the client no answer.
    pub fn cut_after_next(&self) {
        self.shared.keeps.store(false, Ordering::SeqCst);
        self.shared.cut_at.store(self.seen() + 1, Ordering::SeqCst);
    }

    /// Cuts the connection as soon as the client sends the text once more: the server does not get it.
    pub fn cut_before_next(&self) {
        self.shared.keeps.store(true, Ordering::SeqCst);
        self.shared.cut_at.store(self.seen() + 1, Ordering::SeqCst);
    }

    /// Cuts all connections now.
    ///
    /// # Panics
    /// If a thread of the proxy panicked.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often the client sent the text.
    pub fn seen(&self) -> usize {
        self.shared.seen.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn cut(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn relay(self: &Arc<Shared>, client: TcpStream, server: TcpStream) {
        let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
        self.open.lock().expect("no panic").extend([clone(&client), clone(&server)]);
        let (mut back_from, mut back_to) = (clone(&server), clone(&client));
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(Shutdown::Both);
        });
        let shared = self.clone();
        std::thread::spawn(move || shared.forward(client, server));
    }

    fn forward(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let text = self.text.lock().expect("no panic").clone();
            let found = buffer[..count].windows(text.len()).filter(|part| *part == text).count();
            let seen = self.seen.fetch_add(found, Ordering::SeqCst) + found;
            let cut_at = self.cut_at.load(Ordering::SeqCst);
            let last = found > 0 && cut_at > 0 && seen >= cut_at;
            if last {
                let _ = client.shutdown(Shutdown::Both);
                self.cut_at.store(0, Ordering::SeqCst);
            }
            if last && self.keeps.load(Ordering::SeqCst) {
                break;
            }
            if server.write_all(&buffer[..count]).is_err() {
                break;
            }
            if last {
                // The server reads all of it before it sees the end.
                let _ = server.shutdown(Shutdown::Write);
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }
}
