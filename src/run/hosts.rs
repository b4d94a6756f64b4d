//! [`Hosts`]: the present sessions with the nodes' agents. A lost connection is made again. The nemesis then asks the new agent
//! for self-heals.
use super::needs;
use super::nemesis::Remotes;
use crate::cluster::{
    AgentBinaries, AgentHello, Cluster, ConnectOptions, Node, NodeAccess, NodeConnectError, Remote, Session,
};
use anyhow::{Result, anyhow};
use dsfuzz_nemesis::protocol::{Ability, Claimant, DROPPED, LEFT_BEHIND, Proof, Request, Response, SelfHeal};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

const UNDO: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_secs(20);
/// The agents wait 20 s for clients of another run.
const CLIENTS: Duration = Duration::from_secs(25);
const BYE: Duration = Duration::from_secs(10);
/// The lease of the agents ([`ConnectOptions::default`]), and a little.
const LEASE: Duration = Duration::from_secs(4);
/// Time between two attempts to reconnect.
const AGAIN: Duration = Duration::from_millis(500);
/// A run ends after this time without any reachable node: its further steps would only wait for deadlines.
const VANISHED: Duration = Duration::from_secs(30);

/// The nodes' agents.
pub struct Hosts {
    cluster: Cluster,
    run: String,
    evicted: watch::Sender<Option<Eviction>>,
    /// The sentence that no node is reachable, and since when.
    vanished: watch::Sender<Option<String>>,
}

/// Another run took over a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The node, the other run and the time, in a sentence.
    pub sentence: String,
    /// The last time at which the node certainly belonged to this run.
    pub before: Instant,
}

/// What earlier runs left on nodes without an undo, of the proofs of [`Hosts::heal`], one sentence each.
pub(crate) fn left_behind(healed: &[(Arc<str>, Proof)]) -> Vec<String> {
    let of_node = |(node, proof): &(Arc<str>, Proof)| {
        let left = proof.detail.iter().filter(|sentence| sentence.contains(LEFT_BEHIND));
        left.map(|sentence| format!("{node}: {sentence}; `dsfuzz heal` shows it and forgets it")).collect::<Vec<_>>()
    };
    healed.iter().flat_map(of_node).collect()
}

impl Hosts {
    /// Connects to all nodes and claims them for this run. The error lists all nodes' errors. A node that another run holds is an
    /// error, unless that run is to be ended.
    pub async fn connect<A: Into<NodeAccess>>(
        nodes: Vec<(Node, A)>,
        run: String,
        take_over: bool,
    ) -> Result<Arc<Hosts>> {
        let nodes: Vec<(Node, NodeAccess)> = nodes.into_iter().map(|(node, access)| (node, access.into())).collect();
        let options =
            ConnectOptions { run: run.clone(), claim: claimant(&run), take_over, ..ConnectOptions::default() };
        let connecting =
            tokio::task::spawn_blocking(move || Cluster::connect(&nodes, &Arc::new(AgentBinaries::find()), &options));
        let cluster = connecting.await.map_err(|error| anyhow!("connecting panicked: {error}"))??;
        let (evicted, vanished) = (watch::Sender::new(None), watch::Sender::new(None));
        Ok(Arc::new(Hosts { cluster, run, evicted, vanished }))
    }

    /// The run's name for the agents.
    pub fn run_name(&self) -> String {
        self.run.clone()
    }

    /// The nodes' agents, in the plan's order. They stay valid across reconnections.
    pub fn remotes(&self) -> Vec<Arc<dyn Remote>> {
        self.cluster.remotes()
    }

    /// The hello of the node's agent.
    pub fn hello(&self, node: &str) -> Option<AgentHello> {
        self.cluster.session(node).map(|session| session.hello())
    }

