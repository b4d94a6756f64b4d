//! Leaders of growing terms; initially there is none.
use super::fenced_lock::{FencedState, token};
use super::locking::owner;
use super::{Model, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["campaign", "resign", "leader"];

/// Leader election. `campaign` (the candidate is the argument or, where that is nil, the process) returns the term that was
/// won, larger than all before. `leader` returns `[term, leader]` of the present term; nil says nothing. `resign` takes
/// the term (nil: the present one): its leader is none any more. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaderElection;

/// What can be done in an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElectionAction {
    /// This candidate won this term.
    Win(Value, Option<i64>),
    /// In this term this candidate led.
    Leads(Option<i64>, Value),
    /// The leader of this term leads no more.
    Resign(Option<i64>),
    /// Nothing was done, or nothing was said.
    Nothing,
}

impl Model for LeaderElection {
    type State = (FencedState, Value);
    type Action = ElectionAction;

    fn name(&self) -> &'static str {
        "leader-election"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Default::default()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ElectionAction, String> {
        self.action_by(0, function, input, reply)
    }
    fn action_by(
        &self,
        process: u64,
        function: &str,
        input: &Value,
        reply: Option<&Value>,
    ) -> Result<ElectionAction, String> {
        match (function, reply) {
            ("campaign" | "resign", Some(Value::Bool(false))) | ("leader", None | Some(Value::Nil)) => {
                Ok(ElectionAction::Nothing)
            }
            ("campaign", _) => Ok(ElectionAction::Win(owner(process, input), token(function, reply)?)),
            ("resign", _) => Ok(ElectionAction::Resign(token(function, Some(input))?)),
            ("leader", Some(reply)) => match reply.as_list() {
                Some([term, leader]) => Ok(ElectionAction::Leads(token(function, Some(term))?, leader.clone())),
                _ => Err(format!("leader returns [term, leader], not {reply}")),
            },
            _ => Err(unknown_function("leader-election", FUNCTIONS, function)),
        }
    }
    fn step(&self, (state, leader): &Self::State, action: &ElectionAction) -> Option<Self::State> {
        match action {
            ElectionAction::Win(who, term) => state.grant(*term).map(|state| (state, who.clone())),
            ElectionAction::Leads(term, who) if who == leader => {
                state.show_token(*term).map(|state| (state, who.clone()))
            }
            ElectionAction::Leads(..) => None,
            ElectionAction::Resign(term) => state.show_token(*term).map(|state| (state.free(), Value::Nil)),
            ElectionAction::Nothing => Some((*state, leader.clone())),
        }
    }
    fn observes_only(&self, action: &ElectionAction) -> bool {
        *action == ElectionAction::Nothing
    }
    fn fits_always(&self, action: &ElectionAction) -> bool {
        matches!(action, ElectionAction::Win(_, None) | ElectionAction::Nothing)
    }
    /// Replies that only show the leader: without them more is possible, never less.
    fn removable(&self, actions: &[&ElectionAction]) -> Vec<Vec<usize>> {
        let shows = |at: &usize| matches!(actions[*at], ElectionAction::Nothing | ElectionAction::Leads(..));
        (0..actions.len()).filter(shows).map(|at| vec![at]).collect()
    }
    fn show(&self, (state, leader): &Self::State) -> String {
        if state.is_held() { format!("{leader}, {}", state.words("term")) } else { "no leader".to_owned() }
    }
}
