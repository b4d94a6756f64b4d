//! The client for user programs in any language that speak JSON lines (docs/client-protocol.md).
//!
//! One program for each logical client, under a guard; several clients in one program if the recipe says so (`shared`). A client has
//! one open call at a time and is never restarted here: after Info the driver drops the client, which kills its own program with all
//! its descendants; opening the next client starts the program again. All programs die with this process, also by SIGKILL. Their standard error is kept.
mod codes;
pub mod guard;
mod process;
mod protocol;
mod shapes;
mod shared;
mod transactions;
pub mod trial;
mod values;

use super::recipe::Certainty;
use crate::cluster::Node;
use dsfuzz_checkers::Value;
use dsfuzz_client::lines::SETUP;
use dsfuzz_workloads::{
    BoxFuture, Call, CallResponse, CallResult, Client, ClientWorkload, Connect, ConnectError, Endpoint, Terms,
};
pub(super) use process::plain_words;
use process::{OutputLine, Program};
pub use protocol::asks_for_versions;
use protocol::{ClientLine, Init, InitRefusal, ReplyContext};
pub use shared::Programs;
use shared::Seat;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Longest line of a program. Final reads of large sets are long.
pub const LINE_BYTES_MAX: usize = 64 << 20;
/// Deadline of a program's end after `close`.
const CLOSE: Duration = Duration::from_secs(2);
/// Bytes kept of the standard error of all programs of a workload.
pub const STDERR_ROOM_BYTES: u64 = 64 << 20;
/// Prefix of the error of a call whose answer has the protocol's form but cannot be true: a fault of the client, which makes
/// a run unknown.
pub const UNBELIEVED: &str = "malformed: not believed: ";
/// Part of the error of a client that started but answered `init` with an error, e.g. no connection.
pub const INIT_REFUSED: &str = "answered `init` with an error";
/// The folder beside the standard error of clients for files of their own.
const SCRATCH: &str = "scratch";
/// The protocol's documentation.
const DOC: &str = "docs/client-protocol.md";

/// Opens programs as clients.
#[derive(Clone, Debug)]
pub struct ExecConnect {
    /// Program and arguments; one element alone is a script for `/bin/sh`.
    pub argv: Vec<String>,
    /// What it is called in messages, if not by its arguments.
    pub called: Option<String>,
    /// Its working folder: the recipe's.
    pub folder: PathBuf,
    /// Extra environment.
    pub env: BTreeMap<String, String>,
    /// The meanings of the program's own error codes, beyond the protocol's table.
    pub errors: BTreeMap<String, Certainty>,
    /// Deadline for the program to start and answer `init`.
    pub init_deadline: Duration,
    /// The workload it serves.
    pub workload: ClientWorkload,
    /// What the recipe says to it, for each node.
    pub settings: BTreeMap<Arc<str>, serde_json::Value>,
    /// The run's name.
    pub run: String,
    /// The nodes of the plan, which an answer may name.
    pub nodes: Vec<Node>,
    /// The folder of its standard error: a file for each process and node.
    pub stderr_dir: PathBuf,
    /// Bytes that all programs together may still write ([`STDERR_ROOM_BYTES`]).
    pub stderr_room: Arc<AtomicU64>,
    /// Longest line.
    pub line_bytes_max: usize,
    /// Programs that serve several clients. None: each client has its own.
    pub programs: Option<Arc<Programs>>,
}

impl Connect for ExecConnect {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async move {
            let client = match tokio::time::timeout(self.init_deadline, self.start(&endpoint)).await {
                Ok(started) => started,
                Err(_) => Err(format!(
                    "{} did not answer `init` within {} ms: it must print one line with \"type\":\"init_ok\" ({DOC})",
                    self.named(),
                    self.init_deadline.as_millis()
                )),
            };
            client.map(|client| Box::new(client) as Box<dyn Client>).map_err(ConnectError)
        })
    }

    /// A little longer than the program's deadline, so that its error comes first.
    fn open_deadline(&self) -> Option<Duration> {
        Some(self.init_deadline + CLOSE)
    }
}

impl ExecConnect {
    /// The reason why its program cannot be started, found without starting it.
    pub fn missing(&self) -> Option<String> {
        let error = process::missing(&self.argv, &self.folder, self.env.get("PATH").map(String::as_str))?;
        Some(format!("{} cannot be started in {}: {error}", self.named(), self.folder.display()))
    }

    fn named(&self) -> String {
        let arguments = || super::node_commands::head(&self.argv.join(" "));
        format!("client `{}`", self.called.clone().unwrap_or_else(arguments))
    }

    fn start_program(&self, stderr: PathBuf) -> Result<Program, String> {
        Program::start(&self.argv, &self.folder, &self.env, stderr, self.stderr_room.clone(), self.line_bytes_max)
            .map_err(|error| format!("{} cannot be started in {}: {error}", self.named(), self.folder.display()))
    }

