//! `sequential`: all operations on all keys happened one at a time, in an order that keeps the order of each process
//! (Lamport 1979). Unlike linearizability it says nothing about time, and keys cannot be judged one by one.
//!
//! Reads `read`, `write` and `cas` with `[from, to]` of a workload on registers. Writes that were never acknowledged may have
//! happened at any place after their process' earlier calls, or never. With unique written values: one quick dive for an
//! order, then what every order must contain ([`super::saturate`]), whose cycle refutes, then an exact search; with repeated
//! values the exact search alone. The problem is NP-complete: a search that runs out of time or memory is Unknown. What a
//! refused compare-and-set saw is left out. Findings: `thin-air-read`, `nonsequential`.
use super::accesses::{Access, NONE, Run, beginnings, parse, workloads};
use super::explain::{Words, shrink, violation};
use super::interleave::{Found, dive, search};
use super::observed::order_seen;
use super::order::Path;
use super::patterns::{Bad, thin_air};
use super::saturate::{Saturated, saturate};
use super::{Answer, Needs, Part, verdict};
use crate::history::{History, NameId};
use crate::initial::{Beginnings, FromInitial, Initial};
use crate::value::Value;
use crate::verdict::certificate::{Claim, Edge};
use crate::verdict::{Budget, Verdict};

/// Judges sequential consistency.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequential;

/// What is known of a run.
enum Decision {
    Kept,
    Broken(Bad),
    GaveUp,
}

/// Steps that one check of a smaller counterexample may take.
const STEPS: u64 = 20_000;

/// Decides a run whose values are unique.
fn decide(run: &Run, steps: u64, budget: &Budget) -> Decision {
    if let Some(bad) = thin_air(run) {
        return Decision::Broken(bad);
    }
    if dive(run, &[]) {
        return Decision::Kept;
    }
    match saturate(run, budget) {
        Ok(Saturated::Cyclic(bad)) => return Decision::Broken(bad),
        Ok(Saturated::Orders(orders)) if dive(run, &orders) => return Decision::Kept,
        _ => {}
    }
    exactly(run, true, steps, budget)
}

fn exactly(run: &Run, unique: bool, steps: u64, budget: &Budget) -> Decision {
    match search(run, unique, steps, budget) {
        Found::Order => Decision::Kept,
        Found::Nothing => Decision::Broken(Bad::new("nonsequential", Path::new(), 0..run.len() as u32)),
        Found::GaveUp => Decision::GaveUp,
    }
}

/// The accesses of a counterexample with repeated values, with as few reads as possible, and none that nobody needs. A
/// write whose value somebody reads must stay: another read might have been explained by it.
fn spare(run: &Run, budget: &Budget) -> Run {
    let mut keep: Vec<u32> = (0..run.len() as u32).collect();
    let broken = |keep: &[u32]| matches!(exactly(&run.subset(keep), false, STEPS, budget), Decision::Broken(_));
    let mut at = keep.len();
    while at > 0 {
        at -= 1;
        let access = run.at(keep[at]);
        let read = |other: &u32| *other != keep[at] && run.at(*other).reads == access.writes;
        if access.writes != NONE && keep.iter().any(read) {
            continue;
        }
        let rest: Vec<u32> = keep.iter().copied().filter(|other| *other != keep[at]).collect();
        if broken(&rest) {
            at = if access.writes == NONE { at } else { rest.len() };
            keep = rest;
        }
    }
    run.subset(&keep)
}

fn reason(kind: &str) -> &'static str {
    match kind {
        "thin-air-read" => "a read returned a value that no call wrote",
        _ => "no single order of the operations explains what all processes saw",
    }
}

fn claim(bad: &Bad, _: Vec<Edge>) -> Claim {
    match bad.kind {
        "thin-air-read" => Claim::Rule { rule: bad.kind.to_owned(), subject: Value::Nil },
        _ => Claim::NoSequentialOrder { model: "cas-register".to_owned() },
    }
}

const WORDS: Words = Words { reason, claim, versions: false };

/// Above this many accesses a counterexample with repeated values is shown as it is.
const SPARED: usize = 200;

fn repeated(history: &History, raw: &[Access], keys: u32, values: usize, budget: &Budget) -> Answer {
    let run = Run::new(raw.to_vec(), keys, values);
    match exactly(&run, false, u64::MAX, budget) {
        Decision::Kept => Answer::Kept,
        Decision::GaveUp => gave_up(),
        Decision::Broken(bad) => {
            let small = if run.len() <= SPARED { spare(&run, budget) } else { run };
            Answer::Broken(vec![
                violation(history, &small, &Bad { cycle: Path::new(), ..bad }, &WORDS).finding(history),
            ])
        }
    }
}

fn gave_up() -> Answer {
    Answer::Unknown("time or memory ran out before an order was found or excluded".to_owned())
}

impl FromInitial for Sequential {
    fn name(&self) -> &str {
        "sequential"
    }

    /// Any interleaving of the sessions will do.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let part = |workload| {
            let mut parsed = parse(history, workload, initial);
            let run = &parsed.run;
            let answer = if parsed.ambiguous > 0 {
                let values = run.writer.len();
                let phantom = thin_air(run).map(|bad| {
                    let (alone, bad) = (run.subset(&bad.support), Bad { support: vec![0], ..bad });
                    Answer::Broken(vec![violation(history, &alone, &bad, &WORDS).finding(history)])
                });
                phantom.unwrap_or_else(|| repeated(history, &parsed.raw, run.keys, values, budget))
            } else {
                match decide(run, u64::MAX, budget) {
                    Decision::Kept => Answer::Kept,
                    Decision::GaveUp => gave_up(),
                    Decision::Broken(bad) => {
                        let find = |run: &Run| match decide(run, STEPS, budget) {
                            Decision::Broken(bad) => Some(bad),
                            _ => None,
                        };
                        let small = shrink(run, &bad.support, &find);
                        // Should the smaller search give up, everything that was needed is shown, without its cycle.
                        let (small, bad) = small
                            .unwrap_or_else(|| (run.subset(&bad.support), Bad { cycle: Path::new(), ..bad.clone() }));
                        Answer::Broken(vec![violation(history, &small, &bad, &WORDS).finding(history)])
                    }
                }
            };
            // Repeated values are no obstacle here.
            parsed.ambiguous = 0;
            Part { workload, parsed, answer }
        };
        let parts = workloads(history).into_iter().map(part).collect();
        let needs = Needs {
            seen: &order_seen,
            missing: "No written value was ever read, and no process that had written read a key that was written",
        };
        verdict(self.name(), "sequentially consistent", needs, history, parts)
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        beginnings(history, false)
    }
}
