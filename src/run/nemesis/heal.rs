//! Healing: undo on every node, repeated until proven, until the deadline or until a stop. Also records self-heals of nodes.
use super::fault_log::FaultLog;
use super::links::OpenPaths;
use super::remotes::{NodeResponse, everywhere, unexpected};
use super::{Executor, FaultOutcome, Limits, WaitEnd, is_custom, millis, stopped, undo_takes, wait};
use crate::cluster::RemoteError;
use dsfuzz_checkers::history::FaultStep;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{Injection, PacketEffect, Request, Response, SelfHeal};
use dsfuzz_nemesis::{ResolvedFault, Verification};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LONGEST: Duration = Duration::from_millis(500);

/// The outcome of undoing all faults on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHeal {
    /// The node.
    pub node: String,
    /// Its agent proved that nothing is left.
    pub healed: bool,
    /// The agent's observations, or the reason of a failure.
    pub detail: Vec<String>,
}

/// The reason why a node did not undo a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotUndone {
    pub(super) why: String,
    /// Its agent said so. Else nothing was heard of it in time.
    answered: bool,
}

/// The undos of nodes, each with its observations. One that was broken off has none.
pub(super) type Undos = BTreeMap<String, Result<Vec<String>, NotUndone>>;

/// What a stop does to undos that are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    /// This fault is left to the end of the run, where all faults are undone.
    Leaves(u64),
    /// Only nodes without an answer are asked again: this is the end of the run.
    AsksTheSilent,
}

impl Executor {
    /// Undoes all injections in every agent's journal, with proof, and records the heal of open faults, or why they are not healed.
    /// Called at the end of a run and on a signal, which `stop` says.
    pub async fn heal_all(&self, mut stop: watch::Receiver<bool>) -> Vec<NodeHeal> {
        let names = self.remotes.names();
        let limits = self.limits_at_end();
        let undos =
            self.undo_until_gone(&names, || Request::UndoAll, limits, (&mut stop, Stopping::AsksTheSilent)).await;
        let heals: Vec<NodeHeal> = names.iter().map(|node| node_heal(node, &undos)).collect();
        let mut no_outcome = None;
        self.record_self_heals(names, &mut no_outcome).await;
        let healed: Vec<String> = heals.iter().filter(|heal| heal.healed).map(|heal| heal.node.clone()).collect();
        self.logs.all_healed_on(&healed);
        self.logs.all_unhealed_on(heals.iter().filter(|heal| !heal.healed));
        heals
    }

    /// The longest time that [`Executor::heal_all`] takes.
    pub fn longest_heal_all(&self) -> Duration {
        let Limits { heal, undo, look, .. } = self.limits_at_end();
        heal + undo + look
    }

    /// The limits for the undo of all faults: longer where the commands of those that are not healed may take longer. One may run
    /// already, and run again.
    fn limits_at_end(&self) -> Limits {
        let mut by_node: BTreeMap<String, Duration> = BTreeMap::new();
        for held in self.in_force.not_gone() {
            for (node, injection) in &held.fault.injections {
                if let Injection::Own { commands, .. } = injection {
                    *by_node.entry(node.clone()).or_default() += 2 * undo_takes(commands);
                }
            }
        }
        let longest = by_node.into_values().max().unwrap_or_default();
        Limits { undo: self.limits.undo.max(longest), ..self.limits }
    }

