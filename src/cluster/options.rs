//! [`SshOptions`]: the `ssh` part of a plan.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to reach the nodes. What is left out comes from `~/.ssh/config`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SshOptions {
    /// User.
    pub user: Option<String>,
    /// Private key file.
    pub key: Option<PathBuf>,
    /// Environment variable that holds the key's passphrase.
    pub passphrase_env: Option<String>,
    /// Environment variable that holds the password. A password itself never stands in a plan.
    pub password_env: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Host to jump through (`user@host:port`); never a node of the cluster.
    pub jump: Option<String>,
    /// known_hosts file. Left out: the project's own (`~/.local/state/dsfuzz/known_hosts`).
    pub known_hosts: Option<PathBuf>,
    /// Refuse hosts that are not in it (default: accept new ones, never changed ones).
    pub strict: bool,
    /// Become root with `sudo -n`. Left out: when the user is not root.
    pub sudo: Option<bool>,
    /// The nodes have kernels of their own (VMs, metal), so that their real clocks may be stepped.
    pub own_kernel: bool,
    /// UDP and TCP port between the nodes on which a partition is proven. Left out: 17077.
    pub ping_port: Option<u16>,
    /// Where the agent's state and the targets' data live on a node. Left out: `/var/lib/dsfuzz`.
    pub dir: Option<String>,
}
