//! Custom faults (`own`): the recipe or the plan defines one by four commands: one begins it, one proves that it is in force, one heals
//! it, one proves that it is gone. Each agent runs those of its own node.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved};
use crate::mistake::{FaultMistake, FaultPlace};
use crate::options::{FaultDefinition, FaultOptions, FaultSource, NemesisOptions, Symbolic, SymbolicFault, Written};
use crate::protocol::{Injection, OwnProcesses, ability};
use crate::schedule::{ScheduledFault, ScheduledKind};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every custom fault. What a command does is not known here, so the node counts as one that does not serve, and no
/// change of leader is expected.
pub const FACTS: FaultFacts = FaultFacts {
    name: "own",
    doc: "A custom fault: runs the commands that the recipe or the plan defines for it: begin, prove, heal, healed.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of a custom fault: the name of one that the recipe defines (`dsfuzz list targets`), or a name and its commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnOptions {
    /// Its name.
    pub name: String,
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration; of a rolling fault the most that it may take. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    /// The nodes are taken one after the other: each is healed, and ready, before the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rolling: bool,
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
            rolling: false,
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

    /// The most nodes of this many that one fault takes at the same time. `together`: a list of nodes means all of them.
    pub fn most_at_once(&self, nodes: usize, together: bool) -> usize {
        let each = self.nodes.items().iter().map(|aim| aim.most(nodes));
        match (self.rolling, together) {
            (true, _) => 1,
            (false, true) => each.sum::<usize>().min(nodes),
            (false, false) => each.max().unwrap_or(1),
        }
    }

    /// Whether the plan defines it here; else the recipe does.
    pub fn is_defined_here(&self) -> bool {
        self.commands().iter().any(|(_, command)| command.is_some())
    }

    /// The definition alone, where it stands here.
    fn definition(&self) -> Option<Box<OwnDefinition>> {
        self.is_defined_here().then(|| {
            Box::new(OwnDefinition {
                begin: self.begin.clone(),
                prove: self.prove.clone(),
                heal: self.heal.clone(),
                healed: self.healed.clone(),
                processes: self.processes,
                user: self.user.clone(),
                deadline: self.deadline,
            })
        })
    }

    /// Its mistake, beside custom faults of the recipe, and of these names in the plan: a sentence that begins with a key or the fault's
    /// name, and the names that `name` may have where it is unknown.
    fn mistake(&self, recipe: RecipeFaults<'_>, in_plan: &[&str]) -> Option<(String, Option<Vec<String>>)> {
        let known = if recipe.has.is_empty() { "no fault".to_owned() } else { recipe.has.join(", ") };
        let name = &self.name;
        let plain = |sentence: String| Some((sentence, None));
        if name.is_empty() {
            return plain(format!("name: is left out; the recipe defines {known}, or define one here"));
        }
        if !self.is_defined_here() {
            if let Some((_, why)) = recipe.lacks.iter().find(|(left_out, _)| left_out == name) {
                return plain(format!("name: the recipe leaves out its fault {name}: {why}"));
            }
            if !recipe.has.contains(&name.as_str()) && !in_plan.contains(&name.as_str()) {
                let sentence = format!(
                    "name: the recipe defines no fault {name}; it defines {known}. Define it here with begin, prove, heal and \
                     healed"
                );
                let lacks = recipe.lacks.iter().map(|(name, _)| name.as_str());
                let all = recipe.has.iter().chain(in_plan).copied().chain(lacks);
                return Some((sentence, Some(all.map(str::to_owned).collect())));
            }
            if self.processes.is_some() || self.user.is_some() || self.deadline.is_some() {
                return plain(format!(
                    "{name}: processes, user and deadline belong to the definition of a fault: write them beside its commands"
                ));
            }
            return None;
        }
        self.definition_mistake(recipe.has).and_then(plain)
    }

    /// The mistake of the definition that stands here.
    fn definition_mistake(&self, in_recipe: &[&str]) -> Option<String> {
        let name = &self.name;
        let commands = self.commands();
        let missing: Vec<&str> =
            commands.iter().filter(|(_, command)| command.is_none()).map(|(key, _)| *key).collect();
        if !missing.is_empty() {
            return Some(format!(
                "{name}: {} is left out; a fault is not begun without the commands that prove it, undo it and prove that it is gone",
                missing.join(", ")
            ));
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if !name.chars().all(plain) {
            return Some(format!("name: {name:?}: a name has letters, digits, - and _"));
        }
        let empty = |command: &Choice<String>| command.items().first().is_none_or(|word| word.trim().is_empty());
        if let Some((key, _)) = commands.iter().find(|(_, command)| command.as_ref().is_some_and(empty)) {
            return Some(format!(
                "{key}: the command is empty: name a program, or write `true` where nothing is to be done"
            ));
        }
        if in_recipe.contains(&name.as_str()) {
            return Some(format!("{name}: the recipe defines a fault of this name; give it another one"));
        }
        if self.user.as_ref().is_some_and(|user| user.trim().is_empty()) {
            return Some("user: the name is empty: leave it out for root".to_owned());
        }
        let long = self.deadline.filter(|deadline| *deadline > DEADLINE_MAX || deadline.0.is_zero());
        long.map(|deadline| format!("deadline: {deadline} is not between 1ms and {DEADLINE_MAX}"))
    }
}

/// The custom faults of a recipe.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecipeFaults<'a> {
    /// The names of those that there are.
    pub has: &'a [&'a str],
    /// Those that it leaves out with the plan's options, each with the reason.
    pub lacks: &'a [(String, String)],
}

