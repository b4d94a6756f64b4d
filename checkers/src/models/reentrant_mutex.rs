//! A lock that its holder can acquire again; initially free.
use super::Model;
use super::owner_mutex::{self, OwnedAct};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = owner_mutex::FUNCTIONS;

/// A lock that its holder can acquire again, and has to release as often. The holder is the argument or, where that is
/// nil, the process. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReentrantMutex;

impl Model for ReentrantMutex {
    /// Who holds it, and how many times.
    type State = Option<(Value, u64)>;
    type Act = OwnedAct;

    fn name(&self) -> &'static str {
        "reentrant-mutex"
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
        owner_mutex::act("reentrant-mutex", process, function, input, reply)
    }
    fn step(&self, holder: &Self::State, act: &OwnedAct) -> Option<Self::State> {
        match (act, holder) {
            (OwnedAct::Refused, _) => Some(holder.clone()),
            (OwnedAct::Acquire(who), None) => Some(Some((who.clone(), 1))),
            (OwnedAct::Acquire(who), Some((held, times))) => (who == held).then(|| Some((who.clone(), times + 1))),
            (OwnedAct::Release(who), Some((held, times))) if who == held => {
                Some((*times > 1).then(|| (who.clone(), times - 1)))
            }
            (OwnedAct::Release(_), _) => None,
        }
    }
    fn observes_only(&self, act: &OwnedAct) -> bool {
        *act == OwnedAct::Refused
    }
    fn fits_always(&self, act: &OwnedAct) -> bool {
        *act == OwnedAct::Refused
    }
    fn removable(&self, acts: &[&OwnedAct]) -> Vec<Vec<usize>> {
        owner_mutex::by_owner(acts)
    }
    fn show(&self, holder: &Self::State) -> String {
        match holder {
            None => "free".to_owned(),
            Some((who, 1)) => format!("held by {who}"),
            Some((who, times)) => format!("held by {who}, {times} times"),
        }
    }
}
