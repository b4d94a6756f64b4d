//! A client program as dsfuzz runs it: JSON lines on its standard input and output.
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running client program. It is killed when it goes.
pub(crate) struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    calls: u64,
    /// The answer to `init`.
    pub(crate) opened: Value,
    deadline_ms: u64,
    is_final: bool,
}

/// What a client is told first.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) workload: &'static str,
    pub(crate) object: &'static str,
    pub(crate) settings: Value,
    pub(crate) params: Value,
    pub(crate) process: u64,
    pub(crate) run: String,
    /// Names and addresses of all nodes.
    pub(crate) nodes: Vec<(String, String)>,
    pub(crate) deadline_ms: u64,
    /// For final reads only.
    pub(crate) is_final: bool,
}

impl Opening {
    pub(crate) fn new(port: u16, object: &'static str) -> Opening {
        Opening {
            address: "127.0.0.1".to_owned(),
            port,
            workload: object,
            object,
            settings: json!({}),
            params: Value::Null,
            process: 0,
            run: "run-1".to_owned(),
            nodes: vec![("n1".to_owned(), "127.0.0.1".to_owned())],
            deadline_ms: 5000,
            is_final: false,
        }
    }

    pub(crate) fn settings(self, settings: Value) -> Opening {
        Opening { settings, ..self }
    }

    pub(crate) fn params(self, params: Value) -> Opening {
        Opening { params, ..self }
    }

    pub(crate) fn deadline(self, deadline_ms: u64) -> Opening {
        Opening { deadline_ms, ..self }
    }

    /// Starts the program and sends `init`, whatever it answers.
    pub(crate) fn start(&self, program: &str) -> Program {
        let node = self.nodes.iter().find(|(_, address)| *address == self.address).map_or("n1", |(name, _)| name);
        let nodes: Vec<Value> =
            self.nodes.iter().map(|(name, address)| json!({"name": name, "address": address, "ports": {}})).collect();
        let init = json!({
            "type": "init", "version": 1, "node": node, "address": self.address, "ports": {"client": self.port},
            "process": self.process, "workload": self.workload, "object": self.object, "params": self.params,
            "settings": self.settings, "run": self.run, "nodes": nodes, "deadline_ms": self.deadline_ms, "final": self.is_final,
        });
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client program, which is built with its tests");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let Opening { deadline_ms, is_final, .. } = *self;
        let mut program = Program { child, input, output, calls: 0, opened: Value::Null, deadline_ms, is_final };
        program.opened = program.exchange(&init);
        program
    }
}

impl Program {
    fn exchange(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").expect("a client that reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("a client that answers");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: `{answer}`"))
    }

    fn line(&mut self, f: &str, key: Value, value: Value) -> Value {
        self.calls += 1;
        json!({"type": "invoke", "id": self.calls, "f": f, "key": key, "value": value, "deadline_ms": self.deadline_ms,
               "final": self.is_final})
    }

    /// The whole answer to a call.
    pub(crate) fn ask(&mut self, f: &str, key: Value, value: Value) -> Value {
        let line = self.line(f, key, value);
        self.exchange(&line)
    }

    /// Sends a call and does not wait for the answer.
    pub(crate) fn send(&mut self, f: &str, key: Value, value: Value) {
        let line = self.line(f, key, value);
        writeln!(self.input, "{line}").expect("a client that reads");
    }

    /// The answer to what was sent.
    pub(crate) fn answer(&mut self) -> Value {
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("a client that answers");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: `{answer}`"))
    }

    /// The value of an ok answer.
    pub(crate) fn ok(&mut self, f: &str, key: Value, value: Value) -> Value {
        let asked = format!("{f} {key} {value}");
        let answer = self.ask(f, key, value);
        assert_eq!(answer["type"], "ok", "{asked}: {answer}");
        answer["value"].clone()
    }

    /// Type and code of an answer that is not ok.
    pub(crate) fn not_ok(&mut self, f: &str, key: Value, value: Value) -> (String, String) {
        kind(&self.ask(f, key, value))
    }
}

/// Type and code of an answer.
pub(crate) fn kind(answer: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&answer["type"]), text(&answer["error"]["code"]))
}

/// A pair to compare [`kind`] with.
pub(crate) fn is(kind: &str, code: &str) -> (String, String) {
    (kind.to_owned(), code.to_owned())
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
