//! [`Cluster`]: the sessions of all nodes, connected in parallel.
use super::access::NodeAccess;
use super::agent::AgentBinaries;
use super::connect_error::{NodeConnectError, NodeConnectErrors};
use super::session::{ConnectOptions, Session};
use super::{Node, Remote};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections in parallel. An sshd drops new ones from ten unauthenticated ones on (MaxStartups); a jump host sees them all.
const AT_ONCE_MAX: usize = 8;

/// Every node's session, in the order of the plan.
#[derive(Clone, Debug)]
pub struct Cluster {
    sessions: Vec<Arc<Session>>,
}

impl Cluster {
    /// Connects to all nodes; the error has every failure, not just the first. Blocks.
    pub fn connect<A: Into<NodeAccess> + Clone>(
        nodes: &[(Node, A)],
        agents: &Arc<AgentBinaries>,
        options: &ConnectOptions,
    ) -> Result<Cluster, NodeConnectErrors> {
        let nodes: Vec<(Node, NodeAccess)> =
            nodes.iter().map(|(node, access)| (node.clone(), access.clone().into())).collect();
        let errors: Vec<NodeConnectError> = nodes.iter().filter_map(|node| jump_is_node(node, &nodes)).collect();
        if !errors.is_empty() {
            return Err(NodeConnectErrors(errors));
        }
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Result<Session, NodeConnectError>>>> =
            Mutex::new(nodes.iter().map(|_| None).collect());
        std::thread::scope(|scope| {
            for _ in 0..nodes.len().min(AT_ONCE_MAX) {
                scope.spawn(|| {
                    while let Some((node, access)) = nodes.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let done = Session::connect(node.clone(), access.clone(), Arc::clone(agents), options.clone());
                        let index = nodes.iter().position(|(other, _)| other.name == node.name);
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(slot) = index.and_then(|index| results.get_mut(index)) {
                            *slot = Some(done);
                        }
                    }
                });
            }
        });
        let (mut sessions, mut errors) = (Vec::new(), Vec::new());
        for done in results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten() {
            match done {
                Ok(session) => sessions.push(Arc::new(session)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Cluster { sessions }) } else { Err(NodeConnectErrors(errors)) }
    }

    /// All sessions.
    pub fn sessions(&self) -> &[Arc<Session>] {
        &self.sessions
    }

    /// The session of a node.
    pub fn session(&self, name: &str) -> Option<&Arc<Session>> {
        self.sessions.iter().find(|session| &*session.node().name == name)
    }

    /// All sessions, behind the trait [`Remote`].
    pub fn remotes(&self) -> Vec<Arc<dyn Remote>> {
        self.sessions.iter().map(|session| Arc::clone(session) as Arc<dyn Remote>).collect()
    }

    /// What each node shares its kernel with, in words; none on a node that owns its kernel, by boot id. Only there may a real
    /// clock be stepped.
    pub fn kernel_sharers(&self) -> Vec<(Arc<str>, Option<String>)> {
        let here = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = |session: &Arc<Session>| (session.node().name.clone(), session.hello().boot_id.trim().to_owned());
        let boots: Vec<(Arc<str>, String)> = self.sessions.iter().map(boot).collect();
        let sharers = sharers(here.trim(), &boots);
        boots.into_iter().map(|(name, _)| name).zip(sharers).collect()
    }
}

/// What each kernel is shared with, by the names and boot ids of the nodes. An unknown id, here or there, proves nothing.
fn sharers(here: &str, boots: &[(Arc<str>, String)]) -> Vec<Option<String>> {
    let sharer = |at: usize, id: &str| {
        if here.is_empty() || id.is_empty() {
            return Some("an unknown machine: a boot id could not be read".to_owned());
        }
        if id == here {
            return Some("this machine".to_owned());
        }
        let others = boots.iter().enumerate().filter(|(other, (_, boot))| *other != at && boot == id);
        let names: Vec<&str> = others.map(|(_, (name, _))| &**name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    boots.iter().enumerate().map(|(at, (_, id))| sharer(at, id)).collect()
}

/// Refuses a connection through a node of the cluster, which a fault will break.
fn jump_is_node((node, access): &(Node, NodeAccess), nodes: &[(Node, NodeAccess)]) -> Option<NodeConnectError> {
    let mut jump = access.ssh()?.jump.as_deref();
    while let Some(host) = jump {
        let addresses: Vec<IpAddr> =
            (host.host.as_str(), host.port).to_socket_addrs().into_iter().flatten().map(|a| a.ip()).collect();
        let same = |(other, access): &(Node, NodeAccess)| {
            access.ssh().is_some_and(|target| target.host == host.host) || addresses.contains(&other.address)
        };
        if nodes.iter().any(same) {
            return Some(NodeConnectError::JumpIsNode { node: Arc::clone(&node.name), jump: host.host.clone() });
        }
        jump = host.jump.as_deref();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_boot_id_that_no_other_has_is_of_a_kernel_of_its_own() {
        let boots = |ids: &[&str]| -> Vec<(Arc<str>, String)> {
            ids.iter().enumerate().map(|(at, id)| (format!("n{at}").into(), (*id).to_owned())).collect()
        };
        let found = sharers("a", &boots(&["b", "c", "c", "a", ""]));
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        let unknown = Some("an unknown machine: a boot id could not be read");
        assert_eq!(found, [None, Some("n2"), Some("n1"), Some("this machine"), unknown]);
        let found = sharers("", &boots(&["b", "c"]));
        assert!(found.iter().all(|sharer| sharer.as_deref() == unknown), "{found:?}");
    }
}