    /// Heals one fault on every node with a requested injection, whether it succeeded or not.
    pub(super) async fn heal(
        &self,
        log: &FaultLog<'_>,
        (fault, open): (&ResolvedFault, &OpenPaths),
        stop: &mut watch::Receiver<bool>,
        outcome: &mut FaultOutcome,
    ) {
        let begun = Instant::now();
        self.in_force.heals(log.id());
        log.record(FaultStep::HealBegun, Vec::new());
        let mut nodes: Vec<String> = fault.injections.iter().map(|(node, _)| node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        let id = log.id();
        let undos = self.undo_in_turn(id, fault, stop).await;
        let mut problems: Vec<String> =
            undos.values().filter_map(|undo| undo.as_ref().err()).map(|not_undone| not_undone.why.clone()).collect();
        if *stop.borrow() && (!problems.is_empty() || undos.len() < nodes.len()) {
            // The undo at the end of the run records how it ends.
            outcome.problems.push("the load ended before its heal was proven".to_owned());
            return self.note_self_heals(nodes, outcome).await;
        }
        let links = fault.verification.links();
        if problems.is_empty() && !links.is_empty() {
            problems = self.unheard_after_heal(id, &links, open).await;
            if let (true, Verification::Packets { effect, .. }) = (problems.is_empty(), &fault.verification) {
                problems = self.disturbed_after_heal(id, effect, open).await;
            }
        }
        // After a reconnection: the old agent may have healed before this request.
        self.note_self_heals(nodes, outcome).await;
        if problems.is_empty() {
            let took_ms = millis(begun.elapsed());
            (outcome.healed, outcome.heal_ms) = (true, Some(took_ms));
            let seen = undos.iter().filter_map(|(node, undo)| Some(gone(node, undo.as_ref().ok()?)));
            let links = (!links.is_empty()).then(|| {
                let disturbed = self.in_force.disturbed_by_others(id);
                match links.iter().filter(|link| disturbed.contains(link)).count() {
                    0 => "every link is heard again".to_owned(),
                    still => format!("every link is heard again but {still} that another fault holds"),
                }
            });
            let took = format!("healed and proven in {took_ms} ms");
            log.record(FaultStep::Healed, seen.chain(links).chain([took]).collect());
        } else {
            outcome.problems.extend(problems.iter().cloned());
            log.record(FaultStep::Unhealed, problems);
        }
    }

    /// Undoes one fault on its nodes, on each at its time after the begin of the heal; on all that are left when a stop is
    /// requested.
    async fn undo_in_turn(&self, id: u64, fault: &ResolvedFault, stop: &mut watch::Receiver<bool>) -> Undos {
        let begun = Instant::now();
        let mut turns: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (node, injection) in &fault.injections {
            let nodes: &mut Vec<String> = turns.entry(injection.undo_after_ms()).or_default();
            if !nodes.contains(node) {
                nodes.push(node.clone());
            }
        }
        let several = turns.len() > 1;
        let mut undos = BTreeMap::new();
        for (after_ms, nodes) in turns {
            wait(begun + Duration::from_millis(after_ms), stop).await;
            let since_ms = millis(begun.elapsed());
            let stopping = (&mut *stop, Stopping::Leaves(id));
            let mut undone =
                self.undo_until_gone(&nodes, || Request::Undo { fault: id }, self.limits_of(fault), stopping).await;
            for detail in undone.values_mut().flatten().filter(|_| several) {
                detail.push(format!("undone {since_ms} ms after the begin of the heal"));
            }
            undos.append(&mut undone);
        }
        undos
    }

    /// Undoes again on nodes whose injection had no response in time: it may have happened after the undo.
    pub(super) async fn undo_late(&self, late: &mut Vec<(u64, String)>) {
        let asks = late.drain(..).map(|(id, node)| (node, Request::Undo { fault: id })).collect();
        everywhere(&self.remotes, asks, self.limits.look).await;
    }

    /// Asks with back-off until every node has proved that the fault is gone, or until a stop. Each undo has its whole deadline; none begins
    /// after the limit of the heal.
    pub(super) async fn undo_until_gone(
        &self,
        nodes: &[String],
        ask: impl Fn() -> Request,
        limits: Limits,
        (stop, stopping): (&mut watch::Receiver<bool>, Stopping),
    ) -> Undos {
        let begun = Instant::now();
        let end = begun + limits.heal;
        let mut undos = Undos::new();
        let mut left = nodes.to_vec();
        let mut pause = RETRY_FIRST;
        loop {
            let asks = left.iter().map(|node| (node.clone(), ask())).collect();
            let answers = tokio::select! {
                biased;
                answers = everywhere(&self.remotes, asks, limits.undo) => answers,
                () = self.broken_off(stop, stopping) => return undos,
            };
            for (node, answer) in answers {
                let undo = undone(&node, answer);
                let silent = matches!(&undo, Err(not_undone) if !not_undone.answered);
                // The cause that an agent named says more than its silence afterwards.
                if !silent || !matches!(undos.get(&node), Some(Err(NotUndone { answered: true, .. }))) {
                    undos.insert(node, undo);
                }
            }
            let answered = |node: &String| matches!(undos.get(node), Some(Err(NotUndone { answered: true, .. })));
            left.retain(|node| undos.get(node).is_none_or(Result::is_err));
            match stopping {
                Stopping::Leaves(fault) if left.iter().any(answered) && begun.elapsed() >= self.limits.undo => {
                    (self.retried)(fault);
                }
                Stopping::AsksTheSilent if *stop.borrow() => left.retain(|node| !answered(node)),
                _ => {}
            }
            if left.is_empty() || Instant::now() + pause >= end {
                return undos;
            }
            let again = Instant::now() + pause;
            match stopping {
                Stopping::Leaves(_) if wait(again, stop).await == WaitEnd::Stopped => return undos,
                Stopping::Leaves(_) => {}
                Stopping::AsksTheSilent => tokio::time::sleep_until(again).await,
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    /// Ends when undos are to be broken off: some time after a stop, since most end within it.
    async fn broken_off(&self, stop: &mut watch::Receiver<bool>, stopping: Stopping) {
        match stopping {
            Stopping::Leaves(_) => {
                stopped(stop).await;
                tokio::time::sleep(self.limits.undo).await;
            }
            Stopping::AsksTheSilent => std::future::pending().await,
        }
    }

    /// Undoes once more what was not proven to be healed. What is gone by now says nothing about later faults, and its nodes are back.
    pub(super) async fn heal_the_unhealed(&self) {
        for (id, held) in self.in_force.unhealed() {
            let fault = &held.fault;
            let Some(undone) = self.undone_again(id, fault).await else { continue };
            let gone = |answer: &Result<Response, _>| matches!(answer, Ok(Response::Proof(proof)) if proof.holds);
            if undone.iter().all(|(_, answer)| gone(answer)) && self.is_heard_again(id, fault, &held.open).await {
                self.in_force.is_gone(id);
                self.budget.give_back(id);
            }
        }
    }

    /// The answers to one more undo. None: it is under way. The commands of a custom fault may take longer than a look, so that their undo goes
    /// on beside the load, and none begins before it has ended.
    async fn undone_again(&self, id: u64, fault: &ResolvedFault) -> Option<Vec<NodeResponse>> {
        let asks: BTreeMap<String, Request> =
            fault.injections.iter().map(|(node, _)| (node.clone(), Request::Undo { fault: id })).collect();
        let asks: Vec<(String, Request)> = asks.into_iter().collect();
        if !is_custom(fault) {
            return Some(everywhere(&self.remotes, asks, self.limits.look).await);
        }
        let mut undoing = self.undoing_again.lock().await;
        let (remotes, deadline) = (self.remotes.clone(), self.limits_of(fault).undo);
        let undo = undoing
            .entry(id)
            .or_insert_with(|| tokio::spawn(async move { everywhere(&remotes, asks, deadline).await }));
        let ended = tokio::time::timeout(self.limits.look, undo).await.ok()?;
        undoing.remove(&id);
        ended.ok()
    }

    /// Whether one look hears the links of an undone fault.
    async fn is_heard_again(&self, id: u64, fault: &ResolvedFault, open: &OpenPaths) -> bool {
        let own = self.own_links(id, &fault.verification.links(), open);
        let heard = own.is_empty() || self.open_paths(&own, self.limits.look).await.1.is_empty();
        match &fault.verification {
            Verification::Packets { effect, .. } if heard => self.still_disturbed(id, effect, open).await.is_empty(),
            _ => heard,
        }
    }

    async fn disturbed_after_heal(&self, id: u64, effect: &PacketEffect, open: &OpenPaths) -> Vec<String> {
        let end = Instant::now() + self.limits.heal_proof;
        loop {
            let problems = self.still_disturbed(id, effect, open).await;
            if problems.is_empty() || Instant::now() + RETRY_FIRST >= end {
                return problems;
            }
            tokio::time::sleep(RETRY_FIRST).await;
        }
    }

    async fn unheard_after_heal(&self, id: u64, all: &[Link], open: &OpenPaths) -> Vec<String> {
        let end = Instant::now() + self.limits.heal_proof;
        loop {
            // A link that another fault cuts stays silent. That this one is gone there was shown by the agents.
            let own = self.own_links(id, all, open);
            let problems = match own.is_empty() {
                true => Vec::new(),
                false => self.closed_paths(&own, open, self.limits.round).await,
            };
            if problems.is_empty() || Instant::now() + RETRY_FIRST >= end {
                return problems;
            }
            tokio::time::sleep(RETRY_FIRST).await;
        }
    }

    /// Records self-heals of these nodes in the journal and in this outcome.
    pub(super) async fn note_self_heals(&self, nodes: Vec<String>, outcome: &mut FaultOutcome) {
        self.record_self_heals(nodes, &mut Some(outcome)).await;
    }

    async fn record_self_heals(&self, nodes: Vec<String>, outcome: &mut Option<&mut FaultOutcome>) {
        let asks = nodes.into_iter().map(|node| (node, Request::Undone)).collect();
        let sent = (self.now)();
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            let Ok(Response::Undone { by_itself, now_ns, .. }) = answer else { continue };
            let received = (self.now)();
            for heal in by_itself.iter().filter(|heal| heal.run == self.run) {
                let ended = on_control_clock(heal, now_ns, sent, received);
                let proof =
                    if heal.holds { "and showed that it is gone" } else { "but could not show that it is gone" };
                let detail = format!("{node} undid it by itself ({}) {proof}", heal.why);
                let new = self.logs.self_healed(&node, heal.fault, heal.earliest_ns, ended, detail);
                if let (true, Some(outcome)) = (new, outcome.as_deref_mut()) {
                    outcome.self_healed.push((node.clone(), ended.0, ended.1));
                }
            }
        }
    }
}

/// The interval of a node's heal on the control node's clock. The node read its clock between the request and the response,
/// so the interval is widened by that time, never narrowed.
fn on_control_clock(heal: &SelfHeal, node_now_ns: u64, sent: u64, received: u64) -> (u64, u64) {
    let earliest = sent.saturating_sub(node_now_ns.saturating_sub(heal.earliest_ns));
    let latest = received.saturating_sub(node_now_ns.saturating_sub(heal.latest_ns));
    (earliest, latest)
}

/// The undo of a node by its answer.
fn undone(node: &str, answer: Result<Response, RemoteError>) -> Result<Vec<String>, NotUndone> {
    let not_undone = |why, answered| Err(NotUndone { why, answered });
    match answer {
        Ok(Response::Proof(proof)) if proof.holds => Ok(proof.detail),
        Ok(Response::Proof(proof)) => not_undone(format!("{node}: not gone: {}", proof.detail.join("; ")), true),
        Ok(other) => not_undone(unexpected(node, &other), true),
        Err(error @ RemoteError::Refused { .. }) => not_undone(error.to_string(), true),
        Err(error) => {
            let hope = format!("{node}: if its agent does not hear from here, its lease heals it");
            not_undone(format!("{error}; {hope}"), false)
        }
    }
}

fn node_heal(node: &str, undos: &Undos) -> NodeHeal {
    let (healed, detail) = match undos.get(node) {
        Some(Ok(seen)) => (true, seen.clone()),
        Some(Err(not_undone)) => (false, vec![not_undone.why.clone()]),
        None => (false, vec![format!("{node}: was not asked")]),
    };
    NodeHeal { node: node.to_owned(), healed, detail }
}

/// A node's proof that nothing is left, as a sentence.
fn gone(node: &str, seen: &[String]) -> String {
    if seen.is_empty() { format!("{node}: gone") } else { format!("{node}: {}", seen.join("; ")) }
}