/// The commands of a custom fault that the plan defines, as in [`OwnOptions`]. A stored fault has them, so that it can be repeated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnDefinition {
    begin: Option<Choice<String>>,
    prove: Option<Choice<String>>,
    heal: Option<Choice<String>>,
    healed: Option<Choice<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<OwnProcesses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Span>,
}

impl ScheduledKind {
    /// The options of a custom fault, also of one that stands `exactly`.
    pub(crate) fn own(&self) -> Option<OwnOptions> {
        match self {
            ScheduledKind::Options(FaultOptions::Own(own)) => Some(own.clone()),
            ScheduledKind::Exactly(SymbolicFault::Own(fault)) => {
                Some(fault.options(Choice::one(fault.nodes.aim.clone())))
            }
            _ => None,
        }
    }
}

impl NemesisOptions {
    /// The options of every custom fault, also of those that stand `exactly` in a schedule.
    pub fn own(&self) -> Vec<OwnOptions> {
        self.placed_own().into_iter().map(|(_, own)| own).collect()
    }

    /// The options of every custom fault, each with its place.
    pub fn placed_own(&self) -> Vec<(FaultPlace<'_>, OwnOptions)> {
        let options = self.placed().filter_map(|fault| match fault.options {
            FaultOptions::Own(own) => Some((fault.place, own.clone())),
            _ => None,
        });
        let exact = self.placed_exactly().filter_map(|(place, fault, _)| match fault {
            SymbolicFault::Own(fault) => Some((place, fault.options(Choice::one(fault.nodes.aim.clone())))),
            _ => None,
        });
        options.chain(exact).collect()
    }

    /// Gives custom faults of a schedule the commands that these options define for them elsewhere, so that it can stand alone.
    pub fn define(&self, schedule: &mut [ScheduledFault]) {
        let defined: Vec<OwnOptions> = self.own().into_iter().filter(OwnOptions::is_defined_here).collect();
        for entry in schedule {
            let ScheduledKind::Options(FaultOptions::Own(own)) = &mut entry.fault else { continue };
            if let Some(of_plan) = defined.iter().find(|of_plan| of_plan.name == own.name && !own.is_defined_here()) {
                *own =
                    OwnOptions { nodes: own.nodes.clone(), lasts: own.lasts, rolling: own.rolling, ..of_plan.clone() };
            }
        }
    }

