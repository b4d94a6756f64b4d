//! Aims that are counted over the members of the cluster that vote.
use super::{Aim, majority_min, minority_max};
use crate::order::BoundOrder;
use crate::view::{ClusterView, Unresolved};

/// Keeps the nodes that the aim is counted over, and returns how many it takes. `drawn`: the number that was drawn with the aim. Where
/// the target is not asked for its members, or none has answered, all nodes count.
pub(super) fn counted(
    aim: &Aim,
    drawn: usize,
    bound: &mut BoundOrder,
    view: &ClusterView,
) -> Result<usize, Unresolved> {
    if !matches!(aim, Aim::Minority | Aim::Majority | Aim::Voters | Aim::Spare | Aim::QuorumLoss) {
        return Ok(drawn);
    }
    over_voters(aim, bound, view);
    let voters = bound.positions.len();
    let count = match aim {
        Aim::Minority => drawn.min(minority_max(voters)),
        Aim::Majority => majority_min(voters),
        Aim::Spare => voters - majority_min(voters),
        Aim::QuorumLoss => voters - majority_min(voters) + 1,
        _ => voters,
    };
    match count {
        0 => Err(Unresolved(format!("{aim}: none of {voters} voters may be lost"))),
        count => Ok(count),
    }
}

/// Keeps the nodes that vote.
pub(super) fn over_voters(aim: &Aim, bound: &mut BoundOrder, view: &ClusterView) {
    let plain = matches!(aim, Aim::Minority | Aim::Majority);
    let all = bound.positions.len();
    let voters = view.voters();
    bound.positions.retain(|position| voters.contains(&view.nodes[*position].name));
    let note = match (view.known_members().is_some(), view.members.is_some()) {
        (true, _) if bound.positions.len() == all => format!("counted over {all} voters"),
        (true, _) => format!("counted over {} voters: {}", bound.positions.len(), voters.join(" ")),
        (false, true) => format!("no member has answered who votes: counted over all {all} nodes"),
        (false, false) if plain => return,
        (false, false) => format!("the recipe does not ask who votes: counted over all {all} nodes"),
    };
    bound.note = Some(bound.note.take().map_or_else(|| note.clone(), |before| format!("{before}; {note}")));
}

/// Keeps the members without a vote.
pub(super) fn learners(bound: &mut BoundOrder, view: &ClusterView) -> Result<(), Unresolved> {
    let unknown = || Unresolved("learners: it is not known which members have no vote".to_owned());
    let members = view.known_members().ok_or_else(unknown)?;
    bound.positions.retain(|position| members.learners.contains(&view.nodes[*position].name));
    if bound.positions.is_empty() { Err(Unresolved("learners: every member votes".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aim::PlannedAim;
    use crate::fault::NodeView;
    use crate::order::NodeOrder;
    use dsfuzz_rng::Rng;

    fn whole(leaders: &[&str]) -> ClusterView {
        let node = |number: u8| NodeView {
            name: format!("n{number}"),
            address: [10, 0, 0, number].into(),
            others: Vec::new(),
            ports: Vec::new(),
            port_roles: std::collections::BTreeMap::new(),
            services: vec!["db".to_owned()],
            own_kernel: false,
        };
        let leaders = leaders.iter().map(|name| (*name).to_owned()).collect();
        ClusterView { nodes: (1..=5).map(node).collect(), leaders, ..ClusterView::default() }
    }

    fn bind(aim: &Aim, seed: u64, view: &ClusterView) -> Result<(Vec<usize>, bool), Unresolved> {
        let bound = aim.draw(&mut Rng::new(seed, "aim", 0), 5).bind(view)?;
        Ok((bound.positions, bound.note.is_some()))
    }

    #[test]
    fn aims_are_counted_over_the_members_that_vote() {
        let names = |numbers: &[u8]| numbers.iter().map(|number| format!("n{number}")).collect::<Vec<_>>();
        let with = |voters: &[u8], learners: &[u8]| ClusterView {
            members: Some(crate::fault::Members { voters: names(voters), learners: names(learners) }),
            ..whole(&["n2"])
        };
        for (voters, counts) in [
            (&[1, 2, 3, 4, 5][..], [2, 3, 2, 3, 5]),
            (&[1, 2, 3, 4], [1, 3, 1, 2, 4]),
            (&[2, 4, 5], [1, 2, 1, 2, 3]),
            (&[2, 4], [1, 2, 0, 1, 2]),
        ] {
            let words = ["minority", "majority", "spare", "quorum-loss", "voters"];
            for (word, most) in words.into_iter().zip(counts) {
                for seed in 0..20 {
                    let bound = Aim::from(word).draw(&mut Rng::new(seed, "aim", 0), 5).bind(&with(voters, &[]));
                    let Ok(bound) = bound else {
                        assert_eq!(most, 0, "{word} of {voters:?}: {bound:?}");
                        continue;
                    };
                    let taken: Vec<u8> = bound.positions.iter().map(|position| *position as u8 + 1).collect();
                    assert!(taken.iter().all(|number| voters.contains(number)), "{word} of {voters:?}: {taken:?}");
                    let enough =
                        if word == "minority" { (1..=most).contains(&taken.len()) } else { taken.len() == most };
                    assert!(enough, "{word} of {voters:?}: {taken:?}");
                    assert!(bound.note.expect("a note").contains(&format!("over {} voters", voters.len())));
                }
            }
        }
        assert_eq!(bind(&Aim::Learners, 1, &with(&[1, 2, 3], &[5])), Ok((vec![4], false)));
        assert!(bind(&Aim::Learners, 1, &with(&[1, 2, 3], &[])).is_err());
        assert!(bind(&Aim::Learners, 1, &whole(&[])).is_err());
        let (all, noted) = bind(&Aim::QuorumLoss, 1, &whole(&[])).expect("all nodes count");
        assert_eq!((all.len(), noted), (3, true));
        assert_eq!(bind(&Aim::Majority, 1, &whole(&[])).map(|(all, noted)| (all.len(), noted)), Ok((3, false)));
        let unanswered = bind(&Aim::Majority, 1, &with(&[], &[])).expect("all nodes count");
        assert_eq!((unanswered.0.len(), unanswered.1), (3, true));
        let at_leader = PlannedAim {
            order: NodeOrder { positions: vec![4, 0, 1, 2, 3], leader_first: true },
            aim: Aim::Spare,
            count: 5,
        };
        let bound = at_leader.bind(&with(&[2, 3, 5], &[])).expect("bound");
        assert_eq!(bound.positions, [1], "the leader is one of the voters that may be lost");
    }
}
