//! Rounds of datagrams between the agents: which pairs of addresses carry packets, on every directed link.
//!
//! Silence alone proves nothing. It counts only on a path that was heard before, and in a round in which every uncut link was
//! heard. If datagrams are filtered, TCP handshakes with the target's own ports replace them.
use super::Executor;
use super::paths::{NetworkPath, Peers, Transport};
use super::remotes::{everywhere, unexpected};
use dsfuzz_nemesis::ClusterView;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Datagrams on each path in a round: more than one, so that a stray loss does not count as silence.
const COUNT: u32 = 3;
const POLL_FIRST: Duration = Duration::from_millis(2);
const POLL_LONGEST: Duration = Duration::from_millis(50);
/// Datagrams on a second network may arrive a little later than on the first.
const SECOND_PATHS: Duration = Duration::from_millis(10);
/// Deadline of a TCP handshake that replaces datagrams.
const HANDSHAKE: Duration = Duration::from_millis(300);

/// The outcome of a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    /// Paths that were heard.
    pub(super) heard: BTreeSet<NetworkPath>,
    /// Requests that failed.
    pub(super) errors: Vec<String>,
    /// Errors of sending, by path.
    unsent: BTreeMap<NetworkPath, String>,
}

impl Round {
    /// The sentence for a silent link.
    pub(super) fn unheard(&self, (from, to): &Link) -> String {
        let why = self.unsent.iter().find(|(path, _)| (&path.from, &path.to) == (from, to));
        let why = why.map(|(path, why)| format!(" ({path}: {why})")).unwrap_or_default();
        format!("{to} does not hear {from}{why}")
    }
}

/// The paths that were open before a fault.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenPaths {
    pub(super) paths: BTreeSet<NetworkPath>,
    /// How late datagrams were before the fault, on one path of each link, in microseconds between two clocks.
    pub(super) late_us: BTreeMap<NetworkPath, i64>,
    /// The time of that measurement.
    pub(super) measured: Option<Instant>,
    /// Links that another fault had cut, and that were never seen open.
    pub(super) unseen: BTreeSet<Link>,
}

impl OpenPaths {
    /// The number of address pairs that lead to a node over these links.
    pub(super) fn pairs_to(&self, node: &str, links: &[Link]) -> u64 {
        let paths = self.paths.iter().filter(|path| path.to == node && path.is_of(links));
        paths.map(NetworkPath::pair).collect::<BTreeSet<_>>().len() as u64
    }
}

/// An obstacle between two nodes that keeps a cut from being proven by datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPath {
    /// The nodes.
    pub between: (String, String),
    /// Its kind.
    pub kind: BlockedKind,
    /// A sentence.
    pub detail: String,
}

/// The packets that an obstacle lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedKind {
    /// TCP handshakes: every cut except a one-way cut can be proven.
    TcpOnly,
    /// Neither datagrams nor handshakes; the target's ports may answer once it runs.
    Closed,
    /// Neither, and no packets to the target's ports: its nodes cannot reach each other.
    Filtered,
    /// The agents could not be asked.
    Unknown,
}

/// Looks before a fault while other faults come and go.
const LOOKS_MAX: usize = 4;

impl Executor {
    /// The open paths between all nodes, before the first fault of a schedule: later looks cannot see those that another fault
    /// cuts.
    pub(super) async fn look_at_all_links(&self) {
        let names = self.remotes.names();
        let mut view = (self.view)(false).await;
        self.remember(&view);
        self.learn_addresses(&mut view).await;
        let addresses = view.nodes.into_iter().map(|node| (node.name, node.others)).collect();
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
        let to = |from: &String| {
            let others = names.iter().filter(|to| *to != from);
            others.map(|to| (from.clone(), to.clone())).collect::<Vec<Link>>()
        };
        let links: Vec<Link> = names.iter().flat_map(to).collect();
        let (open, _) = self.open_paths(&links, self.limits.round).await;
        *self.baseline.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }

