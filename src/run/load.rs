//! [`Load`]: the clients, the nemesis and the role prober in parallel, with one recorder.
use super::driver::{Driver, DriverOptions, DriverSummary, NodeEndpoint, OnLeader};
use super::hosts::Hosts;
use super::last_heal::LastHeal;
use super::members::{KnownMembers, MembersProber};
use super::nemesis::{AwaitReady, EventSink, Executor, Limits, Now, Views};
use super::prepared::{self, READY_WITHIN};
use super::progress::{Progress, Snapshot};
use super::recorder::Recorder;
use super::roles::{Leaders, Leadership, Prober};
use super::settle::SettleOptions;
use super::signals::{Observers, RunSignals};
use super::{Run, clients, clocks, either};
use crate::cluster::{Node, NodeAccess};
use crate::store::Readiness;
use crate::targets::Deployment;
use crate::targets::recipe::Authority;
use dsfuzz_checkers::FinalReads;
use dsfuzz_checkers::history::FaultStep;
use dsfuzz_nemesis::{ClusterView, Members, NodeView, ScheduledFault, Timetable};
use dsfuzz_workloads::{Connect, Terms, Workload};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a fault that needs a leader waits for an election.
const ELECTION: Duration = Duration::from_secs(3);
/// Time of the last heal beside the undos.
const HEAL_BESIDE: Duration = Duration::from_secs(5);

/// The parts of a run that are active while clients run.
pub(super) struct Load {
    recorder: Arc<Recorder>,
    executor: Arc<Executor>,
    signals: Arc<RunSignals>,
    prober: Option<Prober>,
    leaders: watch::Sender<Leadership>,
    members: watch::Sender<Option<Members>>,
    deployment: Deployment,
    hosts: Arc<Hosts>,
    timetable: Timetable,
    connect: Arc<dyn Connect>,
    workloads: Vec<Arc<dyn Workload>>,
    options: DriverOptions,
    final_reads: FinalReads,
    final_deadline: Duration,
    standstill: Duration,
    authority: bool,
    refusals: Vec<String>,
    active: Arc<Active>,
}

/// A finished load.
pub(super) struct FinishedLoad {
    /// The begin of the load: its clients were ready.
    pub(super) began: std::time::Instant,
    pub(super) readiness: Readiness,
    pub(super) summary: DriverSummary,
    /// The faults that began, as they were measured, and the greatest delay of one behind the timetable.
    pub(super) faults: MeasuredFaults,
    /// The role prober, which continues.
    pub(super) probing: Watch,
}

/// The faults of a load as they were measured.
#[derive(Default)]
pub(super) struct MeasuredFaults {
    /// Those that began, as entries of a schedule.
    pub(super) schedule: Vec<ScheduledFault>,
    /// Greatest delay of a fault behind the timetable.
    pub(super) slip_ms: Option<u64>,
}

/// Faults in force now, in words, for the progress line.
#[derive(Default)]
struct Active(Mutex<BTreeMap<u64, String>>);

impl Load {
    pub(super) fn new(run: &Run, hosts: &Arc<Hosts>, deployment: &Deployment, recorder: &Arc<Recorder>) -> Load {
        let active = Arc::new(Active::default());
        let demand = run.job.plan.nemesis.as_ref().and_then(|nemesis| nemesis.recovery);
        let last_heal = Arc::new(LastHeal::new(demand.map(|demand| demand.within.0)));
        let leaders = watch::Sender::new(Leadership::default());
        let members = watch::Sender::new(deployment.members_every().map(|_| Members::default()));
        let executor = Executor::new(
            hosts.clone(),
            hosts.run_name(),
            log(recorder.clone(), (active.clone(), last_heal.clone()), run.progress.clone()),
            views(run, deployment, (leaders.subscribe(), members.subscribe())),
            now(recorder.clone()),
        );
        let every = deployment.role_pace().map_or(Duration::ZERO, |(every, _)| every);
        let executor = executor.with_at_once(run.target.at_once(run.job.nodes.len()));
        let retried = last_heal.clone();
        let executor = executor.with_retried(Arc::new(move |fault| retried.retried(fault)));
        let executor =
            executor.with_ready(ready(deployment)).with_limits(Limits { view: ELECTION + every, ..Limits::default() });
        let signals = Arc::new(RunSignals::new(&run.timetable, hosts, deployment, recorder));
        let executor = executor.with_signals(Arc::new(Observers(signals.clone())));
        Load {
            recorder: recorder.clone(),
            executor: Arc::new(executor),
            prober: deployment.role_pace().map(|pace| prober(deployment, recorder, &signals, pace)),
            signals,
            options: DriverOptions { goes_on: last_heal.ends(), ..driver_options(run, leaders.subscribe()) },
            leaders,
            members,
            deployment: deployment.clone(),
            hosts: hosts.clone(),
            timetable: run.timetable.clone(),
            connect: run.connect.clone(),
            workloads: run.workloads.clone(),
            final_reads: run.final_reads(),
            final_deadline: run.job.plan.load.final_deadline.0,
            standstill: run.job.plan.standstill(),
            authority: run.target.recipe().authority != Authority::Any,
            refusals: run.target.refusals(),
            active,
        }
    }

