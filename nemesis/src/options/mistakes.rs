//! What is wrong with the options of faults, and what evidence and nodes need to know of them.
use super::{FaultOptions, NemesisOptions, SymbolicFault};
use crate::facts::FaultFacts;
use crate::fault::ClusterView;
use crate::protocol::ability::NodeSize;
use crate::schedule::{Begin, ScheduledFault, ScheduledKind};
use dsfuzz_span::Span;

/// A number of nodes on which every fault can be drawn whose values are right.
pub(super) const NODES_ENOUGH: usize = 1000;

impl NemesisOptions {
    /// The mistakes of the options of single faults, one sentence each: values out of range, and durations that do not fit. Every
    /// kind checks its values where it draws from them, so that no value is checked in one place and used in another.
    pub fn option_mistakes(&self) -> Vec<String> {
        let of = |(fault, lasts): (&FaultOptions, Span)| {
            let name = fault.facts().name;
            fault.mistakes(lasts).into_iter().map(move |mistake| format!("{name}: {mistake}"))
        };
        // Those of a schedule are drawn for the nodes that the plan names, among its own mistakes.
        let values = self.faults.iter();
        let values =
            values.filter_map(|fault| Some(format!("{}: {}", fault.facts().name, fault.draws(NODES_ENOUGH).err()?)));
        self.all_faults().flat_map(of).chain(values).collect()
    }

    /// The mistakes of these options for a recipe with these processes, one sentence each: names that no process has.
    pub fn process_mistakes(&self, processes: &[String]) -> Vec<String> {
        let named = self.all_faults().filter_map(|(fault, _)| Some((fault.facts().name, fault.named_process()?)));
        named
            .filter(|(_, name)| !processes.contains(name))
            .map(|(fault, name)| {
                format!("{fault}: process: {name} is no process of the recipe, which has {}", processes.join(", "))
            })
            .collect()
    }

    /// Port roles that the recipe lacks, and options that do not fit each other, one sentence each. `roles`: the recipe's.
    pub fn role_mistakes(&self, roles: &[String]) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (fault, _) in self.all_faults() {
            let name = fault.facts().name;
            mistakes.extend(fault.contradictions().into_iter().map(|sentence| format!("{name}: {sentence}")));
            for (option, role) in fault.port_roles().into_iter().filter(|(_, role)| !roles.contains(role)) {
                let known = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
                mistakes.push(format!("{name}: {option}: the recipe has no port role {role} (it has {known})"));
            }
        }
        mistakes
    }

    /// The faults that the plan aims at the leader by name, such as `kill: nodes: leader`. A partition without a shape names
    /// no leader.
    pub fn aimed_at_leader(&self) -> Vec<String> {
        let words = |fault: &FaultOptions| {
            let name = fault.facts().name;
            fault.leader_words().into_iter().map(move |words| format!("{name}: {words}"))
        };
        let waits = self.schedule.iter().filter(|entry| matches!(&entry.begin, Begin::When(when) if when.is_leader()));
        let waits = waits.map(|entry| format!("fault {}: when: role: leader", entry.id));
        let exact = self.exact().filter(|(_, fault)| fault.needs_leader());
        let exact = exact.map(|(id, fault)| format!("fault {id}: exactly: {}", fault.describe()));
        self.all_faults().flat_map(|(fault, _)| words(fault)).chain(waits).chain(exact).collect()
    }

    /// What evidence counts the faults as, drawn or scheduled: a kind, or a custom fault by its name (`own: leave`).
    pub fn counted_as(&self) -> impl Iterator<Item = String> {
        let scheduled = self.schedule.iter().map(|entry| entry.fault.counted_as());
        self.faults.iter().map(FaultOptions::counted_as).chain(scheduled)
    }

    /// Abilities that faults need beside those of their kind, each with its kind.
    pub fn more_needs(&self) -> Vec<(&'static FaultFacts, &'static str)> {
        let options = self.all_faults().map(|(fault, _)| (fault.facts(), fault.more_needs()));
        let exact = self.exact().map(|(_, fault)| (fault.facts(), fault.more_needs()));
        let all = options.chain(exact);
        all.flat_map(|(facts, needs)| needs.into_iter().map(move |need| (facts, need))).collect()
    }

    /// The faults that stand `exactly` in the schedule, each with its id.
    fn exact(&self) -> impl Iterator<Item = (&str, &SymbolicFault)> {
        self.schedule.iter().filter_map(|entry| match &entry.fault {
            ScheduledKind::Exactly(fault) => Some((entry.id.as_str(), fault)),
            ScheduledKind::Options(_) => None,
        })
    }

    /// What a node of this size cannot do for the faults: the kind, the ability that carries the size, and a sentence.
    pub fn beyond(&self, size: &NodeSize) -> Vec<(&'static FaultFacts, &'static str, String)> {
        let options = self.all_faults().map(|(fault, _)| (fault.facts(), fault.beyond(size)));
        let exact = self.exact().map(|(_, fault)| (fault.facts(), fault.beyond(size)));
        let all = options.chain(exact);
        all.flat_map(|(facts, all)| all.into_iter().map(move |(need, why)| (facts, need, why))).collect()
    }

    /// The mistakes of faults that stand `exactly` in the schedule, one sentence each: values out of range, and what cannot be bound in a view with every node of
    /// the plan, in which every role is taken and every other fault is bound.
    pub fn exact_mistakes(&self, view: &ClusterView) -> Vec<String> {
        let of = |entry: &ScheduledFault| {
            let ScheduledKind::Exactly(fault) = &entry.fault else { return Vec::new() };
            let wrong = match fault.resolve(view) {
                Ok(resolved) => fault.mistakes(&resolved, entry.duration(self.lasts)),
                Err(why) => vec![why.to_string()],
            };
            let kind = fault.facts().name;
            wrong.into_iter().map(|why| format!("fault {}: exactly: {kind}: {why}", entry.id)).collect()
        };
        self.schedule.iter().flat_map(of).collect()
    }
}
