//! The parts of a recipe that there are with the options of a plan: `when` leaves out the others.
use super::error::TargetError;
use super::recipe::{OwnFault, Recipe};
use super::template;
use std::collections::BTreeMap;

type Options = BTreeMap<String, serde_json::Value>;

/// The recipe's faults without those that `when` leaves out.
pub(super) fn faults(recipe: &Recipe, options: &Options, origin: &str) -> Result<Vec<OwnFault>, TargetError> {
    let mut kept = Vec::new();
    for (at, fault) in recipe.faults.iter().enumerate() {
        if is_wanted(fault.when.as_deref(), options, origin, &format!("faults[{at}].when"))? {
            kept.push(fault.clone());
        }
    }
    Ok(kept)
}

/// Takes out the roles that `when` leaves out: no node has them, and none is waited for.
pub(super) fn keep_roles(recipe: &mut Recipe, options: &Options, origin: &str) -> Result<(), TargetError> {
    let Some(probe) = &mut recipe.role else { return Ok(()) };
    let mut kept = Vec::new();
    for (at, role) in std::mem::take(&mut probe.roles).into_iter().enumerate() {
        if is_wanted(role.when.as_deref(), options, origin, &format!("role.roles[{at}].when"))? {
            kept.push(role);
        }
    }
    probe.roles = kept;
    Ok(())
}

fn is_wanted(when: Option<&str>, options: &Options, origin: &str, place: &str) -> Result<bool, TargetError> {
    let filled = template::of_options(options, origin, place, when.unwrap_or("true"))?;
    Ok(!["", "false"].contains(&filled.trim()))
}

#[cfg(test)]
mod tests {
    use crate::targets::load;
    use std::collections::BTreeMap;
    use std::path::Path;

    #[test]
    fn a_mode_of_the_specimens_without_a_leader_has_no_role_that_leads() {
        let leads = |mode: &str| {
            let options = BTreeMap::from([("mode".to_owned(), serde_json::Value::from(mode))]);
            let options = BTreeMap::from([("specimen".to_owned(), options)]);
            load("specimen", Path::new("."), &options).expect("a target").facts().leads
        };
        assert!(leads("raft"));
        assert!(!leads("ids"));
    }
}
