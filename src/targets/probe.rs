//! [`Probe`]: a question to a node and the conditions of its answer. HTTP and TCP go from the control node; commands run on the
//! node. Never: more than one connection, or a retry; the caller holds the deadline and asks again.
use super::error::TargetError;
use super::http::HttpConnection;
use super::node_commands;
use super::recipe::Argv;
use super::template::{Scope, url_host};
use crate::cluster::Remote;
use dsfuzz_nemesis::Span;
use dsfuzz_nemesis::protocol::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A question with what its answer must look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The question.
    pub ask: Question,
    /// All must hold.
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    /// Deadline of one asking.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
}

/// A question to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// An HTTP request from the control node. Its answer is the body; a status other than 2xx is no answer.
    Http(HttpQuestion),
    /// A TCP connection from the control node to the port of this role. Its answer is empty.
    Tcp(String),
    /// A command on the node. Its answer is its standard output; an exit status other than 0 is no answer.
    Command(Argv),
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpQuestion {
    /// Role of the port.
    pub port: String,
    /// Method.
    #[serde(default = "default_method")]
    pub method: String,
    /// Path, with its query.
    pub path: String,
    /// Body, sent as JSON.
    #[serde(default)]
    pub body: String,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// JSON pointer (RFC 6901), e.g. `/header/member_id`.
    Json(String),
    /// A line, counted from 1.
    Line(u32),
    /// The rest of the first line that begins so.
    After(String),
}

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Both parts are there and the same.
    Same(Pick, Pick),
    /// The part is there and is this text.
    Is {
        /// The part.
        of: Pick,
        /// The text.
        value: String,
    },
    /// The part is not there.
    Absent(Pick),
    /// The answer contains this text.
    Contains(String),
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_deadline() -> Span {
    Span::seconds(2)
}

impl Pick {
    /// The part of the answer, if it is there. JSON numbers and booleans come as text, null is not there.
    pub fn of(&self, answer: &str) -> Option<String> {
        match self {
            Pick::Json(pointer) => {
                let document: serde_json::Value = serde_json::from_str(answer).ok()?;
                match document.pointer(pointer)? {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                }
            }
            Pick::Line(number) => {
                answer.lines().nth(number.checked_sub(1)? as usize).map(|line| line.trim().to_owned())
            }
            Pick::After(start) => {
                answer.lines().find_map(|line| line.strip_prefix(start.as_str())).map(|rest| rest.trim().to_owned())
            }
        }
    }
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pick::Json(pointer) => write!(f, "{pointer}"),
            Pick::Line(number) => write!(f, "line {number}"),
            Pick::After(start) => write!(f, "what follows {start:?}"),
        }
    }
}

impl Condition {
    /// Whether the answer is so.
    pub fn holds(&self, answer: &str) -> bool {
        match self {
            Condition::Same(one, other) => one.of(answer).is_some_and(|text| other.of(answer) == Some(text)),
            Condition::Is { of, value } => of.of(answer).is_some_and(|text| text == *value),
            Condition::Absent(part) => part.of(answer).is_none(),
            Condition::Contains(text) => answer.contains(text.as_str()),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Same(one, other) => write!(f, "{one} is the same as {other}"),
            Condition::Is { of, value } => write!(f, "{of} is {value:?}"),
            Condition::Absent(part) => write!(f, "{part} is absent"),
            Condition::Contains(text) => write!(f, "the answer contains {text:?}"),
        }
    }
}

impl Question {
    /// With its texts filled in for a node.
    pub(super) fn fill(&self, scope: &Scope, place: &str) -> Result<Question, TargetError> {
        Ok(match self {
            Question::Http(http) => Question::Http(HttpQuestion {
                port: http.port.clone(),
                method: http.method.clone(),
                path: scope.text(&format!("{place}.http.path"), &http.path)?,
                body: scope.text(&format!("{place}.http.body"), &http.body)?,
            }),
            Question::Tcp(role) => Question::Tcp(role.clone()),
            Question::Command(argv) => Question::Command(Argv(scope.argv(&format!("{place}.command"), argv)?)),
        })
    }