    async fn start(&self, endpoint: &Endpoint) -> Result<ExecClient, String> {
        let mut program = match &self.programs {
            Some(programs) => {
                Channel::Shared(programs.seat(self).await.map_err(|why| format!("{}: {why}", self.named()))?)
            }
            None => {
                let stderr = format!("client-{}-{}.stderr", self.workload.name, endpoint.process);
                Channel::Own(Box::new(self.start_program(self.stderr_dir.join(stderr))?))
            }
        };
        let scratch = self.stderr_dir.join(SCRATCH);
        std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let settings = self.settings.get(&endpoint.node).cloned().unwrap_or_else(|| serde_json::json!({}));
        let init = protocol::init_line(&Init {
            client: program.client(),
            endpoint,
            nodes: &self.nodes,
            workload: &self.workload,
            settings: &settings,
            run: &self.run,
            scratch: &scratch,
        });
        program.send(&init).await.map_err(|error| format!("{}: {error}{}", self.named(), program.stderr_tail()))?;
        let line = match program.line().await {
            Ok(OutputLine::Text(line)) => line,
            Ok(OutputLine::End) => {
                return Err(format!("{} ended before it answered `init`{}", self.named(), program.end().await));
            }
            Ok(OutputLine::Ended(how)) => return Err(format!("{} ended before it answered `init`{how}", self.named())),
            Ok(OutputLine::Malformed(why)) => return Err(format!("{}: {why}", self.named())),
            Ok(OutputLine::TooLong) => {
                return Err(format!(
                    "{} answered `init` with a line longer than {} bytes",
                    self.named(),
                    self.line_bytes_max
                ));
            }
            Err(error) => return Err(format!("{}: {error}", self.named())),
        };
        let wants_setup = protocol::check_init_ok(&line, &self.workload.functions).map_err(|why| match why {
            InitRefusal::Answered(why) => format!("{} {INIT_REFUSED}: {why}{}", self.named(), program.stderr_tail()),
            InitRefusal::Malformed(why) => format!("{}: {why}{}", self.named(), program.stderr_tail()),
        })?;
        Ok(ExecClient {
            program,
            meaning: ReplyContext {
                errors: self.errors.clone(),
                node: endpoint.node.clone(),
                nodes: self.nodes.iter().map(|node| node.name.clone()).collect(),
                versions: asks_for_versions(&self.workload.params),
            },
            next_id: 1,
            setup: wants_setup.then(|| Call {
                workload: self.workload.name.clone(),
                f: Arc::from(SETUP),
                key: Value::Nil,
                value: self.workload.params.clone(),
            }),
        })
    }
}

/// The lines to and from a client.
enum Channel {
    /// Those of a program of its own.
    Own(Box<Program>),
    /// Those that name it, of a program that serves others, too.
    Shared(Seat),
}

impl Channel {
    fn client(&self) -> Option<u64> {
        match self {
            Channel::Own(_) => None,
            Channel::Shared(seat) => Some(seat.client),
        }
    }

    async fn send(&mut self, line: &str) -> std::io::Result<()> {
        match self {
            Channel::Own(program) => program.send(line).await,
            Channel::Shared(seat) => seat.send(line),
        }
    }

    async fn line(&mut self) -> std::io::Result<OutputLine> {
        match self {
            Channel::Own(program) => program.line().await,
            Channel::Shared(seat) => Ok(seat.line().await),
        }
    }

    async fn end(&mut self) -> String {
        match self {
            Channel::Own(program) => program.end().await,
            Channel::Shared(_) => String::new(),
        }
    }

    /// The last standard error. That of a shared program says nothing about this client, unless the program ended.
    fn stderr_tail(&self) -> String {
        match self {
            Channel::Own(program) => program.stderr_tail(),
            Channel::Shared(_) => String::new(),
        }
    }

    async fn close(self) {
        match self {
            Channel::Shared(seat) => seat.close().await,
            Channel::Own(mut program) => {
                if program.send(&protocol::close_line(None)).await.is_ok() {
                    program.end_input();
                    while !matches!(program.line().await, Ok(OutputLine::End) | Err(_)) {}
                }
            }
        }
    }
}

struct ExecClient {
    program: Channel,
    meaning: ReplyContext,
    next_id: u64,
    /// The call of [`Client::setup`], if the program wants it.
    setup: Option<Call>,
}

impl Client for ExecClient {
    fn call<'a>(&'a mut self, call: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            let id = self.next_id;
            self.next_id += 1;
            let invoke = protocol::invoke_line(id, call, terms, self.program.client());
            if let Err(error) = self.program.send(&invoke).await {
                let tail = self.program.stderr_tail();
                return CallResult::info(format!("crash: the client took no more calls: {error}{tail}")).into();
            }
            loop {
                let line = match self.program.line().await {
                    Ok(OutputLine::Text(line)) => line,
                    Ok(OutputLine::End) => {
                        let tail = self.program.end().await;
                        return CallResult::info(format!("crash: the client ended during the call{tail}")).into();
                    }
                    Ok(OutputLine::Ended(tail)) => {
                        return CallResult::info(format!("crash: the client ended during the call{tail}")).into();
                    }
                    Ok(OutputLine::Malformed(why)) => {
                        return CallResult::info(format!("malformed: {why} ({DOC})")).into();
                    }
                    Ok(OutputLine::TooLong) => {
                        return CallResult::info("malformed: the client's line is longer than allowed").into();
                    }
                    Err(error) => {
                        return CallResult::info(format!("crash: {error}{}", self.program.stderr_tail())).into();
                    }
                };
                match protocol::reply(&line, id, call, &self.meaning) {
                    ClientLine::Response(response) => return response,
                    // An answer to an earlier call, which the driver has given up.
                    ClientLine::Late => {}
                    ClientLine::Unbelieved(why) => {
                        return CallResult::info(format!("{UNBELIEVED}{why} ({DOC})")).into();
                    }
                    ClientLine::Malformed(why) => {
                        let sent = super::node_commands::head(&invoke);
                        return CallResult::info(format!("malformed: {why}; it was sent {sent} ({DOC})")).into();
                    }
                }
            }
        })
    }

    fn setup(&mut self, terms: Terms) -> BoxFuture<'_, Option<CallResult>> {
        Box::pin(async move {
            let call = self.setup.clone()?;
            Some(self.call(&call, terms).await.result)
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // In any case dropping a program of its own kills its process group.
            let _ = tokio::time::timeout(CLOSE, self.program.close()).await;
        })
    }
}