    /// The mistakes of custom faults, beside those of the recipe.
    pub fn own_mistakes(&self, recipe: RecipeFaults<'_>) -> Vec<FaultMistake> {
        let own = self.placed_own();
        let defined: Vec<&(FaultPlace<'_>, OwnOptions)> = own.iter().filter(|(_, own)| own.is_defined_here()).collect();
        let names: Vec<&str> = defined.iter().map(|(_, own)| own.name.as_str()).collect();
        let same_name = |one: &OwnOptions| defined.iter().find(|(_, other)| other.name == one.name);
        let differs = |(_, one): &&&(FaultPlace<'_>, OwnOptions)| {
            same_name(one).is_some_and(|(_, first)| first.definition() != one.definition())
        };
        let twice = defined.iter().filter(differs).map(|(place, own)| {
            place.mistake(format!("{}: the plan defines two faults of this name, with different commands", own.name))
        });
        let mistakes = own.iter().filter_map(|(place, own)| {
            let (sentence, known) = own.mistake(recipe, &names)?;
            let mistake = place.mistake(sentence);
            Some(match known {
                Some(known) => mistake.unknown(&own.name, known),
                None => mistake,
            })
        });
        mistakes.chain(twice).collect()
    }
}

impl FaultDefinition for OwnOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.nodes.items().to_vec()
    }

    fn custom_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn silences_all(&self) -> bool {
        !self.rolling && self.nodes.items().iter().any(Aim::may_be_all)
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        Some(&mut self.nodes)
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        let (name, rolling, definition) = (self.name.clone(), self.rolling, self.definition());
        Ok(Box::new(OwnSource { name, rolling, definition, aims: Bag::of(self.nodes.items().to_vec()), nodes }))
    }
}

struct OwnSource {
    name: String,
    rolling: bool,
    definition: Option<Box<OwnDefinition>>,
    aims: Bag<Aim>,
    nodes: usize,
}

impl FaultSource for OwnSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let aim = self.aims.draw(rng).unwrap_or(Aim::One);
        let (name, definition) = (self.name.clone(), self.definition.clone());
        SymbolicFault::Own(OwnFault { name, nodes: aim.draw(rng, self.nodes), rolling: self.rolling, definition })
    }
}

/// One custom fault with its draws made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnFault {
    /// Its name in the recipe or the plan.
    pub name: String,
    /// The nodes.
    pub nodes: PlannedAim,
    /// The nodes are taken one after the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolling: bool,
    /// Its commands, where the plan defines it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Box<OwnDefinition>>,
}

impl OwnFault {
    fn options(&self, nodes: Choice<Aim>) -> OwnOptions {
        let of_plan = self.definition.as_deref().cloned().unwrap_or_default();
        let OwnDefinition { begin, prove, heal, healed, processes, user, deadline } = of_plan;
        let (name, rolling) = (self.name.clone(), self.rolling);
        OwnOptions { name, nodes, lasts: None, rolling, begin, prove, heal, healed, processes, user, deadline }
    }
}

impl Symbolic for OwnFault {
    fn describe(&self) -> String {
        format!("own {} {}{}", self.name, if self.rolling { "rolling " } else { "" }, self.nodes.words())
    }

