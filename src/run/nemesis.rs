//! Carries out a timetable on the agents, and records each step as an event of the history.
//!
//! Each fault: resolve, look before, inject, prove, wait, prove again, heal, prove the heal. Drawn faults come one at a time, those
//! of a schedule by their own begins. Every step has a deadline, so that a heal never waits for long. Never: draws, judges, or retries an injection (only a heal).
mod budget;
mod fault_log;
mod heal;
mod in_force;
mod links;
mod outcome;
mod packet_proof;
mod packets;
mod paths;
mod ports;
mod proof;
mod remotes;
mod rolling;
mod scheduled;
mod signals;
#[cfg(test)]
mod tests;

pub use heal::NodeHeal;
pub use links::{BlockedKind, BlockedPath};
pub use outcome::FaultOutcome;
pub use remotes::{FixedRemotes, Remotes};
pub use signals::{Fired, NoSignals, Signals};

use crate::cluster::RemoteError;
use budget::NodeBudget;
use dsfuzz_checkers::history::{FaultEvent, FaultProblem, FaultStep, Mark};
use dsfuzz_nemesis::facts::VerifiedBy;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{Command, Injection, OwnCommands, Request, Response};
use dsfuzz_nemesis::{
    BoundFault, ClusterView, IN_FORCE_MIN, NodeView, PlannedFault, ResolvedFault, ScheduledFault, Timetable, resolve,
    schedule,
};
use dsfuzz_workloads::BoxFuture;
use fault_log::{FaultLog, FaultLogs};
use in_force::InForce;
use links::OpenPaths;
use proof::{CountedFrom, LookBefore};
use remotes::{NodeResponse, everywhere};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Writes an event into the journal, fills in its index and time, and returns them.
pub type EventSink = Arc<dyn Fn(FaultEvent) -> Mark + Send + Sync>;
/// The present view of the cluster. True: the fault needs a leader and may wait for an election. False: at once, with the known
/// leader.
pub type Views = Arc<dyn Fn(bool) -> BoxFuture<'static, ClusterView> + Send + Sync>;
/// Waits until a node of the target is ready again, at most this long. An error says what it waits for.
pub type AwaitReady = Arc<dyn Fn(&str, Duration) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
/// Called with a fault's id.
pub type Retried = Arc<dyn Fn(u64) + Send + Sync>;
/// Nanoseconds on the journal's clock.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Deadlines of the steps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The view of the cluster.
    pub view: Duration,
    /// An injection on a node.
    pub inject: Duration,
    /// A look at a node: a proof or a list of services.
    pub look: Duration,
    /// One round of datagrams.
    pub round: Duration,
    /// From the injections to the proof.
    pub prove: Duration,
    /// One undo on a node.
    pub undo: Duration,
    /// From the first undo to the begin of the last retry.
    pub heal: Duration,
    /// Until every link is heard again after a heal.
    pub heal_proof: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            view: Duration::from_secs(1),
            inject: Duration::from_secs(5),
            look: Duration::from_secs(1),
            // A host that is slow, or far away, takes part in the proof of a cut.
            round: Duration::from_millis(1500),
            prove: Duration::from_secs(4),
            undo: Duration::from_secs(5),
            heal: Duration::from_secs(15),
            heal_proof: Duration::from_secs(3),
        }
    }
}

/// Time for stopping and starting services beside the commands of a custom fault.
const SERVICES: Duration = Duration::from_secs(10);
/// The times of a fault in force.
#[derive(Clone, Copy)]
struct InForceUntil {
    /// The begin of the load.
    start: Instant,
    /// Its due time.
    due: Instant,
    /// The decision to inject it.
    decided: Instant,
    /// The begin of the quiet end, at which it is healed at the latest.
    quiet_from: Instant,
}

/// Delay behind the timetable from which a fault gets a note.
const SLIP_NOTED: Duration = Duration::from_millis(100);

/// Time between two looks whether the heal of another fault has ended.
const HEAL_AGAIN: Duration = Duration::from_millis(10);

/// The shortest duration that a schedule writes.
const SHORTEST: Duration = Duration::from_millis(1);

