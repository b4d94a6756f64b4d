//! Custom faults: commands of the recipe or the plan on this node. The journal has them, so that the guardian and the next agent
//! can heal them too. Their output is part of the observations.
use super::{Context, Inject, kill, new_proof, note};
use crate::commands::{self, RunningCommand};
use crate::journal::UndoEntry;
use crate::service::VANISHING;
use crate::{launch, run, sys};
use dsfuzz_nemesis::protocol::{Command, Injection, OwnCommands, OwnProcesses, Proof};
use std::time::{Duration, Instant};

/// How long the target's processes may take to end by themselves.
const STOPPING: Duration = Duration::from_secs(5);
/// Time between two runs of `healed`.
const AGAIN: Duration = Duration::from_millis(200);
/// Time between two looks at a command that runs.
const TICK: Duration = Duration::from_millis(100);
/// The command that proves that the fault is in force.
const PROVE: &str = "prove";
/// Of a command's output, the last lines, each cut after this number of characters.
const LINES: usize = 6;
const CHARS: usize = 200;
/// The most bytes of a `heal` that is shown: the journal keeps the sentence in one slot.
const BY_HAND_BYTES_MAX: usize = 1 << 10;
/// The least time of a command that undoes a leftover.
const SHORTEST_MS: u64 = 500;

