//! Every engine for registers against brute force, on small random histories: also the counterexamples, which must be
//! contradictions themselves, and the orders, which must be orders.
use super::beam::{self, BeamSettings};
use super::decide::{DecisionOptions, RegisterDecision, RegisterSearch, by_engines, decide, raced};
use super::limits::{EngineAnswer, Limits};
use super::register::{NIL, RegAction, RegOp};
use super::shrink::shrink;
use super::timeline::Timeline;
use super::{witness, zones};
use crate::history::Op;
use crate::oracles::cases::{CheckerCases, Long, registers};
use crate::random::{Rng, Stats};
use crate::verdict::Budget;

/// A right history and a wrong one of a register.
pub(crate) const ATOMIC: (&str, &str) =
    ("1 write 0 1 -> ok\n 2 read 0 null -> ok 1", "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 2 read 0 null -> ok 1");

/// What the tests of all checkers ask of `linearizable`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[
        (&[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok"),
        (&[], "1 read 0 null -> ok\n 2 read 0 null -> ok\n 1 write 1 5 -> ok"),
        (&[], "1 write 0 1 -> info\n 2 read 0 null -> ok"),
        (&[("model", "fifo-queue")], "1 enqueue 0 1 -> ok\n 2 enqueue 0 2 -> ok\n 1 dequeue 0 null -> info"),
        (&[("model", "mutex")], "1 acquire 0 null -> ok false\n 2 acquire 0 null -> ok false"),
        (&[("model", "counter")], "1 add 0 1 -> ok\n 2 inc 0 null -> ok"),
        (&[("model", "log")], "1 append 0 1 -> ok\n 2 append 0 2 -> ok"),
        (&[("model", "kv")], "1 put 0 \"a\" -> ok\n 2 append 0 \"b\" -> ok"),
        (&[("model", "multi-register")], "1 write 0 {\"a\":1} -> ok\n 2 write 0 {\"b\":2} -> ok"),
        (
            &[("model", "versioned-register")],
            "1 write 0 [null,1] -> ok\n 2 write 0 [null,2] -> ok\n 1 read 0 null -> ok [null,null]",
        ),
        (&[("model", "set")], "1 add 0 1 -> ok\n 2 add 0 2 -> ok"),
        (&[("model", "lease")], "1 acquire 0 null -> ok\n 2 holder 0 null -> ok"),
        (&[("model", "leader-election")], "1 campaign 0 null -> ok\n 2 leader 0 null -> ok"),
    ]),
    right_and_wrong: Ok(&[
        (&[], ATOMIC.0, ATOMIC.1),
        (
            &[("model", "fifo-queue")],
            "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5",
            "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 3 dequeue 0 null -> ok 5",
        ),
    ]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[
        ("registers, unique values", |seed, count| differ_in(KINDS[0], seed, count)),
        ("registers, unique values, info", |seed, count| differ_in(KINDS[1], seed, count)),
        ("registers, repeated values", |seed, count| differ_in(KINDS[2], seed, count)),
        ("registers, repeated values, info", |seed, count| differ_in(KINDS[3], seed, count)),
        ("registers, much info", |seed, count| differ_in(KINDS[4], seed, count)),
        ("registers, refused cas", |seed, count| differ_in(KINDS[5], seed, count)),
        ("initial values", crate::initial::fuzz::differ),
    ]),
};

/// What a history is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Whether every written value is new.
    pub unique: bool,
    /// How many of a hundred operations are indeterminate.
    pub info_percent: u64,
    /// Whether refused compare-and-sets count as observations.
    pub differs: bool,
}

/// All kinds.
pub(crate) const KINDS: [Kind; 6] = [
    Kind { name: "unique", unique: true, info_percent: 0, differs: false },
    Kind { name: "unique, info", unique: true, info_percent: 30, differs: false },
    Kind { name: "repeated", unique: false, info_percent: 0, differs: false },
    Kind { name: "repeated, info", unique: false, info_percent: 30, differs: false },
    Kind { name: "repeated, much info", unique: false, info_percent: 70, differs: false },
    Kind { name: "differs", unique: false, info_percent: 20, differs: true },
];

/// Judges random histories of one kind.
pub(crate) fn differ_in(kind: Kind, seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let budget = Budget::unlimited();
    let mut stats = Stats::default();
    for number in 0..count {
        let ops = small_history(&mut rng, kind);
        let truth = explained(&ops);
        stats.histories += 1;
        stats.invalid += u64::from(!truth);
        let tell = |what: String| format!("{} history {number} of seed {seed}: {what} {ops:#?}", kind.name);
        compare(&ops, truth, &budget, &mut rng).map_err(tell)?;
    }
    Ok(stats)
}

