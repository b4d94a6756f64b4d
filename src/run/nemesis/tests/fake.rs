//! A cluster in memory: agents whose datagrams pass a matrix of rules, with switches for failures.
use crate::cluster::{Node, Remote, RemoteError};
use dsfuzz_nemesis::protocol::{
    Command, HeardPing, Injection, OwnCommands, PingTarget, Proof, Request, Response, SelfHeal, ServiceState,
};
use dsfuzz_nemesis::{ClusterView, NodeView};
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A failure on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wrong {
    /// Injections are answered with success and do nothing.
    pub(super) deaf_to_injections: bool,
    /// Killed services have processes again at once.
    pub(super) revives: bool,
    /// Injections are refused.
    pub(super) refuses_injections: bool,
    /// Injections happen without a response.
    pub(super) mute_on_injections: bool,
    /// This number of undos is lost with the connection.
    pub(super) undos_lost: u32,
    /// No datagram reaches it, despite its rules.
    pub(super) unplugged: bool,
    /// Proofs do not end.
    pub(super) endless_proofs: bool,
    /// Proofs do not hold.
    pub(super) disproves: bool,
    /// No request reaches it.
    pub(super) unreachable: bool,
    /// Undos take this long, and hold or not.
    pub(super) undos: Option<(Duration, bool)>,
}

#[derive(Default)]
pub(super) struct FakeNode {
    pub(super) wrong: Wrong,
    injections: BTreeMap<u64, Injection>,
    /// Dropped packets by fault: as in the kernel, only the first rule counts a packet.
    dropped: BTreeMap<u64, u64>,
    heard: BTreeMap<u64, Vec<HeardPing>>,
    /// Addresses beside the first.
    pub(super) more: Vec<IpAddr>,
    /// Addresses that the rules do not know.
    pub(super) undropped: Vec<IpAddr>,
    /// Datagrams of the agents do not arrive; handshakes do.
    pub(super) filtered: bool,
    pub(super) stopped_before: bool,
    pub(super) by_itself: Vec<SelfHeal>,
    pub(super) undone: Vec<u64>,
    /// The times at which undos were asked for, in milliseconds.
    pub(super) undos_asked: Vec<u64>,
}

/// The whole cluster; its nodes' boot-time clocks are all ahead of the control node's by `BOOT_AHEAD_NS`.
pub(super) struct FakeCluster {
    nodes: Mutex<BTreeMap<String, FakeNode>>,
    born: tokio::time::Instant,
}

/// The commands of the custom fault `mark`.
fn commands() -> OwnCommands {
    let command = Command { argv: vec!["true".to_owned()], deadline_ms: 20_000, ..Command::default() };
    let (begin, prove, heal, healed) = (command.clone(), command.clone(), command.clone(), command);
    OwnCommands { begin, prove, heal, healed, ..OwnCommands::default() }
}

pub(super) const BOOT_AHEAD_NS: u64 = 5_000_000_000_000;

fn address(name: &str) -> IpAddr {
    let number: u8 = name[1..].parse().expect("nodes are called n1, n2, ..");
    [10, 0, 0, number].into()
}

impl FakeCluster {
    pub(super) fn of(nodes: usize) -> Arc<FakeCluster> {
        let nodes = (1..=nodes).map(|number| (format!("n{number}"), FakeNode::default())).collect();
        Arc::new(FakeCluster { nodes: Mutex::new(nodes), born: tokio::time::Instant::now() })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FakeNode>> {
        self.nodes.lock().expect("no test panics while it holds the cluster")
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut FakeNode)) {
        change(self.lock().get_mut(name).expect("a node"));
    }

    pub(super) fn remotes(self: &Arc<Self>) -> Vec<Arc<dyn Remote>> {
        let remote = |name: String| -> Arc<dyn Remote> {
            let node = Node { name: name.as_str().into(), address: address(&name) };
            Arc::new(FakeRemote { node, cluster: self.clone() })
        };
        self.names().into_iter().map(remote).collect()
    }

    pub(super) fn pings(&self) -> Vec<(String, IpAddr, u16)> {
        self.names().into_iter().map(|name| (name.clone(), address(&name), 7)).collect()
    }

    pub(super) fn view(&self, leader: Option<&str>) -> ClusterView {
        let node = |name: String| NodeView {
            address: address(&name),
            name,
            others: Vec::new(),
            ports: vec![80],
            port_roles: BTreeMap::new(),
            services: vec!["db".to_owned()],
            own_kernel: false,
        };
        ClusterView {
            nodes: self.names().into_iter().map(node).collect(),
            leaders: leader.map(str::to_owned).into_iter().collect(),
            control_boot_id: "control".to_owned(),
            own: self.names().into_iter().map(|name| (name, [("mark".to_owned(), commands())].into())).collect(),
            ..ClusterView::default()
        }
    }

