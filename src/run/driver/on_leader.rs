//! [`OnLeader`]: the clients that follow the leader.
use super::NodeEndpoint;
use crate::run::roles::{Leaders, Leadership};
use tokio::sync::watch;

/// The last clients of the plan, which follow the leader, so that the first ones ask every node.
#[derive(Clone, Debug)]
pub struct OnLeader {
    /// Their number.
    pub clients: u32,
    /// The nodes that lead at present.
    pub leaders: Leaders,
}

impl Default for OnLeader {
    /// None.
    fn default() -> OnLeader {
        OnLeader { clients: 0, leaders: watch::channel(Leadership::default()).1 }
    }
}

impl OnLeader {
    /// The position of the first leader from this position on, so that clients spread over several leaders and each of them
    /// stays while its own leads. None: no leader is known.
    pub(super) fn position(&self, from: usize, nodes: &[NodeEndpoint]) -> Option<usize> {
        let leadership = self.leaders.borrow();
        let leads = |position: &usize| leadership.now.iter().any(|leader| **leader == *nodes[*position].name);
        (from..nodes.len()).chain(0..from.min(nodes.len())).find(leads)
    }

    /// Waits until a leader is known, if some client follows it; for ever if none ever is.
    pub(in crate::run) async fn known(&self) {
        let mut leaders = self.leaders.clone();
        if self.clients > 0 && leaders.wait_for(|leadership| !leadership.now.is_empty()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
