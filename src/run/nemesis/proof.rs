//! Looks at the nodes before a fault, and the verification that it is in force.
use super::Executor;
use super::in_force::Hold;
use super::links::OpenPaths;
use super::remotes::{everywhere, unexpected};
use crate::cluster::RemoteError;
use dsfuzz_checkers::history::FaultProblem;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{Injection, Proof, Request, Response};
use dsfuzz_nemesis::{ResolvedFault, Verification};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// An offset of a service's clock before a clock fault that an earlier fault must have left.
const SHIFT_BEFORE_MAX_NS: u64 = 100_000_000;
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(3);
const LOOK_AGAIN_LONGEST: Duration = Duration::from_millis(100);

/// The begin of the count of a rule's packets for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedFrom {
    /// The injection, which made the rule with a counter at zero.
    Injection,
    /// The begin of the round.
    Round,
}

/// Problems before a fault that would hide its effect.
#[derive(Debug, Default)]
pub(super) struct LookBefore {
    /// One sentence each.
    pub(super) problems: Vec<String>,
    /// The one that needs an advice of its own.
    pub(super) problem: Option<FaultProblem>,
}

/// The services at which the fault is aimed, by node.
fn aimed_services(fault: &ResolvedFault) -> BTreeMap<&str, &[String]> {
    let mut aimed = BTreeMap::new();
    for (node, injection) in &fault.injections {
        aimed.extend(injection.services().map(|services| (node.as_str(), services)));
    }
    aimed
}

impl Executor {
    /// A look before the fault. For a cut also the open paths, since only their silence proves anything.
    pub(super) async fn look_before(&self, id: u64, fault: &ResolvedFault) -> (OpenPaths, LookBefore) {
        match &fault.verification {
            Verification::Links { silent, alive } => {
                let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
                let (open, problems) = self.open_paths_beside(id, &all).await;
                let problems = problems.into_iter().map(|problem| format!("before: {problem}")).collect();
                (open, LookBefore { problems, problem: None })
            }
            Verification::State => {
                let mut before = self.services_before(id, fault).await;
                before.problems.extend(self.clocks_before(id, fault).await);
                (OpenPaths::default(), before)
            }
        }
    }

    /// Whether a service at which the fault is aimed has processes, by a look at its node now.
    pub(super) async fn runs_again(&self, fault: &ResolvedFault) -> bool {
        let aimed = aimed_services(fault);
        let asks = aimed.keys().map(|node| ((*node).to_owned(), Request::Services)).collect();
        let runs = |(node, answer): (String, Result<Response, RemoteError>)| {
            let names = aimed.get(node.as_str()).copied().unwrap_or_default();
            let Ok(Response::Services(states)) = answer else { return false };
            states.iter().any(|state| names.contains(&state.name) && !state.pids.is_empty())
        };
        everywhere(&self.remotes, asks, self.limits.look).await.into_iter().any(runs)
    }

