//! The lines of the protocol: one JSON object on each. dsfuzz writes [`Request`], a client writes [`Answer`].
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the protocol.
pub const VERSION: u64 = 1;

/// The function that prepares the target for a workload: tables, queues, streams. It is asked once, before the load.
pub const SETUP: &str = "setup";

/// A line from dsfuzz to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// The first line. The client connects and answers `init_ok`.
    Init(Box<Init>),
    /// A call.
    Invoke(Call),
    /// The last line: the client closes its connection and ends.
    Close,
}

/// A line to a program that may serve several clients (`clients_per_program` of the recipe).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestLine {
    /// The line itself.
    #[serde(flatten)]
    pub request: Request,
    /// The client of the program that it is for. Left out to a program that serves one client, and in the `close` that ends a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
}

/// A line of a program that may serve several clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerLine {
    /// The line itself.
    #[serde(flatten)]
    pub answer: Answer,
    /// The client of the program that answers, as in the line that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
}

/// The field of a line that names its client, whatever else stands in the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ClientField {
    /// The client of the program.
    pub client: Option<u64>,
}

/// Where and how a client connects, and what it is to carry out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Init {
    /// The version of the protocol, 1.
    pub version: u64,
    /// The node to connect to.
    pub node: String,
    /// Its address.
    pub address: String,
    /// Its ports by role, as the recipe names them.
    pub ports: BTreeMap<String, u16>,
    /// The number of the logical client, unique in the run.
    pub process: u64,
    /// The recipe's options as the plan sets them, as text.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// What the recipe says to this client (`settings`), filled in for the node; an empty object if nothing.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// The workload that the calls belong to.
    pub workload: String,
    /// What the calls act on: `register`, `set`, `bank`, ... ; empty if the workload is declared in a plan.
    #[serde(default)]
    pub object: String,
    /// The functions that the workload calls.
    #[serde(default)]
    pub functions: Vec<String>,
    /// What the workload's calls are made from, as an object; null if nothing.
    #[serde(default)]
    pub params: Value,
    /// All nodes of the plan.
    #[serde(default)]
    pub nodes: Vec<NodeAddress>,
    /// The run's name.
    #[serde(default)]
    pub run: String,
    /// A folder for files of this run's clients. It exists, and is kept with the run.
    #[serde(default)]
    pub scratch: String,
    /// How long dsfuzz waits for the answer to a call, in milliseconds.
    #[serde(default = "default_deadline")]
    pub deadline_ms: u64,
    /// Whether the client makes final reads only.
    #[serde(default, rename = "final")]
    pub is_final: bool,
}

impl Init {
    /// Whether registers reply with versions: a read with `[version, value]`, a write with its version.
    pub fn versions(&self) -> bool {
        self.params.get("versions") == Some(&Value::Bool(true))
    }
}

/// A node of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeAddress {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its ports by role.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// Its number, which the answer repeats.
    pub id: u64,
    /// The function.
    pub f: String,
    /// The key; null if the object has none.
    #[serde(default)]
    pub key: Value,
    /// The argument.
    #[serde(default)]
    pub value: Value,
    /// How long dsfuzz waits for the answer, in milliseconds.
    #[serde(default = "default_deadline")]
    pub deadline_ms: u64,
    /// Whether it is a final call, after the load.
    #[serde(default, rename = "final")]
    pub is_final: bool,
}

/// The part of a call's deadline after which a client may break off by itself.
const BREAK_OFF: f64 = 0.8;

impl Call {
    /// When a client that knows more of the call than its deadline breaks off by itself: a read that got no answer had no effect, and
    /// what was taken before is known. Any other call is given up a little before the deadline, as unknown.
    pub fn break_off(&self) -> Duration {
        Duration::from_millis(self.deadline_ms).mul_f64(BREAK_OFF)
    }
}

/// A line from a client to dsfuzz.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// The client is connected.
    InitOk {
        /// The version of the protocol, 1.
        version: u64,
        /// The functions that it carries out for this workload; with `setup` if it prepares the target before the load.
        functions: Vec<String>,
    },
    /// The call took effect.
    Ok {
        /// The call's number.
        id: u64,
        /// The reply.
        #[serde(default)]
        value: Value,
        /// The node that answered, if it is not the client's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// The call certainly had no effect and never will.
    Fail(NotOk),
    /// Whether the call took effect is unknown.
    Info(NotOk),
    /// The code of the error says whether the call took effect. Also the answer to `init` of a client that cannot connect.
    Error(NotOk),
}

/// What is known of a call that did not end Ok.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotOk {
    /// The call's number; left out in an answer to `init`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The error.
    pub error: ErrorLine,
    /// The part of the reply that is known all the same.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    /// The node that answered, if it is not the client's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorLine {
    /// Its code, as in the table of the protocol or the recipe (`errors`).
    #[serde(default)]
    pub code: String,
    /// Its words.
    #[serde(default)]
    pub text: String,
}

fn default_deadline() -> u64 {
    10_000
}

fn no_settings() -> Value {
    Value::Object(serde_json::Map::new())
}
