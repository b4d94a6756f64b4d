//! [`Probe`]: a question to a node and the conditions of its answer. HTTP and TCP go from the control node; commands run on the
//! node. Never: more than one connection, or a retry; the caller holds the deadline and asks again.
mod condition;
mod tcp;

pub use condition::{Bound, Condition, Pick};
pub use tcp::TcpQuestion;

use super::error::TargetError;
use super::http::HttpConnection;
use super::layout::NodeLayout;
use super::node_commands;
use super::recipe::Argv;
use super::template::{Scope, url_host};
use crate::cluster::Remote;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
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
    /// A TCP connection from the control node. Its answer is what the node sends until it closes the connection; empty if
    /// nothing is sent to it.
    Tcp(TcpQuestion),
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
    /// User, for basic authentication. Left out: none.
    #[serde(default)]
    pub user: String,
    /// Password of the user.
    #[serde(default)]
    pub password: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl HttpQuestion {
    /// The headers of its request.
    fn all_headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = self.headers.clone().into_iter().collect();
        if !self.user.is_empty() {
            let basic = BASE64_STANDARD.encode(format!("{}:{}", self.user, self.password));
            headers.push(("authorization".to_owned(), format!("Basic {basic}")));
        }
        headers
    }
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_deadline() -> Span {
    Span::seconds(2)
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
                user: scope.text(&format!("{place}.http.user"), &http.user)?,
                password: scope.text(&format!("{place}.http.password"), &http.password)?,
                headers: scope.map(&format!("{place}.http.headers"), &http.headers)?,
            }),
            Question::Tcp(tcp) => Question::Tcp(TcpQuestion {
                port: tcp.port.clone(),
                send: scope.text(&format!("{place}.tcp.send"), &tcp.send)?,
            }),
            Question::Command(argv) => Question::Command(Argv(scope.argv(&format!("{place}.command"), argv)?)),
        })
    }

    /// The role of the port it needs.
    pub fn port_role(&self) -> Option<&str> {
        match self {
            Question::Http(http) => Some(&http.port),
            Question::Tcp(tcp) => Some(&tcp.port),
            Question::Command(_) => None,
        }
    }

    /// Asks. The answer, or a sentence that says why there is none.
    pub(super) async fn ask(
        &self,
        remote: &dyn Remote,
        node: &NodeLayout,
        deadline: Duration,
    ) -> Result<String, String> {
        let authority = |role: &str| match node.ports.get(role) {
            Some(port) => Ok(format!("{}:{port}", url_host(&remote.node().address))),
            None => Err(format!("no port has the role {role:?}")),
        };
        let asking = async {
            match self {
                Question::Http(http) => ask_http(http, &authority(&http.port)?).await,
                Question::Tcp(tcp) => tcp.ask(&authority(&tcp.port)?).await,
                Question::Command(argv) => {
                    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
                    let (argv, env) = (argv.0.clone(), node.env.clone());
                    let command = Command { argv, env, deadline_ms, ..Command::default() };
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
    let reply = connection
        .send_with(&http.method, &http.path, &http.all_headers(), body)
        .await
        .map_err(|error| named(&error))?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    match reply.status.is_success() {
        true => Ok(text),
        false => Err(named(&format!("status {}: {}", reply.status, node_commands::head(&text)))),
    }
}

impl Probe {
    /// The probe of a process that has none of its own.
    pub fn tcp(role: &str) -> Probe {
        Probe { ask: Question::Tcp(TcpQuestion::to(role)), conditions: Vec::new(), deadline: default_deadline() }
    }

    /// Asks once. The answer where all conditions hold, else a sentence that says which does not.
    pub(super) async fn ask(&self, remote: &dyn Remote, node: &NodeLayout) -> Result<String, String> {
        let answer = self.ask.ask(remote, node, self.deadline.0).await?;
        match self.conditions.iter().find(|condition| !condition.holds(&answer)) {
            None => Ok(answer),
            Some(condition) => {
                Err(format!("not yet so that {condition}; it answered {}", node_commands::head(&answer)))
            }
        }
    }
}
