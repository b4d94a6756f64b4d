//! [`Session`]: a running client program that is tried, line by line.
use super::super::process::{OutputLine, Program};
use super::super::protocol::{self, ClientLine, Init, InitRefusal, ReplyContext};
use super::{ClientTrial, Rule, TrialNotes};
use crate::targets::node_commands::head;
use dsfuzz_client::lines::SETUP;
use dsfuzz_workloads::{Call, CallResponse, Endpoint, Terms};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// How long the output of a client whose input has ended may take.
const END: Duration = Duration::from_secs(5);
/// How late an answer is waited for.
const LATE: Duration = Duration::from_secs(3);
/// The node of every client.
const NODE: &str = "n1";
/// Slack of a busy machine.
const SLACK: Duration = Duration::from_millis(250);

/// A client program after its `init_ok`.
pub(super) struct Session {
    program: Program,
    meaning: ReplyContext,
    next_id: u64,
    /// Whether it wants to be asked for `setup`.
    pub(super) wants_setup: bool,
}

/// The outcome of a call.
pub(super) enum CallOutcome {
    /// Within its deadline.
    InTime(CallResponse),
    /// After it.
    Late(CallResponse, Duration),
    /// Not at all: it was silent, or its line was none.
    Not,
    /// The program ended, with these last words.
    Ended(String),
}

