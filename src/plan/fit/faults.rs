//! Whether the faults of a plan fit its target, its nodes and its load.
use super::mistake::FitMistake;
use super::{quiet_from, whole_view};
use crate::cluster::{NODE_DIR, Node};
use crate::plan::Plan;
use crate::plan::validate::RATE_MAX;
use crate::targets::{Target, TargetError};
use dsfuzz_nemesis::mistake::{FaultMistake, FaultPlace, PlacedFault};
use dsfuzz_nemesis::own::{OwnOptions, RecipeFaults};
use dsfuzz_nemesis::schedule::{Begin, Trigger};
use dsfuzz_nemesis::{IN_FORCE_MIN, NemesisOptions, ScheduledFault, Span};

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
    if target.recipe().members.is_none() {
        mistakes.extend(nemesis.member_mistakes());
    }
    let has: Vec<&str> = target.recipes_faults().map(|fault| fault.name.as_str()).collect();
    let own = nemesis.own_mistakes(RecipeFaults { has: &has, lacks: &target.faults_left_out() });
    if own.is_empty() && !nodes.is_empty() {
        let view = whole_view(plan, target, nodes, processes);
        mistakes.extend(nemesis.exact_mistakes(&view));
        mistakes.extend(nemesis.excluded_mistakes(&view));
    }
    let whole = own.is_empty();
    mistakes.extend(own);
    if !nodes.is_empty() {
        mistakes.extend(too_many_at_once(nemesis, target, nodes));
        mistakes.extend(too_many_calls(plan, nemesis, target, nodes));
    }
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

