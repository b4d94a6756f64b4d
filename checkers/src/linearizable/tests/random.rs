//! Random small registers, judged by every engine and by trying every order.
use super::super::decide::{Decision, in_turns, search};
use super::super::forward::{self, Answer};
use super::super::limits::Limits;
use super::super::register::{Act, NIL, RegOp};
use super::super::shrink::shrink;
use super::super::zones;
use crate::history::Op;
use crate::verdict::Budget;

/// The next number of a fixed stream (xorshift64*, Vigna 2016).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// Whether some order explains the operations: by trying every one.
fn explained(ops: &[RegOp]) -> bool {
    fn from(ops: &[RegOp], taken: u32, state: u32) -> bool {
        let left = |at: &usize| taken & (1 << at) == 0;
        let open: Vec<usize> = (0..ops.len()).filter(left).collect();
        let bound = open.iter().map(|&at| ops[at].end).min().unwrap_or(Op::OPEN);
        open.iter().all(|&at| !ops[at].definite())
            || open
                .iter()
                .filter(|&&at| ops[at].call < bound)
                .any(|&at| ops[at].act.step(state).is_some_and(|state| from(ops, taken | (1 << at), state)))
    }
    from(ops, 0, NIL)
}

#[derive(Clone, Copy)]
struct Kind {
    unique: bool,
    info: u64,
    differs: bool,
}

/// A register that works, and then, mostly, one reply that is changed.
fn small_history(draw: &mut Draw, kind: Kind) -> Vec<RegOp> {
    let count = 1 + draw.below(7) as usize;
    let mut places: Vec<u64> = (0..2 * count as u64).collect();
    let near = draw.below(2) == 0;
    for at in 0..places.len() {
        let reach = if near { (places.len() - at).min(4) } else { places.len() - at };
        let other = at + draw.below(reach as u64) as usize;
        places.swap(at, other);
    }
    let mut spans: Vec<(u64, u64)> = (0..count).map(|at| (places[2 * at], places[2 * at + 1])).collect();
    spans.iter_mut().for_each(|span| *span = (span.0.min(span.1), span.0.max(span.1)));
    spans.sort_unstable();
    let mut fresh = 0;
    let mut value = |draw: &mut Draw| match kind.unique {
        true => {
            fresh += 1;
            fresh
        }
        false => draw.below(3) as u32,
    };
    let mut effects: Vec<(u64, usize)> = Vec::new();
    let mut ops: Vec<RegOp> = Vec::new();
    for (at, &(call, end)) in spans.iter().enumerate() {
        let act = match draw.below(5) {
            0 | 1 => Act::Read(NIL),
            2 | 3 => Act::Write(value(draw)),
            _ => Act::Cas(draw.below(4) as u32, value(draw)),
        };
        let info = draw.below(100) < kind.info;
        effects.push((call * 10 + draw.below((end - call) * 10), at));
        ops.push(RegOp { call, end: if info { Op::OPEN } else { end }, act, weakened: false });
    }
    effects.sort_unstable();
    let mut state = NIL;
    for (_, at) in effects {
        match ops[at].act {
            Act::Read(_) => ops[at].act = Act::Read(state),
            Act::Cas(from, to) if from != state => {
                // It might have been aimed well, too.
                ops[at].act = match draw.below(3) {
                    0 if kind.differs => Act::Differs(from),
                    _ => Act::Cas(state, to),
                };
                if let Act::Cas(_, to) = ops[at].act {
                    state = to;
                }
            }
            act if ops[at].definite() || draw.below(2) == 0 => state = act.step(state).unwrap_or(state),
            _ => {}
        }
    }
    if draw.below(3) > 0 {
        let at = draw.below(count as u64) as usize;
        let other = draw.below(4) as u32;
        ops[at].act = match ops[at].act {
            Act::Read(_) => Act::Read(other),
            Act::Cas(_, to) => Act::Cas(other, to),
            Act::Differs(_) => Act::Differs(other),
            act => act,
        };
    }
    ops.retain(|op| op.definite() || op.act.writes().is_some());
    ops
}

fn agree(seed: u64, count: u32, kind: Kind) {
    let mut draw = Draw(seed);
    let budget = Budget::unlimited();
    let (mut bad, mut zoned) = (0, 0);
    for _ in 0..count {
        let ops = small_history(&mut draw, kind);
        let truth = explained(&ops);
        let forward = forward::decide(&ops, &mut Limits::new(&budget, u64::MAX)).expect("decided");
        assert_eq!(forward == Answer::Linearizable, truth, "forward: {ops:?}");
        let searched = search(&ops).run(&mut Limits::new(&budget, u64::MAX)).expect("decided");
        assert_eq!(searched == Answer::Linearizable, truth, "search: {ops:?}");
        let turns = in_turns(&ops, &budget, u64::MAX);
        assert_eq!(turns == Decision::Linearizable, truth, "in turns: {ops:?}");
        let mut decisions = vec![turns];
        if zones::applies(&ops) {
            zoned += 1;
            let zones = zones::check(&ops);
            assert_eq!(zones.is_ok(), truth, "zones: {ops:?} {zones:?}");
            decisions.extend(zones.err().map(Decision::Conflict));
        }
        if !truth {
            bad += 1;
            for decision in decisions {
                sound(&ops, &decision, &budget);
            }
        }
    }
    assert!(bad > count / 20 && bad < count - count / 20, "{bad} of {count} are invalid: the test says little");
    assert!(!kind.unique || zoned > count / 2, "only {zoned} of {count} have unique values");
}

/// A counterexample consists of operations of the history, and no order explains it either.
fn sound(ops: &[RegOp], decision: &Decision, budget: &Budget) {
    let small = shrink(ops, decision, budget);
    assert!(!small.is_empty() && small.len() <= ops.len(), "{ops:?} {decision:?} -> {small:?}");
    assert!(!explained(&small), "explained after all: {ops:?} {decision:?} -> {small:?}");
    assert!(small.iter().all(|op| ops.iter().any(|original| original.call == op.call)));
    assert!(small.is_sorted_by_key(|op| op.call));
}

#[test]
fn unique_values() {
    agree(11, 20_000, Kind { unique: true, info: 0, differs: false });
    agree(12, 20_000, Kind { unique: true, info: 30, differs: false });
}

#[test]
fn repeated_values() {
    agree(21, 15_000, Kind { unique: false, info: 0, differs: false });
    agree(22, 15_000, Kind { unique: false, info: 30, differs: false });
    agree(23, 15_000, Kind { unique: false, info: 70, differs: false });
}

#[test]
fn refused_compare_and_sets_as_observations() {
    agree(31, 15_000, Kind { unique: false, info: 20, differs: true });
}