    async fn services_before(&self, id: u64, fault: &ResolvedFault) -> LookBefore {
        let aimed = aimed_services(fault);
        let asks = aimed.keys().map(|node| ((*node).to_owned(), Request::Services)).collect();
        let LookBefore { mut problems, mut problem } = LookBefore::default();
        let by_fault = |name: Option<&str>| name.map(|name| format!(", by fault {name}")).unwrap_or_default();
        let kills = fault.injections.iter().all(|(_, injection)| injection.leaves_dead());
        let stops = kills || fault.injections.iter().all(|(_, injection)| matches!(injection, Injection::Pause { .. }));
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            let states = match answer {
                Ok(Response::Services(states)) => states,
                Ok(other) => {
                    problems.push(format!("before: {}", unexpected(&node, &other)));
                    continue;
                }
                Err(error) => {
                    problems.push(format!("before: {error}"));
                    continue;
                }
            };
            for service in aimed.get(node.as_str()).copied().unwrap_or_default() {
                let holders = self.in_force.holders(id, &node, service);
                let held = |hold: Hold| holders.iter().find(|(_, other)| *other == hold).map(|(name, _)| name.as_str());
                match states.iter().find(|state| state.name == *service) {
                    // Two kills hold it down, two pauses stop it, and a stopped process can be killed.
                    Some(state) if state.pids.is_empty() && kills && held(Hold::Dead).is_some() => {}
                    Some(state) if state.paused && stops && held(Hold::Still).is_some() => {}
                    None => problems.push(format!("{node}: {service} was not defined before")),
                    Some(state) if state.pids.is_empty() => {
                        problem = Some(FaultProblem::NotRunning);
                        let by = by_fault(held(Hold::Dead));
                        problems.push(format!("{node}: {service} was not running before{by}"));
                    }
                    Some(state) if state.paused => {
                        let by = by_fault(held(Hold::Still));
                        problems.push(format!("{node}: {service} was paused before{by}"));
                    }
                    Some(_) => {}
                }
            }
        }
        LookBefore { problems, problem }
    }

    async fn clocks_before(&self, id: u64, fault: &ResolvedFault) -> Vec<String> {
        let shifts = fault.injections.iter().filter(|(_, injection)| injection.facts().changes_clock);
        let shifts = shifts.filter(|(node, _)| !self.in_force.other_clock(id, node));
        let asks = shifts.map(|(node, _)| (node.clone(), Request::Clocks)).collect();
        let mut problems = Vec::new();
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            match answer {
                Ok(Response::Clocks { shifts_ns, .. }) => {
                    let off = shifts_ns.iter().filter(|(_, shift)| shift.unsigned_abs() > SHIFT_BEFORE_MAX_NS);
                    problems.extend(off.map(|(service, shift)| {
                        format!("{node}: the clock of {service} was off by {} ms before", shift / 1_000_000)
                    }));
                }
                Ok(other) => problems.push(format!("before: {}", unexpected(&node, &other))),
                Err(error) => problems.push(format!("before: {error}")),
            }
        }
        problems
    }

    /// Verifies that the fault is in force on every node, looking again until the deadline. Returns the observations, or the
    /// contradictions.
    pub(super) async fn verify(
        &self,
        id: u64,
        (fault, open): (&ResolvedFault, &OpenPaths),
        since: CountedFrom,
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let end = Instant::now() + deadline;
        let mut pause = LOOK_AGAIN_FIRST;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(LOOK_AGAIN_FIRST);
            let verified = match &fault.verification {
                Verification::Links { silent, alive } => {
                    let before = match since {
                        CountedFrom::Injection => Ok(Vec::new()),
                        CountedFrom::Round => self.proofs(id, fault, left.min(self.limits.look)).await,
                    };
                    match before {
                        Ok(before) => self.verify_links(id, fault, &before, (silent, alive, open), left).await,
                        Err(errors) => Err(errors),
                    }
                }
                Verification::State => self.verify_state(id, fault, left).await,
            };
            if verified.is_ok() || Instant::now() + pause >= end {
                return verified;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN_LONGEST);
        }
    }

    async fn verify_state(
        &self,
        id: u64,
        fault: &ResolvedFault,
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let proofs = self.proofs(id, fault, deadline.min(self.limits.look)).await?;
        let describe = |(node, proof): &(String, Proof)| format!("{node}: {}", proof.detail.join("; "));
        let (hold, miss): (Vec<_>, Vec<_>) = proofs.iter().partition(|(_, proof)| proof.holds);
        if miss.is_empty() {
            return Ok(hold.into_iter().map(describe).collect());
        }
        Err(miss.into_iter().map(|proof| format!("not in force on {}", describe(proof))).collect())
    }

    /// Verifies that the cut links are silent on every pair of addresses in a round in which the others were heard, and that the
    /// receivers' rules counted more packets than `before` (empty if the rules are new).
    async fn verify_links(
        &self,
        id: u64,
        fault: &ResolvedFault,
        before: &[(String, Proof)],
        (silent, alive, open): (&[Link], &[Link], &OpenPaths),
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let alive = self.own_links(id, alive, open);
        let cut = self.cut_paths(silent, &alive, open, deadline.min(self.limits.round)).await?;
        let (mut seen, mut problems) = (vec![cut], Vec::new());
        // Packets that another fault's rule drops first are not counted by this one.
        let counted = self.own_links(id, silent, open);
        if counted.len() < silent.len() {
            let shared = silent.iter().filter(|link| !counted.contains(link)).cloned().collect();
            let by = self.in_force.cutters(id, &shared).join(", ");
            seen.push(vec![format!("{} of its links are cut by fault {by} too: there its rules stand", shared.len())]);
        }
        for (node, proof) in self.proofs(id, fault, deadline.min(self.limits.look)).await? {
            let earlier = before.iter().find(|(name, _)| *name == node).map_or(0, |(_, proof)| proof.dropped_packets);
            let dropped = proof.dropped_packets;
            if !proof.holds {
                problems.push(format!("not in force on {node}: {}", proof.detail.join("; ")));
            } else if open.pairs_to(&node, &counted) == 0 && counted.len() < silent.len() {
                seen.push(vec![format!("{node}: its rule stands")]);
            } else if dropped <= earlier {
                problems.push(format!("{node}: its rule dropped nothing in this round ({dropped} packets so far)"));
            } else if dropped - earlier < open.pairs_to(&node, &counted) {
                let (few, pairs) = (dropped - earlier, open.pairs_to(&node, &counted));
                problems.push(format!("{node}: its rule dropped {few} packets of {pairs} address pairs"));
            } else {
                seen.push(vec![format!("{node}: its rule dropped {} packets", dropped - earlier)]);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(seen.concat())
    }

    /// The proofs of all agents with an injection, in the order of the injections; errors if one gave no response.
    async fn proofs(
        &self,
        id: u64,
        fault: &ResolvedFault,
        deadline: Duration,
    ) -> Result<Vec<(String, Proof)>, Vec<String>> {
        let asks = fault.injections.iter().map(|(node, _)| (node.clone(), Request::Prove { fault: id })).collect();
        let (mut proofs, mut errors) = (Vec::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match answer {
                Ok(Response::Proof(proof)) => proofs.push((node, proof)),
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(proofs) } else { Err(errors) }
    }
}
