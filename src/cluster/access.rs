//! [`NodeAccess`]: how a node is reached, by SSH or by a command of this machine; and what each says about a node that runs no
//! scripts.
use super::channel::{Link, ScriptOutput};
use super::connect::{self, Deadline};
use super::connect_error::NodeConnectError;
use super::exec::ExecTarget;
use super::target::SshTarget;
use std::sync::Arc;
use std::time::Duration;

/// How a node is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeAccess {
    /// By SSH. In a box, for its size.
    Ssh(Box<SshTarget>),
    /// By a command of this machine, such as `kubectl exec`.
    Exec(ExecTarget),
}

impl From<SshTarget> for NodeAccess {
    fn from(target: SshTarget) -> NodeAccess {
        NodeAccess::Ssh(Box::new(target))
    }
}

impl From<ExecTarget> for NodeAccess {
    fn from(target: ExecTarget) -> NodeAccess {
        NodeAccess::Exec(target)
    }
}

impl NodeAccess {
    /// The agent's folder on the node.
    pub fn dir(&self) -> &str {
        match self {
            NodeAccess::Ssh(target) => &target.dir,
            NodeAccess::Exec(target) => &target.dir,
        }
    }

    /// The agent's port for its peers' pings.
    pub fn ping_port(&self) -> u16 {
        match self {
            NodeAccess::Ssh(target) => target.ping_port,
            NodeAccess::Exec(target) => target.ping_port,
        }
    }

    /// The SSH host, if it is one.
    pub fn ssh(&self) -> Option<&SshTarget> {
        match self {
            NodeAccess::Ssh(target) => Some(target),
            NodeAccess::Exec(_) => None,
        }
    }

    /// The user that scripts run as.
    pub(super) fn user(&self) -> &str {
        self.ssh().map_or("root", |target| &target.user)
    }

    /// What starts scripts on the node.
    pub(super) fn connect(&self, patience: Duration, deadline: &Deadline) -> Result<Link, NodeConnectError> {
        match self {
            NodeAccess::Ssh(target) => {
                let link = Arc::new(connect::connect(target, patience, deadline)?);
                Ok(Link::Ssh { link, sudo: target.sudo })
            }
            NodeAccess::Exec(target) => Ok(Link::Exec(target.clone())),
        }
    }

    /// The error of a script that did not get its input.
    pub(super) fn input_eaten(&self, node: Arc<str>) -> NodeConnectError {
        match self {
            NodeAccess::Ssh(target) => NodeConnectError::InputEaten { node, user: target.user.clone() },
            NodeAccess::Exec(target) => NodeConnectError::InputNotPassed { node, command: target.command() },
        }
    }

    /// The error of a script that did not run.
    pub(super) fn runs_no_commands(&self, node: Arc<str>, seen: &ScriptOutput) -> NodeConnectError {
        let message = seen.words();
        let target = match self {
            NodeAccess::Ssh(target) => target,
            NodeAccess::Exec(target) => return target.failed(node, seen),
        };
        let user = target.user.clone();
        let by_sudo = message.contains("sudo") || message.contains("Sorry, ");
        match target.sudo && by_sudo {
            true if asks_for_password(&message) => NodeConnectError::SudoNeedsPassword { node, user, message },
            true => NodeConnectError::SudoFailed { node, user, message },
            false => NodeConnectError::NoShell { node, user, message },
        }
    }

    /// Whether scripts run as root; `user` is the number of their user, empty if it is not known. A login by SSH without `sudo`
    /// may be another user's; the abilities of its node say so.
    pub(super) fn root(&self, node: Arc<str>, user: &str) -> Result<(), NodeConnectError> {
        match self {
            NodeAccess::Exec(target) if user != "0" && !target.any_user => {
                Err(NodeConnectError::NotRoot { node, command: target.command(), user: user.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// sudo's message if it needs a password.
fn asks_for_password(message: &str) -> bool {
    ["a password is required", "a terminal is required to read the password", "no askpass program"]
        .iter()
        .any(|words| message.contains(words))
}