    /// Runs the load to its end; the role prober continues until it is stopped. `begins` is called when the clients are ready.
    /// None: the run was halted before, without a call or a fault.
    pub(super) async fn run(
        &self,
        progress: &Arc<dyn Progress>,
        halt: watch::Receiver<bool>,
        begins: impl FnOnce() + Send,
    ) -> Option<FinishedLoad> {
        let probing = self.watch();
        let load = |connect, readiness: Readiness| {
            if readiness.is_notable() {
                self.recorder.note("", &readiness.to_string());
                progress.line(&readiness.to_string());
            }
            begins();
            let through = self.through(connect, progress, halt.clone());
            async move { (readiness, through.await) }
        };
        let (connect, options) = (self.connect.clone(), &self.options);
        match prepared::through_ready(connect, options, READY_WITHIN, halt.clone(), load).await {
            Some((readiness, (began, summary, faults))) => {
                Some(FinishedLoad { began, readiness, summary, faults, probing })
            }
            None => {
                probing.stop().await;
                None
            }
        }
    }

    /// Starts the time of the load and of the faults.
    async fn through(
        &self,
        connect: Arc<dyn Connect>,
        progress: &Arc<dyn Progress>,
        halt: watch::Receiver<bool>,
    ) -> (std::time::Instant, DriverSummary, MeasuredFaults) {
        self.signals.load_begins();
        let start = Instant::now();
        let (over, load_over) = watch::channel(false);
        let breaking = {
            let (executor, timetable) = (self.executor.clone(), self.timetable.clone());
            let mut load_over = load_over;
            let stop = either(halt.clone(), async move { super::driver::turned_true(&mut load_over).await });
            tokio::spawn(async move { executor.run(&timetable, start, stop).await })
        };
        let ticking = self.tick(progress.clone());
        let driver = Driver {
            recorder: self.recorder.clone(),
            connect,
            workloads: self.workloads.clone(),
            options: self.options.clone(),
        };
        let mut summary = driver.run(halt).await;
        over.send_replace(true);
        let faults = match breaking.await {
            Ok(outcomes) => MeasuredFaults {
                slip_ms: outcomes.iter().filter_map(|outcome| outcome.slip_ms).max(),
                schedule: outcomes.into_iter().filter_map(|outcome| outcome.measured).collect(),
            },
            Err(error) => {
                summary.harness.push(format!("the nemesis panicked: {error}"));
                MeasuredFaults::default()
            }
        };
        ticking.abort();
        (start.into_std(), summary, faults)
    }

    /// The longest time that [`Load::heal_all`] takes.
    pub(super) fn longest_heal(&self) -> Duration {
        self.executor.longest_heal_all() + HEAL_BESIDE
    }

    /// Undoes all faults on every node, with proof; only once where an agent says that it cannot, if the run is halted. An error names the
    /// nodes without proof.
    pub(super) async fn heal_all(&self, halt: watch::Receiver<bool>) -> Result<(), String> {
        let healed = self.executor.heal_all(halt).await;
        let left = healed.iter().filter(|node| !node.healed);
        let left: Vec<String> = left.map(|node| format!("{}: {}", node.node, node.detail.join("; "))).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    }

    /// Opens a client on each node and asks it (`init`), as the load does. An error says what failed.
    pub(super) async fn try_clients(&self) -> Result<(), String> {
        clients::try_each(self.connect.clone(), &self.options).await
    }

