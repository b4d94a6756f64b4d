//! [`Remotes`]: the agents as they can be reached now; `everywhere`: the same moment's questions to several of them.
use crate::cluster::{Remote, RemoteError};
use dsfuzz_nemesis::protocol::{Request, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// The agents of a cluster. Asked anew for every request, because a lost session is replaced by another.
pub trait Remotes: Send + Sync {
    /// Names of all nodes, in the plan's order.
    fn names(&self) -> Vec<String>;

    /// The node's agent, where there is a session with it now.
    fn get(&self, node: &str) -> Option<Arc<dyn Remote>>;

    /// Where the node's agent hears datagrams of its peers: its address among them, and the port of its greeting.
    fn ping_address(&self, node: &str) -> Option<(IpAddr, u16)>;
}

/// Agents whose sessions are never replaced.
pub struct FixedRemotes {
    remotes: Vec<Arc<dyn Remote>>,
    pings: Vec<(String, IpAddr, u16)>,
}

impl FixedRemotes {
    /// These agents, who hear datagrams there (node, address, port).
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

/// An answer to one request, with the node it came from.
pub(super) type NodeResponse = (String, Result<Response, RemoteError>);

/// Asks several nodes at once; the answers come in the order of the questions, all within the deadline.
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

/// One question. The deadline is held here too: a session that forgets its own must not hold up a heal.
async fn one(remote: Arc<dyn Remote>, ask: Request, deadline: Duration) -> Result<Response, RemoteError> {
    let text = format!("{ask:?}");
    let what = text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    let grace = Duration::from_millis(100);
    match tokio::time::timeout(deadline + grace, remote.ask(ask, Vec::new(), deadline)).await {
        Ok(Ok((Response::Failed(message), _))) => {
            Err(RemoteError::Refused { node: remote.node().name.clone(), message })
        }
        Ok(answer) => answer.map(|(told, _)| told),
        Err(_) => Err(RemoteError::Late { node: remote.node().name.clone(), what, deadline }),
    }
}

/// What is said of an answer that does not fit its question.
pub(super) fn unexpected(node: &str, told: &Response) -> String {
    format!("{node}: its agent gave an answer that does not fit the question: {told:?}")
}