/// Carries out timetables.
pub struct Executor {
    remotes: Arc<dyn Remotes>,
    run: String,
    view: Views,
    now: Now,
    limits: Limits,
    logs: FaultLogs,
    ready: Option<AwaitReady>,
    rounds: AtomicU64,
    /// The nodes by the plan and the recipe.
    nodes: Mutex<Vec<NodeView>>,
    in_force: InForce,
    budget: NodeBudget,
    /// The faults of a schedule as they were bound, by id.
    bound: Mutex<BTreeMap<String, BoundFault>>,
    /// The paths that were open before the first fault of a schedule.
    baseline: Mutex<OpenPaths>,
    /// The further addresses of each node at that time.
    addresses: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    signals: Arc<dyn Signals>,
    /// Undos of custom faults that were not healed, by fault.
    undoing_again: tokio::sync::Mutex<BTreeMap<u64, tokio::task::JoinHandle<Vec<NodeResponse>>>>,
    /// Called with a fault whose undo is tried again and again, since a node said that it is not gone.
    retried: Retried,
}

impl Executor {
    /// An executor for the run of this name, which its agents know.
    pub fn new(remotes: Arc<dyn Remotes>, run: impl Into<String>, sink: EventSink, view: Views, now: Now) -> Executor {
        Executor {
            remotes,
            run: run.into(),
            view,
            now,
            limits: Limits::default(),
            logs: FaultLogs::new(sink),
            ready: None,
            rounds: AtomicU64::new(0),
            nodes: Mutex::default(),
            in_force: InForce::default(),
            budget: NodeBudget::default(),
            bound: Mutex::default(),
            baseline: Mutex::default(),
            addresses: Mutex::default(),
            signals: Arc::new(NoSignals),
            undoing_again: tokio::sync::Mutex::default(),
            retried: Arc::new(|_| ()),
        }
    }

    /// With signals for the triggers of a schedule.
    pub fn with_signals(mut self, signals: Arc<dyn Signals>) -> Executor {
        self.signals = signals;
        self
    }

    /// With a listener for faults whose undo is tried again.
    pub fn with_retried(mut self, retried: Retried) -> Executor {
        self.retried = retried;
        self
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: Limits) -> Executor {
        self.limits = limits;
        self
    }

    /// With the most nodes that custom faults may take at the same time, by their names.
    pub fn with_at_once(mut self, at_once: BTreeMap<String, usize>) -> Executor {
        self.budget.at_once = at_once;
        self
    }

    /// With the target's readiness, for which a rolling fault waits between two nodes.
    pub fn with_ready(mut self, ready: AwaitReady) -> Executor {
        self.ready = Some(ready);
        self
    }