/// Custom faults of the recipe that are aimed at more nodes than they can take at the same time, alone or beside others of their name.
fn too_many_at_once(nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Vec<FaultMistake> {
    let at_once = target.at_once(nodes.len());
    let mistake = |(place, own): (FaultPlace<'_>, OwnOptions)| {
        let (most, taken) = (*at_once.get(&own.name)?, own.most_at_once(nodes.len(), place.is_scheduled()));
        (taken > most).then(|| {
            place.mistake(format!(
                "nodes: {} takes at most {most} of {} nodes at the same time, and this aim up to {taken}; `rolling: true` takes one \
                 after the other",
                own.name,
                nodes.len()
            ))
        })
    };
    let mut mistakes: Vec<FaultMistake> = nemesis.placed_own().into_iter().filter_map(mistake).collect();
    if mistakes.is_empty() {
        mistakes = nemesis.at_once_mistakes(nodes.len(), &at_once);
    }
    mistakes
}

/// Faults that wait for more calls than the load can make before it.
fn too_many_calls(plan: &Plan, nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Vec<FaultMistake> {
    let quiet_from = quiet_from(plan, nemesis, target);
    let mistake = |(position, entry): (usize, &ScheduledFault)| {
        let Begin::When(Trigger::Ok { calls }) = &entry.begin else { return None };
        let last = Span(quiet_from.0.saturating_sub(entry.duration(nemesis.lasts).0));
        let until = entry.unless_by.map_or(last, |by| by.min(last));
        // Clients join where others hang, beside the rate.
        let joining = plan.load.asked_per_node(nodes.len()) * nodes.len() as f64;
        let rate = plan.load.rate.map_or(RATE_MAX, |rate| rate.0 + joining);
        let by_rate = (rate * until.0.as_secs_f64()) as u64;
        let most = plan.load.ops_max.map_or(by_rate, |most| most.min(by_rate));
        (*calls > most).then(|| {
            nemesis.entry_place(position).entry_mistake(format!(
                "when: ok: {calls} calls are asked for, and the load makes at most {most} until {until}, when the fault must begin: wait \
                 for fewer, or change `load.rate`, `load.time` or `load.ops_max`"
            ))
        })
    };
    nemesis.schedule.iter().enumerate().filter_map(mistake).collect()
}

/// The mistake of a text of a custom fault that the plan defines.
fn wrong_text(plan: &Plan, nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Option<FitMistake> {
    // The texts are filled in, and no node is touched.
    let base = plan.cluster.dir().unwrap_or(NODE_DIR);
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

/// Warnings about the faults of a plan, one sentence each.
pub(super) fn warnings(plan: &Plan, nemesis: &NemesisOptions, target: &Target, nodes: &[String]) -> Vec<String> {
    // A fault is proven, and proven again, within its duration.
    let enough = Span(2 * IN_FORCE_MIN);
    let short = nemesis.placed().filter(|fault| fault.lasts < enough).map(|PlacedFault { place, options, lasts }| {
        format!(
            "`{place}`: {}: a fault of {lasts} proves too little: evidence counts faults that are proven to be in force for {} or \
             longer; `for: {enough}` or longer will do",
            options.facts().name,
            Span(IN_FORCE_MIN)
        )
    });
    let silent = nemesis.placed().filter(|fault| fault.options.silences_all()).map(|fault| {
        format!(
            "`{}`: {}: it may take every node, and then none answers: instead of calls that are Ok during it, evidence asks for calls that \
             are Ok before it and after its heal",
            fault.place,
            fault.options.facts().name
        )
    });
    let drawing = nemesis.drawing_warnings(quiet_from(plan, nemesis, target)).into_iter();
    let drawing = drawing.map(|(key, sentence)| format!("`nemesis.{key}`: {sentence}"));
    let unless_by = nemesis.unless_by_warnings(quiet_from(plan, nemesis, target));
    let members = nemesis.member_warnings();
    short.chain(silent).chain(nemesis.aim_warnings(nodes)).chain(drawing).chain(unless_by).chain(members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_do_not_fit_into_the_undo_journal_are_refused() {
        let refused = |bytes: usize| {
            let begin = "x".repeat(bytes);
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\n\
                 nemesis: {{faults: [{{own: {{name: x, begin: {begin}, prove: a, heal: a, healed: a}}}}]}}\n"
            );
            let plan = Plan::from_yaml_str(&text).expect("a plan");
            let nemesis = plan.nemesis.clone().expect("faults");
            let own: Vec<OwnOptions> = nemesis.placed_own().into_iter().map(|(_, own)| own).collect();
            let target = crate::targets::load("etcd", std::path::Path::new("/"), &std::collections::BTreeMap::new());
            let target = target.expect("etcd").defining(&own);
            let nodes: Vec<String> = (1..=3).map(|number| format!("n{number}")).collect();
            wrong_text(&plan, &nemesis, &target, &nodes).map(|mistake| format!("{mistake:?}"))
        };
        assert_eq!(refused(8 << 10), None);
        let why = refused(16 << 10).expect("more than a slot of the journal");
        assert!(why.contains("begin: the commands of the fault have ") && why.contains("put it into a file"), "{why}");
    }

    #[test]
    fn custom_faults_that_overlap_are_counted_together_against_at_once() {
        let said = |second: &str| {
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\nload: {{time: 60s}}\nnemesis: {{schedule: [\
                 {{id: a, at: 5s, for: 10s, own: {{name: leave, nodes: n1}}}}, {{id: b, {second}, for: 10s, own: {{name: leave, nodes: n2}}}}]}}\n"
            );
            let plan = Plan::from_yaml_str(&text).expect("a plan");
            let target = crate::targets::load("etcd", std::path::Path::new("/"), &std::collections::BTreeMap::new());
            let nodes: Vec<String> = (1..=3).map(|number| format!("n{number}")).collect();
            let nemesis = plan.nemesis.as_ref().expect("faults");
            let mistakes = mistakes(&plan, nemesis, &target.expect("etcd"), &nodes);
            mistakes.iter().map(|mistake| format!("{mistake:?}")).collect::<Vec<_>>().join(" ")
        };
        let refused = said("at: 8s");
        assert!(refused.contains("leave takes at most 1 of 3 nodes at the same time, and beside a"), "{refused}");
        assert_eq!(said("when: {fault: a, step: healed}"), "");
    }
}
