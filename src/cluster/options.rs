//! [`SshOptions`] and [`ExecOptions`]: how a plan says that its nodes are reached.
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
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

/// Nodes that are no SSH hosts: a command of this machine runs a program in them, such as `kubectl exec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecOptions {
    /// The nodes, by name; with an address if the node is not to be asked for it: `{name: n1, address: 10.0.0.1}`.
    pub nodes: Vec<ExecNode>,
    /// The command, word by word, with the node as `{{ node }}` and `{{ address }}`: `[kubectl, exec, -i, "{{ node }}", --]`.
    /// `sh -c SCRIPT` is put behind it; it passes on standard input and output, and runs the script as root.
    pub command: Vec<String>,
    /// The nodes have kernels of their own (VMs), so that their real clocks may be stepped.
    #[serde(default)]
    pub own_kernel: bool,
    /// The command may enter a node as another user than root: `dsfuzz doctor` says which faults cannot be had then.
    #[serde(default)]
    pub any_user: bool,
    /// UDP and TCP port between the nodes on which a partition is proven. Left out: 17077.
    #[serde(default)]
    pub ping_port: Option<u16>,
    /// Where the agent's state and the targets' data live on a node. It may use `{{ node }}`. Left out: `/var/lib/dsfuzz`.
    #[serde(default)]
    pub dir: Option<String>,
}

/// A node's name, or `{name: n1, address: 10.0.0.1}`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ExecNode {
    /// Its name; the node is asked for its address.
    Name(String),
    /// Its name, and its address for its peers and the clients.
    At {
        /// Its name.
        name: String,
        /// An IP address, or a name that this machine resolves.
        address: String,
    },
}

impl ExecNode {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            ExecNode::Name(name) | ExecNode::At { name, .. } => name,
        }
    }

    /// Its address, if the plan has it.
    pub fn address(&self) -> Option<&str> {
        match self {
            ExecNode::Name(_) => None,
            ExecNode::At { address, .. } => Some(address),
        }
    }
}

// An untagged enum's only error would be "did not match any variant".
impl<'de> Deserialize<'de> for ExecNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExecNode, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            name: String,
            address: String,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ExecNode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node's name, or `{name: n1, address: 10.0.0.1}`,")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<ExecNode, E> {
                Ok(ExecNode::Name(name.into()))
            }
            fn visit_u64<E: de::Error>(self, name: u64) -> Result<ExecNode, E> {
                Ok(ExecNode::Name(name.to_string()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ExecNode, A::Error> {
                let Fields { name, address } = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ExecNode::At { name, address })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
