//! What is wrong with the options of faults, and what evidence and nodes need to know of them.
use super::{FaultOptions, NemesisOptions, SymbolicFault};
use crate::facts::FaultFacts;
use crate::fault::ClusterView;
use crate::mistake::{FaultMistake, FaultPlace, PlacedFault};
use crate::protocol::ability::NodeSize;
use crate::schedule::Begin;
use dsfuzz_span::Span;

/// A number of nodes on which every fault can be drawn whose values are right.
pub(super) const NODES_ENOUGH: usize = 1000;

impl NemesisOptions {
    /// The mistakes of the options of single faults: values out of range, and durations that do not fit. Every kind checks its values
    /// where it draws from them, so that no value is checked in one place and used in another.
    pub fn option_mistakes(&self) -> Vec<FaultMistake> {
        let of = |fault: PlacedFault<'_>| {
            let sentences = fault.options.mistakes(fault.lasts);
            sentences.into_iter().map(|sentence| fault.place.mistake(sentence)).collect::<Vec<_>>()
        };
        // Those of a schedule are drawn for the nodes that the plan names, among its own mistakes.
        let values = self.placed().take(self.faults.len());
        let values = values.filter_map(|fault| Some(fault.place.mistake(fault.options.draws(NODES_ENOUGH).err()?)));
        self.placed().flat_map(of).chain(values).collect()
    }

    /// The mistakes of these options for a recipe with these processes: names that no process has.
    pub fn process_mistakes(&self, processes: &[String]) -> Vec<FaultMistake> {
        let named = self.placed().filter_map(|fault| Some((fault.place, fault.options.named_process()?)));
        let named = named.filter(|(_, name)| !processes.contains(name));
        let mistake = |(place, name): (FaultPlace<'_>, String)| {
            let known = processes.join(", ");
            let mistake = place.mistake(format!("process: {name} is no process of the recipe, which has {known}"));
            mistake.unknown(&name, processes)
        };
        named.map(mistake).collect()
    }

    /// The faults that are aimed at members without a vote, where the recipe does not ask for members.
    pub fn member_mistakes(&self) -> Vec<FaultMistake> {
        let aimed = self.placed().filter(|fault| fault.options.aims().iter().any(crate::aim::Aim::needs_members));
        let why = "learners: the recipe does not ask for the members of the cluster (`members`), so that no node is known to have no \
                   vote, and the fault would never come; name nodes";
        aimed.map(|fault| fault.place.mistake(why)).collect()
    }

    /// Aims at members without a vote where no custom fault could make one, one sentence each with its place.
    pub fn member_warnings(&self) -> Vec<String> {
        let mine = self.own().is_empty();
        let aimed =
            self.placed().filter(|fault| mine && fault.options.aims().iter().any(crate::aim::Aim::needs_members));
        let warning = |fault: PlacedFault<'_>| {
            format!(
                "`{}`: {}: learners: the fault comes only while a member has no vote, and no custom fault of this plan makes one, as `own: \
                 {{name: join}}` of etcd does",
                fault.place,
                fault.options.facts().name
            )
        };
        aimed.map(warning).collect()
    }

    /// Port roles that the recipe lacks, and options that do not fit each other. `roles`: the recipe's.
    pub fn role_mistakes(&self, roles: &[String]) -> Vec<FaultMistake> {
        let mut mistakes = Vec::new();
        for PlacedFault { place, options, .. } in self.placed() {
            mistakes.extend(options.contradictions().into_iter().map(|sentence| place.mistake(sentence)));
            for (option, role) in options.port_roles().into_iter().filter(|(_, role)| !roles.contains(role)) {
                let known = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
                let sentence = format!("{option}: the recipe has no port role {role} (it has {known})");
                mistakes.push(place.mistake(sentence).unknown(&role, roles));
            }
        }
        mistakes
    }

    /// The faults that the plan aims at the leader by name, such as `kill: nodes: leader`. A partition without a shape names
    /// no leader.
    pub fn aimed_at_leader(&self) -> Vec<FaultMistake> {
        let words = |PlacedFault { place, options, .. }: PlacedFault<'_>| {
            options.leader_words().into_iter().map(|words| place.mistake(words)).collect::<Vec<_>>()
        };
        let waits = self.schedule.iter().enumerate();
        let waits = waits.filter(|(_, entry)| matches!(&entry.begin, Begin::When(when) if when.is_leader()));
        let waits = waits.map(|(position, _)| self.entry_place(position).entry_mistake("when: role: leader"));
        let exact = self.placed_exactly().filter(|(_, fault, _)| fault.needs_leader());
        let exact = exact.map(|(place, fault, _)| place.mistake(fault.describe()));
        self.placed().flat_map(words).chain(waits).chain(exact).collect()
    }

    /// What evidence counts the faults as, drawn or scheduled: a kind, or a custom fault by its name (`own: leave`).
    pub fn counted_as(&self) -> impl Iterator<Item = String> {
        let scheduled = self.schedule.iter().map(|entry| entry.fault.counted_as());
        self.faults.iter().map(FaultOptions::counted_as).chain(scheduled)
    }

    /// Abilities that faults need beside those of their kind, each with its kind.
    pub fn more_needs(&self) -> Vec<(&'static FaultFacts, &'static str)> {
        let options = self.all_faults().map(|(fault, _)| (fault.facts(), fault.more_needs()));
        let exact = self.placed_exactly().map(|(_, fault, _)| (fault.facts(), fault.more_needs()));
        let all = options.chain(exact);
        all.flat_map(|(facts, needs)| needs.into_iter().map(move |need| (facts, need))).collect()
    }

    /// What a node of this name and size cannot do for the faults that may take it: the kind, the ability that carries the size, and a
    /// sentence. A fault of which it can do some choices is left to its agent.
    pub fn beyond(&self, node: &str, size: &NodeSize) -> Vec<(&'static FaultFacts, &'static str, String)> {
        let options = self.all_faults().filter(|(fault, _)| fault.aims().iter().any(|aim| aim.may_take(node)));
        let options = options.map(|(fault, _)| (fault.facts(), fault.beyond(size)));
        let exact = self.placed_exactly().filter(|(_, fault, _)| fault.may_take(node));
        let exact = exact.map(|(_, fault, _)| (fault.facts(), fault.beyond(size)));
        let all = options.chain(exact);
        all.flat_map(|(facts, all)| all.into_iter().map(move |(need, why)| (facts, need, why))).collect()
    }

    /// The mistakes of faults that stand `exactly` in the schedule: values out of range, and what cannot be bound in a view with every
    /// node of the plan, in which every role is taken and every other fault is bound.
    pub fn exact_mistakes(&self, view: &ClusterView) -> Vec<FaultMistake> {
        let of = |(place, fault, lasts): (FaultPlace<'_>, &SymbolicFault, Span)| {
            let wrong = match fault.resolve(view) {
                Ok(resolved) => fault.mistakes(&resolved, lasts),
                Err(why) => vec![why.to_string()],
            };
            let kind = fault.facts().name;
            wrong.into_iter().map(|why| place.mistake(format!("{kind}: {why}"))).collect::<Vec<_>>()
        };
        self.placed_exactly().flat_map(of).collect()
    }
}
