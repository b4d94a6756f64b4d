//! Nodes that a command enters: those of a lab, by `nsenter` into their namespaces, without SSH. The answer, the proofs and what a
//! killed run leaves are those of a run over SSH.
use crate::nodes::Lab;
use crate::program::ProgramOutput;
use crate::stage::{Stage, eventually, history};
use dsfuzz_checkers::History;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAN: &str = "\
target: etcd
options: {etcd: {heartbeat_ms: 50, election_ms: 500}}
workload: {register: {keys: 4}}
load: {clients: 2n, rate: 200/s, time: 38s, deadline: 500ms}
evidence: {ok_min: 20}
nemesis:
  every: 10s
  for: 5s
  quiet_start: 2s
  quiet_end: 5s
  faults: [{partition: {shape: isolate-leader}}, {pause: {nodes: leader}}, {kill: {nodes: minority}}]
";

/// A lab whose nodes are entered through their namespaces.
struct Entered<'a> {
    stage: &'a Stage,
    lab: Lab<'a>,
    control: String,
}

impl<'a> Entered<'a> {
    fn up(stage: &'a Stage, nodes: u16) -> Entered<'a> {
        let lab = Lab::up(stage, nodes);
        let record = lab.known_hosts.with_file_name("lab.json");
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).expect("read")).expect("JSON");
        let cgroup = record["cgroup"].as_str().expect("a cgroup").to_owned();
        let init = record["init"]["pid"].as_u64().expect("a process");
        std::fs::create_dir(stage.path("ns")).expect("made");
        for node in 1..=nodes {
            let pid = first_process(Path::new(&cgroup), &format!("n{node}"));
            symlink(format!("/proc/{pid}/ns"), stage.path("ns").join(format!("n{node}"))).expect("linked");
        }
        Entered { stage, lab, control: format!("/proc/{init}/ns/net") }
    }

    /// The plan's `cluster:`. The last node is asked for its address, the others have one.
    fn cluster(&self) -> String {
        let count = self.lab.addresses.len();
        let name = |(index, address): (usize, &String)| match index + 1 == count {
            true => format!("n{count}"),
            false => format!("{{name: n{}, address: {address}}}", index + 1),
        };
        let nodes: Vec<String> = self.lab.addresses.iter().enumerate().map(name).collect();
        let ns = self.stage.path("ns").display().to_string();
        let spaces = ["mount=mnt", "uts=uts", "ipc=ipc", "net=net", "pid=pid_for_children", "cgroup=cgroup"];
        let spaces = spaces.map(|space| {
            let (flag, file) = space.split_once('=').expect("two words");
            format!("\"--{flag}={ns}/{{{{ node }}}}/{file}\"")
        });
        let command = format!("[nsenter, {}]", spaces.join(", "));
        format!("cluster:\n  exec:\n    nodes: [{}]\n    command: {command}\n", nodes.join(", "))
    }

    /// The program in the lab's control network, where the clients reach the nodes.
    fn command(&self, arguments: &[&str]) -> Command {
        self.stage.command_by(&["nsenter", &format!("--net={}", self.control)], arguments)
    }

    fn run(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::of(self.command(arguments).output().expect("ran"))
    }
}

/// The number, on this host, of a node's first process.
fn first_process(cgroup: &Path, node: &str) -> u32 {
    let pids = std::fs::read_to_string(cgroup.join(node).join("init/cgroup.procs")).expect("read");
    let is_first = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"))
    };
    pids.lines().find(is_first).and_then(|pid| pid.parse().ok()).expect("a first process")
}

/// The kinds of the faults of a run that were proven to be in force, and proven to be healed.
fn proven(history: &History) -> BTreeSet<String> {
    for fault in &history.faults {
        assert!(fault.certain().is_some() && fault.healed.is_some() && !fault.unhealed, "{fault:?}");
    }
    history.faults.iter().map(|fault| fault.kind.to_string()).collect()
}

