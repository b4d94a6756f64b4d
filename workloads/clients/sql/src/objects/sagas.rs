//! Sagas: each step, each compensation and the end is a transaction of its own that adds to the saga's log.
//!
//! A row counts the entries of the log. A transaction adds an entry only if no other client has added one since, so that a late
//! step of a client that is gone never follows the compensation. The last step of every fourth saga is refused, as by a service
//! that has no more to give. A final read of the log compensates a saga whose client has left it.
use super::{int, key, malformed};
use crate::client::SqlClient;
use crate::driver::Driver;
use crate::render::Literal;
use dsfuzz_client::{Call, CallError};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How often a log is read again that another client may be about to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The last step of one saga in this many is refused.
const REFUSED_EVERY: i64 = 4;

const STEP: &str = "step";
const COMPENSATE: &str = "compensate";
const COMPLETED: &str = "completed";
const COMPENSATED: &str = "compensated";

/// What happened: a word, and the step that it is about.
type Entry = (String, Option<i64>);

/// A saga that this client carries on.
struct Saga {
    key: i64,
    /// How many entries its log has.
    entries: i64,
    /// Steps that are done and not compensated.
    done: Vec<i64>,
}

/// Carries a saga out to its end: `completed` or `compensated`.
pub(super) async fn start<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let Some(steps) = call.value.as_array() else { return Err(malformed("start needs a list of steps")) };
    let steps: Vec<i64> = steps.iter().map(|step| int(step, "the step")).collect::<Result<_, _>>()?;
    let begin = client.statement("start", "", &[("key", key.into())]);
    client.change(&begin).await?;
    let mut saga = Saga { key, entries: 0, done: Vec::new() };
    // From here on the saga has begun, so that no error is certain any more.
    match saga.carry_out(client, &steps).await {
        Ok(()) => Ok(json!(COMPLETED)),
        Err(error) if !error.certain => Err(error),
        Err(_) => {
            let ended = saga.compensate(client).await;
            ended.map(|()| json!(COMPENSATED)).map_err(|error| CallError { certain: false, ..error })
        }
    }
}

impl Saga {
    async fn carry_out<D: Driver>(&mut self, client: &mut SqlClient<D>, steps: &[i64]) -> Result<(), CallError> {
        for (place, step) in steps.iter().enumerate() {
            if place + 1 == steps.len() && self.key % REFUSED_EVERY == 0 {
                return Err(CallError::fail("precondition", format!("step {step} is refused")));
            }
            self.add(client, STEP, Some(*step)).await?;
            self.done.push(*step);
        }
        self.add(client, COMPLETED, None).await
    }

    async fn compensate<D: Driver>(&mut self, client: &mut SqlClient<D>) -> Result<(), CallError> {
        while let Some(step) = self.done.last().copied() {
            self.add(client, COMPENSATE, Some(step)).await?;
            self.done.pop();
        }
        self.add(client, COMPENSATED, None).await
    }

    /// Adds an entry as a transaction of its own.
    async fn add<D: Driver>(
        &mut self,
        client: &mut SqlClient<D>,
        word: &str,
        step: Option<i64>,
    ) -> Result<(), CallError> {
        let next = self.entries + 1;
        let place = [("key", Literal::Int(self.key)), ("entry", Literal::Int(next))];
        client.begin().await?;
        let turn = client.statement("turn", "", &place);
        if client.step(&turn).await?.affected == 0 {
            client.roll_back().await;
            return Err(CallError::fail("fenced", format!("another client carries saga {} on", self.key)));
        }
        let [key, entry] = place;
        let step = ("step", step.map_or(Literal::Null, Literal::Int));
        let log = client.statement("enter", "", &[key, entry, ("word", Literal::Text(word.to_owned())), step]);
        client.step(&log).await?;
        client.commit().await?;
        self.entries = next;
        Ok(())
    }
}

/// The log. A final read ends a saga that was left.
pub(super) async fn log<D: Driver>(client: &mut SqlClient<D>, call: &Call) -> Result<Value, CallError> {
    let key = key(call)?;
    let mut log = entries(client, key).await?;
    let ended = |log: &[Entry]| log.iter().any(|(word, _)| [COMPLETED, COMPENSATED].contains(&word.as_str()));
    if call.is_final && !ended(&log) {
        let known = client.statement("entries", "", &[("key", key.into())]);
        if !client.read(&known).await?.rows.is_empty() {
            let mut saga = Saga { key, entries: log.len() as i64, done: done(&log) };
            match saga.compensate(client).await {
                Ok(()) => log = entries(client, key).await?,
                // A standby cannot, and another client may be at it: the log shows what comes of it.
                Err(CallError { certain: true, .. }) => {
                    let patience = Instant::now() + Duration::from_millis(call.deadline_ms / 2);
                    log = entries(client, key).await?;
                    while !ended(&log) && Instant::now() < patience {
                        tokio::time::sleep(LOOK_EVERY).await;
                        log = entries(client, key).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
    let shown = |(word, step): &Entry| step.map_or(json!(word), |step| json!([word, step]));
    Ok(Value::Array(log.iter().map(shown).collect()))
}

/// The steps that are done and not compensated.
fn done(log: &[Entry]) -> Vec<i64> {
    let mut done = Vec::new();
    for (word, step) in log {
        match (word.as_str(), step) {
            (STEP, Some(step)) => done.push(*step),
            (COMPENSATE, Some(step)) => done.retain(|known| known != step),
            _ => {}
        }
    }
    done
}

async fn entries<D: Driver>(client: &mut SqlClient<D>, key: i64) -> Result<Vec<Entry>, CallError> {
    let ask = client.statement("log", "", &[("key", key.into())]);
    let rows = client.read(&ask).await?.rows;
    let entry = |row: Vec<Option<String>>| {
        let step = super::column(&row, 1)?;
        let word = row.into_iter().next().flatten();
        Ok((word.ok_or_else(|| malformed("an entry of a log without a word"))?, step))
    };
    rows.into_iter().map(entry).collect()
}
