//! [`NetworkPath`]: a directed pair of addresses between two nodes. [`Peers`]: the nodes with all their addresses, which give
//! every path between them.
use dsfuzz_nemesis::NodeView;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::PingTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Most paths of a round; with more, its datagrams would be a load.
const ADDRESSES_MAX: usize = 64;

/// The packets on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    /// Datagrams between the agents. They show one direction.
    Udp,
    /// TCP handshakes. They need both directions.
    Tcp,
}

/// A directed pair of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NetworkPath {
    pub(super) from: String,
    pub(super) to: String,
    /// None: the kernel chooses.
    pub(super) source: Option<IpAddr>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) via: Transport,
}

impl NetworkPath {
    pub(super) fn target(&self) -> PingTarget {
        PingTarget { source: self.source, address: self.address, port: self.port }
    }

    /// Whether it needs one of these links. A handshake needs both directions of the link.
    pub(super) fn needs(&self, links: &[Link]) -> bool {
        let back = (self.to.clone(), self.from.clone());
        self.is_of(links) || (self.via == Transport::Tcp && links.contains(&back))
    }

    /// Whether it is a path of one of these links.
    pub(super) fn is_of(&self, links: &[Link]) -> bool {
        links.iter().any(|(from, to)| (from, to) == (&self.from, &self.to))
    }

    /// The two addresses.
    pub(super) fn pair(&self) -> (&str, &str, Option<IpAddr>, IpAddr) {
        (&self.from, &self.to, self.source, self.address)
    }
}

impl fmt::Display for NetworkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = self.source {
            write!(f, "from {source} ")?;
        }
        write!(f, "to {}", self.address)?;
        if self.via == Transport::Tcp { write!(f, " TCP port {}", self.port) } else { Ok(()) }
    }
}

/// A node's ends of paths.
#[derive(Clone, Debug)]
struct Peer {
    /// The plan's.
    main: IpAddr,
    /// The recipe's.
    named: Vec<IpAddr>,
    /// Of its interfaces.
    own: Vec<IpAddr>,
    ping_port: u16,
    tcp_ports: Vec<u16>,
}

impl Peer {
    fn all(&self) -> BTreeSet<IpAddr> {
        [self.main].iter().chain(&self.named).chain(&self.own).copied().collect()
    }
}

/// The nodes with their addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(BTreeMap<String, Peer>);

impl Peers {
    /// `view`: addresses from the plan and the recipe; `own`: addresses from the agent.
    pub(super) fn add(
        &mut self,
        node: String,
        (main, ping_port): (IpAddr, u16),
        view: Option<&NodeView>,
        own: Vec<IpAddr>,
    ) {
        let mut tcp_ports = vec![ping_port];
        tcp_ports.extend(view.into_iter().flat_map(|view| &view.ports));
        let canonical = |all: Vec<IpAddr>| all.iter().map(IpAddr::to_canonical).collect();
        let named = canonical(view.map(|view| view.others.clone()).unwrap_or_default());
        let peer = Peer { main: main.to_canonical(), named, own: canonical(own), ping_port, tcp_ports };
        self.0.insert(node, peer);
    }

    /// All addresses of a node except the plan's.
    pub(super) fn others(&self, node: &str) -> Vec<IpAddr> {
        self.0.get(node).map(|peer| peer.all().into_iter().filter(|ip| *ip != peer.main).collect()).unwrap_or_default()
    }

    pub(super) fn too_many(&self) -> Vec<String> {
        let many = self.0.iter().filter(|(_, peer)| peer.all().len() > ADDRESSES_MAX);
        let word = |(node, peer): (&String, &Peer)| {
            format!("{node} has {} addresses; a cut is proven on at most {ADDRESSES_MAX}", peer.all().len())
        };
        many.map(word).collect()
    }

    /// Every path of these links.
    pub(super) fn paths(&self, links: &[Link], via: Transport) -> BTreeSet<NetworkPath> {
        links.iter().flat_map(|link| self.paths_of(link, via)).collect()
    }

    fn paths_of(&self, (from, to): &Link, via: Transport) -> Vec<NetworkPath> {
        let (Some(sender), Some(receiver)) = (self.0.get(from), self.0.get(to)) else { return Vec::new() };
        // A shared address is no path from one to the other.
        let (mine, theirs) = (sender.all(), receiver.all());
        let sources = sender.own.iter().filter(|source| !theirs.contains(source));
        let sources: Vec<IpAddr> = sources.copied().collect();
        let mut paths = Vec::new();
        for address in theirs.difference(&mine) {
            let of_kind = |source: &&IpAddr| kind(**source) == kind(*address);
            let mut from_here: Vec<Option<IpAddr>> = sources.iter().filter(of_kind).copied().map(Some).collect();
            if from_here.is_empty() && (*address == receiver.main || receiver.named.contains(address)) {
                from_here.push(None);
            }
            let ports =
                if via == Transport::Udp { std::slice::from_ref(&receiver.ping_port) } else { &receiver.tcp_ports };
            for source in from_here {
                paths.extend(ports.iter().map(|port| NetworkPath {
                    from: from.clone(),
                    to: to.clone(),
                    source,
                    address: *address,
                    port: *port,
                    via,
                }));
            }
        }
        paths
    }

    /// Whether the receiver's address in the plan was heard, from any address.
    pub(super) fn is_heard(&self, (from, to): &Link, heard: &BTreeSet<NetworkPath>) -> bool {
        let main = self.0.get(to).map(|peer| peer.main);
        heard.iter().any(|path| (&path.from, &path.to, Some(path.address)) == (from, to, main))
    }

    /// TCP paths to the recipe's addresses that no datagram reached: a container has no agent to hear it.
    pub(super) fn named_unheard(&self, links: &[Link], heard: &BTreeSet<NetworkPath>) -> BTreeSet<NetworkPath> {
        let pairs: BTreeSet<_> = heard.iter().map(NetworkPath::pair).collect();
        let named = |path: &NetworkPath| self.0.get(&path.to).is_some_and(|peer| peer.named.contains(&path.address));
        let paths = self.paths(links, Transport::Tcp).into_iter();
        paths.filter(|path| named(path) && !pairs.contains(&path.pair())).collect()
    }

    /// Addresses of the recipe that no path on these links reaches.
    pub(super) fn named_unproven(&self, links: &[Link], open: &BTreeSet<NetworkPath>) -> Vec<String> {
        let mut unproven = Vec::new();
        for (node, peer) in &self.0 {
            for address in &peer.named {
                let reached = |path: &NetworkPath| path.to == *node && path.address == *address;
                if links.iter().any(|(_, to)| to == node) && !open.iter().any(reached) {
                    unproven.push(format!("{node} at {address}, which the recipe names"));
                }
            }
        }
        unproven
    }
}

/// Addresses of one kind may reach each other.
fn kind(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(six) if six.is_unicast_link_local() => 0,
        IpAddr::V6(_) => 6,
    }
}
