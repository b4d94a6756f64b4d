//! Nodes and the connections to them: one SSH connection and one agent channel for each.
//!
//! All other modules speak to a node through [`Remote`], never through a shell.
mod access;
mod agent;
mod auth;
mod channel;
mod child;
mod connect;
mod connect_error;
mod connection;
mod exec;
mod host_key;
mod known_hosts;
mod offers;
mod options;
mod relay;
mod session;
mod sessions;
mod ssh_channel;
mod target;
mod transfer;

pub use access::NodeAccess;
pub(crate) use agent::sha256;
pub use agent::{AgentBinaries, AgentBinary};
pub(crate) use channel::quoted;
pub use connect_error::{NodeConnectError, NodeConnectErrors, used};
pub use exec::{ExecTarget, dir_on, resolve_exec_nodes};
pub use options::{ExecNode, ExecOptions, SshOptions};
pub use session::{AgentHello, ConnectOptions, Session};
pub use sessions::Cluster;
pub use target::DIR as NODE_DIR;
pub use target::{Secret, SshTarget, resolve_nodes};
pub use transfer::{CommandOutput, download, run, run_command, upload};

use dsfuzz_nemesis::protocol::{Request, Response};
use dsfuzz_workloads::BoxFuture;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name: `n1`, or the host as the plan wrote it.
    pub name: Arc<str>,
    /// Its address for its peers and the clients.
    pub address: IpAddr,
}

impl Node {
    /// Nodes of these names before they exist: documentation addresses (RFC 5737) stand in.
    pub fn stand_ins(names: &[String]) -> Vec<Node> {
        let address = |position: usize| Ipv4Addr::new(192, 0, 2, u8::try_from(position + 1).unwrap_or(u8::MAX));
        let node = |(position, name): (usize, &String)| Node {
            name: Arc::from(name.as_str()),
            address: address(position).into(),
        };
        names.iter().enumerate().map(node).collect()
    }
}

/// Why a request to a node's agent has no response.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The agent refused or failed.
    #[error("{node}: {message}")]
    Refused {
        /// The node.
        node: Arc<str>,
        /// The agent's message.
        message: String,
    },
    /// No response within the deadline.
    #[error("{node}: no answer to {what} within {} ms", .deadline.as_millis())]
    Late {
        /// The node.
        node: Arc<str>,
        /// The request in a word.
        what: String,
        /// The deadline.
        deadline: Duration,
    },
    /// The connection is gone.
    #[error("{node}: connection lost: {message}")]
    Lost {
        /// The node.
        node: Arc<str>,
        /// Why.
        message: String,
    },
}

/// A node's agent. [`Response::Failed`] arrives as [`RemoteError::Refused`].
pub trait Remote: Send + Sync {
    /// The node.
    fn node(&self) -> &Node;

    /// Asks the agent, with a blob and a deadline; the response may carry a blob.
    fn ask(
        &self,
        ask: Request,
        blob: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(Response, Vec<u8>), RemoteError>>;
}
