//! Every model's engines against every order of small random histories.
use super::{MODELS, Model, ModelOptions, WithModel, with_model};
use crate::history::Op;
use crate::linearizability::containers::fuzz::intervals;
use crate::linearizability::general::Operation;
use crate::linearizability::general::fuzz::compare;
use crate::random::{Rng, Stats};
use crate::value::Value;
use std::num::NonZeroU64;

/// Judges so many small random histories of one model by every engine and by every order. An error describes the first
/// difference.
pub fn differ(name: &str, seed: u64, count: u64) -> Result<Stats, String> {
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

/// Calls that bring out what a model can do: `[function, [input, ..], [reply, ..]]`.
fn alphabet(name: &str) -> Option<Vec<Call>> {
    let text = match name {
        "register" => r#"[["read",[null],[null,1,2]],["write",[1,2],[null]]]"#,
        "cas-register" => {
            r#"[["read",[null],[null,1,2]],["write",[1,2],[null]],["cas",[[1,2],[2,1],[null,1]],[null,false]]]"#
        }
        "versioned-register" => {
            r#"[["read",[null],[[0,null],[1,1],[1,2],[2,1],[2,2],[3,2],[null,1]]],
                ["write",[[null,1]],[[1,1],[2,1],[3,1],null]],["write",[[null,2]],[[1,2],[2,2],[3,2]]],
                ["cas",[[null,[1,2]]],[[2,[1,2]],[3,[1,2]],false]]]"#
        }
        "kv" => {
            r#"[["get",[null],["","a","b","ab","ba","aa","c","ca"]],["put",["","c"],[null]],["append",["a","b"],[null]],
                ["delete",[null],[null]],["cas",[["","c"],["c","a"]],[null,false]]]"#
        }
        "multi-register" => {
            r#"[["txn",[[["r","x",null]]],[[["r","x",null]],[["r","x",1]],[["r","x",2]]]],
                ["txn",[[["r","x",null],["w","y",1]]],[[["r","x",null],["w","y",1]],[["r","x",1],["w","y",1]]]],
                ["txn",[[["w","x",1]],[["w","x",2],["w","y",2]]],[null]],
                ["read",[["x","y"]],[{"x":1,"y":2},{"x":2,"y":2},{},{"y":1},{"x":1}]],["write",[{"x":1},{"y":2}],[null]]]"#
        }
        "mutex" => r#"[["acquire",[null],[true,true,true,false]],["release",[null],[true]]]"#,
        "owner-mutex" | "reentrant-mutex" => r#"[["acquire",[null],[true]],["release",[null],[true]]]"#,
        "semaphore" => r#"[["acquire",[null,1,2],[true]],["release",[1,2],[true]]]"#,
        "fenced-lock" => r#"[["acquire",[null],[1,2,3,4,null]],["release",[null,1,2,3],[true]]]"#,
        "lease" => {
            r#"[["acquire",[null],[1,2,3,4,null]],["renew",[1,2,3],[true]],["release",[1,2],[true]],
                ["holder",[null],[null,1,2,3]]]"#
        }
        "fifo-queue" | "unordered-queue" => r#"[["enqueue",[1,2,3],[null]],["dequeue",[null],[null,1,2,3]]]"#,
        "priority-queue" => r#"[["insert",[1,2,3],[null]],["extract",[null],[null,1,2,3]]]"#,
        "stack" => r#"[["push",[1,2,3],[null]],["pop",[null],[null,1,2,3]]]"#,
        "set" => {
            r#"[["add",[1,2],[null,true,false]],["remove",[1,2],[null,true,false]],["contains",[1,2],[true,false]],
                ["read",[null],[[],[1],[2],[1,2]]]]"#
        }
        "counter" => {
            r#"[["add",[1,2,-1],[null]],["inc",[null],[null]],["dec",[null],[null]],["read",[null],[-1,0,1,2,3,4]],
                ["add-and-get",[1],[0,1,2,3,4]]]"#
        }
        "log" => {
            r#"[["append",[7,8],[0,1,2,3,null]],["read",[0,1,2],[null,7,8]],["length",[null],[0,1,2,3]],
                ["poll",[null],[[],[7],[8],[7,8],[8,7],[7,7]]]]"#
        }
        "leader-election" => {
            r#"[["campaign",["a","b"],[1,2,3,4,null]],["leader",[null],[[1,"a"],[1,"b"],[2,"a"],[2,"b"],[3,"a"],null]],
                ["resign",[null,1,2],[true]]]"#
        }
        _ => return None,
    };
    let rows: Vec<(String, Vec<Value>, Vec<Value>)> = serde_json::from_str(text).ok()?;
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
fn history<M: Model>(rng: &mut Rng, model: &M, calls: &[Call]) -> Result<Vec<Operation<M::Act>>, String> {
    let count = 1 + rng.below(7) as usize;
    let spans = intervals(rng, count);
    let unknown = [0, 0, 15, 40][rng.below(4) as usize];
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by_key(|&at| spans[at].2);
    let mut made: Vec<Option<Made<'_>>> = vec![None; count];
    let act = |(process, call, reply): &Made<'_>| model.act_by(*process, &call.function, &call.input, reply.as_ref());
    let mut state = model.initial();
    for at in order {
        let info = rng.percent(unknown);
        let mut one = (rng.below(2), rng.pick(calls), None);
        // Mostly something that is possible.
        for _ in 0..4 {
            let from = rng.below(one.1.replies.len() as u64) as usize;
            let replies = one.1.replies.iter().cycle().skip(from).take(one.1.replies.len());
            let fits = |reply: &&Value| {
                act(&(one.0, one.1, Some((*reply).clone()))).is_ok_and(|act| model.step(&state, &act).is_some())
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
            state = model.step(&state, &act(&one)?).unwrap_or(state);
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
        Ok(Operation { call: span.0, end: if one.2.is_some() { span.1 } else { Op::OPEN }, act: act(one)? })
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
