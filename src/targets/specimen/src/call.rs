//! A client's [`Call`] and its [`Outcome`].
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// A call of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its number on its connection.
    pub id: u64,
    /// The logical client, unique in a run.
    pub process: u64,
    /// The workload: objects of different workloads are different objects.
    pub workload: String,
    /// What it acts on: `register`, `set`, ...
    pub object: String,
    /// The function.
    pub f: String,
    /// The key; null if the object has none.
    #[serde(default)]
    pub key: Json,
    /// The argument.
    #[serde(default)]
    pub value: Json,
    /// What the workload was built with.
    #[serde(default)]
    pub params: Json,
    /// How long the client waits, in milliseconds.
    pub deadline_ms: u64,
    /// Whether it is a call after the load.
    #[serde(default, rename = "final")]
    pub is_final: bool,
}

/// To whom a reply goes: a connection and the call's number on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// The connection. Numbers are never used again.
    pub connection: u64,
    /// The call on it.
    pub id: u64,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It took effect; its reply.
    Ok(Json),
    /// It certainly had no effect and never will: code and words.
    Fail(String, String),
    /// Unknown: code and words.
    Info(String, String),
}

impl Outcome {
    /// It took effect and has no reply.
    pub fn done() -> Outcome {
        Outcome::Ok(Json::Null)
    }

    /// It certainly had no effect.
    pub fn fail(code: &str, text: impl ToString) -> Outcome {
        Outcome::Fail(code.to_owned(), text.to_string())
    }

    /// Unknown.
    pub fn info(code: &str, text: impl ToString) -> Outcome {
        Outcome::Info(code.to_owned(), text.to_string())
    }

    /// The line of the answer.
    pub fn line(&self, id: u64) -> Json {
        match self {
            Outcome::Ok(value) => json!({"id": id, "type": "ok", "value": value}),
            Outcome::Fail(code, text) => json!({"id": id, "type": "fail", "code": code, "text": text}),
            Outcome::Info(code, text) => json!({"id": id, "type": "info", "code": code, "text": text}),
        }
    }
}
