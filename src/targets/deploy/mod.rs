//! [`Deployment`]: a target on the nodes of a cluster: installed, configured, started, asked, stopped, wiped.
//!
//! Agents do all the work, on all nodes in parallel, with deadlines. Never: faults.
mod ask;
mod collect;
mod converged;
mod listening;
mod members;
mod packages;
mod recovery;
mod registry;
mod room;

pub use ask::{Convergence, RoleAnswer};
pub use collect::FetchedLog;
pub use room::DiskRoom;

use super::error::TargetError;
use super::join_all::join_all;
use super::layout::{Layout, NodeLayout, PlannedProcess};
use super::node_commands;
use super::recipe::{Package, StartOrder};
use crate::cluster::Remote;
use dsfuzz_nemesis::protocol::{Command, OwnCommands, Service, ServiceState};
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two probes while waiting.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a process that starts again waits for those that must serve before it.
const AFTER: Duration = Duration::from_secs(60);

/// A process that does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// The node.
    pub node: Arc<str>,
    /// The process.
    pub process: String,
    /// The time of waiting.
    pub waited: Duration,
    /// The missing condition, or the end of the process.
    pub waiting_for: String,
    /// The end of its log.
    pub log: String,
}

/// A target on the nodes of a cluster.
#[derive(Clone)]
pub struct Deployment {
    layout: Layout,
    remotes: Vec<Arc<dyn Remote>>,
    /// Whether a layer is laid over the target's folder, for faults of its disk.
    disk_layers: bool,
    /// Whether it keeps a copy of the files from before the load.
    disk_copies: bool,
}

/// The packages that a node lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPackages {
    /// The node.
    pub node: Arc<str>,
    /// Their names.
    pub missing: Vec<String>,
    /// The reason why a run cannot install them, and what to do instead.
    pub by_hand: Option<String>,
}

impl Deployment {
    /// A deployment of a layout by the agents of its nodes, in the same order.
    pub fn new(layout: Layout, remotes: Vec<Arc<dyn Remote>>) -> Deployment {
        Deployment { layout, remotes, disk_layers: false, disk_copies: false }
    }

