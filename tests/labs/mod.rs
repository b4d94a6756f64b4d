//! Labs of tests: a name that no other test process has, and commands in their nodes.
use dsfuzz::lab::{self, Lab, Owner};

/// A lab that goes down with this process at the latest.
pub(crate) fn new_lab(what: &str, nodes: u16) -> Lab {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, for a lab");
    lab::use_program(env!("CARGO_BIN_EXE_dsfuzz"));
    Lab::up(&format!("{what}-{}", std::process::id()), nodes, Owner::ThisProcess).expect("a lab")
}

/// What a script says in a node, which it ends well.
pub(crate) fn in_node(lab: &Lab, node: &str, script: &str) -> String {
    let done = lab.node_command(node, &["sh", "-c", script]).expect("a command").output().expect("ran");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
