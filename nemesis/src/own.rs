//! Own: a fault that the recipe or the plan defines by four commands: one begins it, one proves that it is in force, one heals it, one
//! proves that it is gone. Each agent runs those of its own node.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved};
use crate::options::{FaultDefinition, FaultOptions, FaultSource, NemesisOptions, Symbolic, SymbolicFault};
use crate::protocol::{Injection, OwnProcesses, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every fault of one's own. What a command does is not known here, so the node counts as one that does not serve, and
/// no change of leader is expected.
pub const FACTS: FaultFacts = FaultFacts {
    name: "own",
    doc: "Runs the commands of a fault that the recipe or the plan defines: begin, prove, heal, healed.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of a fault of one's own: the name of one that the recipe defines (`dsfuzz list targets`), or a name and its commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnOptions {
    /// Its name.
    pub name: String,
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The command that begins it: a text for /bin/sh, or a list of program and arguments, as in a recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin: Option<Choice<String>>,
    /// The command that ends with 0 while it is in force, and only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prove: Option<Choice<String>>,
    /// The command that undoes it, safe to repeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heal: Option<Choice<String>>,
    /// The command that ends with 0 when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healed: Option<Choice<String>>,
    /// What becomes of the target's processes on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<OwnProcesses>,
    /// User of the commands. Left out: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Deadline of each command. Left out: 20s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
}

/// Longest deadline of a command: an undo must not keep a node for ever.
pub const DEADLINE_MAX: Span = Span::seconds(120);
/// The deadline of a command if none is set.
pub const DEADLINE_DEFAULT: Span = Span::seconds(20);

impl Default for OwnOptions {
    fn default() -> OwnOptions {
        OwnOptions {
            name: String::new(),
            nodes: Choice::one(Aim::One),
            lasts: None,
            begin: None,
            prove: None,
            heal: None,
            healed: None,
            processes: None,
            user: None,
            deadline: None,
        }
    }
}

impl OwnOptions {
    fn commands(&self) -> [(&'static str, &Option<Choice<String>>); 4] {
        [("begin", &self.begin), ("prove", &self.prove), ("heal", &self.heal), ("healed", &self.healed)]
    }

    /// Whether the plan defines it here; else the recipe does.
    pub fn is_defined_here(&self) -> bool {
        self.commands().iter().any(|(_, command)| command.is_some())
    }

    /// Its mistake, beside faults of these names in the recipe.
    pub fn mistake(&self, in_recipe: &[&str]) -> Option<String> {
        let known = if in_recipe.is_empty() { "no fault".to_owned() } else { in_recipe.join(", ") };
        let name = &self.name;
        if name.is_empty() {
            return Some(format!("own: name: is left out; the recipe defines {known}, or define one here"));
        }
        let missing: Vec<&str> =
            self.commands().iter().filter(|(_, command)| command.is_none()).map(|(key, _)| *key).collect();
        if !self.is_defined_here() {
            if !in_recipe.contains(&name.as_str()) {
                return Some(format!(
                    "own: name: the recipe defines no fault {name}; it defines {known}. Define it here with begin, prove, heal \
                     and healed"
                ));
            }
            if self.processes.is_some() || self.user.is_some() || self.deadline.is_some() {
                return Some(format!(
                    "own: {name}: processes, user and deadline belong to the definition of a fault, which the recipe has"
                ));
            }
        } else if !missing.is_empty() {
            return Some(format!(
                "own: {name}: {} is left out; a fault is not begun without the commands that prove it, undo it and prove \
                 that it is gone",
                missing.join(", ")
            ));
        } else if in_recipe.contains(&name.as_str()) {
            return Some(format!("own: {name}: the recipe defines a fault of this name; give it another one"));
        }
        let long = self.deadline.filter(|deadline| *deadline > DEADLINE_MAX || deadline.0.is_zero());
        long.map(|deadline| format!("own: {name}: deadline: {deadline} is not between 1ms and {DEADLINE_MAX}"))
    }
}

impl NemesisOptions {
    /// The faults of one's own.
    pub fn own(&self) -> impl Iterator<Item = &OwnOptions> {
        self.all_faults().filter_map(|(fault, _)| match fault {
            FaultOptions::Own(own) => Some(own),
            _ => None,
        })
    }

    /// The mistakes of the faults of one's own, beside faults of these names in the recipe.
    pub fn own_mistakes(&self, in_recipe: &[&str]) -> Vec<String> {
        let defined = |name: &str| self.own().filter(|own| own.is_defined_here() && own.name == name).count();
        let twice = self.own().filter(|own| own.is_defined_here() && defined(&own.name) > 1);
        let twice = twice.map(|own| format!("own: {}: the plan defines two faults of this name", own.name)).take(1);
        self.own().filter_map(|own| own.mistake(in_recipe)).chain(twice).collect()
    }
}

impl FaultDefinition for OwnOptions {
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
        Ok(Box::new(OwnSource { name: self.name.clone(), aims: Bag::of(self.nodes.items().to_vec()), nodes }))
    }
}

struct OwnSource {
    name: String,
    aims: Bag<Aim>,
    nodes: usize,
}

impl FaultSource for OwnSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let aim = self.aims.draw(rng).unwrap_or(Aim::One);
        SymbolicFault::Own(OwnFault { name: self.name.clone(), nodes: aim.draw(rng, self.nodes) })
    }
}