    /// Carries out a timetable whose load begins at `start`, until its end or until `stop` turns true. A fault in force then is
    /// healed at once. Call [`Executor::heal_all`] afterwards to leave no fault.
    pub async fn run(
        &self,
        timetable: &Timetable,
        start: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> Vec<FaultOutcome> {
        let names = self.remotes.names();
        for planned in &timetable.faults {
            self.logs.planned(planned, &names);
        }
        if timetable.overlapping {
            return self.run_schedule(timetable, start, &stop).await;
        }
        let quiet_from = start + timetable.quiet_from.0;
        let mut outcomes = Vec::new();
        let mut late_injections = Vec::new();
        for planned in &timetable.faults {
            let mut outcome = FaultOutcome::of(planned);
            if wait(start + planned.at.0, &mut stop).await == WaitEnd::Stopped {
                outcome.problems.push("stopped before it began".to_owned());
            } else if Instant::now() >= quiet_from {
                let why = "no time was left: the earlier steps took too long".to_owned();
                self.logs.of(planned).record(FaultStep::Unproven, vec![why.clone()]);
                outcome.problems.push(why);
            } else {
                self.undo_late(&mut late_injections).await;
                let due = start + planned.at.0;
                late_injections = self.one(planned, (start, due, quiet_from), &mut stop, &mut outcome).await;
            }
            outcomes.push(outcome);
        }
        self.undo_late(&mut late_injections).await;
        outcomes
    }

    /// One fault from beginning to end, with the begin of the load, its due time and the begin of the quiet end. Returns the nodes
    /// whose injections had no response in time: these may still happen.
    async fn one(
        &self,
        planned: &PlannedFault,
        (start, due, quiet_from): (Instant, Instant, Instant),
        stop: &mut watch::Receiver<bool>,
        outcome: &mut FaultOutcome,
    ) -> Vec<(u64, String)> {
        let decided = Instant::now();
        let log = self.logs.of(planned);
        self.heal_the_unhealed().await;
        let fault = match self.resolve(planned).await {
            Ok(fault) => fault,
            Err(why) => {
                log.record(FaultStep::Unproven, vec![not_resolved(&why)]);
                outcome.problems.push(not_resolved(&why));
                return Vec::new();
            }
        };
        if let Err(why) = self.budget.take(planned, &fault, None) {
            log.record(FaultStep::Unproven, vec![why.clone()]);
            outcome.problems.push(why);
            return Vec::new();
        }
        let log = log.resolved(&fault);
        log.bound(&schedule::measured(planned, &fault, (planned.at.0, planned.lasts.0), quiet_from - start));
        let (open, before) = self.look_before(planned.id, &fault).await;
        let times = InForceUntil { start, due, decided, quiet_from };
        let late = self.in_force(planned, log, (fault, open, before), times, stop, outcome).await;
        if outcome.healed {
            self.budget.give_back(planned.id);
        }
        late
    }

    /// A resolved fault from its injections to its heal.
    async fn in_force(
        &self,
        planned: &PlannedFault,
        log: FaultLog<'_>,
        (fault, open, before): (ResolvedFault, OpenPaths, LookBefore),
        InForceUntil { start, due, decided, quiet_from }: InForceUntil,
        stop: &mut watch::Receiver<bool>,
        outcome: &mut FaultOutcome,
    ) -> Vec<(u64, String)> {
        let (id, fault, open) = (planned.id, Arc::new(fault), Arc::new(open));
        outcome.what.clone_from(&fault.what);
        outcome.nodes.clone_from(&fault.nodes);
        self.reprove_overtaken(&log, &fault).await;
        self.in_force.enter(id, planned.name(), fault.clone(), open.clone());
        let problems = [before.problems, self.in_force.had_before(id)].concat();
        let before = LookBefore { problems, ..before };
        let begun = Instant::now();
        let slip = begun.saturating_duration_since(due);
        outcome.slip_ms = Some(millis(slip));
        outcome.begun = Some(log.begin((slip >= SLIP_NOTED).then_some(slip)));
        if planned.fault.rolling() {
            let end = (begun + planned.lasts.0).min(quiet_from);
            let late = self.roll(&log, &fault, before, (decided, end), stop, outcome).await;
            // Its duration is the most that it may take.
            let at = begun.saturating_duration_since(start);
            let lasts = planned.lasts.0.min(quiet_from.saturating_duration_since(begun)).max(SHORTEST);
            let measured = schedule::measured(planned, &fault, (at, lasts), quiet_from - start);
            outcome.measured = Some(asked_again(planned, measured, outcome));
            self.in_force.leave(id, outcome.healed);
            return late;
        }
        let Injected { failed, late, said } = self.inject(id, &fault).await;
        let injected = failed.is_empty();
        let before = LookBefore { problems: [before.problems, failed].concat(), said, ..before };
        let end = (begun + planned.lasts.0).min(quiet_from);
        self.prove(&log, (&fault, &open), before, (decided, begun, end), stop, outcome).await;
        let lasts = match injected {
            true => {
                wait(end, stop).await;
                begun.elapsed().min(quiet_from.saturating_duration_since(begun)).max(SHORTEST)
            }
            false => planned.lasts.0,
        };
        if self.in_force.is_overtaken(id) {
            outcome.reproven = self.in_force.last_proof(id);
        } else if outcome.proven.is_some() {
            self.prove_again(&log, (&fault, &open), outcome).await;
        }
        let at = begun.saturating_duration_since(start);
        let measured = schedule::measured(planned, &fault, (at, lasts), quiet_from - start);
        outcome.measured = Some(asked_again(planned, measured, outcome));
        self.note_self_heals(fault.injections.iter().map(|(node, _)| node.clone()).collect(), outcome).await;
        self.heal(&log, (&fault, &open), stop, outcome).await;
        self.in_force.leave(id, outcome.healed);
        late.into_iter().map(|node| (id, node)).collect()
    }

    /// Waits until no earlier fault with the same effect is being healed, up to the end of this one. The effects that are still
    /// another fault's, one sentence each.
    async fn await_same_effects_healed(&self, id: u64, end: Instant, stop: &mut watch::Receiver<bool>) -> Vec<String> {
        loop {
            let healing = self.in_force.has_of_healing(id);
            if healing.is_empty() || Instant::now() >= end {
                return [self.in_force.had_before(id), healing].concat();
            }
            if wait(Instant::now() + HEAL_AGAIN, stop).await == WaitEnd::Stopped {
                return vec!["stopped before it was proven".to_owned()];
            }
        }
    }

    /// Verifies once more the faults whose effect this one is about to take away: after that nothing shows it.
    async fn reprove_overtaken(&self, by: &FaultLog<'_>, fault: &ResolvedFault) {
        for (other, held) in self.in_force.overtakes(by.id(), fault) {
            let Some(log) = self.logs.begun(other) else { continue };
            let verified = self.verify(other, (&held.fault, &held.open), CountedFrom::Round, self.limits.look).await;
            match verified {
                Ok(detail) => {
                    let why = format!("fault {} is about to take its effect away", by.name());
                    let proof = log.record(FaultStep::Reproven, [detail, vec![why]].concat());
                    self.in_force.proven_last(other, proof);
                }
                Err(problems) => {
                    log.record(FaultStep::Lapsed, problems);
                }
            }
        }
    }

    async fn resolve(&self, planned: &PlannedFault) -> Result<ResolvedFault, String> {
        let view = tokio::time::timeout(self.limits.view, (self.view)(planned.needs_leader())).await;
        let mut view =
            view.map_err(|_| format!("no view of the cluster within {} ms", self.limits.view.as_millis()))?;
        self.remember(&view);
        if planned.facts().verified_by != VerifiedBy::State {
            self.learn_addresses(&mut view).await;
        }
        resolve(planned, &view).map_err(|why| why.to_string())
    }

    /// Completes the view by the nodes' present addresses. For a silent node the look before the fault gives the reason.
    async fn learn_addresses(&self, view: &mut ClusterView) {
        let names: Vec<&str> = view.names().collect();
        let links: Vec<Link> = names
            .iter()
            .flat_map(|from| {
                names.iter().filter(move |to| *to != from).map(move |to| (from.to_string(), to.to_string()))
            })
            .collect();
        if let Ok(peers) = self.peers(&links, self.limits.look).await {
            view.nodes.iter_mut().for_each(|node| node.others = peers.others(&node.name));
        }
    }

    fn remember(&self, view: &ClusterView) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&view.nodes);
    }

    /// A node in the last view.
    fn seen(&self, node: &str) -> Option<NodeView> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|view| view.name == node).cloned()
    }

    /// The limits for a fault: longer where its commands may take longer.
    fn limits_of(&self, fault: &ResolvedFault) -> Limits {
        let mut limits = self.limits;
        for (_, injection) in &fault.injections {
            let Injection::Own { commands, .. } = injection else { continue };
            let OwnCommands { begin, prove, healed, .. } = &**commands;
            // Each may take its deadline, and services may be stopped and started.
            let take = |steps: &[&Command]| OwnCommands::may_take(steps) + SERVICES;
            limits.inject = limits.inject.max(take(&[prove, healed, begin]));
            limits.look = limits.look.max(take(&[prove]));
            limits.prove = limits.prove.max(take(&[prove]));
            limits.undo = limits.undo.max(undo_takes(commands));
            limits.heal = limits.heal.max(limits.undo);
        }
        limits
    }

    /// Injects on all nodes in parallel.
    async fn inject(&self, id: u64, fault: &ResolvedFault) -> Injected {
        let asks = fault
            .injections
            .iter()
            .map(|(node, injection)| (node.clone(), Request::Inject { fault: id, injection: injection.clone() }));
        let tells = is_custom(fault);
        let mut injected = Injected::default();
        for (node, answer) in everywhere(&self.remotes, asks.collect(), self.limits_of(fault).inject).await {
            match answer {
                Ok(Response::Injected { detail }) if tells => {
                    injected.said.extend(detail.iter().map(|said| format!("{node}: {said}")));
                }
                Ok(_) => {}
                Err(error) => {
                    injected.failed.push(format!("the injection failed: {error}"));
                    if !matches!(error, RemoteError::Refused { .. }) {
                        injected.late.push(node);
                    }
                }
            }
        }
        injected
    }

    /// Verifies after the injections, and records whether the fault is in force, with these earlier problems. The time for the proof of
    /// a custom fault is part of its duration, which is over at `end`.
    async fn prove(
        &self,
        log: &FaultLog<'_>,
        (fault, open): (&ResolvedFault, &OpenPaths),
        before: LookBefore,
        (decided, begun, end): (Instant, Instant, Instant),
        stop: &mut watch::Receiver<bool>,
        outcome: &mut FaultOutcome,
    ) {
        let injected = before.problems.is_empty();
        let others = match injected {
            true => self.await_same_effects_healed(log.id(), end, stop).await,
            false => Vec::new(),
        };
        let left = end.saturating_duration_since(Instant::now());
        let deadline = match is_custom(fault) {
            true => self.limits_of(fault).prove.min(left),
            false => self.limits.prove + grace(fault),
        };
        let verified = if !others.is_empty() {
            Err(others)
        } else if injected && deadline.is_zero() {
            let took_ms = millis(begun.elapsed());
            Err(vec![format!("no time was left to prove it: `begin` took {took_ms} ms, so make `for` longer")])
        } else if injected {
            tokio::select! {
                biased;
                () = stopped(stop) => Err(vec!["stopped before it was proven".to_owned()]),
                verified = self.verify(log.id(), (fault, open), CountedFrom::Injection, deadline) => verified,
            }
        } else {
            Err(before.problems)
        };
        match verified {
            Ok(detail) => {
                let took_ms = millis(decided.elapsed());
                outcome.prove_ms = Some(took_ms);
                self.in_force.proven(log.id());
                let took = format!("proven {took_ms} ms after the decision");
                outcome.proven = Some(log.record(FaultStep::Proven, [before.said, detail, vec![took]].concat()));
            }
            Err(problems) => {
                outcome.problems.extend(problems.iter().cloned());
                let problem = if injected { self.problem_after(fault).await } else { before.problem };
                log.record_problem(FaultStep::Unproven, problems, problem);
            }
        }
    }

    async fn prove_again(
        &self,
        log: &FaultLog<'_>,
        (fault, open): (&ResolvedFault, &OpenPaths),
        outcome: &mut FaultOutcome,
    ) {
        match self.verify(log.id(), (fault, open), CountedFrom::Round, self.limits.prove).await {
            Ok(detail) => {
                outcome.reproven = Some(log.record(FaultStep::Reproven, detail));
            }
            Err(problems) => {
                outcome.problems.extend(problems.iter().cloned());
                let problem = self.problem_after(fault).await;
                log.record_problem(FaultStep::Lapsed, problems, problem);
            }
        }
    }

    /// The cause for which an injected fault is not in force, where that is known: a killed service has processes again.
    async fn problem_after(&self, fault: &ResolvedFault) -> Option<FaultProblem> {
        let kills = fault.injections.iter().any(|(_, injection)| injection.kills_all());
        (kills && self.runs_again(fault).await).then_some(FaultProblem::RunsAgain)
    }
}

