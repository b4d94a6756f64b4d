//! A lock with fencing tokens; initially free.
use super::locking::LockModel;
use crate::value::Value;

/// A lock whose every `acquire` returns a token, an integer larger than all before; `release` takes the token, or nil
/// for whatever is held. An acquisition without a token (nil, or an unknown reply) got some larger one. A reply of
/// `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FencedLock;

/// A lock with tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FencedState {
    /// Whether it is held.
    held: bool,
    /// The last token; where no reply showed it, the least that it can be.
    last: Option<i64>,
    /// Whether the last token is known.
    known: bool,
}

impl FencedState {
    /// The state once a token was given, if it can be.
    pub(super) fn grant(self, token: Option<i64>) -> Option<FencedState> {
        match token {
            Some(token) if self.last.is_some_and(|last| token <= last) => None,
            Some(token) => Some(FencedState { held: true, last: Some(token), known: true }),
            None => Some(FencedState { held: true, last: self.last.map(|last| last.saturating_add(1)), known: false }),
        }
    }

    /// The state once the holder has shown this token, if it can have it.
    pub(super) fn show_token(self, token: Option<i64>) -> Option<FencedState> {
        match token {
            _ if !self.held => None,
            None => Some(self),
            Some(token) if self.known => (self.last == Some(token)).then_some(self),
            Some(token) if self.last.is_some_and(|last| token < last) => None,
            Some(token) => Some(FencedState { last: Some(token), known: true, ..self }),
        }
    }

    pub(super) fn free(self) -> FencedState {
        FencedState { held: false, ..self }
    }

    pub(super) fn is_held(self) -> bool {
        self.held
    }

    pub(super) fn words(self, noun: &str) -> String {
        let token = match (self.last, self.known) {
            (Some(last), true) => format!("{noun} {last}"),
            (Some(last), false) => format!("a {noun} of at least {last}"),
            (None, _) => format!("some {noun}"),
        };
        match (self.held, self.last) {
            (true, _) => format!("held with {token}"),
            (false, None) if !self.known => "free".to_owned(),
            (false, _) => format!("free, last held with {token}"),
        }
    }
}

pub(super) fn token(function: &str, value: Option<&Value>) -> Result<Option<i64>, String> {
    match value {
        None | Some(Value::Nil | Value::Bool(true)) => Ok(None),
        Some(Value::Int(token)) => Ok(Some(*token)),
        Some(other) => Err(format!("{function} deals in integers, not {other}")),
    }
}

impl LockModel for FencedLock {
    type State = FencedState;
    /// The token, if it is known.
    type Subject = Option<i64>;

    fn name(&self) -> &'static str {
        "fenced-lock"
    }
    fn subject(&self, _: u64, function: &str, input: &Value, reply: Option<&Value>) -> Result<Option<i64>, String> {
        token(function, if function == "acquire" { reply } else { Some(input) })
    }
    fn acquire(&self, state: &FencedState, token: &Option<i64>) -> Option<FencedState> {
        if state.held { None } else { state.grant(*token) }
    }
    fn release(&self, state: &FencedState, token: &Option<i64>) -> Option<FencedState> {
        state.show_token(*token).map(FencedState::free)
    }
    fn show(&self, state: &FencedState) -> String {
        state.words("token")
    }
}
