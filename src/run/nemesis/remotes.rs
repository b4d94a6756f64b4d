//! [`Remotes`]: the present sessions with agents. `everywhere`: requests to several of them in parallel.
use crate::cluster::{Remote, RemoteError};
use dsfuzz_nemesis::protocol::{Request, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The agents of a cluster. Looked up for every request, because a lost session is replaced.
pub trait Remotes: Send + Sync {
    /// Names of all nodes, in the plan's order.
    fn names(&self) -> Vec<String>;

    /// The node's agent, if there is a session with it now.
    fn get(&self, node: &str) -> Option<Arc<dyn Remote>>;

    /// The address and port at which the node's agent hears datagrams of its peers.
    fn ping_address(&self, node: &str) -> Option<(IpAddr, u16)>;
}

/// Agents whose sessions are never replaced.
pub struct FixedRemotes {
    remotes: Vec<Arc<dyn Remote>>,
    pings: Vec<(String, IpAddr, u16)>,
}

impl FixedRemotes {
    /// These agents with their addresses for datagrams (node, address, port).
    pub fn new(remotes: Vec<Arc<dyn Remote>>, pings: Vec<(String, IpAddr, u16)>) -> FixedRemotes {
        FixedRemotes { remotes, pings }
    }
}

impl Remotes for FixedRemotes {
    fn names(&self) -> Vec<String> {
        self.remotes.iter().map(|remote| remote.node().name.to_string()).collect()
    }

    fn get(&self, node: &str) -> Option<Arc<dyn Remote>> {
        self.remotes.iter().find(|remote| *remote.node().name == *node).cloned()
    }

    fn ping_address(&self, node: &str) -> Option<(IpAddr, u16)> {
        let ping = self.pings.iter().find(|(name, _, _)| name == node);
        ping.map(|(_, address, port)| (*address, *port))
    }
}

/// A node with its response to a request.
pub(super) type NodeResponse = (String, Result<Response, RemoteError>);

/// Asks several nodes in parallel; the responses come in the order of the requests, all within the deadline.
pub(super) async fn everywhere(
    remotes: &Arc<dyn Remotes>,
    asks: Vec<(String, Request)>,
    deadline: Duration,
) -> Vec<NodeResponse> {
    let lost = |node: &str, message: &str| RemoteError::Lost { node: node.into(), message: message.to_owned() };
    let mut answers: Vec<NodeResponse> =
        asks.iter().map(|(node, _)| (node.clone(), Err(lost(node, "the request broke off")))).collect();
    let mut flying = JoinSet::new();
    for (position, (node, ask)) in asks.into_iter().enumerate() {
        match remotes.get(&node) {
            Some(remote) => drop(flying.spawn(async move { (position, one(remote, ask, deadline).await) })),
            None => answers[position].1 = Err(lost(&node, "no session with its agent")),
        }
    }
    while let Some(landed) = flying.join_next().await {
        if let Ok((position, answer)) = landed {
            answers[position].1 = answer;
        }
    }
    answers
}

/// One request. The deadline is held here too, so that a session without one cannot hold up a heal.
async fn one(remote: Arc<dyn Remote>, ask: Request, deadline: Duration) -> Result<Response, RemoteError> {
    let text = format!("{ask:?}");
    let what = text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    let grace = Duration::from_millis(100);
    match tokio::time::timeout(deadline + grace, remote.ask(ask, Vec::new(), deadline)).await {
        Ok(Ok((Response::Failed(message), _))) => {
            Err(RemoteError::Refused { node: remote.node().name.clone(), message })
        }
        Ok(answer) => answer.map(|(response, _)| response),
        Err(_) => Err(RemoteError::Late { node: remote.node().name.clone(), what, deadline }),
    }
}

/// The sentence for a response of the wrong kind.
pub(super) fn unexpected(node: &str, response: &Response) -> String {
    format!("{node}: its agent gave an answer that does not fit the question: {response:?}")
}
