//! A log: a list to which is only appended; initially empty.
use super::chain::Chain;
use super::{Model, items, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["append", "read", "length", "poll"];

/// A log: `append` a value returns its offset, from 0 without gaps (or nil: unknown); `read` an offset returns the
/// value there, or nil beyond the end; `length` returns how many there are; `poll` returns all as a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

/// What can be done with a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogAction {
    /// This value comes last, at this offset if the reply says it.
    Append(Value, Option<i64>),
    /// At this offset is this value; nil: nothing yet.
    Read(i64, Option<Value>),
    /// The log has this length.
    Length(Option<i64>),
    /// These are all.
    Poll(Option<Vec<Value>>),
}

impl Model for Log {
    type State = Chain;
    type Action = LogAction;

    fn name(&self) -> &'static str {
        "log"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Chain {
        Chain::default()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<LogAction, String> {
        let number = |value: &Value| value.as_int().ok_or_else(|| format!("{function} deals in integers, not {value}"));
        match (function, reply) {
            ("append", None | Some(Value::Nil)) => Ok(LogAction::Append(input.clone(), None)),
            ("append", Some(offset)) => Ok(LogAction::Append(input.clone(), Some(number(offset)?))),
            ("read", _) => Ok(LogAction::Read(number(input)?, reply.cloned())),
            ("length", _) => Ok(LogAction::Length(reply.map(number).transpose()?)),
            ("poll", None) => Ok(LogAction::Poll(None)),
            ("poll", Some(reply)) => {
                let values = reply.as_list().ok_or_else(|| format!("poll returns a list, not {reply}"))?;
                Ok(LogAction::Poll(Some(values.to_vec())))
            }
            _ => Err(unknown_function("log", FUNCTIONS, function)),
        }
    }
    fn step(&self, log: &Chain, action: &LogAction) -> Option<Chain> {
        let length = log.len() as i64;
        let fits = match action {
            LogAction::Append(value, offset) => {
                return offset.is_none_or(|offset| offset == length).then(|| log.with(value.clone()));
            }
            LogAction::Read(_, None) | LogAction::Length(None) | LogAction::Poll(None) => true,
            LogAction::Read(offset, Some(Value::Nil)) => *offset >= length,
            LogAction::Read(offset, Some(value)) => {
                usize::try_from(*offset).ok().and_then(|offset| log.get(offset)) == Some(value)
            }
            LogAction::Length(Some(seen)) => *seen == length,
            LogAction::Poll(Some(seen)) => log.backwards().eq(seen.iter().rev()),
        };
        fits.then(|| log.clone())
    }
    fn observes_only(&self, action: &LogAction) -> bool {
        !matches!(action, LogAction::Append(..))
    }
    fn fits_always(&self, action: &LogAction) -> bool {
        matches!(
            action,
            LogAction::Append(_, None) | LogAction::Read(_, None) | LogAction::Length(None) | LogAction::Poll(None)
        )
    }
    fn show(&self, log: &Chain) -> String {
        let mut values: Vec<&Value> = log.backwards().take(8).collect();
        values.reverse();
        format!("{} entries, the last ones {}", log.len(), items::show(values.into_iter()))
    }
}
