//! Looks at the nodes before a fault, and the verification that it is in force.
use super::in_force::Hold;
use super::links::OpenPaths;
use super::remotes::{everywhere, unexpected};
use super::{Executor, is_custom};
use crate::cluster::RemoteError;
use dsfuzz_checkers::history::FaultProblem;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::{Injection, PacketMatch, Proof, Request, Response};
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
    /// The output of the commands that began the fault.
    pub(super) said: Vec<String>,
}

/// The services at which the fault is aimed, by node.
fn aimed_services(fault: &ResolvedFault) -> BTreeMap<&str, &[String]> {
    let mut aimed = BTreeMap::new();
    for (node, injection) in &fault.injections {
        aimed.extend(injection.services().map(|services| (node.as_str(), services)));
    }
    aimed
}

/// Whether the fault has a node's agent drop packets of its peers.
fn cuts_peers(fault: &ResolvedFault, node: &str) -> bool {
    let of_peers = |injection: &Injection| match injection {
        Injection::Drop { .. } => true,
        Injection::Packet { packets, .. } => matches!(packets, PacketMatch::From { .. }),
        _ => false,
    };
    fault.injections.iter().any(|(name, injection)| name == node && of_peers(injection))
}

/// Packets of clients that were cut, if the fault cuts clients from the node.
fn of_clients(proof: &Proof) -> Option<u64> {
    proof.counts.iter().find(|counts| counts.clients).map(|counts| counts.hit)
}

/// Whether these proofs say that the fault is in force on every node.
fn state_holds(proofs: Vec<(String, Proof)>) -> Result<Vec<String>, Vec<String>> {
    let describe = |(node, proof): &(String, Proof)| format!("{node}: {}", proof.detail.join("; "));
    let (hold, miss): (Vec<_>, Vec<_>) = proofs.iter().partition(|(_, proof)| proof.holds);
    if miss.is_empty() {
        return Ok(hold.into_iter().map(describe).collect());
    }
    Err(miss.into_iter().map(|proof| format!("not in force on {}", describe(proof))).collect())
}

impl Executor {
    /// A look before the fault. For a cut also the open paths, since only their silence proves anything.
    pub(super) async fn look_before(&self, id: u64, fault: &ResolvedFault) -> (OpenPaths, LookBefore) {
        match &fault.verification {
            Verification::Links { silent, alive } => {
                let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
                let (open, problems) = self.open_paths_beside(id, &all).await;
                let problems = problems.into_iter().map(|problem| format!("before: {problem}")).collect();
                (open, LookBefore { problems, ..LookBefore::default() })
            }
            Verification::Ports { roles, silent, alive } => {
                let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
                let (open, problems) = self.open_ports(id, roles, silent, &all, self.limits.round).await;
                let problems = problems.into_iter().map(|problem| format!("before: {problem}")).collect();
                (open, LookBefore { problems, ..LookBefore::default() })
            }
            Verification::Packets { .. } => {
                let (open, problems) = self.baseline(id, &fault.verification.links()).await;
                let problems = problems.into_iter().map(|problem| format!("before: {problem}")).collect();
                (open, LookBefore { problems, ..LookBefore::default() })
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
        let LookBefore { mut problems, mut problem, said } = LookBefore::default();
        let by_fault = |name: Option<&str>| name.map(|name| format!(", by fault {name}")).unwrap_or_default();
        let kills = fault.injections.iter().all(|(_, injection)| injection.leaves_dead());
        let stops = kills || fault.injections.iter().all(|(_, injection)| Hold::of(injection) == Hold::Still);
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
                    // What another fault had done before is said of the whole fault, once. A stopped process can be killed.
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
        LookBefore { problems, problem, said }
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
        let limits = self.limits_of(fault);
        let begun = Instant::now();
        let end = begun + deadline;
        let mut pause = LOOK_AGAIN_FIRST;
        let mut earlier = None;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(LOOK_AGAIN_FIRST);
            let mut denied = false;
            let before = match (&fault.verification, since) {
                (Verification::State, _) | (_, CountedFrom::Injection) => Ok(Vec::new()),
                (_, CountedFrom::Round) => self.proofs(id, fault, left.min(self.limits.look)).await,
            };
            denied |= before.as_ref().is_ok_and(|proofs| proofs.iter().any(|(_, proof)| !proof.holds));
            let verified = match (before, &fault.verification) {
                (Err(errors), _) => Err(errors),
                (Ok(before), Verification::Links { silent, alive }) => {
                    self.verify_links(id, fault, &before, (silent, alive, open), left).await
                }
                (Ok(before), Verification::Ports { roles, silent, alive }) => {
                    self.verify_ports(id, (fault, roles), &before, (silent, alive, open), left).await
                }
                (Ok(before), Verification::Packets { effect, taken, others }) => {
                    self.verify_packets(id, (fault, effect), &before, (taken, others, open), left).await
                }
                // The command of a custom fault has a deadline of its own, also where the fault is to end.
                (Ok(_), Verification::State) => {
                    let whole = since == CountedFrom::Round && is_custom(fault);
                    let proofs = self.proofs(id, fault, if whole { limits.look } else { left.min(limits.look) }).await;
                    denied = proofs.is_ok();
                    proofs.and_then(state_holds)
                }
            };
            // A fault that is about to be healed does not last longer for a proof that its nodes denied for a while.
            let lapsed = denied && since == CountedFrom::Round && begun.elapsed() + pause >= self.limits.look;
            if verified.is_ok() || lapsed || Instant::now() + pause >= end {
                // The last look may have had too little time to see why.
                return match (verified, earlier) {
                    (Err(_), Some(earlier)) if left < limits.look => Err(earlier),
                    (verified, _) => verified,
                };
            }
            earlier = verified.err();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN_LONGEST);
        }
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
        let mut seen = vec![cut];
        // Packets that another fault's rule drops first are not counted by this one.
        let counted = self.own_links(id, silent, open);
        if counted.len() < silent.len() {
            let shared = silent.iter().filter(|link| !counted.contains(link)).cloned().collect();
            let by = self.in_force.cutters(id, &shared).join(", ");
            seen.push(vec![format!("{} of its links are cut by fault {by} too: there its rules stand", shared.len())]);
        }
        let least = |node: &str| match open.pairs_to(node, &counted) {
            0 if counted.len() < silent.len() => 0,
            pairs => pairs.max(1),
        };
        seen.push(self.counted(id, fault, before, least, deadline).await?);
        Ok(seen.concat())
    }

