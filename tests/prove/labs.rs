//! [`LabOnLoan`]: labs of this process that cases use one after the other, and how their nodes look.
use crate::runs::program;
use dsfuzz::lab::{self, Lab, Owner};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const NODES: u16 = 3;
/// The last line that a node's shell prints for a command.
const DONE: &str = "done";
/// Most that agents without a control node may go on.
const AGENTS_END: Duration = Duration::from_secs(20);

/// Labs that no case uses at the moment. The last one that came back is the next one that is lent.
static IDLE: Mutex<Vec<LabForCases>> = Mutex::new(Vec::new());
/// Numbers the labs of this process.
static LABS: AtomicU64 = AtomicU64::new(0);

/// Takes every idle lab down.
pub(crate) fn take_down() {
    let idle = std::mem::take(&mut *IDLE.lock().unwrap_or_else(PoisonError::into_inner));
    std::thread::scope(|scope| {
        for lab in idle {
            scope.spawn(|| drop(lab));
        }
    });
}

/// What a plan's faults ask of the set-up of its target, so that its nodes look otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SetUp {
    /// The data of the target are below a layer that can fail.
    DiskLayers,
    /// They are not.
    Plain,
}

/// A lab with a shell on each node. It ends with this process, whatever ends that.
pub(crate) struct LabForCases {
    lab: Option<Lab>,
    shells: Vec<NodeShell>,
    /// How the nodes look while the target runs and no fault is in force, for targets of a set-up each.
    pub(crate) fit: BTreeMap<SetUp, Vec<Look>>,
}

