//! Each form of a fault on VMs, measured as in the catalogue of labs. What was measured before is kept and not run again.
use crate::machines::Machines;
use crate::program::{cluster, command};
use std::process::{Command, Stdio};

/// Faults of a run, and seconds from one to the next: an emulated machine takes seconds for what a lab does at once.
const FAULTS: &str = "2";
const EVERY: &str = "10";

/// Runs the catalogue of `make prove` against the VMs.
pub(crate) fn catalogue(machines: &mut Machines) -> Vec<String> {
    machines.ready_for_faults();
    let names = machines.names_resolve();
    let cluster = cluster(machines, &names);
    let nodes = cluster.trim().trim_start_matches("cluster:").lines().map(str::trim).filter(|line| !line.is_empty());
    let nodes = format!("{{{}}}", nodes.collect::<Vec<_>>().join(", "));
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let program = command(&[]);
    let mut prove = Command::new(cargo);
    // The program's own settings: its agent, its folders.
    prove.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    prove.env("DSFUZZ_PROGRAM", program.get_program()).current_dir(env!("CARGO_MANIFEST_DIR"));
    prove.args(["test", "--quiet", "--test", "prove", "--", "--lines", "catalogue", "--as", "vm", "--seeds", "1"]);
    prove.args(["--cluster", &nodes, "--faults", FAULTS, "--every", EVERY, "--only", &machines.forms]);
    let done = prove.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "not as claimed ({}):\n{said}", done.status);
    said.lines().map(str::to_owned).collect()
}
