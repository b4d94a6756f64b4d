//! Aims that are counted over the members of the cluster that vote.
use super::{Aim, majority_min, minority_max};
use crate::order::BoundOrder;
use crate::view::{ClusterView, Members, Unresolved};

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
    let note = match view.members.as_ref() {
        Some(Members { voters, .. }) if !voters.is_empty() => {
            bound.positions.retain(|position| voters.contains(&view.nodes[*position].name));
            match bound.positions.len() == all {
                true => format!("counted over {all} voters"),
                false => format!("counted over {} voters: {}", bound.positions.len(), voters.join(" ")),
            }
        }
        Some(_) => format!("no member has answered who votes: counted over all {all} nodes"),
        None if plain => return,
        None => format!("the recipe does not ask who votes: counted over all {all} nodes"),
    };
    bound.note = Some(bound.note.take().map_or_else(|| note.clone(), |before| format!("{before}; {note}")));
}

/// Keeps the members without a vote.
pub(super) fn learners(bound: &mut BoundOrder, view: &ClusterView) -> Result<(), Unresolved> {
    let unknown = || Unresolved("learners: it is not known which members have no vote".to_owned());
    let members = view.members.as_ref().filter(|members| !members.voters.is_empty()).ok_or_else(unknown)?;
    bound.positions.retain(|position| members.learners.contains(&view.nodes[*position].name));
    if bound.positions.is_empty() { Err(Unresolved("learners: every member votes".to_owned())) } else { Ok(()) }
}