    /// The role of the port it needs.
    pub fn port_role(&self) -> Option<&str> {
        match self {
            Question::Http(http) => Some(&http.port),
            Question::Tcp(role) => Some(role),
            Question::Command(_) => None,
        }
    }

    /// Asks. The answer, or a sentence that says why there is none.
    pub(super) async fn ask(
        &self,
        remote: &dyn Remote,
        ports: &BTreeMap<String, u16>,
        deadline: Duration,
    ) -> Result<String, String> {
        let authority = |role: &str| match ports.get(role) {
            Some(port) => Ok(format!("{}:{port}", url_host(&remote.node().address))),
            None => Err(format!("no port has the role {role:?}")),
        };
        let asking = async {
            match self {
                Question::Http(http) => ask_http(http, &authority(&http.port)?).await,
                Question::Tcp(role) => {
                    let authority = authority(role)?;
                    let connected = tokio::net::TcpStream::connect(&authority).await;
                    connected.map(|_| String::new()).map_err(|error| format!("tcp {authority}: {error}"))
                }
                Question::Command(argv) => {
                    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                    let command = Command { argv: argv.0.clone(), deadline_ms, ..Command::default() };
                    node_commands::run(remote, "probe", command).await.map_err(|error| error.to_string())
                }
            }
        };
        // A command has its deadline on the node; beyond that the agent itself must answer.
        let whole =
            if matches!(self, Question::Command(_)) { deadline + node_commands::AGENT_SLACK * 2 } else { deadline };
        tokio::time::timeout(whole, asking)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} ms", deadline.as_millis())))
    }
}

async fn ask_http(http: &HttpQuestion, authority: &str) -> Result<String, String> {
    let named = |problem: &dyn std::fmt::Display| format!("{} http://{authority}{}: {problem}", http.method, http.path);
    let mut connection = HttpConnection::open(authority).await.map_err(|error| named(&error))?;
    let body = http.body.clone().into_bytes();
    let reply = connection.send(&http.method, &http.path, body).await.map_err(|error| named(&error))?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    match reply.status.is_success() {
        true => Ok(text),
        false => Err(named(&format!("status {}: {}", reply.status, node_commands::head(&text)))),
    }
}

impl Probe {
    /// The probe of a process that has none of its own.
    pub fn tcp(role: &str) -> Probe {
        Probe { ask: Question::Tcp(role.to_owned()), conditions: Vec::new(), deadline: default_deadline() }
    }

    /// Asks once. The answer where all conditions hold, else a sentence that says which does not.
    pub(super) async fn ask(&self, remote: &dyn Remote, ports: &BTreeMap<String, u16>) -> Result<String, String> {
        let answer = self.ask.ask(remote, ports, self.deadline.0).await?;
        match self.conditions.iter().find(|condition| !condition.holds(&answer)) {
            None => Ok(answer),
            Some(condition) => {
                Err(format!("not yet so that {condition}; it answered {}", node_commands::head(&answer)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_answers() {
        let json = r#"{"header":{"member_id":"7"},"leader":"7","n":5,"none":null}"#;
        let text = "role:master\r\nmaster_repl_offset:12\n";
        let cases = [
            (Pick::Json("/leader".into()), json, Some("7")),
            (Pick::Json("/n".into()), json, Some("5")),
            (Pick::Json("/none".into()), json, None),
            (Pick::Json("/n".into()), "not json", None),
            (Pick::Line(1), text, Some("role:master")),
            (Pick::Line(0), text, None),
            (Pick::Line(9), text, None),
            (Pick::After("master_repl_offset:".into()), text, Some("12")),
            (Pick::After("offset:".into()), text, None),
        ];
        for (pick, answer, expected) in cases {
            assert_eq!(pick.of(answer).as_deref(), expected, "{pick}");
        }
        let same = |one: &str, other: &str| Condition::Same(Pick::Json(one.into()), Pick::Json(other.into()));
        assert!(same("/leader", "/header/member_id").holds(json));
        assert!(!same("/leader", "/n").holds(json));
        assert!(!same("/nothing", "/nothing").holds(json), "two absent parts are not the same");
    }
}
