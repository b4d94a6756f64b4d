//! Initial values on random small histories. The same history with other names for values is judged in the same way: nil read
//! as 77 where registers begin with 77. And what is invalid without the option is invalid whatever registers begin with.
use crate::history::History;
use crate::options::Options;
use crate::random::{Rng, Stats};
use crate::registers::accesses::beginnings;
use crate::registers::fuzz::small::{self, Call, Shape, SmallCall};
use crate::registry::checker_with;
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};

/// What nil is called in the other reading.
const BEGINS: i64 = 77;

type Set = &'static [(&'static str, &'static str)];

const CHECKERS: &[(&str, Set)] = &[
    ("linearizable", &[]),
    ("linearizable", &[("model", "kv")]),
    ("sequential", &[]),
    ("causal", &[]),
    ("causal", &[("variant", "ccv")]),
    ("causal", &[("variant", "cm")]),
    ("pram", &[]),
    ("read-your-writes", &[]),
    ("monotonic-reads", &[]),
    ("monotonic-writes", &[]),
    ("writes-follow-reads", &[]),
    ("staleness", &[("k_max", "1")]),
    ("staleness", &[("k_max", "2")]),
    ("eventual-convergence", &[("wait_ms", "0")]),
    ("rw-register", &[("model", "serializable")]),
    ("rw-register", &[]),
    ("read-atomic", &[]),
    ("causal-transactions", &[]),
];

fn judged(history: &History, name: &str, set: Set, initial: Option<Value>) -> Result<Verdict, String> {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::text(text));
    let mut options = Options(set.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect());
    options.0.extend(initial.map(|initial| ("initial".to_owned(), initial)));
    let verdict = checker_with(name, &options)?.check(history, &Budget::unlimited());
    Ok(crate::random::shown(history, verdict))
}

/// With nil under another name.
fn renamed(calls: &[Call]) -> Vec<Call> {
    let first = |value: Option<i64>| Some(value.unwrap_or(BEGINS));
    let act = |act| match act {
        SmallCall::Read(value) => SmallCall::Read(first(value)),
        SmallCall::Cas(from, to) => SmallCall::Cas(first(from), to),
        write => write,
    };
    calls.iter().map(|call| Call { act: act(call.act), ..call.clone() }).collect()
}

/// Compares both readings on `count` small random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let (name, set) = *rng.pick(CHECKERS);
        let transactions = ["rw-register", "read-atomic", "causal-transactions"].contains(&name);
        // Transactions write every value once.
        let unique = transactions || rng.percent(70);
        let shape = Shape { most_ops: 7, unique, cas: rng.percent(30), settle: rng.percent(30) };
        let calls = small::calls(&mut rng, shape);
        let made = if transactions { small::transactions } else { small::history };
        let (history, other) = (made(&calls), made(&renamed(&calls)));
        let told = |what: &str, verdicts: &[&Verdict]| format!("{name} {set:?}: {what}: {verdicts:#?}\n{calls:#?}");
        let plain = judged(&history, name, set, None)?;
        let kv = set.contains(&("model", "kv"));
        let nil = if kv { Value::text("") } else { Value::Nil };
        let firm = judged(&history, name, set, Some(nil))?;
        let named = judged(&other, name, set, Some(Value::Int(BEGINS)))?;
        if firm.validity != named.validity {
            return Err(told("nil and 77 differ", &[&firm, &named]));
        }
        let asks = judged(&other, name, set, None)?;
        match (plain.validity, firm.validity) {
            (Validity::Invalid, Validity::Invalid) => {
                let written = |value: i64| {
                    calls
                        .iter()
                        .any(|call| matches!(call.act, SmallCall::Write(to) | SmallCall::Cas(_, to) if to == value))
                };
                // An absent key is one that holds what it began with in kv, whatever that is.
                for value in (1..8).filter(|&value| !kv && !written(value)) {
                    let supposed = judged(&history, name, set, Some(Value::Int(value)))?;
                    if supposed.validity == Validity::Valid {
                        return Err(told("invalid, but not if registers began otherwise", &[&plain, &supposed]));
                    }
                }
            }
            (Validity::Unknown, Validity::Invalid) if plain.summary.contains("set initial=") => {}
            (one, two) if one == two => {}
            _ => return Err(told("the option says nothing and yet it differs", &[&plain, &firm])),
        }
        // Nobody says that they begin with 77: never invalid because of that alone.
        // Two values of one key that were there first contradict each other, even where a promise looks at one of them only.
        let first = beginnings(&small::history(&renamed(&calls)), false).certain;
        let twice = first.iter().enumerate().any(|(at, (key, ..))| first[..at].iter().any(|(other, ..)| other == key));
        if asks.validity == Validity::Invalid && named.validity == Validity::Valid && !twice {
            return Err(told("an accusation for what registers began with", &[&asks, &named]));
        }
        stats.histories += 1;
        stats.invalid += u64::from(plain.validity == Validity::Invalid);
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    #[test]
    fn histories_that_begin_otherwise_are_judged_alike() {
        let stats = super::differ(5, crate::testing::count(3000)).unwrap_or_else(|difference| panic!("{difference}"));
        assert!(stats.invalid * 20 > stats.histories, "{stats:?}");
    }
}