    /// With layers over the target's folders, if `wanted`, and with copies of the files from before the load.
    pub fn with_disk_layers(mut self, wanted: bool, copies: bool) -> Deployment {
        (self.disk_layers, self.disk_copies) = (wanted, copies);
        self
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The services of a node, which kills and pauses take.
    pub fn services(&self, node: &str) -> Vec<Service> {
        self.at(node)
            .map(|(plan, _)| plan.processes.iter().map(|process| process.service.clone()).collect())
            .unwrap_or_default()
    }

    /// The commands of the recipe's and the plan's faults, by node and name.
    pub fn faults(&self) -> BTreeMap<String, BTreeMap<String, OwnCommands>> {
        self.layout.nodes.iter().map(|plan| (plan.node.name.to_string(), plan.faults.clone())).collect()
    }

    /// Addresses of a node from the recipe.
    pub fn addresses(&self, node: &str) -> Vec<IpAddr> {
        self.at(node).map(|(plan, _)| plan.addresses.clone()).unwrap_or_default()
    }

    /// The target's ports on a node.
    pub fn ports(&self, node: &str) -> Vec<u16> {
        self.at(node).map(|(plan, _)| plan.ports.values().copied().collect()).unwrap_or_default()
    }

    /// The target's ports on a node, by role.
    pub fn port_roles(&self, node: &str) -> BTreeMap<String, u16> {
        self.at(node).map(|(plan, _)| plan.ports.clone()).unwrap_or_default()
    }

    fn at(&self, node: &str) -> Option<(&NodeLayout, &Arc<dyn Remote>)> {
        self.layout.nodes.iter().zip(&self.remotes).find(|(plan, _)| &*plan.node.name == node)
    }

    /// Does an action on all nodes in parallel. Returns the results in the plan's order, or the first node's error.
    async fn each<T, F>(&self, act: F) -> Result<Vec<T>, TargetError>
    where
        F: for<'a> Fn(&'a NodeLayout, &'a dyn Remote) -> BoxFuture<'a, Result<T, TargetError>>,
    {
        self.each_of(|_| true, act).await
    }

    async fn each_of<T, F>(&self, meant: impl Fn(usize) -> bool, act: F) -> Result<Vec<T>, TargetError>
    where
        F: for<'a> Fn(&'a NodeLayout, &'a dyn Remote) -> BoxFuture<'a, Result<T, TargetError>>,
    {
        let pairs = self.layout.nodes.iter().zip(&self.remotes).enumerate().filter(|(position, _)| meant(*position));
        let acts = pairs.map(|(_, (plan, remote))| act(plan, remote.as_ref())).collect();
        join_all(acts).await.into_iter().collect()
    }

    /// Installs missing packages, then runs the recipe's `install` steps.
    pub async fn install(&self) -> Result<(), TargetError> {
        let packages = &self.layout.packages;
        let acts = self.layout.nodes.iter().zip(&self.remotes).map(|(plan, remote)| {
            let act: BoxFuture<'_, _> = Box::pin(async move {
                packages::install(remote.as_ref(), packages).await?;
                steps(remote.as_ref(), "install", &plan.install).await
            });
            act
        });
        join_all(acts.collect()).await.into_iter().collect()
    }

    /// Missing packages by node, with the advice for those that a run cannot install. Changes nothing.
    pub async fn missing_packages(&self) -> Result<Vec<MissingPackages>, TargetError> {
        let packages = &self.layout.packages;
        let acts = self.remotes.iter().map(|remote| {
            let act: BoxFuture<'_, _> = Box::pin(async move {
                let missing = packages::missing(remote.as_ref(), packages).await?;
                let debian = packages::debian(packages, &missing);
                let by_hand = !debian.is_empty() && packages::in_a_lab(remote.as_ref()).await?;
                let by_hand = by_hand.then(|| packages::for_a_lab(&debian));
                Ok(MissingPackages { node: remote.node().name.clone(), missing, by_hand })
            });
            act
        });
        join_all(acts.collect()).await.into_iter().collect()
    }

    /// The missing packages of a registry that cannot be had, by name, with the reason. Those that can are on the control node
    /// afterwards; no node is touched.
    pub async fn unobtainable(&self, missing: &[MissingPackages]) -> BTreeMap<String, String> {
        let lacks =
            |package: &&Package| missing.iter().any(|node| node.missing.iter().any(|name| name == package.title()));
        let mut reasons = BTreeMap::new();
        for package in self.layout.packages.iter().filter(|package| package.is_brought()).filter(lacks) {
            if let Err(error) = registry::fetch(package).await {
                reasons.insert(package.title().to_owned(), error.to_string());
            }
        }
        reasons
    }

    /// Writes the files and defines the services.
    pub async fn configure(&self) -> Result<(), TargetError> {
        self.each(|plan, remote| Box::pin(configure(plan, remote))).await.map(drop)
    }

    /// Kills every process, removes the data and writes the files again. Also done before the first start, for the remains of an
    /// earlier run.
    pub async fn wipe(&self) -> Result<(), TargetError> {
        self.each(|plan, remote| Box::pin(wipe(plan, remote))).await?;
        self.configure().await
    }

    /// Starts every process: `prepare` steps, the processes, `form` steps. With `first-then-others` the other nodes wait until
    /// the first one is ready. Then call [`Deployment::await_ready`].
    pub async fn start(&self, deadline: Duration) -> Result<(), TargetError> {
        let end = Instant::now() + deadline;
        self.keep_disks().await?;
        match self.layout.start_order {
            StartOrder::Together => self.start_some(|_| true, end).await?,
            StartOrder::FirstThenOthers => {
                self.start_some(|position| position == 0, end).await?;
                self.ready_some(|position| position == 0, end).await?;
                self.start_some(|position| position > 0, end).await?;
            }
        }
        let steps = self.layout.nodes.iter().flat_map(|plan| &plan.form).map(|step| step.position + 1).max();
        for position in 0..steps.unwrap_or(0) {
            self.form(position).await?;
        }
        Ok(())
    }

    /// One step of `form`: on the nodes for which it is, one after the other, or on the leader.
    async fn form(&self, position: usize) -> Result<(), TargetError> {
        for (plan, remote) in self.layout.nodes.iter().zip(&self.remotes) {
            match plan.form.iter().find(|step| step.position == position) {
                Some(step) if step.on_leader => return self.form_on_leader(position, step.command.deadline_ms).await,
                Some(step) => form(remote.as_ref(), &step.command).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// Repeats a step of `form` on the node that leads by then, until it succeeds or its deadline passes.
    async fn form_on_leader(&self, position: usize, deadline_ms: u64) -> Result<(), TargetError> {
        let end = Instant::now() + Duration::from_millis(deadline_ms);
        loop {
            let mut failed = None;
            for node in self.leaders().await {
                let step = self.at(&node).and_then(|(plan, remote)| {
                    let step = plan.form.iter().find(|step| step.position == position)?;
                    Some((&step.command, remote.as_ref()))
                });
                let Some((command, remote)) = step else { continue };
                match node_commands::run(remote, "form", command.clone()).await {
                    Ok(_) => return Ok(()),
                    Err(error @ TargetError::Command { .. }) => failed = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if Instant::now() + PAUSE > end {
                return Err(failed.unwrap_or(TargetError::NoLeader {
                    step: format!("form[{position}]"),
                    waited: Duration::from_millis(deadline_ms),
                }));
            }
            sleep(PAUSE).await;
        }
    }

    /// Lays layers over the target's folders, if wanted. With layers, all that is in the folders is safe from a power loss then.
    pub async fn keep_disks(&self) -> Result<(), TargetError> {
        if !self.disk_layers {
            return Ok(());
        }
        let copy = self.disk_copies;
        let lay = move |plan: &NodeLayout| vec![plan.disk_folder(copy)];
        self.each(|plan, remote| Box::pin(node_commands::disk_layers(remote, lay(plan)))).await.map(drop)
    }

    async fn start_some(&self, meant: impl Fn(usize) -> bool, end: Instant) -> Result<(), TargetError> {
        self.each_of(meant, |plan, remote| Box::pin(start(plan, remote, end))).await.map(drop)
    }

    /// Waits until every process of every node serves.
    pub async fn await_ready(&self, deadline: Duration) -> Result<(), TargetError> {
        self.ready_some(|_| true, Instant::now() + deadline).await
    }

    /// Waits until every process of every node serves. Returns the processes that do not, each with its missing condition. Fails
    /// if a node cannot be asked.
    pub async fn not_ready(&self, deadline: Duration) -> Result<Vec<NotReady>, TargetError> {
        let end = Instant::now() + deadline;
        let pairs = self.layout.nodes.iter().zip(&self.remotes);
        let acts = pairs.map(|(plan, remote)| {
            let act: BoxFuture<'_, _> = Box::pin(ready(plan, remote.as_ref(), end));
            act
        });
        let mut found = Vec::new();
        for outcome in join_all(acts.collect()).await {
            match outcome {
                Ok(()) => {}
                Err(TargetError::NotReady { node, process, waited, waiting_for, log }) => {
                    found.push(NotReady { node, process, waited, waiting_for, log });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Waits until every process of one node serves.
    pub async fn await_node_ready(&self, node: &str, deadline: Duration) -> Result<(), TargetError> {
        let end = Instant::now() + deadline;
        self.ready_some(|position| &*self.layout.nodes[position].node.name == node, end).await
    }

    async fn ready_some(&self, meant: impl Fn(usize) -> bool, end: Instant) -> Result<(), TargetError> {
        self.each_of(meant, |plan, remote| Box::pin(ready(plan, remote, end))).await.map(drop)
    }

    /// Stops every process in order.
    pub async fn stop(&self) -> Result<(), TargetError> {
        self.each(|plan, remote| Box::pin(stop(plan, remote))).await.map(drop)
    }

    /// Starts dead processes again. If all processes are dead on every node, the recipe's `recovery` steps come first. Returns
    /// the started ones: node and process.
    pub async fn restart_dead(&self) -> Result<Vec<(Arc<str>, String)>, TargetError> {
        let states = self.each(|_, remote| Box::pin(node_commands::services(remote))).await?;
        let dead: Vec<Vec<&PlannedProcess>> =
            self.layout.nodes.iter().zip(&states).map(|(plan, states)| dead_of(plan, states)).collect();
        let all_dead = self.layout.nodes.iter().zip(&dead).all(|(plan, dead)| plan.processes.len() == dead.len());
        if all_dead {
            self.recover().await?;
        }
        // All nodes at once: a process may wait for others of its node, which may need the other nodes.
        let nodes = self.layout.nodes.iter().zip(&self.remotes).zip(&dead);
        let acts = nodes.map(|((plan, remote), dead)| {
            let act: BoxFuture<'_, _> = Box::pin(restart(plan, remote.as_ref(), dead));
            act
        });
        let started: Vec<Vec<_>> = join_all(acts.collect()).await.into_iter().collect::<Result<_, _>>()?;
        Ok(started.into_iter().flatten().collect())
    }

    /// The version of each node; empty if the recipe does not ask.
    pub async fn versions(&self) -> Result<Vec<(Arc<str>, String)>, TargetError> {
        self.each(|plan, remote| Box::pin(version(plan, remote))).await
    }
}

async fn steps(remote: &dyn Remote, what: &str, commands: &[Command]) -> Result<(), TargetError> {
    for command in commands {
        node_commands::run(remote, what, command.clone()).await?;
    }
    Ok(())
}

async fn configure(plan: &NodeLayout, remote: &dyn Remote) -> Result<(), TargetError> {
    let dir = plan.dir.as_str();
    let quick = |argv: &[&str]| Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        deadline_ms: 10_000,
        ..Command::default()
    };
    let mark = room::mark(plan);
    node_commands::run(remote, "make the target's folder", quick(&["install", "-d", "-m", "0755", dir, &mark])).await?;
    if let Some(user) = plan.processes.iter().map(|process| &process.service.user).find(|user| !user.is_empty()) {
        node_commands::run(remote, "give the target's folder to its user", quick(&["chown", user, dir])).await?;
    }
    for file in &plan.files {
        node_commands::write(remote, &file.path, file.content.as_bytes(), file.mode, file.owner.as_deref()).await?;
    }
    for process in &plan.processes {
        node_commands::define(remote, &process.service).await?;
    }
    Ok(())
}

async fn wipe(plan: &NodeLayout, remote: &dyn Remote) -> Result<(), TargetError> {
    for process in &plan.processes {
        // Defined first, so that a new agent finds the process that an earlier one started. On a full disk the agent keeps the
        // definition in memory only; it is defined again when there is room.
        node_commands::define(remote, &process.service).await?;
        node_commands::stop(remote, &process.service.name, 9, Duration::ZERO).await?;
    }
    // A folder under a layer cannot be removed.
    node_commands::disk_layers(remote, Vec::new()).await?;
    let mut argv = vec!["rm".to_owned(), "-rf".to_owned(), "--".to_owned()];
    argv.extend(plan.wipe_paths.iter().cloned());
    if !plan.wipe_paths.is_empty() {
        node_commands::run(remote, "wipe", Command { argv, deadline_ms: 60_000, ..Command::default() }).await?;
    }
    steps(remote, "wipe", &plan.wipe_commands).await
}

async fn start(plan: &NodeLayout, remote: &dyn Remote, end: Instant) -> Result<(), TargetError> {
    steps(remote, "prepare", &plan.prepare).await?;
    for process in &plan.processes {
        for other in before(plan, process) {
            ready_process(plan, remote, other, end).await?;
        }
        node_commands::start(remote, &process.service.name, false).await?;
    }
    Ok(())
}

/// Starts the dead processes of a node again. One that waits for another in vain is started all the same: what it needs may
/// be down for longer, and it must cope with that.
async fn restart(
    plan: &NodeLayout,
    remote: &dyn Remote,
    dead: &[&PlannedProcess],
) -> Result<Vec<(Arc<str>, String)>, TargetError> {
    let mut started = Vec::new();
    for process in dead {
        let end = Instant::now() + AFTER;
        for other in before(plan, process) {
            match ready_process(plan, remote, other, end).await {
                Ok(()) | Err(TargetError::NotReady { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        node_commands::start(remote, &process.service.name, true).await?;
        started.push((remote.node().name.clone(), process.service.name.clone()));
    }
    Ok(started)
}

/// The processes that must serve before this one starts.
fn before<'a>(plan: &'a NodeLayout, process: &'a PlannedProcess) -> impl Iterator<Item = &'a PlannedProcess> {
    plan.processes.iter().filter(|other| process.after.contains(&other.service.name))
}

/// Repeats a `form` step until it succeeds or its deadline passes.
async fn form(remote: &dyn Remote, command: &Command) -> Result<(), TargetError> {
    let end = Instant::now() + Duration::from_millis(command.deadline_ms);
    loop {
        match node_commands::run(remote, "form", command.clone()).await {
            Ok(_) => return Ok(()),
            Err(error @ TargetError::Command { .. }) if Instant::now() + PAUSE > end => return Err(error),
            Err(TargetError::Command { .. }) => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

async fn ready(plan: &NodeLayout, remote: &dyn Remote, end: Instant) -> Result<(), TargetError> {
    for process in &plan.processes {
        ready_process(plan, remote, process, end).await?;
    }
    Ok(())
}

async fn ready_process(
    plan: &NodeLayout,
    remote: &dyn Remote,
    process: &PlannedProcess,
    end: Instant,
) -> Result<(), TargetError> {
    let begun = Instant::now();
    let not_ready = |waiting_for: String, log: String| TargetError::NotReady {
        node: remote.node().name.clone(),
        process: process.service.name.clone(),
        waited: Duration::from_secs(begun.elapsed().as_secs()),
        waiting_for,
        log,
    };
    loop {
        let answer = process.ready.ask(remote, plan).await;
        let Err(problem) = answer else { return Ok(()) };
        let states = node_commands::services(remote).await?;
        if let Some(ended) = ended(&states, &process.service.name) {
            let log = log_tail(remote, &process.service.log).await;
            return Err(not_ready(format!("it has ended ({ended})"), log));
        }
        if Instant::now() + PAUSE > end {
            let hint = listening::hint(remote, &process.ready.ask, &plan.ports).await;
            let log = log_tail(remote, &process.service.log).await;
            return Err(not_ready([problem].into_iter().chain(hint).collect::<Vec<_>>().join("; "), log));
        }
        sleep(PAUSE).await;
    }
}

/// The end of a service, if it has ended.
fn ended(states: &[ServiceState], name: &str) -> Option<String> {
    let state = states.iter().find(|state| state.name == name)?;
    (state.pids.is_empty() && !state.ended.is_empty()).then(|| state.ended.clone())
}

/// Lines of a log in an error: stacks are long, and the cause stands above them.
const LOG_LINES: &str = "20";

/// The end of a log for a message, or its path.
async fn log_tail(remote: &dyn Remote, path: &str) -> String {
    let argv = ["tail", "-n", LOG_LINES, "--", path].map(str::to_owned).to_vec();
    match node_commands::run(remote, "read the log", Command { argv, deadline_ms: 5_000, ..Command::default() }).await {
        Ok(text) if text.trim().is_empty() => format!("\n  its log {path} is empty"),
        Ok(text) => format!("\n  the end of {path}:\n{}", node_commands::tail(&text, 20)),
        Err(error) => format!("\n  its log could not be read: {error}"),
    }
}

async fn stop(plan: &NodeLayout, remote: &dyn Remote) -> Result<(), TargetError> {
    for process in plan.processes.iter().rev() {
        node_commands::stop(remote, &process.service.name, process.stop_signal, process.stop_grace).await?;
    }
    Ok(())
}

fn dead_of<'a>(plan: &'a NodeLayout, states: &[ServiceState]) -> Vec<&'a PlannedProcess> {
    let alive = |name: &str| states.iter().any(|state| state.name == name && !state.pids.is_empty());
    plan.processes.iter().filter(|process| !alive(&process.service.name)).collect()
}

async fn version(plan: &NodeLayout, remote: &dyn Remote) -> Result<(Arc<str>, String), TargetError> {
    let text = match &plan.version {
        Some(command) => node_commands::run(remote, "version", command.clone()).await?,
        None => String::new(),
    };
    Ok((plan.node.name.clone(), text.lines().next().unwrap_or_default().trim().to_owned()))
}