impl ClientTrial {
    /// Starts the program on these ports and asks for `init`. None: it did not connect; `notes` says why if that breaks a rule, and
    /// the text is its own error.
    pub(super) async fn open(
        &self,
        ports: &BTreeMap<String, u16>,
        process: u64,
        notes: &mut TrialNotes,
    ) -> Result<Session, String> {
        let exec = &self.exec;
        let mut program = self.program(process)?;
        let init = self.init(ports, process, None);
        program.send(&init).await.map_err(|error| format!("it took no line: {error}{}", program.stderr_tail()))?;
        let line = match tokio::time::timeout(self.exec.init_deadline, program.line()).await {
            Ok(Ok(OutputLine::Text(line))) => line,
            Ok(Ok(OutputLine::TooLong)) => return Err("its answer to `init` is longer than 64 MiB".to_owned()),
            Ok(Ok(OutputLine::End | OutputLine::Ended(_) | OutputLine::Malformed(_))) => {
                return Err(format!("it ended before it answered `init`{}", program.end().await));
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(self.silent(program).await),
        };
        let wants_setup = match protocol::check_init_ok(&line, &exec.workload.functions) {
            Ok(wants_setup) => wants_setup,
            Err(InitRefusal::Answered(why)) => return Err(format!("it answered `init` with an error: {why}")),
            Err(InitRefusal::Malformed(why)) => {
                notes.broken(Rule::Init, why.clone());
                return Err(why);
            }
        };
        notes.kept(Rule::Init);
        let node: Arc<str> = NODE.into();
        let meaning = ReplyContext {
            errors: exec.errors.clone(),
            node: node.clone(),
            nodes: vec![node],
            versions: protocol::asks_for_versions(&exec.workload.params),
        };
        Ok(Session { program, meaning, next_id: 1, wants_setup })
    }

    /// Starts the program.
    pub(super) fn program(&self, process: u64) -> Result<Program, String> {
        let exec = &self.exec;
        let stderr = exec.stderr_dir.join(format!("client-{process}.stderr"));
        let room = Arc::new(AtomicU64::new(super::super::STDERR_ROOM_BYTES));
        Program::start(&exec.argv, &exec.folder, &exec.env, stderr, room, exec.line_bytes_max)
            .map_err(|error| format!("it cannot be started in {}: {error}", exec.folder.display()))
    }

    /// The `init` line of a client on these ports, with its number in a program that serves several.
    pub(super) fn init(&self, ports: &BTreeMap<String, u16>, process: u64, client: Option<u64>) -> String {
        let exec = &self.exec;
        let endpoint = Endpoint {
            node: NODE.into(),
            address: "127.0.0.1".to_owned(),
            ports: ports.clone(),
            process,
            options: self.options.clone(),
            terms: self.terms(),
        };
        protocol::init_line(&Init {
            client,
            endpoint: &endpoint,
            nodes: &[],
            workload: &exec.workload,
            settings: exec.settings.get(NODE).unwrap_or(&serde_json::json!({})),
            run: &exec.run,
            scratch: &exec.stderr_dir,
        })
    }

    /// Why a client did not answer `init`: a line that was kept back comes with the end.
    async fn silent(&self, mut program: Program) -> String {
        program.end_input();
        let within = self.exec.init_deadline.as_millis();
        match tokio::time::timeout(END, program.line()).await {
            Ok(Ok(OutputLine::Text(_))) => {
                "it answers only when its input ends: flush standard output after each line".to_owned()
            }
            _ => format!("it did not answer `init` within {within} ms"),
        }
    }
}

impl Session {
    /// Makes a call and waits for its answer, also beyond the deadline.
    pub(super) async fn call(&mut self, call: &Call, terms: Terms, notes: &mut TrialNotes) -> CallOutcome {
        let id = self.next_id;
        self.next_id += 1;
        let invoke = protocol::invoke_line(id, call, terms, None);
        if let Err(error) = self.program.send(&invoke).await {
            return CallOutcome::Ended(format!("it took no more calls: {error}{}", self.program.stderr_tail()));
        }
        let began = Instant::now();
        let end = tokio::time::Instant::now() + terms.deadline + LATE;
        loop {
            let line = match tokio::time::timeout_at(end, self.program.line()).await {
                Ok(Ok(OutputLine::Text(line))) => line,
                Ok(Ok(OutputLine::End | OutputLine::Ended(_) | OutputLine::Malformed(_))) => {
                    return CallOutcome::Ended(self.program.end().await);
                }
                Ok(Ok(OutputLine::TooLong)) => return CallOutcome::Ended("its line is longer than 64 MiB".to_owned()),
                Ok(Err(error)) => return CallOutcome::Ended(error.to_string()),
                Err(_) => return CallOutcome::Not,
            };
            match protocol::reply(&line, id, call, &self.meaning) {
                ClientLine::Response(response) => {
                    let beyond = began.elapsed().saturating_sub(terms.deadline);
                    return if beyond > SLACK {
                        CallOutcome::Late(response, beyond)
                    } else {
                        CallOutcome::InTime(response)
                    };
                }
                ClientLine::Late => notes.broken(
                    Rule::Lines,
                    format!("to the call with id {id} it answered {}, the id of an earlier call", head(&line)),
                ),
                // A line that is no answer may stand before the answer.
                ClientLine::Malformed(why) if serde_json::from_str::<serde_json::Value>(&line).is_err() => {
                    notes.broken(Rule::Lines, why);
                }
                ClientLine::Malformed(why) => {
                    let rule = if why.contains("expected \"id\"") { Rule::Lines } else { Rule::Replies };
                    notes.broken(rule, format!("{why}; it was sent {}", head(&invoke)));
                    return CallOutcome::Not;
                }
                ClientLine::Unbelieved(why) => {
                    notes.broken(Rule::Replies, why);
                    return CallOutcome::Not;
                }
            }
        }
    }

    /// The answer to `setup`.
    pub(super) async fn set_up(&mut self, trial: &ClientTrial, notes: &mut TrialNotes) -> CallOutcome {
        let call = Call {
            workload: trial.exec.workload.name.clone(),
            f: SETUP.into(),
            key: dsfuzz_checkers::Value::Nil,
            value: trial.exec.workload.params.clone(),
        };
        self.call(&call, trial.terms(), notes).await
    }

    /// Ends its input, and notes whether it ends.
    pub(super) async fn end(mut self, notes: &mut TrialNotes) {
        self.program.end_input();
        let ended = tokio::time::timeout(END, async {
            while !matches!(self.program.line().await, Ok(OutputLine::End) | Err(_)) {}
        });
        match ended.await {
            Ok(()) => notes.kept(Rule::End),
            Err(_) => notes.broken(Rule::End, format!("it still ran {} s after its input had ended", END.as_secs())),
        }
    }
}
