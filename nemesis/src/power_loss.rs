//! Power loss: SIGKILL for the target's processes on some nodes, and the loss of what they had not synced to disk. The heal starts
//! them again.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, ResolvedFault, Unresolved};
use crate::options::{FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::protocol::{Injection, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every power loss.
pub const FACTS: FaultFacts = FaultFacts {
    name: "power-loss",
    doc: "Kills the target's processes on some nodes, loses what they had not synced to disk, and starts them again at the end.",
    needs: NodeNeeds::everywhere(&[ability::ROOT, ability::DISK_LAYER]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: true,
    ends_processes: true,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of the power loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PowerLossOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Chance in percent that a sector of 512 bytes that was not synced is on the disk all the same, or several to draw from. The
    /// seed decides which. 0: all of it is lost.
    pub torn: Choice<u8>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for PowerLossOptions {
    fn default() -> PowerLossOptions {
        PowerLossOptions { nodes: Choice::one(Aim::Minority), torn: Choice::one(0), lasts: None }
    }
}

impl FaultDefinition for PowerLossOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.nodes.items().to_vec()
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        Some(&mut self.nodes)
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        if let Some(torn) = self.torn.items().iter().find(|torn| **torn > 100) {
            return Err(format!("torn: {torn}: a chance in percent is at most 100"));
        }
        let (aims, torn) = (Bag::of(self.nodes.items().to_vec()), Bag::of(self.torn.items().to_vec()));
        Ok(Box::new(PowerLossSource { aims, torn, nodes }))
    }
}

struct PowerLossSource {
    aims: Bag<Aim>,
    torn: Bag<u8>,
    nodes: usize,
}

impl FaultSource for PowerLossSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let aim = self.aims.draw(rng).unwrap_or(Aim::Minority);
        let torn = self.torn.draw(rng).unwrap_or(0);
        SymbolicFault::PowerLoss(PowerLossFault { nodes: aim.draw(rng, self.nodes), torn, seed: rng.bits() >> 11 })
    }
}

/// One power loss with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerLossFault {
    /// Which nodes.
    pub nodes: PlannedAim,
    /// Chance of a sector that is not synced to survive, in percent.
    pub torn: u8,
    /// Decides which sectors survive; below 2^53, so that every reader of JSON keeps it.
    pub seed: u64,
}

impl PowerLossFault {
    fn words(&self) -> String {
        if self.torn == 0 { String::new() } else { format!("torn {}% ", self.torn) }
    }
}

impl Symbolic for PowerLossFault {
    fn describe(&self) -> String {
        format!("{} {}{}", FACTS.name, self.words(), self.nodes.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        vec![&self.nodes]
    }

    fn turn_to_leader(&mut self) -> bool {
        self.nodes.turn_to_leader()
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        self.nodes.resolve(view, FACTS.name, &self.words(), |node| Injection::LosePower {
            services: node.services.clone(),
            seed: self.seed,
            torn: self.torn,
        })
    }

    fn mistakes(&self, _: &ResolvedFault, _: Span) -> Vec<String> {
        let options = PowerLossOptions { torn: Choice::one(self.torn), ..PowerLossOptions::default() };
        options.draws(1).err().into_iter().collect()
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        // Options cannot say which sectors survive.
        let nodes = self.nodes.written(of).filter(|_| self.torn == 0)?;
        Some(FaultOptions::PowerLoss(PowerLossOptions { nodes, ..PowerLossOptions::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_loss_draws_its_seed_and_every_chance() {
        let torn = Choice::several(vec![0, 50]).expect("two");
        let options = PowerLossOptions { torn, ..PowerLossOptions::default() };
        let mut draws = options.draws(3).expect("draws");
        let mut rng = Rng::new(1, "power", 0);
        let faults: Vec<SymbolicFault> = (0..2).map(|_| draws.draw(&mut rng)).collect();
        let [SymbolicFault::PowerLoss(one), SymbolicFault::PowerLoss(other)] = &faults[..] else {
            panic!("{faults:?}")
        };
        assert_ne!(one.seed, other.seed);
        let mut chances = [one.torn, other.torn];
        chances.sort_unstable();
        assert_eq!(chances, [0, 50]);
        let torn = [one, other].into_iter().find(|fault| fault.torn == 50).expect("one is torn");
        assert!(torn.describe().starts_with("power-loss torn 50% minority"), "{}", torn.describe());
    }

    #[test]
    fn a_chance_above_all_is_refused() {
        let options = PowerLossOptions { torn: Choice::one(101), ..PowerLossOptions::default() };
        assert!(options.draws(3).err().is_some_and(|why| why.contains("at most 100")));
    }
}