    /// The open paths of these links before a fault, and the problems. A link that another fault cuts is open if it was before.
    pub(super) async fn open_paths_beside(&self, id: u64, links: &[Link]) -> (OpenPaths, Vec<String>) {
        let mut looks = 0;
        loop {
            let changes = self.in_force.changes();
            let cut = self.in_force.cut_by_others(id);
            let own: Vec<Link> = links.iter().filter(|link| !cut.contains(link)).cloned().collect();
            let (mut open, problems) = match own.is_empty() {
                true => (OpenPaths::default(), Vec::new()),
                false => self.open_paths(&own, self.limits.round).await,
            };
            looks += 1;
            // A fault that began or ended meanwhile may be the reason.
            if !problems.is_empty() && changes != self.in_force.changes() && looks < LOOKS_MAX {
                continue;
            }
            let baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
            for link in links.iter().filter(|link| cut.contains(link)) {
                let known = baseline.paths.iter().filter(|path| path.is_of(std::slice::from_ref(link)));
                let known: Vec<NetworkPath> = known.cloned().collect();
                if known.is_empty() {
                    open.unseen.insert(link.clone());
                }
                open.paths.extend(known);
            }
            return (open, problems);
        }
    }

    /// Without the links on which other faults do something to packets now, and those that no look ever saw open.
    pub(super) fn own_links(&self, id: u64, links: &[Link], open: &OpenPaths) -> Vec<Link> {
        let disturbed = self.in_force.disturbed_by_others(id);
        links.iter().filter(|link| !disturbed.contains(link) && !open.unseen.contains(link)).cloned().collect()
    }

    /// The open paths of these links, and the problems: links without an open path.
    pub(super) async fn open_paths(&self, links: &[Link], deadline: Duration) -> (OpenPaths, Vec<String>) {
        match self.look(links, deadline).await {
            Ok((open, mut walls)) => {
                if !walls.is_empty() {
                    let ports: BTreeSet<u16> = links.iter().filter_map(|(_, to)| self.ping_port(to)).collect();
                    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                    let ports = ports.join(", ");
                    walls.push(format!(
                        "UDP port {ports} is filtered between them, and the target's TCP ports do not answer"
                    ));
                }
                (open, walls)
            }
            Err(errors) => (OpenPaths::default(), errors),
        }
    }

    fn ping_port(&self, node: &str) -> Option<u16> {
        self.remotes.ping_address(node).map(|(_, port)| port)
    }

    /// The open paths, and a sentence for each link without one; an error if agents could not be asked.
    async fn look(&self, links: &[Link], deadline: Duration) -> Result<(OpenPaths, Vec<String>), Vec<String>> {
        let peers = self.peers(links, deadline).await?;
        let main = |heard: &BTreeSet<NetworkPath>| links.iter().all(|link| peers.is_heard(link, heard));
        let round = self.round(&peers.paths(links, Transport::Udp), main, deadline).await;
        if !round.errors.is_empty() {
            return Err(round.errors);
        }
        let mut open = OpenPaths { paths: round.heard.clone(), ..OpenPaths::default() };
        let silent: Vec<Link> = links.iter().filter(|link| !peers.is_heard(link, &open.paths)).cloned().collect();
        let mut candidates = peers.paths(&silent, Transport::Tcp);
        candidates.extend(peers.named_unheard(links, &open.paths));
        if !candidates.is_empty() {
            let (reached, errors) = self.reach(&candidates, deadline).await;
            open.paths.extend(reached);
            if !errors.is_empty() {
                return Err(errors);
            }
        }
        let closed = silent.iter().filter(|link| !peers.is_heard(link, &open.paths));
        let walls = closed.map(|link| round.unheard(link)).collect();
        Ok((open, walls))
    }