    /// Lets the clients prepare the target for their workloads. An error says what failed.
    pub(super) async fn set_up(&self) -> Result<(), String> {
        clients::set_up(self.connect.clone(), &self.options, self.final_deadline, super::SETUP).await
    }

    /// The options of the final reads after this load.
    pub(super) fn settle_options(&self, time: Duration, summary: &DriverSummary) -> SettleOptions {
        SettleOptions {
            seed: self.options.seed,
            nodes: self.options.nodes.clone(),
            mode: self.final_reads,
            authority: self.authority,
            leaders: self.leaders.subscribe(),
            refusals: self.refusals.clone(),
            time,
            deadline: self.final_deadline,
            standstill: self.standstill,
            first_worker: self.options.workers(),
            first_process: summary.next_process,
            client_options: self.options.client_options.clone(),
        }
    }

    fn watch(&self) -> Watch {
        let (stop, stopped) = watch::channel(false);
        let nodes = self.options.nodes.iter().map(|node| node.name.to_string()).collect();
        let (leaders, prober) = (self.leaders.clone(), self.prober.clone());
        let task = prober.map(|prober| tokio::spawn(prober.run(nodes, leaders, stopped)));
        let clocks = self.timetable.faults.iter().any(|fault| fault.facts().samples_clocks);
        let clocks = clocks.then(|| tokio::spawn(clocks::watch(self.hosts.clone(), self.recorder.clone())));
        let every = self.deployment.members_every().filter(|_| !self.timetable.faults.is_empty());
        let members = every.map(|every| {
            let prober = MembersProber {
                deployment: self.deployment.clone(),
                nodes: self.options.nodes.iter().map(|node| node.name.to_string()).collect(),
                leaders: self.leaders.subscribe(),
                recorder: self.recorder.clone(),
                every,
            };
            tokio::spawn(prober.run(self.members.clone()))
        });
        Watch { stop, task, beside: clocks.into_iter().chain(members).collect(), following: self.signals.follow() }
    }