/// The entry of a measured fault. A drawn fault that was no evidence is not asked for when the run is repeated: this run did not ask for it
/// either.
fn asked_again(planned: &PlannedFault, measured: ScheduledFault, outcome: &FaultOutcome) -> ScheduledFault {
    let shown = planned.entry.is_some() || outcome.lasted().is_some_and(|lasted| lasted >= IN_FORCE_MIN);
    ScheduledFault { evidence: measured.evidence && shown, ..measured }
}

/// The reason of a drawn fault whose nodes are not known.
fn not_resolved(why: &str) -> String {
    format!("not resolved: {why}")
}

/// Whether commands of the recipe or the plan make the fault.
fn is_custom(fault: &ResolvedFault) -> bool {
    fault.injections.iter().any(|(_, injection)| matches!(injection, Injection::Own { .. }))
}

/// How long after its injections a fault may still take to be in force.
fn grace(fault: &ResolvedFault) -> Duration {
    let graces = fault.injections.iter().map(|(_, injection)| injection.grace_ms());
    Duration::from_millis(graces.max().unwrap_or(0))
}

/// How long the undo of a custom fault may take: services may be stopped and started, and another look at it may run.
fn undo_takes(commands: &OwnCommands) -> Duration {
    let OwnCommands { heal, healed, .. } = commands;
    OwnCommands::may_take(&[heal, healed, healed]) + SERVICES
}

/// The outcome of the injections of a fault.
#[derive(Default)]
struct Injected {
    /// The problems.
    failed: Vec<String>,
    /// The nodes without a response.
    late: Vec<String>,
    /// The output of commands of a custom fault.
    said: Vec<String>,
}

/// The reason for the end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitEnd {
    Time,
    Stopped,
}

async fn wait(until: Instant, stop: &mut watch::Receiver<bool>) -> WaitEnd {
    tokio::select! {
        biased;
        () = stopped(stop) => WaitEnd::Stopped,
        () = tokio::time::sleep_until(until) => WaitEnd::Time,
    }
}

/// Ends when a stop is requested; never if its sender is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