fn compare(ops: &[RegOp], truth: bool, budget: &Budget, rng: &mut Rng) -> Result<(), String> {
    let options = DecisionOptions { witness: true, ..DecisionOptions::of(budget) };
    let mut decisions = vec![("engines", by_engines(ops, options).0), ("all", decide(ops, options))];
    if rng.below(64) == 0 {
        let race = raced(ops, DecisionOptions { race: true, ..options }).ok_or("race: no answer")?;
        decisions.push(("race", race));
    }
    decisions.push(("beam", by_beam(ops, budget, rng)?));
    decisions.push(("search", by_search(ops, budget)?));
    if zones::applies(ops) {
        match zones::decide(ops, true, &mut Limits::new(budget, u64::MAX)) {
            Ok(Ok(order)) => decisions.push(("zones", RegisterDecision::Linearizable(order))),
            Ok(Err(conflict)) => decisions.push(("zones", RegisterDecision::Conflict(conflict))),
            Err(stop) => return Err(format!("zones stopped: {stop:?}")),
        }
    }
    let time = Timeline::new(ops);
    let from = rng.below(time.events.len() as u64) as usize;
    let last = time.events.len().saturating_sub(1);
    if truth && !time.events.is_empty() && beam::refutes(&time, from, last, &mut Limits::new(budget, u64::MAX)) {
        return Err(format!("the stretch from event {from} on was refuted"));
    }
    for (engine, decision) in decisions {
        let said = matches!(decision, RegisterDecision::Linearizable(_));
        if said != truth || matches!(decision, RegisterDecision::GaveUp(..)) {
            return Err(format!("{engine} says {decision:?}, brute force {truth}"));
        }
        match &decision {
            RegisterDecision::Linearizable(order) => {
                let order = order.as_ref().ok_or_else(|| format!("{engine} gives no order"))?;
                replay(ops, order).map_err(|why| format!("{engine}: order {order:?}: {why}"))?;
            }
            _ => sound(ops, &decision, budget).map_err(|why| format!("{engine} {decision:?}: {why}"))?,
        }
    }
    Ok(())
}

/// The beam as narrow as it can be, so that it fails and goes back even here.
fn by_beam(ops: &[RegOp], budget: &Budget, rng: &mut Rng) -> Result<RegisterDecision, String> {
    let time = Timeline::new(ops);
    let below = |rng: &mut Rng, limit: u64| 1 + rng.below(limit) as usize;
    let settings = BeamSettings { width: below(rng, 2), back: below(rng, 4), spacing: below(rng, 3) };
    let mut beam = beam::beam(&time, true, settings);
    match beam.run(&mut Limits::new(budget, u64::MAX)) {
        Ok(EngineAnswer::Linearizable(_)) => {
            Ok(RegisterDecision::Linearizable(beam.steps().and_then(|steps| witness::order(&time, &steps))))
        }
        Ok(EngineAnswer::Refuted(index)) => Ok(RegisterDecision::Refuted(index)),
        Err(stop) => Err(format!("the beam stopped: {stop:?}")),
    }
}

fn by_search(ops: &[RegOp], budget: &Budget) -> Result<RegisterDecision, String> {
    match RegisterSearch::new(ops).run(&mut Limits::new(budget, u64::MAX)) {
        Ok(EngineAnswer::Linearizable(order)) => Ok(RegisterDecision::Linearizable(order)),
        Ok(EngineAnswer::Refuted(index)) => Ok(RegisterDecision::Refuted(index)),
        Err(stop) => Err(format!("the search stopped: {stop:?}")),
    }
}

/// Whether the order has every operation that certainly happened, contradicts no interval and gives every reply.
fn replay(ops: &[RegOp], order: &[u64]) -> Result<(), String> {
    let mut state = NIL;
    let mut left: Vec<&RegOp> = ops.iter().collect();
    for call in order {
        let at = left.iter().position(|op| op.call == *call).ok_or_else(|| format!("#{call} twice or unknown"))?;
        let op = left.remove(at);
        if left.iter().any(|other| other.end < op.call) {
            return Err(format!("#{call} began after another had ended that comes later"));
        }
        state = op.action.step(state).ok_or_else(|| format!("#{call} does not fit"))?;
    }
    match left.iter().find(|op| op.definite()) {
        Some(op) => Err(format!("#{} is missing", op.call)),
        None => Ok(()),
    }
}