    /// The obstacles between the pairs of nodes of this view, before any fault.
    pub async fn walls(&self, view: &ClusterView) -> Vec<BlockedPath> {
        self.remember(view);
        let names: Vec<&str> = view.names().collect();
        let mut walls = Vec::new();
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                let (one, other) = ((*one).to_owned(), (*other).to_owned());
                walls.extend(self.wall(one, other).await);
            }
        }
        walls
    }

    /// Whether none of the target's own ports answers, not even by a refusal.
    async fn filters_the_target(&self, links: &[Link]) -> bool {
        let Ok(peers) = self.peers(links, self.limits.round).await else { return false };
        let mut paths = peers.paths(links, Transport::Tcp);
        paths.retain(|path| self.ping_port(&path.to) != Some(path.port));
        let handshakes = self.handshakes(&paths, self.limits.round).await;
        !paths.is_empty() && handshakes.errors.is_empty() && handshakes.answers == 0
    }

    async fn wall(&self, one: String, other: String) -> Option<BlockedPath> {
        let both = [(one.clone(), other.clone()), (other.clone(), one.clone())];
        let port = self.ping_port(&other).unwrap_or_default();
        let (open, closed) = match self.look(&both, self.limits.round).await {
            Ok(seen) => seen,
            Err(errors) => {
                return Some(BlockedPath {
                    between: (one, other),
                    kind: BlockedKind::Unknown,
                    detail: errors.join("; "),
                });
            }
        };
        let by_tcp = open.paths.iter().find(|path| path.via == Transport::Tcp);
        let filtered = !closed.is_empty() && self.filters_the_target(&both).await;
        let (kind, detail) = match by_tcp {
            _ if filtered => {
                let ports = self.seen(&other).map(|view| view.ports).unwrap_or_default();
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                let detail = format!(
                    "the target's TCP ports ({}) between {one} and {other} are filtered, and UDP and TCP port {port} too: the \
                     target's own nodes cannot speak with each other",
                    ports.join(", ")
                );
                (BlockedKind::Filtered, detail)
            }
            _ if !closed.is_empty() => (
                BlockedKind::Closed,
                format!(
                    "UDP and TCP port {port} between {one} and {other} are filtered: open UDP port {port}, or a cut can be \
                     proven only over the target's own TCP ports"
                ),
            ),
            Some(path) => (
                BlockedKind::TcpOnly,
                format!(
                    "UDP port {port} between {one} and {other} is filtered; TCP port {} answers, which proves every cut but \
                     a one-way one",
                    path.port
                ),
            ),
            None => return None,
        };
        Some(BlockedPath { between: (one, other), kind, detail })
    }

    /// Verifies that the silent links carry nothing on any pair of addresses, while the other links' paths stay open. Returns the
    /// observations, or the contradictions.
    pub(super) async fn cut_paths(
        &self,
        silent: &[Link],
        alive: &[Link],
        open: &OpenPaths,
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
        let peers = self.peers(&all, deadline).await?;
        let (heard, errors, round) = self.heard_again(&peers, &all, silent, open, deadline).await;
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut problems = missing(&peers, silent, alive, open, &heard, &round);
        let leaks: Vec<&NetworkPath> = heard.iter().filter(|path| path.needs(silent)).collect();
        let pairs: BTreeSet<_> = open.paths.iter().filter(|path| path.is_of(silent)).map(NetworkPath::pair).collect();
        let leaking: BTreeSet<_> = leaks.iter().map(|path| path.pair()).collect();
        let cut = pairs.difference(&leaking).count();
        let unproven = peers.named_unproven(silent, &open.paths);
        if cut > 0 && (cut < pairs.len() || !unproven.is_empty()) {
            problems.push(format!("partial: cut on {cut} of {} address pairs", pairs.len() + unproven.len()));
        }
        problems.extend(leaks.iter().map(|path| {
            let (from, to) = (&path.from, &path.to);
            format!("{to} hears {from}, though the link is cut ({path})")
        }));
        problems.extend(unproven.iter().map(|address| format!("nothing reached {address}, before the cut either")));
        if !problems.is_empty() {
            return Err(problems);
        }
        let tcp = open.paths.iter().filter(|path| path.via == Transport::Tcp && path.is_of(silent));
        let tcp = tcp.map(NetworkPath::pair).collect::<BTreeSet<_>>().len();
        let by_tcp = if tcp > 0 { format!(", {tcp} of them by TCP handshakes") } else { String::new() };
        Ok(vec![
            format!("cut proven on {cut} of {} address pairs{by_tcp}", pairs.len()),
            format!("{} links silent while {} others were heard", silent.len(), alive.len()),
        ])
    }

    /// The paths that were open before and are not now.
    pub(super) async fn closed_paths(&self, links: &[Link], open: &OpenPaths, deadline: Duration) -> Vec<String> {
        let peers = match self.peers(links, deadline).await {
            Ok(peers) => peers,
            Err(errors) => return errors,
        };
        let (heard, errors, round) = self.heard_again(&peers, links, &[], open, deadline).await;
        if errors.is_empty() { missing(&peers, &[], links, open, &heard, &round) } else { errors }
    }

    /// Sends datagrams on all paths of these links, and handshakes on those that were open to them.
    pub(super) async fn heard_again(
        &self,
        peers: &Peers,
        links: &[Link],
        silent: &[Link],
        open: &OpenPaths,
        deadline: Duration,
    ) -> (BTreeSet<NetworkPath>, Vec<String>, Round) {
        let paths = peers.paths(links, Transport::Udp);
        let wanted = |path: &&NetworkPath| path.via == Transport::Udp && !path.needs(silent) && paths.contains(path);
        let wanted: Vec<&NetworkPath> = open.paths.iter().filter(wanted).collect();
        let enough = |heard: &BTreeSet<NetworkPath>| wanted.iter().all(|path| heard.contains(path));
        let round = self.round(&paths, enough, deadline).await;
        let (mut heard, mut errors) = (round.heard.clone(), round.errors.clone());
        let tcp: BTreeSet<NetworkPath> = open.paths.iter().filter(|path| path.via == Transport::Tcp).cloned().collect();
        if errors.is_empty() && !tcp.is_empty() {
            let (reached, failed) = self.reach(&tcp, deadline).await;
            heard.extend(reached);
            errors = failed;
        }
        (heard, errors, round)
    }

    /// Every node of these links with its present addresses.
    pub(super) async fn peers(&self, links: &[Link], deadline: Duration) -> Result<Peers, Vec<String>> {
        let nodes: BTreeSet<&str> = links.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        let asks = nodes.iter().map(|node| ((*node).to_owned(), Request::Addresses)).collect();
        let (mut peers, mut errors) = (Peers::default(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match (answer, self.remotes.ping_address(&node)) {
                (Ok(Response::Addresses(own)), Some((address, port))) => {
                    let seen = self.seen(&node);
                    peers.add(node, (address, port), seen.as_ref(), own);
                }
                (Ok(Response::Addresses(_)), None) => {
                    errors.push(format!("{node}: not known where its agent hears datagrams"));
                }
                (Ok(other), _) => errors.push(unexpected(&node, &other)),
                (Err(error), _) => errors.push(error.to_string()),
            }
        }
        errors.extend(peers.too_many());
        if errors.is_empty() { Ok(peers) } else { Err(errors) }
    }

    /// One round: datagrams are sent on all paths, then the receivers are asked until `enough` or the deadline. A further look
    /// decides, so that silent paths had more time than the others.
    pub(super) async fn round(
        &self,
        paths: &BTreeSet<NetworkPath>,
        enough: impl Fn(&BTreeSet<NetworkPath>) -> bool,
        deadline: Duration,
    ) -> Round {
        let begun = Instant::now();
        let end = begun + deadline;
        let round = self.rounds.fetch_add(1, Ordering::Relaxed) + 1;
        let mut outcome = self.send(round, paths, deadline).await;
        let mut pause = POLL_FIRST;
        while outcome.errors.is_empty() {
            (outcome.heard, outcome.errors) = self.heard(round, paths, deadline).await;
            if enough(&outcome.heard) || Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_LONGEST);
        }
        if outcome.errors.is_empty() {
            let later = (begun.elapsed() + SECOND_PATHS).min(end.saturating_duration_since(Instant::now()));
            tokio::time::sleep(later).await;
            (outcome.heard, outcome.errors) = self.heard(round, paths, deadline).await;
        }
        outcome
    }

    async fn send(&self, round: u64, paths: &BTreeSet<NetworkPath>, deadline: Duration) -> Round {
        let mut from: BTreeMap<&str, Vec<&NetworkPath>> = BTreeMap::new();
        paths.iter().for_each(|path| from.entry(&path.from).or_default().push(path));
        let ask = |(node, paths): (&&str, &Vec<&NetworkPath>)| {
            let to = paths.iter().map(|path| path.target()).collect();
            ((*node).to_owned(), Request::Ping { round, from: (*node).to_owned(), to, count: COUNT })
        };
        let mut outcome = Round::default();
        for (node, answer) in everywhere(&self.remotes, from.iter().map(ask).collect(), deadline).await {
            match answer {
                Ok(Response::Pinged { unsent }) => {
                    let paths = &from[node.as_str()];
                    let unsent = unsent.into_iter().filter_map(|(at, why)| Some(((*paths.get(at)?).clone(), why)));
                    outcome.unsent.extend(unsent);
                }
                Ok(other) => outcome.errors.push(unexpected(&node, &other)),
                Err(error) => outcome.errors.push(error.to_string()),
            }
        }
        outcome
    }

    /// The paths that were heard so far.
    async fn heard(
        &self,
        round: u64,
        paths: &BTreeSet<NetworkPath>,
        deadline: Duration,
    ) -> (BTreeSet<NetworkPath>, Vec<String>) {
        let receivers: BTreeSet<&str> = paths.iter().map(|path| path.to.as_str()).collect();
        let asks = receivers.iter().map(|node| ((*node).to_owned(), Request::Heard { round })).collect();
        let (mut heard, mut errors) = (BTreeSet::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match answer {
                Ok(Response::Heard(pings)) => {
                    let of = |path: &&NetworkPath| {
                        let like = |ping: &dsfuzz_nemesis::protocol::HeardPing| {
                            (&ping.from, ping.source, ping.address) == (&path.from, path.source, path.address)
                        };
                        path.to == node && pings.iter().any(|ping| ping.count > 0 && like(ping))
                    };
                    heard.extend(paths.iter().filter(of).cloned());
                }
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (heard, errors)
    }

    /// The paths on which a TCP handshake ended.
    pub(super) async fn reach(
        &self,
        paths: &BTreeSet<NetworkPath>,
        deadline: Duration,
    ) -> (BTreeSet<NetworkPath>, Vec<String>) {
        let Handshakes { reached, errors, .. } = self.handshakes(paths, deadline).await;
        (reached, errors)
    }

    async fn handshakes(&self, paths: &BTreeSet<NetworkPath>, deadline: Duration) -> Handshakes {
        let mut from: BTreeMap<&str, Vec<&NetworkPath>> = BTreeMap::new();
        paths.iter().for_each(|path| from.entry(&path.from).or_default().push(path));
        let wait_ms = u64::try_from(HANDSHAKE.min(deadline).as_millis()).unwrap_or(0);
        let ask = |(node, paths): (&&str, &Vec<&NetworkPath>)| {
            let to = paths.iter().map(|path| path.target()).collect();
            ((*node).to_owned(), Request::Reach { to, wait_ms })
        };
        let mut all = Handshakes::default();
        let asks = from.iter().map(ask).collect();
        for (node, answer) in everywhere(&self.remotes, asks, deadline + HANDSHAKE).await {
            match answer {
                Ok(Response::Reached { open, refused }) => {
                    let paths = &from[node.as_str()];
                    all.answers += open.len() + refused.len();
                    all.reached.extend(open.into_iter().filter_map(|at| Some((*paths.get(at)?).clone())));
                }
                Ok(other) => all.errors.push(unexpected(&node, &other)),
                Err(error) => all.errors.push(error.to_string()),
            }
        }
        all
    }
}

/// The outcome of TCP handshakes.
#[derive(Debug, Default)]
struct Handshakes {
    /// Paths with a completed handshake.
    reached: BTreeSet<NetworkPath>,
    /// The number of completed or refused handshakes.
    answers: usize,
    errors: Vec<String>,
}

/// Silent links that should be open, one sentence each. Paths to an address that has left its node do not count.
pub(super) fn missing(
    peers: &Peers,
    silent: &[Link],
    alive: &[Link],
    open: &OpenPaths,
    heard: &BTreeSet<NetworkPath>,
    round: &Round,
) -> Vec<String> {
    let now = peers.paths(alive, Transport::Udp);
    let mut problems = Vec::new();
    for link in alive {
        let of_link = |path: &&NetworkPath| path.is_of(std::slice::from_ref(link)) && !path.needs(silent);
        let wanted: Vec<&NetworkPath> = open.paths.iter().filter(of_link).collect();
        let gone =
            |path: &&&NetworkPath| !heard.contains(**path) && (path.via == Transport::Tcp || now.contains(**path));
        let lost: Vec<&&NetworkPath> = wanted.iter().filter(gone).collect();
        let (from, to) = link;
        if wanted.is_empty() {
            problems.push(match open.paths.is_empty() {
                true => round.unheard(link),
                false => format!(
                    "whether {to} still hears {from} is not known: only TCP answers between them, and that needs both directions"
                ),
            });
        } else if lost.len() == wanted.len() {
            problems.push(round.unheard(link));
        } else {
            problems.extend(lost.iter().map(|path| format!("{to} does not hear {from} {path}")));
        }
    }
    problems
}
