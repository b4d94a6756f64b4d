//! Whether a program that serves several clients keeps them apart, and lets none wait for another.
use super::super::process::OutputLine;
use super::super::process::Program;
use super::super::protocol;
use super::{Passage, Progress, Proxy, Rule};
use crate::targets::node_commands::head;
use dsfuzz_checkers::Value;
use dsfuzz_workloads::Call;
use serde_json::Value as Json;
use std::time::Duration;

/// How long the program may take to end with its input.
const END: Duration = Duration::from_secs(5);

impl Progress<'_> {
    /// Tries it with several clients. A program that serves one only is not tried, unless its recipe says otherwise.
    pub(super) async fn several(&mut self) {
        let tried = self.try_several().await;
        self.server.set(Passage::Open);
        match tried {
            Ok(true) => self.notes.kept(Rule::Several),
            Ok(false) => {}
            Err(why) => self.notes.broken(Rule::Several, why),
        }
    }

    async fn try_several(&mut self) -> Result<bool, String> {
        let (init_deadline, deadline) = (self.trial.exec.init_deadline, self.trial.deadline);
        self.next_process += 1;
        let mut program = self.trial.program(self.next_process)?;
        let [zero, one, two] =
            [0, 1, 2].map(|client| self.trial.init(&self.server.ports, self.next_process, Some(client)));
        send(&mut program, &zero).await?;
        let answer = match line(&mut program, init_deadline, "`init`").await {
            // A program for one client need not know what to do with a number.
            Err(_) if self.trial.exec.programs.is_none() => return Ok(false),
            answer => answer?,
        };
        match client_of(&answer) {
            Some(0) => {}
            None if self.trial.exec.programs.is_none() => return Ok(false),
            _ => {
                return Err(format!(
                    "the recipe says clients_per_program, and `init` of client 0 was answered {}",
                    head(&answer)
                ));
            }
        }
        is_init_ok(&answer)?;
        send(&mut program, &one).await?;
        is_init_ok(&answer_of(&mut program, 1, init_deadline, "`init` of client 1").await?)?;
        let Some(call) = self.next_call().await else { return Ok(true) };
        self.server.set(Passage::Held);
        let terms = self.trial.terms();
        send(&mut program, &protocol::invoke_line(1, &call, terms, Some(0))).await?;
        // The program has begun it when the other client's call comes. A call that needs no server says nothing of that.
        self.server.until(Proxy::was_asked, deadline / 4).await;
        let unknown = Call { f: "no-such-function".into(), key: Value::Nil, value: Value::Nil, ..call.clone() };
        send(&mut program, &protocol::invoke_line(1, &unknown, terms, Some(1))).await?;
        // Half of the deadline: the other client's call is given up at the end of it.
        let beside = "a call of client 1, which needs no server, while client 0 waited for its own";
        answer_of(&mut program, 1, deadline / 2, beside).await?;
        self.server.set(Passage::Open);
        send(&mut program, &protocol::close_line(Some(0))).await?;
        send(&mut program, &protocol::invoke_line(2, &call, terms, Some(1))).await?;
        answer_of(&mut program, 1, deadline, "a call of client 1 after the close of client 0").await?;
        send(&mut program, &two).await?;
        is_init_ok(
            &answer_of(&mut program, 2, init_deadline, "`init` of client 2 after the close of client 0").await?,
        )?;
        program.end_input();
        let ended =
            tokio::time::timeout(END, async { while matches!(program.line().await, Ok(OutputLine::Text(_))) {} });
        ended.await.map_err(|_| format!("it still ran {} s after its input had ended", END.as_secs()))?;
        Ok(true)
    }
}

async fn send(program: &mut Program, line: &str) -> Result<(), String> {
    program.send(line).await.map_err(|error| format!("it took no line: {error}{}", program.stderr_tail()))
}

/// The next line.
async fn line(program: &mut Program, within: Duration, about: &str) -> Result<String, String> {
    match tokio::time::timeout(within, program.line()).await {
        Ok(Ok(OutputLine::Text(line))) => Ok(line),
        Ok(_) => Err(format!("it ended before it answered {about}{}", program.end().await)),
        Err(_) => Err(format!("it did not answer {about} within {} ms", within.as_millis())),
    }
}

/// The next line of this client. Lines of client 0 may come before.
async fn answer_of(program: &mut Program, client: u64, within: Duration, about: &str) -> Result<String, String> {
    let end = tokio::time::Instant::now() + within;
    loop {
        let line = match tokio::time::timeout_at(end, line(program, within, about)).await {
            Ok(line) => line?,
            Err(_) => return Err(format!("it did not answer {about} within {} ms", within.as_millis())),
        };
        match client_of(&line) {
            Some(named) if named == client => return Ok(line),
            Some(0) => {}
            _ => return Err(format!("it answered {about} with {}; expected \"client\":{client}", head(&line))),
        }
    }
}

fn client_of(line: &str) -> Option<u64> {
    serde_json::from_str::<Json>(line).ok()?.get("client")?.as_u64()
}

fn is_init_ok(line: &str) -> Result<(), String> {
    let json = serde_json::from_str::<Json>(line).unwrap_or_default();
    match json.get("type").and_then(Json::as_str) {
        Some("init_ok") => Ok(()),
        _ => Err(format!("it answered `init` of a client with {}", head(line))),
    }
}