    /// Reconnects after every lost connection, until aborted.
    pub fn watch(&self, report: impl Fn(&str) + Clone + Send + Sync + 'static) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for session in self.cluster.sessions() {
            tasks.spawn(keep(session.clone(), report.clone(), self.evicted.clone()));
        }
        tasks.spawn(await_vanishing(self.cluster.sessions().to_vec(), self.vanished.clone()));
        tasks
    }

    /// The first eviction, if there was one.
    pub fn eviction(&self) -> Option<Eviction> {
        self.evicted.borrow().clone()
    }

    /// The sentence that no node is reachable any more, if so.
    pub fn vanished(&self) -> Option<String> {
        self.vanished.borrow().clone()
    }

    /// Whether the nodes are lost to this run: later reads would fail, or belong to another run.
    pub fn are_lost(&self) -> bool {
        self.eviction().is_some() || self.vanished().is_some()
    }

    /// Reports to every node that was taken over that this run's clients are closed. The other run waits for that.
    pub async fn gone(&self) {
        let lost = self.cluster.sessions().iter().filter(|session| session.lost_now().is_some()).cloned();
        let saying = lost.map(|session| tokio::task::spawn_blocking(move || session.say_gone()));
        for said in saying.collect::<Vec<_>>() {
            drop(said.await);
        }
    }

    /// Waits until every node is connected or taken over by another run. Returns the nodes for which neither is known in time.
    pub async fn settled(&self, within: Duration) -> Vec<String> {
        let end = Instant::now() + within;
        loop {
            let lost = self.cluster.sessions().iter().filter(|session| session.lost_now().is_some());
            let lost: Vec<String> = lost.map(|session| session.node().name.to_string()).collect();
            if lost.is_empty() || self.are_lost() || Instant::now() >= end {
                return lost;
            }
            tokio::time::sleep(AGAIN / 5).await;
        }
    }

    /// Waits until another run takes over a node, or no node has been reachable for long.
    pub async fn lost(self: Arc<Self>) {
        // Clones of the senders keep the channels open.
        let (mut evicted, mut vanished) = (self.evicted.subscribe(), self.vanished.subscribe());
        tokio::select! {
            _ = evicted.wait_for(Option::is_some) => {}
            _ = vanished.wait_for(Option::is_some) => {}
        }
    }

    /// Undoes the injections of all runs on all nodes, with proof. Returns the actions on each node; they do not hold where the journal
    /// of a node has dropped one that could not be undone. An error names the nodes
    /// where something could not be undone.
    pub async fn heal(&self) -> Result<Vec<(Arc<str>, Proof)>> {
        let response = self.everywhere(Request::UndoAll, UNDO).await;
        let mut already = self.undone_already().await;
        let mut proofs = Vec::new();
        let mut problems = Vec::new();
        for (node, response) in response {
            match response {
                Ok(Response::Proof(mut proof)) if proof.holds => {
                    let dropped =
                        |sentence: &String| [DROPPED, LEFT_BEHIND].iter().any(|word| sentence.starts_with(word));
                    let (sentences, undone) = already.remove(&node).unwrap_or_else(|| (Vec::new(), true));
                    proof.holds = undone && !proof.detail.iter().any(dropped);
                    proof.detail.splice(0..0, sentences);
                    proofs.push((node, proof));
                }
                Ok(Response::Proof(proof)) => problems.push(format!("{node}: {}", proof.detail.join("; "))),
                Ok(other) => problems.push(format!("{node}: an answer of another kind: {other:?}")),
                Err(error) => problems.push(error),
            }
        }
        if problems.is_empty() {
            Ok(proofs)
        } else {
            Err(anyhow!("not everything could be undone: {}", problems.join("; ")))
        }
    }

    /// What earlier runs left on the nodes without an undo, one sentence each with its node.
    pub async fn left_behind(&self) -> Vec<(Arc<str>, String)> {
        let all = self
            .undone_already()
            .await
            .into_iter()
            .flat_map(|(node, (sentences, _))| sentences.into_iter().map(move |sentence| (node.clone(), sentence)));
        all.filter(|(_, sentence)| sentence.contains(LEFT_BEHIND)).collect()
    }

    /// Takes away the layers over the folders of targets, also where a target still runs.
    pub async fn take_layers_away(&self) -> Result<()> {
        let asked = self.everywhere(Request::DiskLayers { folders: Vec::new() }, UNDO).await;
        let failed: Vec<String> = asked.into_iter().filter_map(|(_, answer)| answer.err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(anyhow!("layers are left: {}", failed.join("; "))) }
    }

    /// Waits, on every node, until the clients of its previous run are gone. Returns a sentence for each node on which that is
    /// unknown. It is known if the previous control process ran on this machine and has ended.
    pub async fn clients_gone(&self) -> Result<Vec<String>> {
        let mut unknown = Vec::new();
        for (node, response) in self.everywhere(Request::AwaitClients, CLIENTS).await {
            match response {
                Ok(Response::Clients(None)) => {}
                // The clients ended with the process.
                Ok(Response::Clients(Some(by))) if has_ended(&by.token) => {}
                Ok(Response::Clients(Some(by))) => unknown.push(format!(
                    "{node}: run {} from host {} had this node and has not said that its clients are gone",
                    by.run, by.host
                )),
                Ok(other) => return Err(anyhow!("{node}: an answer of another kind: {other:?}")),
                Err(error) => return Err(anyhow!(error)),
            }
        }
        Ok(unknown)
    }

    /// The self-heals of each node, such as those at the start of its agent, in words.
    async fn undone_already(&self) -> BTreeMap<Arc<str>, (Vec<String>, bool)> {
        let response = self.everywhere(Request::Undone, LOOK).await;
        let sentences = |response| match response {
            Ok(Response::Undone { by_itself, .. }) => {
                let sentence = |heal: &SelfHeal| {
                    let how = if heal.holds { "undone by the node itself" } else { "not undone" };
                    format!("fault {} of {}: {how} ({})", heal.fault, heal.run, heal.why)
                };
                (by_itself.iter().map(sentence).collect(), by_itself.iter().all(|heal| heal.holds))
            }
            _ => (Vec::new(), true),
        };
        response.into_iter().map(|(node, response)| (node, sentences(response))).collect()
    }

    /// The abilities of each node, tested harmlessly.
    pub async fn abilities(&self) -> Vec<(Arc<str>, Result<Vec<Ability>, String>)> {
        let response = self.everywhere(Request::Abilities, LOOK).await;
        let abilities = |response| match response {
            Ok(Response::Abilities(abilities)) => Ok(abilities.into_iter().map(needs::with_room).collect()),
            Ok(other) => Err(format!("an answer of another kind: {other:?}")),
            Err(error) => Err(error),
        };
        response.into_iter().map(|(node, response)| (node, abilities(response))).collect()
    }

    /// What each node shares its kernel with; none on a node that owns it.
    pub fn kernel_sharers(&self) -> Vec<(Arc<str>, Option<String>)> {
        self.cluster.kernel_sharers()
    }

    /// Ends the agents in order.
    pub async fn bye(&self, stop_services: bool) {
        for (node, response) in self.everywhere(Request::Bye { stop_services }, BYE).await {
            if let Err(error) = response {
                tracing::warn!(%node, "the agent did not say good-bye: {error}");
            }
        }
    }

    async fn everywhere(&self, ask: Request, deadline: Duration) -> Vec<(Arc<str>, Result<Response, String>)> {
        let asking = self.cluster.sessions().iter().map(|session| {
            let (session, ask) = (session.clone(), ask.clone());
            let node = session.node().name.clone();
            let task = tokio::spawn(async move { session.ask(ask, Vec::new(), deadline).await });
            (node, task)
        });
        let mut answers = Vec::new();
        for (node, task) in asking.collect::<Vec<_>>() {
            let response = match task.await {
                Ok(Ok((response, _))) => Ok(response),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(format!("{node}: asking panicked: {error}")),
            };
            answers.push((node, response));
        }
        answers
    }
}

