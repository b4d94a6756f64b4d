//! How a process ended, and what its end says of it.
use crate::history::{Fault, History, ProcessEvent};
use std::collections::BTreeSet;

/// A process that was started again and ends with a status within this time has failed to start.
const STARTING_MS: u64 = 10_000;
/// A server notices what a fault did to its lease or clock when the fault ends, or a little later.
const AFTER_FAULT_NS: u64 = 10_000_000_000;
/// A shell that waits for a process gives the signal that ended it as a status: this plus the signal's number.
const SHELL_SIGNAL: i64 = 128;
/// Signals of faults in the program: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
const FATAL_SIGNALS: [i64; 7] = [4, 5, 6, 7, 8, 11, 31];
/// The status of a Rust program whose main thread panicked.
const PANICKED: i64 = 101;
/// What runtimes say when nothing caught an exception: Java, .NET, Mono.
const RUNTIMES: [&str; 3] = ["Exception in thread \"main\" ", "Unhandled exception. ", "Unhandled Exception: "];
/// How the lines begin that such a runtime writes below it.
const FRAMES: [&str; 5] = ["at ", "...", "Caused by: ", "--->", "--- End of "];

pub(super) const CRASHED: &str = "crashed";
pub(super) const START_FAILED: &str = "start-failed";
pub(super) const IN_FAULT: &str = "exited-in-fault";
pub(super) const DECLARED: &str = "exited-as-declared";

/// What an end that the harness did not ask for is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A fatal signal, a signal that the harness did not send, a panic, an exception that nothing caught, or an exit that nothing explains.
    Crashed,
    /// An exit with a status, or an end that was not seen, in a fault that can provoke it.
    InFault,
    /// An end in any way on a node whose disk had failed by a fault.
    WithDisk,
    /// An end in any way on a node whose processes got no memory or descriptors by a fault.
    Denied,
    /// An exit with a status that is in order for this target.
    Declared,
    /// An exit soon after the harness had started it again.
    FailedStart,
}

impl Ending {
    /// Of an end. `ok`: statuses that are in order.
    pub(super) fn of(event: &ProcessEvent, history: &History, ok: &BTreeSet<i64>) -> Ending {
        let status = status(event);
        let exited = status.is_some_and(|status| !FATAL_SIGNALS.contains(&(status - SHELL_SIGNAL)));
        if exited && status.is_some_and(|status| ok.contains(&status)) {
            return Ending::Declared;
        }
        if exited && event.again && event.ran_ms.is_some_and(|ran| ran < STARTING_MS) {
            return Ending::FailedStart;
        }
        // A server may stop itself in any way when its disk fails, but no server sends itself SIGKILL.
        if disk_failed(event, history) && !event.how.starts_with("signal 9 ") {
            return Ending::WithDisk;
        }
        if denied(event, history) {
            return Ending::Denied;
        }
        let unexplained = !exited && !event.how.is_empty();
        match unexplained || status == Some(PANICKED) || died_of_exception(&event.detail) || !provoked(event, history) {
            true => Ending::Crashed,
            false => Ending::InFault,
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Ending::Crashed => CRASHED,
            Ending::InFault | Ending::WithDisk | Ending::Denied => IN_FAULT,
            Ending::Declared => DECLARED,
            Ending::FailedStart => START_FAILED,
        }
    }
}