/// Whether some order explains the operations: by trying every one.
fn explained(ops: &[RegOp]) -> bool {
    fn from(ops: &[RegOp], taken: u32, state: u32) -> bool {
        let left = |at: &usize| taken & (1 << at) == 0;
        let bound = (0..ops.len()).filter(left).map(|at| ops[at].end).min().unwrap_or(Op::OPEN);
        (0..ops.len()).filter(left).all(|at| !ops[at].definite())
            || (0..ops.len())
                .filter(left)
                .filter(|&at| ops[at].call < bound)
                .any(|at| ops[at].action.step(state).is_some_and(|state| from(ops, taken | (1 << at), state)))
    }
    from(ops, 0, NIL)
}

/// A counterexample consists of operations of the history, weakened at most, and no order explains it either.
fn sound(ops: &[RegOp], decision: &RegisterDecision, budget: &Budget) -> Result<(), String> {
    let small = shrink(ops, decision, budget);
    let same = |op: &RegOp| {
        let of = |original: &&RegOp| {
            let open =
                op.end == Op::OPEN && matches!(decision, RegisterDecision::Refuted(index) if original.end > *index);
            original.call == op.call && (original.end == op.end || open)
        };
        let weakened = |original: &RegOp| op.weakened && original.weaken().action == op.action;
        ops.iter().find(of).is_some_and(|original| original.action == op.action || weakened(original))
    };
    match () {
        () if small.is_empty() => Err("no counterexample".to_owned()),
        () if !small.iter().all(same) => Err(format!("foreign operations in {small:?}")),
        () if !small.is_sorted_by_key(|op| op.call) => Err(format!("out of order: {small:?}")),
        () if explained(&small) => Err(format!("an order explains the counterexample {small:?}")),
        () => Ok(()),
    }
}

/// Indices of calls and replies of `count` operations, near each other or anywhere.
fn spans(rng: &mut Rng, count: usize) -> Vec<(u64, u64)> {
    let mut places: Vec<u64> = (0..2 * count as u64).collect();
    let near = rng.below(2) == 0;
    for at in 0..places.len() {
        let reach = if near { (places.len() - at).min(4) } else { places.len() - at };
        places.swap(at, at + rng.below(reach as u64) as usize);
    }
    let mut spans: Vec<(u64, u64)> =
        places.chunks(2).map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1]))).collect();
    spans.sort_unstable();
    spans
}

/// A register that works, and then, mostly, one reply that is changed.
fn small_history(rng: &mut Rng, kind: Kind) -> Vec<RegOp> {
    let count = 1 + rng.below(8) as usize;
    let mut fresh = 0;
    let mut value = |rng: &mut Rng| match kind.unique {
        true => {
            fresh += 1;
            fresh
        }
        false => rng.below(3) as u32,
    };
    let mut effects: Vec<(u64, usize)> = Vec::new();
    let mut ops: Vec<RegOp> = Vec::new();
    for (at, (call, end)) in spans(rng, count).into_iter().enumerate() {
        let action = match rng.below(5) {
            0 | 1 => RegAction::Read(NIL),
            2 | 3 => RegAction::Write(value(rng)),
            _ => RegAction::Cas(rng.below(4) as u32, value(rng)),
        };
        let info = rng.percent(kind.info_percent);
        effects.push((call * 10 + rng.below((end - call) * 10), at));
        ops.push(RegOp { call, end: if info { Op::OPEN } else { end }, action, weakened: false });
    }
    effects.sort_unstable();
    let mut state = NIL;
    for (_, at) in effects {
        match ops[at].action {
            RegAction::Read(_) => ops[at].action = RegAction::Read(state),
            RegAction::Cas(from, to) if from != state => {
                // It might have been aimed well, too.
                ops[at].action = match rng.below(3) {
                    0 if kind.differs => RegAction::Differs(from),
                    _ => RegAction::Cas(state, to),
                };
                if let RegAction::Cas(_, to) = ops[at].action {
                    state = to;
                }
            }
            action if ops[at].definite() || rng.below(2) == 0 => state = action.step(state).unwrap_or(state),
            _ => {}
        }
    }
    if rng.below(3) > 0 {
        let at = rng.below(count as u64) as usize;
        let other = rng.below(4) as u32;
        ops[at].action = match ops[at].action {
            RegAction::Read(_) => RegAction::Read(other),
            RegAction::Cas(_, to) => RegAction::Cas(other, to),
            RegAction::Differs(_) => RegAction::Differs(other),
            action => action,
        };
    }
    ops.retain(|op| op.definite() || op.action.writes().is_some());
    ops
}
