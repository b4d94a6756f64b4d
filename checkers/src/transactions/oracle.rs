//! What the definitions say of small histories of transactions on lists, by trying every order. For tests and fuzzing; it
//! shares no code with the checkers.
use crate::history::{History, Op, Outcome};
use crate::value::Value;
use std::collections::BTreeMap;

/// A transaction.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    /// Index of its call.
    pub call: u64,
    /// Index of its reply; [`Op::OPEN`] of Info.
    pub end: u64,
    /// Its process.
    pub process: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Key, and what was appended or read.
    pub mops: Vec<(Value, MopEffect)>,
}

/// What an operation did.
#[derive(Clone, Debug)]
pub(crate) enum MopEffect {
    /// Appended this.
    Append(Value),
    /// Read this; None: unknown.
    Read(Option<Vec<Value>>),
}

/// Which transactions must come before which, beside what their reads say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// None.
    Any,
    /// Those of one process in its order.
    Process,
    /// Those that ended before others were called.
    Realtime,
}

/// The transactions of a history that may have taken effect.
pub(crate) fn transactions(history: &History) -> Vec<Small> {
    let small = |op: Op<'_>| {
        let ok = op.outcome == Outcome::Ok;
        let list = if ok { op.output } else { op.input };
        let mops = list.as_list().unwrap_or_default().iter().map(|mop| {
            let mop = mop.as_list().unwrap_or_default();
            let value = mop.at(2).to_value();
            let act = match mop.at(0).as_text() {
                Some("append") => MopEffect::Append(value),
                _ => MopEffect::Read(ok.then(|| value.as_list().map(<[Value]>::to_vec).unwrap_or_default())),
            };
            (mop.at(1).to_value(), act)
        });
        Small { call: op.call, end: op.end(), process: op.process, outcome: op.outcome, mops: mops.collect() }
    };
    history.ops().iter().filter(|op| op.outcome != Outcome::Fail).map(small).collect()
}

type State = BTreeMap<Value, Vec<Value>>;

impl Small {
    /// Whether its reads are right where it sees this state and its own appends.
    fn explained(&self, seen: &State) -> bool {
        let mut state: State = BTreeMap::new();
        self.mops.iter().all(|(key, act)| {
            let held = state.entry(key.clone()).or_insert_with(|| seen.get(key).cloned().unwrap_or_default());
            match act {
                MopEffect::Append(element) => {
                    held.push(element.clone());
                    true
                }
                MopEffect::Read(read) => read.as_ref().is_none_or(|read| read == held),
            }
        })
    }

    fn apply(&self, state: &mut State) {
        for (key, act) in &self.mops {
            if let MopEffect::Append(element) = act {
                state.entry(key.clone()).or_default().push(element.clone());
            }
        }
    }

    fn writes(&self, key: &Value) -> bool {
        self.mops.iter().any(|(of, act)| of == key && matches!(act, MopEffect::Append(_)))
    }

    fn before(&self, other: &Small, order: Order) -> bool {
        match order {
            Order::Any => false,
            Order::Process => self.process == other.process && self.call < other.call,
            Order::Realtime => self.end < other.call,
        }
    }
}

/// Whether some order of all Ok transactions and some Info ones explains every read.
pub(crate) fn serializable(txns: &[Small], order: Order) -> bool {
    orders(txns, order, &mut Vec::new(), &mut vec![State::new()], &mut |txn, _, states| {
        states.last().is_some_and(|state| txn.explained(state))
    })
}

/// Whether some order of commits, and a snapshot for each before its commit, explains every read, and no transaction
/// writes a key that another wrote between its snapshot and its commit.
pub(crate) fn snapshot_isolated(txns: &[Small], order: Order) -> bool {
    orders(txns, order, &mut Vec::new(), &mut vec![State::new()], &mut |txn, taken, states| {
        (0..states.len()).any(|snapshot| {
            let fresh = taken.iter().enumerate().all(|(at, other)| at < snapshot || !other.before(txn, order));
            let alone = |other: &&Small| !other.mops.iter().any(|(key, _)| other.writes(key) && txn.writes(key));
            fresh && taken[snapshot..].iter().all(alone) && txn.explained(&states[snapshot])
        })
    })
}

/// Whether a transaction can come next, after those taken, with the states before and after each of them.
type Fits<'f> = dyn FnMut(&Small, &[&Small], &[State]) -> bool + 'f;

/// Tries every order. `states` has one more entry than `taken`.
fn orders<'t>(
    txns: &'t [Small],
    order: Order,
    taken: &mut Vec<&'t Small>,
    states: &mut Vec<State>,
    fits: &mut Fits<'_>,
) -> bool {
    let is_taken = |txn: &Small| taken.iter().any(|other| other.call == txn.call);
    let left: Vec<&'t Small> = txns.iter().filter(|txn| !is_taken(txn)).collect();
    if left.iter().all(|txn| txn.outcome == Outcome::Info) {
        return true;
    }
    for txn in &left {
        let late = left.iter().any(|other| other.before(txn, order) && other.outcome == Outcome::Ok);
        // An Info transaction left out for good may come before anything; one taken later may not.
        let broken = taken.iter().any(|other| txn.before(other, order));
        if late || broken || !fits(txn, taken, states) {
            continue;
        }
        let mut state = states.last().cloned().unwrap_or_default();
        txn.apply(&mut state);
        taken.push(txn);
        states.push(state);
        let found = orders(txns, order, taken, states, fits);
        taken.pop();
        states.pop();
        if found {
            return true;
        }
    }
    false
}