/// The state of the node for a custom fault. Its commands may take minutes, in which other injections need that state.
pub(crate) trait NodeAccess {
    /// Does something with the state.
    fn with<T>(&mut self, act: impl FnOnce(&mut Context<'_>) -> T) -> T;
    /// Called again and again while a command runs.
    fn meanwhile(&mut self);
    /// Whether the undo of the fault waits for the command that runs.
    fn undo_is_asked(&mut self) -> bool {
        false
    }
    /// The reason to run no further command.
    fn ends(&mut self) -> Option<String>;
}

/// The state is held while a command runs; what expires is renewed.
struct Held<'a, 'b> {
    context: &'a mut Context<'b>,
    renewed_ns: u64,
}

impl<'a, 'b> Held<'a, 'b> {
    fn new(context: &'a mut Context<'b>) -> Held<'a, 'b> {
        Held { context, renewed_ns: 0 }
    }
}

impl NodeAccess for Held<'_, '_> {
    fn with<T>(&mut self, act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        act(self.context)
    }

    fn meanwhile(&mut self) {
        let now_ns = sys::boottime_ns();
        if now_ns.saturating_sub(self.renewed_ns) > self.context.hold_ns / 4 {
            self.context.renew_others();
            self.renewed_ns = now_ns;
        }
    }

    fn ends(&mut self) -> Option<String> {
        None
    }
}

/// Runs the commands of the fault of this name.
pub(crate) struct Own<'a> {
    pub(super) name: &'a str,
    pub(super) services: &'a [String],
    pub(super) commands: &'a OwnCommands,
}

impl<'a> Own<'a> {
    /// The custom fault of an injection, if it is one.
    pub(crate) fn of(injection: &'a Injection) -> Option<Own<'a>> {
        match injection {
            Injection::Own { name, services, commands } => Some(Own { name, services, commands }),
            _ => None,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// Runs one of the commands: whether it ended with 0, and a sentence about it with the end of its output.
    fn run(&self, key: &str, command: &Command, node: &mut impl NodeAccess) -> (bool, String) {
        let name = self.name;
        if let Some(why) = node.ends() {
            return (false, format!("{name}: {key} did not run: {why}"));
        }
        let (mut child, ids) = match launch::command(&command.argv, &command.env, &command.cwd, &command.user) {
            Ok(ready) => ready,
            Err(reason) => return (false, format!("{name}: {key}: {reason}")),
        };
        let running = node.with(|context| RunningCommand::begin(context.services));
        child.env(commands::MARKER, &running.mark);
        sys::set_up(&mut child, sys::ChildSetup { ids, ..sys::ChildSetup::default() });
        let deadline = Duration::from_millis(command.deadline_ms);
        let ended = std::thread::scope(|scope| {
            let worker = scope.spawn(|| run::finish(child, &[], deadline));
            while !sys::await_true(TICK, || worker.is_finished()) {
                node.meanwhile();
                // What it would prove is about to be undone.
                if key == PROVE && node.undo_is_asked() {
                    drop(running.end());
                }
            }
            worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a bug while it ran")))
        });
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => return (false, format!("{name}: {key}: {}: {error}", launch::name(&command.argv))),
        };
        let good = !ended.late && ended.status.is_some_and(|status| status.success());
        let cut_short = ended.late || ended.status.is_none() || (!good && node.ends().is_some());
        let left = if cut_short { running.end().err() } else { None };
        let how = match ended.status {
            _ if ended.late => format!("was killed at its deadline of {} ms", deadline.as_millis()),
            Some(status) => match status.code() {
                Some(code) => format!("ended with {code}"),
                None => "was killed by a signal".to_owned(),
            },
            None => "was killed by a signal".to_owned(),
        };
        let output = [ended.stdout, ended.stderr].concat();
        let said = last_lines(&String::from_utf8_lossy(&output), good);
        let left = left.map(|left| format!("; {left}")).unwrap_or_default();
        (good, format!("{name}: {key} {how}{said}{left}"))
    }

    /// Stops the services; until [`Own::start`] no other fault starts them. One that is not defined has no process of ours.
    fn stop(&self, context: &Context<'_>) -> Result<(), String> {
        context.services.memos.stop(self.name, self.services);
        let mut defined = self.services.iter().filter(|name| context.services.defined(name));
        defined.try_for_each(|name| context.services.stop(name, libc::SIGTERM, STOPPING))
    }

    /// Starts the services that no kill in force holds.
    fn start(&self, context: &Context<'_>, proof: &mut Proof) {
        context.services.memos.go_on(self.name, self.services);
        let (defined, gone): (Vec<&String>, Vec<&String>) =
            self.services.iter().partition(|name| context.services.defined(name));
        gone.iter().for_each(|name| note(proof, true, format!("service {name}: no longer defined, nothing to start")));
        let killed = |name: &&String| kill::dead_for(name, context).is_some();
        let (held, free): (Vec<&String>, Vec<&String>) = defined.into_iter().partition(killed);
        held.iter().for_each(|name| note(proof, true, format!("service {name}: stays dead for another fault")));
        kill::start_again(&free.iter().map(|name| name.as_str()).collect::<Vec<_>>(), context, proof);
    }

    /// The reason why a fault of this name cannot begin: it is in force already.
    pub(crate) fn in_force_in(&self, others: &[UndoEntry]) -> Option<String> {
        let own = |other: &&UndoEntry| matches!(&other.injection, Injection::Own { name, .. } if name == self.name);
        let other = others.iter().find(own)?;
        Some(format!("{}: it is in force already, as fault {}", self.name, other.fault))
    }

    /// The reason why a fault that stops its services cannot begin: another one starts them again and again.
    fn restarted(&self, context: &Context<'_>) -> Option<String> {
        let fault =
            kill::restarted_by(self.services, context).filter(|_| self.commands.processes != OwnProcesses::Stay)?;
        Some(format!("{}: fault {fault} restarts its services, which must stay stopped meanwhile", self.name))
    }

    /// Refused where its commands would prove nothing: they must say before it that it is gone.
    pub(crate) fn refused(&self, node: &mut impl NodeAccess) -> Option<String> {
        if let Some(reason) = node.with(|context| self.refusal(context)) {
            return Some(reason);
        }
        let (proven, said) = self.run(PROVE, &self.commands.prove, node);
        if proven {
            return Some(format!("it is in force before it began, or `prove` does not tell: {said}"));
        }
        let (healed, said) = self.run("healed", &self.commands.healed, node);
        (!healed).then(|| format!("this node is not as it should be before the fault: {said}"))
    }

    /// Begins it; the observations.
    pub(crate) fn begin(&self, node: &mut impl NodeAccess) -> Result<Vec<String>, String> {
        let mut detail = Vec::new();
        if self.commands.processes != OwnProcesses::Stay {
            node.with(|context| self.stop(context))?;
            detail.push(format!("{}: services {:?} stopped", self.name, self.services));
        }
        let (begun, said) = self.run("begin", &self.commands.begin, node);
        if !begun {
            return Err(said);
        }
        detail.push(said);
        if matches!(self.commands.processes, OwnProcesses::Restart | OwnProcesses::RestartOnce) {
            let mut started = new_proof();
            node.with(|context| self.start(context, &mut started));
            if !started.holds {
                return Err(started.detail.join("; "));
            }
            detail.extend(started.detail);
        }
        Ok(detail)
    }

    /// How long its undo may take.
    pub(crate) fn longest_undo(&self) -> Duration {
        let OwnCommands { heal, healed, .. } = self.commands;
        // The last run of `healed` may begin just before the end of its time.
        let commands = OwnCommands::may_take(&[heal, healed, healed]);
        let stops = (STOPPING + VANISHING).saturating_mul(u32::try_from(self.services.len()).unwrap_or(u32::MAX));
        commands.saturating_add(stops.saturating_mul(2))
    }

    /// Its `heal` as a line for a shell. A long one is only named.
    pub(crate) fn heal_by_hand(&self) -> String {
        let Command { argv, env, cwd, user, .. } = &self.commands.heal;
        let script = match &argv[..] {
            [script] => script.trim().to_owned(),
            words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        if script.len() > BY_HAND_BYTES_MAX || script.contains('\n') {
            return format!("`dsfuzz plan PLAN -v` prints that of {}", self.name);
        }
        let mut line = String::new();
        if !cwd.is_empty() {
            line += &format!("cd {} && ", quoted(cwd));
        }
        for (name, value) in env {
            line += &format!("export {name}={}; ", quoted(value));
        }
        line += &script;
        if user.is_empty() { line } else { format!("{line} (as {user})") }
    }

    /// Whether it is in force.
    pub(crate) fn proven(&self, node: &mut impl NodeAccess) -> Proof {
        let mut proof = new_proof();
        let (holds, said) = self.run(PROVE, &self.commands.prove, node);
        note(&mut proof, holds, said);
        proof
    }

    /// Undoes it. The command `healed` decides: a `heal` that fails may have had nothing to do. Each step comes whatever became of
    /// the one before.
    pub(crate) fn undone(&self, node: &mut impl NodeAccess) -> Proof {
        let mut proof = new_proof();
        if self.commands.processes == OwnProcesses::Restart
            && let Err(reason) = node.with(|context| self.stop(context))
        {
            note(&mut proof, false, reason);
        }
        let (_, said) = self.run("heal", &self.commands.heal, node);
        if node.ends().is_some() {
            // What comes after heals it as a whole.
            note(&mut proof, false, said);
            return proof;
        }
        note(&mut proof, true, said);
        if self.commands.processes != OwnProcesses::Stay {
            node.with(|context| self.start(context, &mut proof));
        }
        let end = Instant::now() + Duration::from_millis(self.commands.healed.deadline_ms);
        loop {
            let (healed, said) = self.run("healed", &self.commands.healed, node);
            if healed || Instant::now() + AGAIN >= end || node.ends().is_some() {
                note(&mut proof, healed, said);
                return proof;
            }
            std::thread::sleep(AGAIN);
        }
    }
}

impl Inject for Own<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        self.in_force_in(context.others).or_else(|| self.restarted(context))
    }

    fn perform(&self, _: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        self.begin(&mut Held::new(context))
    }

    fn prove(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        self.proven(&mut Held::new(context))
    }

    fn undo(&self, _: &UndoEntry, context: &mut Context<'_>) -> Proof {
        self.undone(&mut Held::new(context))
    }
}

/// Shortens the deadlines of the commands that undo a custom fault, so that they end within this time together.
pub(crate) fn shorten_undo(injection: &mut Injection, within: Duration) {
    if let Injection::Own { commands, .. } = injection {
        let part = u64::try_from(within.as_millis() / 4).unwrap_or(u64::MAX).max(SHORTEST_MS);
        commands.heal.deadline_ms = commands.heal.deadline_ms.min(2 * part);
        // The last run of `healed` may begin just before the end of its time.
        commands.healed.deadline_ms = commands.healed.deadline_ms.min(part);
    }
}

/// One word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The last lines of an output, as the end of a sentence. Of a command that failed the very last comes first: a long sentence is cut.
fn last_lines(text: &str, good: bool) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let cut = |line: &&str| line.chars().take(CHARS).collect::<String>();
    let lines: Vec<String> = lines[lines.len().saturating_sub(LINES)..].iter().map(cut).collect();
    match &lines[..] {
        [] => String::new(),
        [before @ .., last] if !good && !before.is_empty() => format!(": {last} (before it: {})", before.join(" | ")),
        lines => format!(": {}", lines.join(" | ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str], deadline_ms: u64) -> Command {
        Command { argv: argv.iter().map(|word| (*word).to_owned()).collect(), deadline_ms, ..Command::default() }
    }

    #[test]
    fn the_undo_of_a_leftover_ends_within_its_time() {
        let own = |heal_ms, healed_ms| Injection::Own {
            name: "x".to_owned(),
            services: Vec::new(),
            commands: Box::new(OwnCommands {
                heal: command(&["a"], heal_ms),
                healed: command(&["b"], healed_ms),
                ..OwnCommands::default()
            }),
        };
        let mut long = own(300_000, 40_000);
        shorten_undo(&mut long, Duration::from_secs(40));
        assert_eq!(long, own(20_000, 10_000));
        assert_eq!(Own::of(&long).map(|own| own.longest_undo()), Some(Duration::from_secs(40)));
        let mut short = own(100, 200);
        shorten_undo(&mut short, Duration::ZERO);
        assert_eq!(short, own(100, 200));
    }

    #[test]
    fn a_heal_by_hand_is_a_line_for_a_shell() {
        let said = |heal| {
            let commands = OwnCommands { heal, ..OwnCommands::default() };
            Own { name: "x", services: &[], commands: &commands }.heal_by_hand()
        };
        assert_eq!(said(command(&["rm /tmp/a"], 1)), "rm /tmp/a");
        assert_eq!(said(command(&["rm", "/tmp/it's", ""], 1)), r"rm '/tmp/it'\''s' ''");
        let placed = Command { cwd: "/a b".to_owned(), user: "db".to_owned(), ..command(&["./heal"], 1) };
        assert_eq!(said(placed), "cd '/a b' && ./heal (as db)");
        assert_eq!(said(command(&["a\nb"], 1)), "`dsfuzz plan PLAN -v` prints that of x");
    }
}
