//! `dsfuzz lab`: a local cluster of real nodes.
use super::{Output, cluster_source};
use crate::cluster::{Node, SshTarget};
use crate::error::{Exit, Failure};
use crate::lab::{self, Lab, Owner};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::process::ExitStatus;

/// Arguments of `lab`.
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// The action.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// Actions on labs.
#[derive(Clone, Debug, Subcommand)]
pub enum LabCommand {
    /// Make a lab that stays up until `lab down`
    Up {
        /// Number of nodes
        #[arg(default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=i64::from(lab::NODES_MAX)))]
        nodes: u16,
        /// Name of the lab
        #[arg(long, default_value = lab::DEFAULT_NAME)]
        name: String,
    },
    /// Take labs down
    Down {
        /// Names of the labs [default: the only one that is up]
        names: Vec<String>,
        /// Take every lab down
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Take down labs that a run uses, too: that run fails. Without this flag such a lab stays up (exit 255)
        #[arg(long)]
        take_over: bool,
    },
    /// List labs that are up, with their nodes
    List,
    /// Run a command on a node
    Exec {
        /// The node, such as n1; `control` is this machine inside the lab's network
        node: String,
        /// Name of the lab [default: the only one that is up]
        #[arg(long)]
        name: Option<String>,
        /// The command with its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Open a shell on a node with ssh
    Ssh {
        /// The node, such as n1
        node: String,
        /// Name of the lab [default: the only one that is up]
        #[arg(long)]
        name: Option<String>,
        /// Arguments for ssh, or a command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

pub(super) fn main(args: &LabArgs, out: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        LabCommand::Up { nodes, name } => up(name, *nodes, out),
        LabCommand::Down { names, all, take_over } => down(names, *all, *take_over, out),
        LabCommand::List => list(out),
        LabCommand::Exec { node, name, command } => {
            let lab = the_lab(name.as_deref())?;
            if node == CONTROL {
                let (program, rest) = has_command(command)?;
                let status = lab.command(program)?.args(rest).status();
                let status = status.map_err(|error| Failure::harness(format!("{}: {error}", program.display())))?;
                return Ok(ended(status));
            }
            has_node(&lab, node)?;
            has_command(command)?;
            Ok(ended(lab.exec(node, command)?))
        }
        LabCommand::Ssh { node, name, arguments } => {
            let lab = the_lab(name.as_deref())?;
            has_node(&lab, node)?;
            Ok(ended(lab.ssh(node, arguments)?))
        }
    }
}

/// The name under which `lab exec` means the control network and not a node.
const CONTROL: &str = "control";

fn up(name: &str, nodes: u16, out: &mut Output) -> Result<Exit, Failure> {
    let lab = Lab::up(name, nodes, Owner::Detached)?;
    if out.json {
        out.document(&described(&lab))?;
    } else {
        if lab.rootless() {
            out.note(format!("lab {name} has {}; docs/hosts.md says what is missing in it", lab.users()));
        }
        out.line(format!(
            "lab {name} is up: {nodes} {}, `cluster: {{lab: {name}}}` in a plan; `dsfuzz lab down {name}` ends it",
            if nodes == 1 { "node" } else { "nodes" }
        ));
    }
    Ok(Exit::Valid)
}

fn down(names: &[String], all: bool, take_over: bool, out: &mut Output) -> Result<Exit, Failure> {
    // A lab that a run made goes down with that run, or by its name.
    let labs = if all {
        Lab::list()?.into_iter().filter(Lab::detached).collect()
    } else if names.is_empty() {
        vec![the_lab(None)?]
    } else {
        names.iter().map(|name| cluster_source::lab(name)).collect::<Result<Vec<Lab>, Failure>>()?
    };
    if !take_over {
        refuse_used(&labs)?;
    }
    let names: Vec<String> = labs.iter().map(|lab| lab.name().to_string()).collect();
    for lab in labs {
        lab.down()?;
    }
    if out.json {
        out.document(&names)?;
    } else {
        names.iter().for_each(|name| out.line(format!("lab {name} is down")));
    }
    Ok(Exit::Valid)
}

/// Refuses labs that a run uses, before any of them is touched: the run would fail with its lab.
fn refuse_used(labs: &[Lab]) -> Result<(), Failure> {
    for lab in labs {
        let (name, by) = (lab.name(), lab.used()?);
        // Such a lab ends with its owner.
        let by = by.or_else(|| (!lab.detached()).then(|| "the command that made it is under way".to_owned()));
        if let Some(by) = by {
            let advice =
                "wait for the end of the run, or end the lab all the same with --take-over: that run then fails";
            return Err(Failure::harness(format!("lab {name} is in use: {by}; {advice}")));
        }
    }
    Ok(())
}

fn list(out: &mut Output) -> Result<Exit, Failure> {
    let labs = Lab::list()?;
    if out.json {
        out.document(&labs.iter().map(described).collect::<Vec<_>>())?;
    } else {
        let nodes = |lab: &Lab| {
            lab.nodes().iter().map(|(node, _)| format!("{} {}", node.name, node.address)).collect::<Vec<_>>().join(", ")
        };
        let row = |lab: &Lab| {
            vec![lab.name().into(), lab.supervisor_pid().to_string(), lab.users(), lab.data().into(), nodes(lab)]
        };
        let rows: Vec<Vec<String>> = labs.iter().map(row).collect();
        out.table(&["lab", "supervisor", "users", "data", "nodes"], &rows);
    }
    Ok(Exit::Valid)
}

fn described(lab: &Lab) -> serde_json::Value {
    let node = |(node, target): &(Node, SshTarget)| {
        serde_json::json!({
            "name": &*node.name, "address": node.address, "user": target.user, "port": target.port,
            "key": target.key, "known_hosts": target.known_hosts,
        })
    };
    let nodes: Vec<_> = lab.nodes().iter().map(node).collect();
    serde_json::json!({
        "name": lab.name(), "supervisor": lab.supervisor_pid(), "users": lab.users(), "data": lab.data(), "nodes": nodes,
    })
}

/// The lab of this name, or the only one that is up.
fn the_lab(name: Option<&str>) -> Result<Lab, Failure> {
    if let Some(name) = name {
        return cluster_source::lab(name);
    }
    let mut labs: Vec<Lab> = Lab::list()?.into_iter().filter(Lab::detached).collect();
    match (labs.pop(), labs.is_empty()) {
        (Some(lab), true) => Ok(lab),
        (None, _) => Err(Failure::Usage("no lab is up; `dsfuzz lab up 5` makes one".into())),
        (Some(last), false) => {
            let mut names: Vec<&str> = labs.iter().map(Lab::name).collect();
            names.push(last.name());
            Err(Failure::Usage(format!("several labs are up, so name the one that is meant: {}", names.join(", "))))
        }
    }
}

/// A node of the lab. An unknown name is a wrong argument.
fn has_node(lab: &Lab, node: &str) -> Result<(), Failure> {
    let nodes = lab.nodes();
    if nodes.iter().any(|(known, _)| *known.name == *node) {
        return Ok(());
    }
    let known: Vec<&str> = nodes.iter().map(|(known, _)| &*known.name).collect();
    Err(Failure::Usage(format!("lab {} has no node {node}; it has {}", lab.name(), known.join(", "))))
}

/// The program of a command, and its arguments.
fn has_command(command: &[OsString]) -> Result<(&OsString, &[OsString]), Failure> {
    let none = || Failure::Usage("no command: name one, such as `dsfuzz lab exec n1 hostname`".into());
    command.split_first().ok_or_else(none)
}

/// `lab exec` and `lab ssh` end with the exit code of the command.
fn ended(status: ExitStatus) -> Exit {
    Exit::Passed(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}
