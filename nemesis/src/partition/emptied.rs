//! Cuts with a side, or links, that can be left without a node.
use super::PartitionOptions;
use super::cut::Cut;
use crate::aim::Aim;
use crate::fault::{ClusterView, Members};
use crate::losses::Losses;
use dsfuzz_rng::Rng;

/// How a cut can be left without a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EmptySide {
    /// Whichever nodes lead, at least with some of its draws.
    Always(String),
    /// Only while certain nodes lead.
    WithRoles(String),
}

/// How many draws of a cut are tried.
const DRAWS: u64 = 40;

impl PartitionOptions {
    /// How its cut can be left without a node on nodes of these names.
    pub(crate) fn emptied(&self, names: &[String]) -> Option<EmptySide> {
        self.cut.as_ref()?.emptied(names)
    }
}

impl Cut {
    fn emptied(&self, names: &[String]) -> Option<EmptySide> {
        let aims = self.aims();
        // Only the run knows them.
        if aims.iter().any(|aim| matches!(aim, Aim::Learners | Aim::SameAs(_) | Aim::First(_))) {
            return None;
        }
        let mut views = Losses::on(names).views(aims.iter().any(Aim::needs_leader));
        if aims.contains(&Aim::Voters) && names.len() > 1 {
            let with_learner: Vec<ClusterView> = names
                .iter()
                .flat_map(|learner| views.iter().map(move |view| one_learns(view, names, learner)))
                .collect();
            views.extend(with_learner);
        }
        let drawn = aims.iter().any(Aim::is_drawn);
        let (mut with_roles, mut always) = (None, 0);
        for seed in 0..if drawn { DRAWS } else { 1 } {
            let planned = self.draw(&mut Rng::new(seed, "cut", 0), names.len());
            let failed = views.iter().map(|view| match planned.bind(view) {
                Ok(bound) if bound.links.is_empty() => Some("from and to are the same node".to_owned()),
                Ok(_) => None,
                Err(why) => Some(why.to_string()),
            });
            let failed: Vec<Option<String>> = failed.collect();
            always += u64::from(failed.iter().all(Option::is_some));
            with_roles = with_roles.or(failed.into_iter().flatten().next());
        }
        let why = with_roles?;
        let depends = if aims.iter().any(Aim::needs_leader) { "node leads" } else { "members vote" };
        let advice = "name nodes that are on no other side, or write `others`";
        Some(match always {
            0 => EmptySide::WithRoles(format!(
                "cut: {why}, depending on which {depends}: the fault does not come then; {advice}"
            )),
            _ if drawn => EmptySide::Always(format!("cut: {why}, at least with some of its draws: {advice}")),
            _ => EmptySide::Always(format!("cut: {why}, whichever node leads: {advice}")),
        })
    }
}

/// The view in which this node does not vote.
fn one_learns(view: &ClusterView, names: &[String], learner: &String) -> ClusterView {
    let (learners, voters) = names.iter().cloned().partition(|name| name == learner);
    let members = Some(Members { voters, learners });
    ClusterView { members, ..view.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_side_that_can_be_left_without_a_node_is_found() {
        let names: Vec<String> = (1..=5).map(|number| format!("n{number}")).collect();
        let emptied = |cut: serde_json::Value| {
            let options: PartitionOptions = serde_json::from_value(json!({ "cut": cut })).expect("options");
            options.emptied(&names)
        };
        for always in [
            json!(["spare", "spare"]),
            json!(["one", "one"]),
            json!(["one", "n1"]),
            json!(["majority", "minority"]),
            json!(["leader", "followers", "others"]),
            json!(["followers", "leader", "n1"]),
            json!({"from": "one", "to": "n1"}),
        ] {
            assert!(
                matches!(emptied(always.clone()), Some(EmptySide::Always(_))),
                "{always}: {:?}",
                emptied(always.clone())
            );
        }
        for with_roles in [
            json!(["leader", "n1"]),
            json!(["ex-leader", ["n1", "n2"], "leader"]),
            json!({"from": "leader", "to": "n1"}),
            json!(["voters", "others"]),
            json!(["voters", "n1"]),
        ] {
            let said = emptied(with_roles.clone());
            assert!(matches!(said, Some(EmptySide::WithRoles(_))), "{with_roles}: {said:?}");
        }
        for never in [
            json!(["leader", "others"]),
            json!(["spare", "others"]),
            json!(["one", "majority"]),
            json!(["leader", "followers"]),
            json!(["leader", "follower"]),
            json!(["voters", "learners"]),
            json!([["n1", "n2"], "n3", "others"]),
            json!({"from": "n1", "to": ["n2", "n3"]}),
            json!({"from": "minority", "to": "others"}),
        ] {
            assert_eq!(emptied(never.clone()), None, "{never}");
        }
    }
}
