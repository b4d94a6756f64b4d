//! A lock that knows its holder; initially free.
use super::{Model, owner, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["acquire", "release"];

/// A lock that only its holder can release. The holder is the argument of `acquire` and `release` or, where that is
/// nil, the process. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnerMutex;

/// What can be done with a lock that knows its holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OwnedAct {
    /// This one gets it.
    Acquire(Value),
    /// This one gives it back.
    Release(Value),
    /// Nothing was done.
    Refused,
}

pub(super) fn act(
    model: &str,
    process: u64,
    function: &str,
    input: &Value,
    reply: Option<&Value>,
) -> Result<OwnedAct, String> {
    match function {
        "acquire" | "release" if reply == Some(&Value::Bool(false)) => Ok(OwnedAct::Refused),
        "acquire" => Ok(OwnedAct::Acquire(owner(process, input))),
        "release" => Ok(OwnedAct::Release(owner(process, input))),
        _ => Err(unknown_function(model, FUNCTIONS, function)),
    }
}

impl Model for OwnerMutex {
    /// Who holds it.
    type State = Option<Value>;
    type Act = OwnedAct;

    fn name(&self) -> &'static str {
        "owner-mutex"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        None
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<OwnedAct, String> {
        self.act_by(0, function, input, reply)
    }
    fn act_by(&self, process: u64, function: &str, input: &Value, reply: Option<&Value>) -> Result<OwnedAct, String> {
        act("owner-mutex", process, function, input, reply)
    }
    fn step(&self, holder: &Self::State, act: &OwnedAct) -> Option<Self::State> {
        match act {
            OwnedAct::Acquire(who) => holder.is_none().then(|| Some(who.clone())),
            OwnedAct::Release(who) => (holder.as_ref() == Some(who)).then_some(None),
            OwnedAct::Refused => Some(holder.clone()),
        }
    }
    fn observes_only(&self, act: &OwnedAct) -> bool {
        *act == OwnedAct::Refused
    }
    fn fits_always(&self, act: &OwnedAct) -> bool {
        *act == OwnedAct::Refused
    }
    /// Refusals, and everything that one holder did: between its acquisition and its release nobody else did anything.
    fn removable(&self, acts: &[&OwnedAct]) -> Vec<Vec<usize>> {
        by_owner(acts)
    }
    fn show(&self, holder: &Self::State) -> String {
        holder.as_ref().map_or("free".to_owned(), |who| format!("held by {who}"))
    }
}

/// Refusals one by one, and all acts of each owner together.
pub(super) fn by_owner(acts: &[&OwnedAct]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut owners: std::collections::BTreeMap<&Value, Vec<usize>> = std::collections::BTreeMap::new();
    for (at, act) in acts.iter().enumerate() {
        match act {
            OwnedAct::Acquire(who) | OwnedAct::Release(who) => owners.entry(who).or_default().push(at),
            OwnedAct::Refused => groups.push(vec![at]),
        }
    }
    groups.extend(owners.into_values());
    groups
}
