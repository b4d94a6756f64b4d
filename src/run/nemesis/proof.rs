//! Looking before a harm, and showing that it is in force.
use super::Executor;
use super::links::Open;
use super::remotes::{everywhere, unexpected};
use dsfuzz_nemesis::harm::Link;
use dsfuzz_nemesis::protocol::{Act, Ask, Proof, Told};
use dsfuzz_nemesis::{Harm, Showing};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A service's clock this far off before a clock fault: what an earlier fault left.
const SHIFT_BEFORE_MAX_NS: u64 = 100_000_000;
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(3);
const LOOK_AGAIN_LONGEST: Duration = Duration::from_millis(100);

/// From when on a rule's packets are counted for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// The act, which made the rule with a counter at zero.
    Act,
    /// The begin of the round.
    Round,
}

impl Executor {
    /// What is wrong already before the harm, so that its effect could not be told from it.
    /// Of a cut also the paths that are open before it: only their silence proves anything.
    pub(super) async fn look_before(&self, harm: &Harm) -> (Open, Vec<String>) {
        match &harm.showing {
            Showing::Links { silent, alive } => {
                let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
                let (open, problems) = self.open_paths(&all, self.limits.round).await;
                (open, problems.into_iter().map(|problem| format!("before: {problem}")).collect())
            }
            Showing::State => {
                let mut problems = self.services_before(harm).await;
                problems.extend(self.clocks_before(harm).await);
                (Open::default(), problems)
            }
        }
    }

    async fn services_before(&self, harm: &Harm) -> Vec<String> {
        let aimed: BTreeMap<&str, &[String]> =
            harm.acts.iter().filter_map(|(node, act)| Some((node.as_str(), services(act)?))).collect();
        let asks = aimed.keys().map(|node| ((*node).to_owned(), Ask::Services)).collect();
        let mut problems = Vec::new();
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            let states = match answer {
                Ok(Told::Services(states)) => states,
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
                match states.iter().find(|state| state.name == *service) {
                    None => problems.push(format!("{node}: {service} was not defined before")),
                    Some(state) if state.pids.is_empty() => {
                        problems.push(format!("{node}: {service} was not running before"));
                    }
                    Some(state) if state.paused => problems.push(format!("{node}: {service} was paused before")),
                    Some(_) => {}
                }
            }
        }
        problems
    }

    async fn clocks_before(&self, harm: &Harm) -> Vec<String> {
        let shifts = harm
            .acts
            .iter()
            .filter(|(_, act)| matches!(act, Act::ShiftClock { .. } | Act::StrobeClock { .. } | Act::StepClock { .. }));
        let asks = shifts.map(|(node, _)| (node.clone(), Ask::Clocks)).collect();
        let mut problems = Vec::new();
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            match answer {
                Ok(Told::Clocks { shifts_ns, .. }) => {
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

    /// Shows that the harm is in force on every target, looking again until the deadline. What was seen, or what speaks
    /// against it.
    pub(super) async fn show(
        &self,
        fault: u64,
        (harm, open): (&Harm, &Open),
        since: Since,
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let end = Instant::now() + deadline;
        let mut pause = LOOK_AGAIN_FIRST;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(LOOK_AGAIN_FIRST);
            let shown = match &harm.showing {
                Showing::Links { silent, alive } => {
                    let before = match since {
                        Since::Act => Ok(Vec::new()),
                        Since::Round => self.proofs(fault, harm, left.min(self.limits.look)).await,
                    };
                    match before {
                        Ok(before) => self.show_links(fault, harm, &before, (silent, alive, open), left).await,
                        Err(errors) => Err(errors),
                    }
                }
                Showing::State => self.show_state(fault, harm, left).await,
            };
            if shown.is_ok() || Instant::now() + pause >= end {
                return shown;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN_LONGEST);
        }
    }

    async fn show_state(&self, fault: u64, harm: &Harm, deadline: Duration) -> Result<Vec<String>, Vec<String>> {
        let proofs = self.proofs(fault, harm, deadline.min(self.limits.look)).await?;
        let told = |(node, proof): &(String, Proof)| format!("{node}: {}", proof.detail.join("; "));
        let (hold, miss): (Vec<_>, Vec<_>) = proofs.iter().partition(|(_, proof)| proof.holds);
        if miss.is_empty() {
            return Ok(hold.into_iter().map(told).collect());
        }
        Err(miss.into_iter().map(|proof| format!("not in force on {}", told(proof))).collect())
    }

    /// The cut links are silent on every pair of addresses, in a round in which the others were heard, and the receivers'
    /// rules counted more packets than `before` (nothing, where the rules are new).
    async fn show_links(
        &self,
        fault: u64,
        harm: &Harm,
        before: &[(String, Proof)],
        (silent, alive, open): (&[Link], &[Link], &Open),
        deadline: Duration,
    ) -> Result<Vec<String>, Vec<String>> {
        let cut = self.cut_paths(silent, alive, open, deadline.min(self.limits.round)).await?;
        let (mut seen, mut problems) = (Vec::new(), Vec::new());
        for (node, proof) in self.proofs(fault, harm, deadline.min(self.limits.look)).await? {
            let earlier = before.iter().find(|(name, _)| *name == node).map_or(0, |(_, proof)| proof.dropped_packets);
            let dropped = proof.dropped_packets;
            if !proof.holds {
                problems.push(format!("not in force on {node}: {}", proof.detail.join("; ")));
            } else if dropped <= earlier {
                problems.push(format!("{node}: its rule dropped nothing in this round ({dropped} packets so far)"));
            } else if dropped - earlier < open.pairs_to(&node, silent) {
                let (few, pairs) = (dropped - earlier, open.pairs_to(&node, silent));
                problems.push(format!("{node}: its rule dropped {few} packets of {pairs} address pairs"));
            } else {
                seen.push(format!("{node}: its rule dropped {} packets", dropped - earlier));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok([cut, seen].concat())
    }

    /// What every acting agent says, in the order of the acts; errors where one gave no answer.
    async fn proofs(&self, fault: u64, harm: &Harm, deadline: Duration) -> Result<Vec<(String, Proof)>, Vec<String>> {
        let asks = harm.acts.iter().map(|(node, _)| (node.clone(), Ask::Prove { fault })).collect();
        let (mut proofs, mut errors) = (Vec::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match answer {
                Ok(Told::Proof(proof)) => proofs.push((node, proof)),
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(proofs) } else { Err(errors) }
    }
}

/// The services an act is aimed at; none for acts on the node itself.
fn services(act: &Act) -> Option<&[String]> {
    match act {
        Act::Kill { services }
        | Act::Pause { services }
        | Act::ShiftClock { services, .. }
        | Act::StrobeClock { services, .. } => Some(services),
        Act::Drop { .. } | Act::StepClock { .. } => None,
    }
}