/// Identifies this program among all that claim nodes.
fn claimant(run: &str) -> Claimant {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let pid = std::process::id();
    let process = format!("{}/{pid}/{}", kernel(), started(pid).unwrap_or_default());
    let token = format!("{process}/{}", now.as_nanos());
    Claimant { run: run.to_owned(), host, token }
}

/// This boot of this kernel, and this PID namespace. Without a boot id it begins with the slash.
fn kernel() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let pids = std::fs::metadata("/proc/self/ns/pid").map_or(0, |about| about.ino());
    format!("{}/{pids}", boot.trim())
}

/// The start of a process of this machine, in ticks since boot; none if there is no such process.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain blanks.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the token names an ended process of this machine. Never true for a process that is invisible from here.
fn has_ended(token: &str) -> bool {
    has_ended_under(&kernel(), token)
}

fn has_ended_under(kernel: &str, token: &str) -> bool {
    // Without a boot id, this may be another machine.
    if kernel.starts_with('/') {
        return false;
    }
    let Some(process) = token.strip_prefix(&format!("{kernel}/")) else { return false };
    let mut parts = process.split('/').map(str::parse::<u64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(pid)), Some(Ok(start))) => u32::try_from(pid).is_ok_and(|pid| started(pid) != Some(start)),
        _ => false,
    }
}