    fn custom_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn rolling(&self) -> bool {
        self.rolling
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
        let how = format!("{} {}", self.name, if self.rolling { "rolling " } else { "" });
        self.nodes.resolve(view, FACTS.name, &how, injection)
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        Some(FaultOptions::Own(self.options(self.nodes.written(of)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistake(options: serde_json::Value) -> String {
        let options: OwnOptions = serde_json::from_value(options).expect("read");
        let lacks = [("other-version".to_owned(), "it needs the option other_version".to_owned())];
        let recipe = RecipeFaults { has: &["stop-app", "compact"], lacks: &lacks };
        options.mistake(recipe, &["mine"]).map(|(sentence, _)| sentence).unwrap_or_default()
    }

    #[test]
    fn a_fault_without_undo_and_proofs_is_refused() {
        assert_eq!(mistake(json!({"name": "compact"})), "");
        assert_eq!(mistake(json!({"name": "mine"})), "", "another entry of the plan defines it");
        assert_eq!(mistake(json!({"name": "x", "begin": "a", "prove": "b", "heal": ["c", "d"], "healed": "e"})), "");
        let four = |key: &str, command: serde_json::Value| {
            let mut own = json!({"name": "x", "begin": "a", "prove": "b", "heal": "c", "healed": "d"});
            own[key] = command;
            own
        };
        for (options, words) in [
            (four("begin", json!("")), "begin: the command is empty"),
            (four("healed", json!(" ")), "healed: the command is empty"),
            (four("heal", json!(["", "x"])), "heal: the command is empty"),
            (four("user", json!("")), "user: the name is empty"),
            (four("name", json!("a b")), "letters, digits, - and _"),
            (json!({"name": "other-version"}), "leaves out its fault other-version: it needs the option other_version"),
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
            assert!(mistake.contains(words), "{options}: {mistake}");
        }
    }

    fn said(options: &NemesisOptions) -> Vec<String> {
        options.own_mistakes(RecipeFaults::default()).into_iter().map(|mistake| mistake.message).collect()
    }

    fn nemesis(schedule: serde_json::Value) -> NemesisOptions {
        serde_json::from_value(json!({ "schedule": schedule })).expect("read")
    }

    #[test]
    fn a_fault_that_the_plan_defines_is_written_down_with_its_commands() {
        let commands =
            json!({"name": "x", "begin": "a", "prove": "b", "heal": ["c", "d"], "healed": "e", "deadline": "3s"});
        let mut own = commands.clone();
        own["nodes"] = "follower".into();
        let options: OwnOptions = serde_json::from_value(own).expect("read");
        let fault = options.draws(3).expect("drawn").draw(&mut Rng::new(1, "own", 0));
        let names: Vec<String> = (1..=3).map(|number| format!("n{number}")).collect();
        assert!(fault.written(Written::Planned(&names)).is_none(), "a follower is a draw: it stands exactly");
        let exactly = json!([{"id": "a", "at": "1s", "exactly": serde_json::to_value(&fault).expect("written")}]);
        let bound = fault.bound_to(&["n2".to_owned()]);
        let written = bound.written(Written::Planned(&names)).expect("options");
        let mut entry = serde_json::to_value(&written).expect("written");
        entry["id"] = "b".into();
        entry["at"] = "2s".into();
        for schedule in [exactly, json!([entry])] {
            let options = nemesis(schedule.clone());
            assert_eq!(said(&options), [""; 0], "{schedule}");
            assert_eq!(options.own()[0].definition(), self::definition(&commands), "{schedule}");
        }
    }

    fn definition(commands: &serde_json::Value) -> Option<Box<OwnDefinition>> {
        serde_json::from_value::<OwnOptions>(commands.clone()).expect("read").definition()
    }

    #[test]
    fn a_name_has_one_definition_in_a_plan_however_often_it_is_written() {
        let entry = |id: &str, begin: Option<&str>| {
            let mut own = json!({"name": "x"});
            if let Some(begin) = begin {
                own = json!({"name": "x", "begin": begin, "prove": "b", "heal": "c", "healed": "d"});
            }
            json!({"id": id, "at": "1s", "own": own})
        };
        let same = nemesis(json!([entry("a", Some("p")), entry("b", Some("p")), entry("c", None)]));
        assert_eq!(said(&same), [""; 0]);
        let differs = nemesis(json!([entry("a", Some("p")), entry("b", Some("q"))]));
        let twice = "fault b: own: x: the plan defines two faults of this name, with different commands";
        assert_eq!(said(&differs), [twice]);
        let unknown = nemesis(json!([{"id": "a", "at": "1s", "exactly": {"own": {
            "name": "y", "nodes": {"aim": "one", "count": 1, "order": {"positions": [0], "leader_first": false}}
        }}}]));
        assert!(said(&unknown)[0].contains("exactly: name: the recipe defines no fault y"), "{:?}", said(&unknown));
    }
}
