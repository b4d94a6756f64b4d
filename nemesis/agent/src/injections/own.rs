//! A fault that the recipe or the plan defines: its commands on this node. The journal has them, so that the guardian and the next
//! agent can heal it too. Their output is part of the observations.
use super::{Context, Inject, kill, new_proof, note};
use crate::journal::UndoEntry;
use crate::{launch, run, sys};
use dsfuzz_nemesis::protocol::{Command, Injection, OwnCommands, OwnProcesses, Proof};
use std::time::{Duration, Instant};

/// How long the target's processes may take to end by themselves.
const STOPPING: Duration = Duration::from_secs(5);
/// Time between two runs of `healed`.
const AGAIN: Duration = Duration::from_millis(200);
/// Time between two looks at a command that runs.
const TICK: Duration = Duration::from_millis(100);
/// Of a command's output, the last lines, each cut after this number of characters.
const LINES: usize = 6;
const CHARS: usize = 200;

/// Runs the commands of the fault of this name.
pub(super) struct Own<'a> {
    pub(super) name: &'a str,
    pub(super) services: &'a [String],
    pub(super) commands: &'a OwnCommands,
}

impl Own<'_> {
    /// Runs one of the commands, and `meanwhile` as long as it lasts: whether it ended with 0, and a sentence about it with the end
    /// of its output.
    fn run(&self, key: &str, command: &Command, meanwhile: &mut dyn FnMut()) -> (bool, String) {
        let name = self.name;
        let (mut child, ids) = match launch::command(&command.argv, &command.env, &command.cwd, &command.user) {
            Ok(ready) => ready,
            Err(reason) => return (false, format!("{name}: {key}: {reason}")),
        };
        sys::set_up(&mut child, sys::ChildSetup { ids, dies_with_parent: true, ..sys::ChildSetup::default() });
        let deadline = Duration::from_millis(command.deadline_ms);
        let ended = std::thread::scope(|scope| {
            let worker = scope.spawn(|| run::finish(child, &[], deadline));
            while !sys::await_true(TICK, || worker.is_finished()) {
                meanwhile();
            }
            worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a bug while it ran")))
        });
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => return (false, format!("{name}: {key}: {}: {error}", launch::name(&command.argv))),
        };
        let how = match ended.status {
            _ if ended.late => format!("was killed at its deadline of {} ms", deadline.as_millis()),
            Some(status) => match status.code() {
                Some(code) => format!("ended with {code}"),
                None => "was killed by a signal".to_owned(),
            },
            None => "was killed by a signal".to_owned(),
        };
        let output = [ended.stdout, ended.stderr].concat();
        let said = last_lines(&String::from_utf8_lossy(&output));
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let good = !ended.late && ended.status.is_some_and(|status| status.success());
        (good, format!("{name}: {key} {how}{said}"))
    }

    /// Runs one of the commands. The other injections in force are renewed meanwhile.
    fn run_beside(&self, key: &str, command: &Command, context: &mut Context<'_>) -> (bool, String) {
        let mut renewed_ns = 0;
        self.run(key, command, &mut || {
            let now_ns = sys::boottime_ns();
            if now_ns.saturating_sub(renewed_ns) > context.hold_ns / 4 {
                context.renew_others();
                renewed_ns = now_ns;
            }
        })
    }

    fn stop(&self, context: &Context<'_>) -> Result<(), String> {
        self.services.iter().try_for_each(|name| context.services.stop(name, libc::SIGTERM, STOPPING))
    }

    /// Starts the services that no kill in force holds.
    fn start(&self, context: &Context<'_>, proof: &mut Proof) {
        let killed = |name: &&String| kill::dead_for(name, context).is_some();
        let (held, free): (Vec<&String>, Vec<&String>) = self.services.iter().partition(killed);
        held.iter().for_each(|name| note(proof, true, format!("service {name}: stays dead for another fault")));
        kill::start_again(&free.iter().map(|name| name.as_str()).collect::<Vec<_>>(), context, proof);
    }
}

impl Inject for Own<'_> {
    /// Refused where its commands would prove nothing: they must say before it that it is gone.
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let own = |other: &&UndoEntry| matches!(&other.injection, Injection::Own { name, .. } if name == self.name);
        if let Some(other) = context.others.iter().find(own) {
            return Some(format!("{}: it is in force already, as fault {}", self.name, other.fault));
        }
        let (proven, said) = self.run("prove", &self.commands.prove, &mut || {});
        if proven {
            return Some(format!("it is in force before it began, or `prove` does not tell: {said}"));
        }
        let (healed, said) = self.run("healed", &self.commands.healed, &mut || {});
        (!healed).then(|| format!("this node is not as it should be before the fault: {said}"))
    }

    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let mut detail = Vec::new();
        if self.commands.processes != OwnProcesses::Stay {
            self.stop(context)?;
            detail.push(format!("{}: services {:?} stopped", self.name, self.services));
        }
        let (begun, said) = self.run_beside("begin", &self.commands.begin, context);
        if !begun {
            return Err(said);
        }
        detail.push(said);
        if self.commands.processes == OwnProcesses::Restart {
            let mut started = new_proof();
            self.start(context, &mut started);
            if !started.holds {
                return Err(started.detail.join("; "));
            }
            detail.extend(started.detail);
        }
        Ok(detail)
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let (holds, said) = self.run_beside("prove", &self.commands.prove, context);
        note(&mut proof, holds, said);
        proof
    }

    /// The command `healed` decides: a `heal` that fails may have had nothing to do.
    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        if self.commands.processes == OwnProcesses::Restart
            && let Err(reason) = self.stop(context)
        {
            note(&mut proof, false, reason);
            return proof;
        }
        let (_, said) = self.run_beside("heal", &self.commands.heal, context);
        note(&mut proof, true, said);
        if self.commands.processes != OwnProcesses::Stay {
            self.start(context, &mut proof);
        }
        let end = Instant::now() + Duration::from_millis(self.commands.healed.deadline_ms);
        loop {
            let (healed, said) = self.run_beside("healed", &self.commands.healed, context);
            if healed || Instant::now() + AGAIN >= end {
                note(&mut proof, healed, said);
                return proof;
            }
            std::thread::sleep(AGAIN);
        }
    }
}

/// The last lines of an output, as part of a sentence.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let cut = |line: &&str| line.chars().take(CHARS).collect::<String>();
    lines[lines.len().saturating_sub(LINES)..].iter().map(cut).collect::<Vec<_>>().join(" | ")
}