    /// Verifies that the receivers' rules are there and counted packets since `before`: from its peers at least `least`, and one
    /// of a client where clients are cut.
    pub(super) async fn counted(
        &self,
        id: u64,
        fault: &ResolvedFault,
        before: &[(String, Proof)],
        least: impl Fn(&str) -> u64,
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let (mut seen, mut problems) = (Vec::new(), Vec::new());
        for (node, proof) in self.proofs(id, fault, deadline.min(self.limits.look)).await? {
            if !proof.holds {
                problems.push(format!("not in force on {node}: {}", proof.detail.join("; ")));
                continue;
            }
            let earlier = before.iter().find(|(name, _)| *name == node).map(|(_, proof)| proof);
            if cuts_peers(fault, &node) {
                let earlier = earlier.map_or(0, |proof| proof.dropped_packets);
                let (dropped, least) = (proof.dropped_packets.saturating_sub(earlier), least(&node));
                match dropped {
                    _ if least == 0 => seen.push(format!("{node}: its rule stands")),
                    0 => problems
                        .push(format!("{node}: its rule dropped nothing in this round ({earlier} packets so far)")),
                    few if few < least => {
                        problems.push(format!("{node}: its rule dropped {few} packets of {least} address pairs"));
                    }
                    enough => seen.push(format!("{node}: its rule dropped {enough} packets")),
                }
            }
            if let Some(clients) = of_clients(&proof) {
                match clients.saturating_sub(earlier.and_then(of_clients).unwrap_or(0)) {
                    0 => problems.push(format!("{node}: no packet of a client came in this round and was cut")),
                    cut => seen.push(format!("{node}: {cut} packets of clients were cut")),
                }
            }
        }
        if problems.is_empty() { Ok(seen) } else { Err(problems) }
    }

    /// The proofs of all agents with an injection, in the order of the injections; errors if one gave no response.
    pub(super) async fn proofs(
        &self,
        id: u64,
        fault: &ResolvedFault,
        deadline: Duration,
    ) -> Result<Vec<(String, Proof)>, Vec<String>> {
        let mut asks: Vec<(String, Request)> = Vec::new();
        for (node, _) in &fault.injections {
            if !asks.iter().any(|(name, _)| name == node) {
                asks.push((node.clone(), Request::Prove { fault: id }));
            }
        }
        let (mut proofs, mut errors) = (Vec::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match answer {
                Ok(Response::Proof(proof)) => proofs.push((node, proof)),
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(RemoteError::Late { node, deadline, .. }) if is_custom(fault) => {
                    errors.push(format!("{node}: `prove` did not end within {} ms", deadline.as_millis()));
                }
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(proofs) } else { Err(errors) }
    }
}