#[test]
fn etcd_has_the_same_answer_and_the_same_proofs_as_over_ssh() {
    let stage = Stage::new();
    let entered = Entered::up(&stage, 3);
    let plan = stage.write("plan.yaml", &format!("name: entered\n{PLAN}{}", entered.cluster()));
    let ssh = stage.write("ssh.yaml", &format!("name: ssh\n{PLAN}cluster: {{lab: {}}}\n", entered.lab.name));
    entered
        .run(&["doctor", "-v", &plan])
        .exits(0)
        .says(&["these nodes can be tested", "every other node and this one hear"]);
    let mut all = Vec::new();
    for (name, plan, output) in [
        ("entered", &plan, entered.run(&["run", &plan, "--seed", "5"])),
        ("ssh", &ssh, stage.run(&["run", &ssh, "--seed", "5"])),
    ] {
        let output = output.exits(0).says(&["Valid", "3 proven faults"]);
        let dir = stage.latest(name);
        all.push((history(&dir).nodes.clone(), proven(&history(&dir))));
        for node in ["n1", "n2", "n3"] {
            assert!(dir.node(node).join("etcd.log").is_file(), "{plan}: {output}");
        }
        assert!(entered.lab.etcds().iter().all(String::is_empty), "what was tested is taken away again");
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0].1, ["kill", "partition", "pause"].map(str::to_owned).into());
    entered.run(&["heal", &plan]).exits(0).says(&["n1: nothing was left", "n3: nothing was left"]);
    assert_eq!(agents(&entered), "", "no agent is left");
}

/// What each node shows of agents: their command lines.
fn agents(entered: &Entered<'_>) -> String {
    let script = "for p in /proc/[0-9]*; do \
                  tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -aE '^[^ ]*(dsfuzz-agent[^ ]* serve|exe guard) '; done";
    ["n1", "n2", "n3"].map(|node| entered.lab.ask(node, script)).concat()
}

#[test]
fn after_kill_9_nodes_that_were_entered_clean_themselves() {
    let stage = Stage::new();
    let entered = Entered::up(&stage, 3);
    let long =
        PLAN.replace("time: 38s", "time: 120s").replace("for: 5s", "for: 90s").replace("every: 10s", "every: 100s");
    let plan = stage.write("plan.yaml", &format!("name: killed\n{long}{}", entered.cluster()));
    let mut run =
        stage.start_by(entered.command(&["run", &plan, "--seed", "5", "--set", "nemesis.faults=[partition]"]));
    let dir = stage.await_proven(&mut run);
    entered.lab.assert_dirty();
    let before = entered.lab.etcds();
    let children = children_of(run.id());
    assert!(children.iter().filter(|command| command.starts_with("nsenter")).count() >= 3, "{children:?}");
    run.kill();
    entered.lab.await_clean();
    assert_eq!(entered.lab.etcds(), before, "no etcd was started anew");
    eventually("no agent is left", Duration::from_secs(20), || agents(&entered).is_empty().then_some(()));
    let rules = entered.lab.ask("n1", "nft list ruleset");
    assert_eq!(rules, "");
    let output = stage.run(&["check", &dir.path().display().to_string()]);
    assert!((1..=2).contains(&output.code), "{output}");
    output.says(&["the recording was cut off"]);
    // The next run finds nothing to heal, and takes away what the killed one had started.
    entered.run(&["heal", &plan]).exits(0).says(&["n1: ", "n2: ", "n3: "]);
    entered.run(&["run", &plan, "--seed", "6", "--time", "5s", "--set", "nemesis=null"]).exits(0);
    assert!(entered.lab.etcds().iter().all(String::is_empty));
}

/// The command lines of a process's children.
fn children_of(parent: u32) -> Vec<String> {
    let listed = Command::new("ps").args(["-o", "args=", "--ppid", &parent.to_string()]).output().expect("ps");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}
