//! `dsfuzz lab`: a local cluster of real nodes.
use super::Output;
use crate::error::{Exit, Failure};
use clap::{Args, Subcommand};
use std::ffi::OsString;

/// Arguments of `lab`.
#[derive(Clone, Debug, Args)]
pub struct LabArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What can be done with labs.
#[derive(Clone, Debug, Subcommand)]
pub enum LabCommand {
    /// Make a lab that stays up until `lab down`
    Up {
        /// How many nodes
        #[arg(default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=200))]
        nodes: u16,
        /// Its name
        #[arg(long, default_value = "default")]
        name: String,
    },
    /// Take labs down
    Down {
        /// Their names; left out: the only one that is up
        names: Vec<String>,
        /// Every lab
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
    /// Labs that are up, with their nodes
    List,
    /// Run a command on a node
    Exec {
        /// The node, such as n1
        node: String,
        /// The lab; left out: the only one that is up
        #[arg(long)]
        name: Option<String>,
        /// The command with its arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// A shell on a node, by ssh
    Ssh {
        /// The node, such as n1
        node: String,
        /// The lab; left out: the only one that is up
        #[arg(long)]
        name: Option<String>,
        /// Arguments for ssh, or a command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

pub(super) fn main(_args: &LabArgs, _out: &mut Output) -> Result<Exit, Failure> {
    Err(Failure::harness("lab is not wired"))
}
