//! Leaders of growing terms; initially there is none.
use super::fenced_lock::{FencedState, token};
use super::{Model, owner, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["campaign", "resign", "leader"];

/// Leader election. `campaign` (the candidate is the argument or, where that is nil, the process) returns the term that was
/// won, larger than all before. `leader` returns `[term, leader]` of the present term; nil says nothing. `resign` takes
/// the term (nil: the present one): its leader is none any more. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LeaderElection;

/// What can be done in an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ElectionAct {
    /// This one won this term.
    Win(Value, Option<i64>),
    /// In this term this one led.
    Leads(Option<i64>, Value),
    /// The leader of this term leads no more.
    Resign(Option<i64>),
    /// Nothing was done, or nothing was said.
    Nothing,
}

impl Model for LeaderElection {
    type State = (FencedState, Value);
    type Act = ElectionAct;

    fn name(&self) -> &'static str {
        "leader-election"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Default::default()
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ElectionAct, String> {
        self.act_by(0, function, input, reply)
    }
    fn act_by(
        &self,
        process: u64,
        function: &str,
        input: &Value,
        reply: Option<&Value>,
    ) -> Result<ElectionAct, String> {
        match (function, reply) {
            ("campaign" | "resign", Some(Value::Bool(false))) | ("leader", None | Some(Value::Nil)) => {
                Ok(ElectionAct::Nothing)
            }
            ("campaign", _) => Ok(ElectionAct::Win(owner(process, input), token(function, reply)?)),
            ("resign", _) => Ok(ElectionAct::Resign(token(function, Some(input))?)),
            ("leader", Some(reply)) => match reply.as_list() {
                Some([term, leader]) => Ok(ElectionAct::Leads(token(function, Some(term))?, leader.clone())),
                _ => Err(format!("leader returns [term, leader], not {reply}")),
            },
            _ => Err(unknown_function("leader-election", FUNCTIONS, function)),
        }
    }
    fn step(&self, (state, leader): &Self::State, act: &ElectionAct) -> Option<Self::State> {
        match act {
            ElectionAct::Win(who, term) => state.grant(*term).map(|state| (state, who.clone())),
            ElectionAct::Leads(term, who) if who == leader => state.show_token(*term).map(|state| (state, who.clone())),
            ElectionAct::Leads(..) => None,
            ElectionAct::Resign(term) => state.show_token(*term).map(|state| (state.free(), Value::Nil)),
            ElectionAct::Nothing => Some((*state, leader.clone())),
        }
    }
    fn observes_only(&self, act: &ElectionAct) -> bool {
        *act == ElectionAct::Nothing
    }
    fn fits_always(&self, act: &ElectionAct) -> bool {
        matches!(act, ElectionAct::Win(_, None) | ElectionAct::Nothing)
    }
    /// What merely shows who leads: without it more is possible, never less.
    fn removable(&self, acts: &[&ElectionAct]) -> Vec<Vec<usize>> {
        let shows = |at: &usize| matches!(acts[*at], ElectionAct::Nothing | ElectionAct::Leads(..));
        (0..acts.len()).filter(shows).map(|at| vec![at]).collect()
    }
    fn show(&self, (state, leader): &Self::State) -> String {
        if state.is_held() { format!("{leader}, {}", state.words("term")) } else { "no leader".to_owned() }
    }
}