/// Waits until all connections have been lost together for [`VANISHED`], and returns the sentence about it.
async fn await_vanishing(sessions: Vec<Arc<Session>>, vanished: watch::Sender<Option<String>>) {
    let mut since: Option<Instant> = None;
    loop {
        let lost: Option<Vec<String>> = sessions
            .iter()
            .map(|session| session.lost_now().map(|why| format!("{}: {why}", session.node().name)))
            .collect();
        let Some(lost) = lost else {
            since = None;
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        if since.get_or_insert_with(Instant::now).elapsed() >= VANISHED {
            let seconds = VANISHED.as_secs();
            vanished.send_replace(Some(format!("no node could be reached for {seconds} s: {}", lost.join("; "))));
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reconnects after each loss, until another run holds the node. Never: evicts the other run.
async fn keep(session: Arc<Session>, report: impl Fn(&str), evicted: watch::Sender<Option<Eviction>>) {
    let node = session.node().name.clone();
    loop {
        let why = session.lost().await;
        // The lease may have ended that much before the loss was noticed here.
        let before = Instant::now().checked_sub(LEASE).unwrap_or_else(Instant::now);
        report(&format!("{node}: connection lost ({why}); connecting anew"));
        let mut said = String::new();
        loop {
            let again = session.clone();
            match tokio::task::spawn_blocking(move || again.reconnect()).await {
                Ok(Ok(())) => break,
                Ok(Err(error @ NodeConnectError::NodeTaken { .. })) => {
                    let sentence = error.to_string();
                    report(&sentence);
                    evicted.send_if_modified(|first| {
                        let earlier = first.as_ref().is_none_or(|first| before < first.before);
                        if earlier {
                            *first = Some(Eviction { sentence, before });
                        }
                        earlier
                    });
                    return;
                }
                Ok(Err(error)) => {
                    // A repeated reason is not logged again.
                    let reason = error.to_string();
                    if reason != said {
                        tracing::warn!("{reason}");
                        said = reason;
                    }
                }
                Err(error) => tracing::error!(%node, "connecting anew panicked: {error}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
        report(&format!("{node}: connected again"));
    }
}

impl Remotes for Hosts {
    fn names(&self) -> Vec<String> {
        self.cluster.sessions().iter().map(|session| session.node().name.to_string()).collect()
    }

    fn get(&self, node: &str) -> Option<Arc<dyn Remote>> {
        let session = self.cluster.session(node)?;
        session.lost_now().is_none().then(|| session.clone() as Arc<dyn Remote>)
    }

    fn ping_address(&self, node: &str) -> Option<(IpAddr, u16)> {
        let session = self.cluster.session(node)?;
        Some((session.node().address, session.hello().ping_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_machine_is_known_to_have_ended() {
        let own = claimant("a").token;
        assert!(!has_ended(&own), "it runs: {own}");
        let mut other = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        let pid = other.id();
        let token = format!("{}/{pid}/{}/1", kernel(), started(pid).expect("it runs"));
        assert!(!has_ended(&token));
        assert!(has_ended(&format!("{}/{pid}/1/1", kernel())), "another process has its number now");
        other.kill().and_then(|()| other.wait()).expect("ended");
        assert!(has_ended(&token));
        let elsewhere = token.replace(&kernel(), "another-boot/1");
        for unknown in [elsewhere.as_str(), "host-7-9", ""] {
            assert!(!has_ended(unknown), "{unknown}");
        }
        assert!(has_ended_under("boot/1", "boot/1/4194305/1/1"), "no process has this number");
        assert!(!has_ended_under("/1", "/1/4194305/1/1"), "the boot id is not known");
    }
}