impl LabForCases {
    /// A lab that earlier cases left as it was, or a new one.
    pub(crate) fn lend() -> Result<LabForCases, String> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(LabForCases::up, Ok)
    }

    /// Leaves the lab to other cases once the agents of its last run, which is dead, have ended. Never: a lab whose nodes are not as
    /// they were.
    ///
    /// Removes the claims of that run: the next one would wait for its clients, which have ended too.
    pub(crate) fn give_back(mut self) {
        let deadline = Instant::now() + AGENTS_END;
        while self.ask_all("agents").iter().any(|agents| !agents.is_empty()) {
            if Instant::now() > deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.ask_all("forget_claims");
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    fn up() -> Result<LabForCases, String> {
        lab::use_program(program());
        let name = format!("prove-{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let lab = Lab::up(&name, NODES, Owner::ThisProcess).map_err(|error| format!("lab up: {error:#}"))?;
        let shells = (1..=NODES).map(|node| NodeShell::start(&lab, node)).collect::<Result<_, _>>()?;
        Ok(LabForCases { lab: Some(lab), shells, fit: BTreeMap::new() })
    }

    fn lab(&self) -> &Lab {
        self.lab.as_ref().expect("it is up")
    }

    pub(crate) fn name(&self) -> &str {
        self.lab().name()
    }

    /// What a command of [`COMMANDS`] prints on each node, without its last line. Text that ends early is a shell that ended.
    fn ask_all(&mut self, command: &str) -> Vec<String> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = self.shells.iter_mut().map(|shell| scope.spawn(move || shell.ask(command))).collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic").unwrap_or_default()).collect()
        })
    }

    /// How the nodes look.
    pub(crate) fn look(&mut self) -> Vec<Look> {
        self.ask_all("look").iter().map(|text| Look::of(text)).collect()
    }

    /// The end of the log of each node that cannot be looked at.
    pub(crate) fn last_words(&self, looked: &[Look]) -> Vec<String> {
        let gone = looked.iter().zip(1..).filter(|(look, _)| !look.whole);
        gone.map(|(_, node)| {
            let path = self.lab().dir().join(format!("n{node}/log"));
            let log = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(12).collect();
            format!("n{node} cannot be looked at, its log from the end: {}", lines.join(" | "))
        })
        .collect()
    }

    pub(crate) fn kill_agents(&mut self) {
        self.ask_all("kill_agents");
    }

    pub(crate) fn kill_sshd(&mut self) {
        self.ask_all("kill_sshd");
    }

    /// Runs nft in the lab's control namespace.
    pub(crate) fn control(&self, rules: &str) -> Result<(), String> {
        let mut command = self.lab().command("nft").map_err(|error| format!("{error:#}"))?;
        let output = command.arg(rules).output().map_err(|error| format!("nft: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

impl Drop for LabForCases {
    fn drop(&mut self) {
        self.shells.clear();
        if let Some(lab) = self.lab.take()
            && let Err(error) = lab.down()
        {
            eprintln!("prove: a lab did not go down: {error:#}");
        }
    }
}

/// A shell on a node that carries out [`COMMANDS`].
struct NodeShell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl NodeShell {
    fn start(lab: &Lab, node: u16) -> Result<NodeShell, String> {
        let command = lab.node_command(&format!("n{node}"), &["bash", "-c", COMMANDS]);
        let mut command = command.map_err(|error| format!("{error:#}"))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("a shell on n{node}: {error}"))?;
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Ok(NodeShell { child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, command: &str) -> Option<String> {
        writeln!(self.input, "{command}").ok()?;
        // A damaged file may make a target write what is no text.
        let mut bytes = Vec::new();
        loop {
            let begin = bytes.len();
            if self.output.read_until(b'\n', &mut bytes).ok()? == 0 {
                return None;
            }
            if bytes[begin..].trim_ascii_end() == DONE.as_bytes() {
                bytes.truncate(begin);
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
    }
}

impl Drop for NodeShell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the shell of a node does for each line of its input.
const COMMANDS: &str = include_str!("node.bash");

/// Lines that no node has without a fault.
const UNFIT: [&str; 5] =
    ["redis is stopped", "redis does not answer", "clock of redis is off", "disk refuses", "disk is slow"];

/// A node as a look shows it.
#[derive(Clone)]
pub(crate) struct Look {
    /// The lines, without those of agents.
    lines: Vec<String>,
    /// An agent runs.
    agent: bool,
    /// The look came to its end.
    whole: bool,
}

/// The begin of the line about a Redis that does not start from its file.
const REFUSES: &str = "redis refuses its file: ";

impl Look {
    fn of(text: &str) -> Look {
        let lines = || text.lines().map(str::to_owned);
        Look {
            lines: lines().filter(|line| line != "agent" && line != "seen").collect(),
            agent: lines().any(|line| line == "agent"),
            whole: text.ends_with("seen\n"),
        }
    }

    /// Why it cannot be what a node should look like.
    pub(crate) fn unfit(&self) -> Option<&str> {
        let wrong = self.lines.iter().map(String::as_str).find(|line| UNFIT.contains(line));
        wrong.or_else(|| (!self.whole).then_some("a node cannot be looked at"))
    }

    /// What Redis says of its file if it does not start from it.
    fn refusal(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(REFUSES))
    }

    /// What differs from an earlier look, in words.
    fn differences(&self, before: &Look) -> Vec<String> {
        let added = self.lines.iter().filter(|line| !before.lines.contains(line)).map(|line| format!("new: {line}"));
        let gone = before.lines.iter().filter(|line| !self.lines.contains(line)).map(|line| format!("gone: {line}"));
        let broken = (!self.whole).then(|| "cannot be looked at".to_owned());
        added.chain(gone).chain(broken).collect()
    }
}

/// The differences of all nodes, each with its node's name. With `agents_gone`, an agent that runs is one.
pub(crate) fn differences(now: &[Look], before: &[Look], agents_gone: bool) -> Vec<String> {
    let each = now.iter().zip(before).zip(1..);
    each.flat_map(|((now, before), node)| {
        let agent = (agents_gone && now.agent).then(|| "an agent runs".to_owned());
        let all = now.differences(before).into_iter().chain(agent);
        all.map(move |line| format!("n{node}: {line}")).collect::<Vec<_>>()
    })
    .collect()
}

/// Whether a difference is what a Redis that refuses its file leaves out: its answer, its process, its cgroups.
///
/// Never: of a node whose Redis does not say so itself.
pub(crate) fn follows_refusal(line: &str, now: &[Look]) -> bool {
    let Some((node, difference)) = line.split_once(": ") else { return false };
    let refused = node.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
    let refused =
        refused.and_then(|number| now.get(number.checked_sub(1)?)).is_some_and(|look| look.refusal().is_some());
    let absent = [
        "new: redis does not answer",
        "new: redis said last: ",
        &format!("new: {REFUSES}"),
        "gone: redis ",
        "gone: cgroup ",
        "gone: limit ",
    ];
    refused && absent.iter().any(|begin| difference.starts_with(begin))
}

/// The words of a case about such a Redis.
pub(crate) const REFUSED: &str = "'s Redis refuses the damaged file";

/// The nodes whose Redis refuses its file, each with its reason.
pub(crate) fn refusals(now: &[Look]) -> Vec<String> {
    let each = now.iter().zip(1..);
    each.filter_map(|(look, node)| Some(format!("n{node}{REFUSED}: {}", look.refusal()?))).collect()
}