    /// Nanoseconds since the cluster was made: the control node's clock.
    pub(super) fn control_ns(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_nanos()).expect("a short test")
    }

    /// Nodes on which something is still in force.
    pub(super) fn broken(&self) -> Vec<String> {
        let nodes = self.lock();
        nodes.iter().filter(|(_, node)| !node.injections.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    /// All injections on a node vanish silently.
    pub(super) fn forget(&self, name: &str) {
        self.change(name, |node| node.injections.clear());
    }

    /// A self-heal of a node, which its agent reports afterwards, within the last `spread`.
    pub(super) fn heal_itself(&self, name: &str, fault: u64, spread: Duration) {
        let now_ns = self.control_ns() + BOOT_AHEAD_NS;
        let spread_ns = u64::try_from(spread.as_nanos()).expect("short");
        self.change(name, |node| {
            node.injections.remove(&fault);
            node.by_itself.push(SelfHeal {
                fault,
                run: "run".to_owned(),
                why: "lease ran out".to_owned(),
                earliest_ns: now_ns - spread_ns,
                latest_ns: now_ns,
                holds: true,
            });
        });
    }

    /// The node that has an address.
    fn holder(&self, wanted: IpAddr) -> Option<String> {
        let nodes = self.lock();
        let has = |(name, node): &(&String, &FakeNode)| address(name) == wanted || node.more.contains(&wanted);
        nodes.iter().find(has).map(|(name, _)| name.clone())
    }

    /// Whether a packet gets to the node, and if not, whether a rule counted it.
    fn passes(&self, name: &str, source: IpAddr, packets: u64) -> bool {
        let mut passes = false;
        self.change(name, |node| {
            let dropped = node.drops(source);
            passes = dropped.is_none() && !node.wrong.unplugged;
            if let Some(fault) = dropped.filter(|_| !node.wrong.unplugged) {
                *node.dropped.entry(fault).or_default() += packets;
            }
        });
        passes
    }

    fn ping(&self, round: u64, from: &str, to: &[PingTarget], count: u32) {
        for target in to {
            let Some(name) = self.holder(target.address) else { continue };
            let source = target.source.unwrap_or(address(from));
            let mut filtered = false;
            self.change(&name, |node| filtered = node.filtered);
            if self.passes(&name, source, u64::from(count)) && !filtered {
                let ping = HeardPing { from: from.to_owned(), source: target.source, address: target.address, count };
                self.change(&name, |node| node.heard.entry(round).or_default().push(ping));
            }
        }
    }

    fn reach(&self, from: &str, to: &[PingTarget]) -> Vec<usize> {
        let through = |target: &PingTarget| {
            let source = target.source.unwrap_or(address(from));
            let holder = self.holder(target.address).filter(|_| target.port == 80);
            holder.is_some_and(|name| self.passes(&name, source, 1) && self.passes(from, target.address, 1))
        };
        to.iter().enumerate().filter(|(_, target)| through(target)).map(|(at, _)| at).collect()
    }

    fn answer(&self, name: &str, ask: Request) -> Result<Response, RemoteError> {
        if let Request::Ping { round, from, to, count } = &ask {
            self.ping(*round, from, to, *count);
            return Ok(Response::Pinged { unsent: Vec::new() });
        }
        if let Request::Reach { to, .. } = &ask {
            return Ok(Response::Reached { open: self.reach(name, to), refused: Vec::new() });
        }
        let now_ns = self.control_ns() + BOOT_AHEAD_NS;
        let mut nodes = self.lock();
        let node = nodes.get_mut(name).expect("a node");
        if matches!(ask, Request::Undo { .. } | Request::UndoAll) && node.wrong.undos_lost > 0 {
            node.wrong.undos_lost -= 1;
            return Err(lost(name));
        }
        Ok(match ask {
            Request::Inject { .. } if node.wrong.refuses_injections => {
                let message = "nft is missing".to_owned();
                return Err(RemoteError::Refused { node: name.into(), message });
            }
            Request::Inject { fault, injection } => {
                if !node.wrong.deaf_to_injections {
                    node.injections.insert(fault, injection);
                }
                Response::Injected { detail: Vec::new() }
            }
            Request::Prove { fault } => {
                let revived = node.wrong.revives && matches!(node.injections.get(&fault), Some(Injection::Kill { .. }));
                let dead = node.injections.values().any(|injection| matches!(injection, Injection::Kill { .. }));
                let gone = dead && matches!(node.injections.get(&fault), Some(Injection::Pause { .. }));
                let there = node.injections.contains_key(&fault) || node.wrong.deaf_to_injections;
                node.proof(fault, !revived && !gone && there && !node.wrong.disproves)
            }
            Request::Undo { fault } => {
                node.injections.remove(&fault);
                node.undone.push(fault);
                node.proof(fault, true)
            }
            Request::UndoAll => {
                node.injections.clear();
                node.proof(0, true)
            }
            Request::Addresses => Response::Addresses([vec![address(name)], node.more.clone()].concat()),
            Request::Undone => Response::Undone { by_itself: node.by_itself.clone(), left: Vec::new(), now_ns },
            Request::Heard { round } => Response::Heard(node.heard.get(&round).cloned().unwrap_or_default()),
            Request::Services => Response::Services(vec![node.service()]),
            Request::Clocks => Response::Clocks { node_ns: 0, shifts_ns: BTreeMap::from([("db".to_owned(), 0)]) },
            other => panic!("the executor has no business to ask {other:?}"),
        })
    }
}

impl FakeNode {
    /// The fault whose rule drops packets of this sender: of several, the newest.
    fn drops(&self, sender: IpAddr) -> Option<u64> {
        let drops = |injection: &Injection| matches!(injection, Injection::Drop { from } if from.contains(&sender));
        let fault = self.injections.iter().rev().find(|(_, injection)| drops(injection)).map(|(fault, _)| *fault);
        fault.filter(|_| !self.undropped.contains(&sender))
    }

    fn proof(&self, fault: u64, holds: bool) -> Response {
        let dropped_packets = self.dropped.get(&fault).copied().unwrap_or_default();
        Response::Proof(Proof { holds, detail: vec!["looked".to_owned()], dropped_packets, counts: Vec::new() })
    }

    fn service(&self) -> ServiceState {
        let has = |wanted: fn(&Injection) -> bool| self.injections.values().any(wanted);
        let killed = has(|injection| matches!(injection, Injection::Kill { .. }));
        let dead = self.stopped_before || (killed && !self.wrong.revives);
        ServiceState {
            name: "db".to_owned(),
            pids: if dead { Vec::new() } else { vec![7] },
            paused: has(|injection| matches!(injection, Injection::Pause { .. })),
            ended: String::new(),
        }
    }
}

struct FakeRemote {
    node: Node,
    cluster: Arc<FakeCluster>,
}

fn lost(name: &str) -> RemoteError {
    RemoteError::Lost { node: name.into(), message: "end of file".to_owned() }
}

impl Remote for FakeRemote {
    fn node(&self) -> &Node {
        &self.node
    }

    fn ask(
        &self,
        ask: Request,
        _: Vec<u8>,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<(Response, Vec<u8>), RemoteError>> {
        Box::pin(async move {
            // A round trip to the node, on the paused clock of the test.
            tokio::time::sleep(Duration::from_micros(500)).await;
            let mut wrong = Wrong::default();
            self.cluster.change(&self.node.name, |node| wrong = node.wrong);
            if wrong.unreachable {
                return Err(lost(&self.node.name));
            }
            let mute = wrong.mute_on_injections && matches!(ask, Request::Inject { .. });
            if wrong.endless_proofs && matches!(ask, Request::Prove { .. }) {
                tokio::time::sleep(deadline).await;
                return Err(RemoteError::Late { node: self.node.name.clone(), what: "Prove".to_owned(), deadline });
            }
            if matches!(ask, Request::Undo { .. }) {
                let now_ms = self.cluster.control_ns() / 1_000_000;
                self.cluster.change(&self.node.name, |node| node.undos_asked.push(now_ms));
            }
            if let (Some((takes, holds)), Request::Undo { .. } | Request::UndoAll) = (wrong.undos, &ask) {
                tokio::time::sleep(takes.min(deadline)).await;
                if takes > deadline {
                    return Err(RemoteError::Late { node: self.node.name.clone(), what: "Undo".to_owned(), deadline });
                }
                if !holds {
                    let detail = vec!["heal ended with 9: cannot heal".to_owned()];
                    let proof = Proof { holds, detail, dropped_packets: 0, counts: Vec::new() };
                    return Ok((Response::Proof(proof), Vec::new()));
                }
            }
            let answer = self.cluster.answer(&self.node.name, ask);
            if mute {
                tokio::time::sleep(deadline).await;
                return Err(RemoteError::Late { node: self.node.name.clone(), what: "Injection".to_owned(), deadline });
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
            answer.map(|response| (response, Vec::new()))
        })
    }
}