/// The status of an exit: `exit 3`, `exit 3, core dumped`.
fn status(event: &ProcessEvent) -> Option<i64> {
    let rest = event.how.strip_prefix("exit ")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Whether a fault that can make a sound server end itself may have been in force then, or shortly before.
fn provoked(event: &ProcessEvent, history: &History) -> bool {
    let (from, to) = event.between.unwrap_or((0, u64::MAX));
    let around = history.faults_within(from.saturating_sub(AFTER_FAULT_NS), to);
    around.into_iter().any(|fault| provokes(fault, event, history))
}

/// Of kills and restarts only those that leave no majority, or that took other processes of this node: the rest takes nothing
/// from the processes that live.
fn provokes(fault: &Fault, event: &ProcessEvent, history: &History) -> bool {
    !ends_processes(&fault.kind)
        || fault.nodes.len() * 2 >= history.nodes.len()
        || fault.nodes.iter().any(|node| **node == *event.node)
}

/// Whether faults of this kind end processes.
pub(super) fn ends_processes(kind: &str) -> bool {
    matches!(kind, "kill" | "restart" | "power-loss")
}

/// Whether the disk of the node may have failed or lost data before this, by a fault. What is damaged stays damaged, so that the
/// heal of the fault does not matter.
pub(super) fn disk_failed(event: &ProcessEvent, history: &History) -> bool {
    let last = event.between.map_or(u64::MAX, |(_, last)| last);
    let here = |fault: &&Fault| fault.kind == "disk" && fault.nodes.iter().any(|node| **node == *event.node);
    history.faults.iter().filter(here).filter_map(Fault::possible).any(|(begin, _)| begin <= last)
}

/// Whether a fault that denies memory or descriptors to the processes of the node may have been in force then, or shortly before. The
/// kernel kills what exceeds a memory limit, and few programs go on when an allocation fails.
pub(super) fn denied(event: &ProcessEvent, history: &History) -> bool {
    let (from, to) = event.between.unwrap_or((0, u64::MAX));
    let denies = |fault: &&Fault| {
        matches!(&*fault.kind, "memory" | "descriptors") && fault.nodes.iter().any(|node| **node == *event.node)
    };
    history.faults_within(from.saturating_sub(AFTER_FAULT_NS), to).iter().any(denies)
}

/// Whether a fault was not shown to be gone.
pub(super) fn may_last(fault: &Fault) -> bool {
    fault.begun.is_some() && !fault.gone()
}

/// Whether a process said with its last lines that nothing in it caught an exception.
fn died_of_exception(lines: &[String]) -> bool {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines.iter().rposition(|line| RUNTIMES.iter().any(|words| line.starts_with(words))).is_some_and(|at| {
        // What a runtime says of its end is followed by frames of the stack only.
        lines[at + 1..].iter().all(|line| FRAMES.iter().any(|words| line.starts_with(words)))
    }) || ends_with_traceback(&lines)
}

/// Whether the last line is a Python exception, right below a frame of its traceback: a program that caught it goes on to log.
fn ends_with_traceback(lines: &[&str]) -> bool {
    let frame = |line: &&str| line.starts_with("File \"") && line.contains(", line ");
    let Some(at) = lines.iter().rposition(frame) else { return false };
    // The frame's line of code, marks below it, and the exception.
    let rest = &lines[at + 1..];
    let exception = |line: &&&str| {
        let name = line.split([':', ' ']).next().unwrap_or("");
        let word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_');
        !name.is_empty() && name.chars().all(word) && (line.len() == name.len() || line[name.len()..].starts_with(':'))
    };
    rest.len() <= 3 && rest.last().filter(exception).is_some()
}

/// Why findings of a kind are no violations.
pub(super) fn reason(kind: &str) -> Option<&'static str> {
    match kind {
        IN_FAULT => Some(
            "A fault that can make a server end itself was in force, or had ended less than 10 s before: an exit with a status \
             counts as a crash only where the recipe says `exits: {in_faults: violation}`. On a node whose disk had \
             failed by a fault, or whose processes got no memory or descriptors by one, no end does.",
        ),
        "alarm-of-failed-disk" => Some(
            "The disk of this node had failed or lost data by a fault, and a sound server says so. Acknowledged data that is lost is \
             found by the checkers of the workload.",
        ),
        DECLARED => Some("The recipe or the plan says that this exit status is in order."),
        "log-corruption" => Some(
            "A process on this node was killed before, and may have been recovering then: recovery cuts off what was half written, \
             and says so. Acknowledged data that is lost is found by the checkers of the workload.",
        ),
        _ => None,
    }
}