    fn tick(&self, progress: Arc<dyn Progress>) -> tokio::task::JoinHandle<()> {
        let (recorder, active) = (self.recorder.clone(), self.active.clone());
        tokio::spawn(async move {
            loop {
                let counters = recorder.counters();
                progress.tick(&Snapshot {
                    ops_per_s: counters.ended_per_second,
                    ok: counters.ok,
                    fail: counters.fail,
                    info: counters.info,
                    faults: active.words(),
                });
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    }
}

/// Watchers that continue after the load until they are stopped.
pub(super) struct Watch {
    stop: watch::Sender<bool>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// The samples of clocks and the questions for members.
    beside: Vec<tokio::task::JoinHandle<()>>,
    following: JoinSet<()>,
}

impl Watch {
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        self.following.abort_all();
        self.beside.iter().for_each(tokio::task::JoinHandle::abort);
        if let Some(task) = self.task
            && let Err(error) = task.await
        {
            tracing::error!("the role prober panicked: {error}");
        }
    }
}

impl Active {
    fn words(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn note(&self, fault: u64, step: FaultStep, what: &str) {
        let mut active = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            FaultStep::Begun => drop(active.insert(fault, what.to_string())),
            FaultStep::Healed | FaultStep::Unhealed => drop(active.remove(&fault)),
            _ => {}
        }
    }
}

fn driver_options(run: &Run, leaders: Leaders) -> DriverOptions {
    let load = &run.job.plan.load;
    let terms = Terms::load(load.deadline(run.target.election()));
    let endpoints = run.job.nodes.iter().map(|(node, _)| run.target.endpoint(node, 0, terms));
    let mut client_options = BTreeMap::new();
    let nodes = endpoints.map(|endpoint| {
        client_options.clone_from(&endpoint.options);
        NodeEndpoint { name: endpoint.node, address: endpoint.address, ports: endpoint.ports }
    });
    let nodes: Vec<NodeEndpoint> = nodes.collect();
    let clients = load.clients.count(nodes.len());
    DriverOptions {
        seed: run.job.seed,
        clients,
        on_leader: OnLeader { clients: load.on_leader(clients), leaders },
        nodes,
        rate: load.rate.map(|rate| rate.0),
        time: load.time.0,
        goes_on: None,
        deadline: load.deadline(run.target.election()),
        ops_max: load.ops_max,
        joining: load.joining,
        asked_per_node: load.asked_per_node(run.job.nodes.len()),
        client_options,
    }
}

fn prober(
    deployment: &Deployment,
    recorder: &Arc<Recorder>,
    signals: &Arc<RunSignals>,
    (every, deadline): (Duration, Duration),
) -> Prober {
    let signals = signals.clone();
    let several = deployment.leads_in_shards();
    let (deployment, marking, recording) = (deployment.clone(), recorder.clone(), recorder.clone());
    Prober {
        ask: Arc::new(move |node| {
            let (deployment, node) = (deployment.clone(), node.to_string());
            Box::pin(async move {
                let answer = deployment.role(&node, deadline).await;
                if answer.role.is_empty() {
                    return Err(answer.detail);
                }
                Ok(answer)
            })
        }),
        mark: Arc::new(move || marking.mark()),
        record: Arc::new(move |claim| {
            signals.probed(&claim);
            recording.role(claim)
        }),
        every,
        deadline,
        several,
    }
}

fn ready(deployment: &Deployment) -> AwaitReady {
    let deployment = deployment.clone();
    Arc::new(move |node, deadline| {
        let (deployment, node) = (deployment.clone(), node.to_owned());
        Box::pin(async move { deployment.await_node_ready(&node, deadline).await.map_err(|error| error.to_string()) })
    })
}

fn views(run: &Run, deployment: &Deployment, (leaders, members): (Leaders, KnownMembers)) -> Views {
    let own_kernel = run.job.plan.cluster.own_kernel();
    let view = |(node, _): &(Node, NodeAccess)| NodeView {
        name: node.name.to_string(),
        address: node.address,
        others: deployment.addresses(&node.name),
        ports: deployment.ports(&node.name),
        port_roles: deployment.port_roles(&node.name),
        services: deployment.services(&node.name).into_iter().map(|service| service.name).collect(),
        own_kernel,
    };
    let nodes: Vec<NodeView> = run.job.nodes.iter().map(view).collect();
    let own = deployment.faults();
    let control_boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let control_boot_id = control_boot_id.trim().to_string();
    Arc::new(move |for_leader| {
        let (nodes, control_boot_id, mut leaders) = (nodes.clone(), control_boot_id.clone(), leaders.clone());
        let (own, members) = (own.clone(), members.clone());
        Box::pin(async move {
            // Right after a heal an election may be under way. A fault that needs a leader waits for it; any other fault
            // does not.
            let wait = if for_leader { ELECTION } else { Duration::ZERO };
            let _ = tokio::time::timeout(wait, leaders.wait_for(|leadership| !leadership.now.is_empty())).await;
            let Leadership { now, former } = leaders.borrow().clone();
            let members = members.borrow().clone();
            ClusterView {
                nodes,
                leaders: now,
                former_leaders: former,
                members,
                own,
                control_boot_id,
                ..ClusterView::default()
            }
        })
    })
}

fn log(
    recorder: Arc<Recorder>,
    (active, last_heal): (Arc<Active>, Arc<LastHeal>),
    progress: Arc<dyn Progress>,
) -> EventSink {
    Arc::new(move |event| {
        active.note(event.fault, event.step, &event.what);
        let name = if event.name.is_empty() { event.fault.to_string() } else { event.name.clone() };
        if !matches!(event.step, FaultStep::Planned | FaultStep::Resolved) {
            tracing::info!(fault = %name, step = %event.step, what = %event.what, detail = ?event.detail, "fault");
        }
        use FaultStep::{Lapsed, Missed, NotTriggered, Unhealed, Unproven};
        if matches!(event.step, Unproven | Lapsed | Unhealed | Missed | NotTriggered) {
            progress.line(&format!("fault {name} {}: {}", event.step, event.detail.join("; ")));
        }
        let (fault, step) = (event.fault, event.step);
        let mark = recorder.fault(event);
        // After its time was taken: the load must not end before the checker's window does.
        last_heal.note(fault, step);
        mark
    })
}

fn now(recorder: Arc<Recorder>) -> Now {
    Arc::new(move || recorder.now())
}