/// One fault of one's own with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFault {
    /// Its name in the recipe or the plan.
    pub name: String,
    /// The nodes.
    pub nodes: PlannedAim,
}

impl Symbolic for OwnFault {
    fn describe(&self) -> String {
        format!("own {} {}", self.name, self.nodes.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        vec![&self.nodes]
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        let commands = |node: &str| view.own.get(node).and_then(|faults| faults.get(&self.name));
        if let Some(node) = view.nodes.iter().find(|node| commands(&node.name).is_none()) {
            return Err(Unresolved(format!("{}: no commands are known for the fault {}", node.name, self.name)));
        }
        let injection = |node: &NodeView| Injection::Own {
            name: self.name.clone(),
            services: node.services.clone(),
            commands: Box::new(commands(&node.name).cloned().unwrap_or_default()),
        };
        self.nodes.resolve(view, FACTS.name, &format!("{} ", self.name), injection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistake(options: serde_json::Value) -> String {
        let options: OwnOptions = serde_json::from_value(options).expect("read");
        options.mistake(&["stop-app", "compact"]).unwrap_or_default()
    }

    #[test]
    fn a_fault_without_undo_and_proofs_is_refused() {
        assert_eq!(mistake(json!({"name": "compact"})), "");
        assert_eq!(mistake(json!({"name": "x", "begin": "a", "prove": "b", "heal": ["c", "d"], "healed": "e"})), "");
        for (options, words) in [
            (json!({}), "name: is left out; the recipe defines stop-app, compact"),
            (json!({"name": "burn"}), "no fault burn"),
            (json!({"name": "x", "begin": "a"}), "x: prove, heal, healed is left out"),
            (json!({"name": "x", "begin": "a", "prove": "b", "healed": "c"}), "x: heal is left out"),
            (json!({"name": "x", "begin": "a", "prove": "b", "heal": "c"}), "x: healed is left out"),
            (json!({"name": "compact", "begin": "a", "prove": "b", "heal": "c", "healed": "d"}), "another one"),
            (json!({"name": "compact", "deadline": "1s"}), "belong to the definition"),
            (json!({"name": "x", "begin": "a", "prove": "b", "heal": "c", "healed": "d", "deadline": "1h"}), "2m"),
        ] {
            let mistake = mistake(options.clone());
            assert!(mistake.starts_with("own: ") && mistake.contains(words), "{options}: {mistake}");
        }
    }
}
