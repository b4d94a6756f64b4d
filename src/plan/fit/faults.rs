//! Whether the faults of a plan fit its target, its nodes and its load.
use super::mistake::FitMistake;
use super::{quiet_from, whole_view};
use crate::cluster::Node;
use crate::plan::Plan;
use crate::targets::{Target, TargetError};
use dsfuzz_nemesis::own::RecipeFaults;
use dsfuzz_nemesis::schedule::Begin;
use dsfuzz_nemesis::{NemesisOptions, ScheduledFault};

/// The mistakes of the faults of a plan on nodes of these names.
pub(super) fn mistakes(plan: &Plan, nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Vec<FitMistake> {
    let mut mistakes = nemesis.option_mistakes();
    mistakes.extend(nemesis.time_mistakes(quiet_from(plan, nemesis, target)));
    let processes: Vec<String> = target.recipe().processes.iter().map(|process| process.name.clone()).collect();
    mistakes.extend(nemesis.process_mistakes(&processes));
    if !nodes.is_empty() {
        mistakes.extend(nemesis.mistakes(nodes));
    }
    let roles: Vec<String> = target.ports().into_keys().collect();
    mistakes.extend(nemesis.role_mistakes(&roles));
    let has: Vec<&str> = target.recipes_faults().map(|fault| fault.name.as_str()).collect();
    let own = nemesis.own_mistakes(RecipeFaults { has: &has, lacks: &target.faults_left_out() });
    if own.is_empty() && !nodes.is_empty() {
        mistakes.extend(nemesis.exact_mistakes(&whole_view(plan, target, nodes, processes)));
    }
    let whole = own.is_empty();
    mistakes.extend(own);
    let mut mistakes: Vec<FitMistake> = mistakes.into_iter().map(FitMistake::from).collect();
    if whole && !nodes.is_empty() {
        mistakes.extend(wrong_text(plan, nemesis, target, nodes));
    }
    mistakes.extend(unknown_roles(nemesis, target));
    if !target.recipe().has_leaders() {
        let why = format!(
            ": the recipe of {} names no role that leads; name one leader, primary or master, give it `leads: true`, or aim at other \
             nodes",
            target.name()
        );
        let aimed = nemesis.aimed_at_leader().into_iter();
        mistakes.extend(aimed.map(|aimed| FitMistake::from(aimed).and(&why)));
    }
    mistakes
}

/// The mistake of a text of a custom fault that the plan defines.
fn wrong_text(plan: &Plan, nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Option<FitMistake> {
    // The texts are filled in, and no node is touched.
    let base = plan.cluster.dir().unwrap_or("/");
    let TargetError::PlansFault { name, message } = target.layout(&Node::stand_ins(nodes), base).err()? else {
        return None;
    };
    let of_name = nemesis.placed_own().into_iter().find(|(_, own)| own.is_defined_here() && own.name == name);
    of_name.map(|(place, _)| place.mistake(message).into())
}

/// Triggers by roles that the recipe does not name.
fn unknown_roles(nemesis: &NemesisOptions, target: &Target) -> Vec<FitMistake> {
    let recipe = target.recipe();
    let probed = recipe.role.iter().flat_map(|probe| &probe.roles).map(|rule| rule.name.as_str());
    let logged = recipe.logs.iter().flat_map(|log| &log.patterns).map(|pattern| pattern.role.as_str());
    let mut known: Vec<&str> = probed.chain(logged).collect();
    known.sort_unstable();
    known.dedup();
    let waits = |entry: &ScheduledFault| match &entry.begin {
        Begin::When(trigger) => trigger.role().map(str::to_owned),
        Begin::At(_) => None,
    };
    let unknown = nemesis.schedule.iter().enumerate().filter_map(|(position, entry)| Some((position, waits(entry)?)));
    let unknown = unknown.filter(|(_, role)| role != "leader" && !known.contains(&role.as_str()));
    let mistake = |(position, role): (usize, String)| {
        let sentence =
            format!("when: role: the recipe of {} names no role {role}; it names {}", target.name(), known.join(", "));
        nemesis
            .entry_place(position)
            .entry_mistake(sentence)
            .unknown(&role, known.iter().copied().chain(["leader"]))
            .into()
    };
    unknown.map(mistake).collect()
}
