//! Every model's engines against every order of small random histories.
use super::{MODELS, Model, ModelOptions, WithModel, with_model};
use crate::history::Op;
use crate::linearizability::containers::fuzz::intervals;
use crate::linearizability::general::Operation;
use crate::linearizability::general::fuzz::compare;
use crate::random::{Rng, Stats};
use crate::value::Value;
use std::num::NonZeroU64;

/// Compares every engine with every order on `count` small random histories of one model. The error describes the first
/// difference.
pub(crate) fn differ(name: &str, seed: u64, count: u64) -> Result<Stats, String> {
    let mut options = ModelOptions::default();
    if name == "semaphore" {
        options.permits = NonZeroU64::new(2);
    }
    let calls = alphabet(name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|doc| doc.name).collect();
        format!("no model {name} (there are: {})", names.join(", "))
    })?;
    with_model(name, &options, Differ { calls, seed, count })?
}

/// A call and the replies that it may get.
struct Call {
    function: String,
    input: Value,
    replies: Vec<Value>,
}

/// Calls of each model and variant that bring out what it can do: `[model, variant, [[function, [argument, ..], [reply, ..]], ..]]`.
/// Certificates are tried with the same calls.
const CALLS: &str = include_str!("calls.json");

type Row = (String, Vec<Value>, Vec<Value>);

fn alphabet(name: &str) -> Option<Vec<Call>> {
    let all: Vec<(String, String, Vec<Row>)> = serde_json::from_str(CALLS).ok()?;
    let (.., rows) = all.into_iter().find(|(model, variant, _)| model == name && variant.is_empty())?;
    let calls = rows.into_iter().flat_map(|(function, inputs, replies)| {
        inputs.into_iter().map(move |input| Call { function: function.clone(), input, replies: replies.clone() })
    });
    Some(calls.collect())
}

/// Who called what, and the reply.
type Made<'c> = (u64, &'c Call, Option<Value>);

struct Differ {
    calls: Vec<Call>,
    seed: u64,
    count: u64,
}

impl WithModel for Differ {
    type Out = Result<Stats, String>;

    fn with<M: Model + Clone + 'static>(self, model: M) -> Self::Out {
        let mut rng = Rng::new(self.seed);
        let mut stats = Stats::default();
        for _ in 0..self.count {
            let operations = history(&mut rng, &model, &self.calls)?;
            let truth = compare(&mut rng, &model, &operations)
                .map_err(|difference| format!("{}: {difference}: {operations:?}", model.name()))?;
            stats.histories += 1;
            stats.invalid += u64::from(!truth);
        }
        Ok(stats)
    }
}

/// An object that works, and then, mostly, a reply or two that are changed.
fn history<M: Model>(rng: &mut Rng, model: &M, calls: &[Call]) -> Result<Vec<Operation<M::Action>>, String> {
    let count = 1 + rng.below(7) as usize;
    let spans = intervals(rng, count);
    let unknown = [0, 0, 15, 40][rng.below(4) as usize];
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by_key(|&at| spans[at].2);
    let mut made: Vec<Option<Made<'_>>> = vec![None; count];
    let action =
        |(process, call, reply): &Made<'_>| model.action_by(*process, &call.function, &call.input, reply.as_ref());
    let mut state = model.initial();
    for at in order {
        let info = rng.percent(unknown);
        let mut one = (rng.below(2), rng.pick(calls), None);
        // Mostly something that is possible.
        for _ in 0..4 {
            let from = rng.below(one.1.replies.len() as u64) as usize;
            let replies = one.1.replies.iter().cycle().skip(from).take(one.1.replies.len());
            let fits = |reply: &&Value| {
                action(&(one.0, one.1, Some((*reply).clone())))
                    .is_ok_and(|action| model.step(&state, &action).is_some())
            };
            match replies.into_iter().find(fits) {
                Some(reply) => {
                    one.2 = Some(reply.clone());
                    break;
                }
                None => one = (rng.below(2), rng.pick(calls), None),
            }
        }
        if info {
            one.2 = None;
        } else if one.2.is_none() {
            one.2 = Some(rng.pick(&one.1.replies).clone());
        }
        if !info || rng.percent(50) {
            state = model.step(&state, &action(&one)?).unwrap_or(state);
        }
        made[at] = Some(one);
    }
    let mut made: Vec<Made<'_>> = made.into_iter().flatten().collect();
    for _ in 0..rng.below(5) {
        let one = &mut made[rng.below(count as u64) as usize];
        if one.2.is_some() {
            one.2 = Some(rng.pick(&one.1.replies).clone());
        }
    }
    let operation = |(one, span): (&Made<'_>, &(u64, u64, u64))| {
        Ok(Operation { call: span.0, end: if one.2.is_some() { span.1 } else { Op::OPEN }, action: action(one)? })
    };
    made.iter().zip(&spans).map(operation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_agrees_with_every_order() {
        let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
        // All of them, or the one that is named.
        let only = std::env::var("DSFUZZ_FUZZ_MODEL").ok();
        for doc in MODELS.iter().filter(|doc| only.as_ref().is_none_or(|only| only == doc.name)) {
            let stats = differ(doc.name, 3, count).unwrap_or_else(|difference| panic!("{difference}"));
            println!("{}: {} histories, {} invalid", doc.name, stats.histories, stats.invalid);
            assert!(stats.invalid * 30 > count && stats.invalid * 20 < 19 * count, "{}: {stats:?}", doc.name);
        }
    }
}
