//! [`Program`]: a client program as dsfuzz runs it.
use crate::lines::{Answer, Call, Init, Request};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long after a call's deadline a program may be silent, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client program that is connected. It is killed when it is dropped, as dsfuzz kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: ChildStdin,
    /// Its lines, read by a thread that ends with the program.
    output: Receiver<std::io::Result<String>>,
    calls: u64,
    is_final: bool,
    /// The functions that it carries out.
    pub functions: Vec<String>,
    /// The deadline of each call, in milliseconds.
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
        let Init { deadline_ms, is_final, .. } = init;
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let (input, output) = (child.stdin.take().expect("its input"), child.stdout.take().expect("its output"));
        let (output, functions) = (read_aside(BufReader::new(output).lines()), Vec::new());
        let mut opened = Program { child, input, output, calls: 0, is_final, functions, deadline_ms };
        opened.say(&Request::Init(Box::new(init)));
        match opened.answer() {
            Answer::InitOk { functions, .. } => {
                opened.functions = functions;
                Ok(opened)
            }
            refused => Err(refused),
        }
    }

    /// Carries out a call.
    ///
    /// # Panics
    /// If the program breaks the protocol.
    pub fn call(&mut self, f: &str, key: impl Into<Value>, value: impl Into<Value>) -> Answer {
        self.send(f, key, value);
        self.answer()
    }

    /// Sends a call and does not wait for its [answer](Self::answer).
    ///
    /// # Panics
    /// If the program is gone.
    pub fn send(&mut self, f: &str, key: impl Into<Value>, value: impl Into<Value>) {
        self.calls += 1;
        let (id, deadline_ms, is_final) = (self.calls, self.deadline_ms, self.is_final);
        let call = Call { id, f: f.to_owned(), key: key.into(), value: value.into(), deadline_ms, is_final };
        self.say(&Request::Invoke(call));
    }

    /// The next answer.
    ///
    /// # Panics
    /// If the program breaks the protocol, or is silent for long after the deadline.
    pub fn answer(&mut self) -> Answer {
        let patience = Duration::from_millis(self.deadline_ms) + PATIENCE;
        let line = self.output.recv_timeout(patience).expect("an answer or the end of the program").expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"))
    }

    /// The reply to a call without a key that takes effect.
    ///
    /// # Panics
    /// If it does not take effect.
    pub fn ok(&mut self, f: &str, value: impl Into<Value>) -> Value {
        self.ok_at(f, Value::Null, value)
    }

    /// The reply to a call on a key that takes effect.
    ///
    /// # Panics
    /// If it does not take effect.
    pub fn ok_at(&mut self, f: &str, key: impl Into<Value>, value: impl Into<Value>) -> Value {
        let (key, value) = (key.into(), value.into());
        match self.call(f, key.clone(), value.clone()) {
            Answer::Ok { value, .. } => value,
            other => panic!("{f} {key} {value}: {other:?}"),
        }
    }

    /// Closes the program and waits for its end.
    ///
    /// # Panics
    /// If the program does not end well.
    pub fn close(mut self) {
        self.say(&Request::Close);
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("its state") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "a client ends when it is closed"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.success(), "a client ends well");
    }

    /// Stops the program (SIGSTOP) until it goes on.
    ///
    /// # Panics
    /// If the program is gone.
    pub fn stop(&self) {
        super::signal(self.child.id(), "-STOP");
    }

    /// Lets a stopped program go on.
    ///
    /// # Panics
    /// If the program is gone.
    pub fn go_on(&self) {
        super::signal(self.child.id(), "-CONT");
    }

    fn say(&mut self, request: &Request) {
        let line = serde_json::to_string(request).expect("JSON");
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the program reads");
    }
}

/// Reads lines in a thread, so that they can be awaited with patience.
fn read_aside(lines: Lines<BufReader<ChildStdout>>) -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || lines.into_iter().all(|line| sender.send(line).is_ok()));
    receiver
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
