//! `split-brain` against its definition, pair by pair.
use super::{Sides, SplitBrain};
use crate::history::{FaultEvent, FaultStep, History, Invoke, Outcome, Record, RoleClaim};
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use crate::random::scripted::ScriptedHistory;
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `split-brain`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok")]),
    right_and_wrong: Err("it judges the run as a whole"),
    long: Ok(Long {
        events: [
            r#"{"type":"role","node":"n0","term":4,"term_with_role":true}
               {"type":"fault","fault":0,"kind":"partition","step":"begun","what":"n0 | n1 n2","cut":[["n0","n1"],["n1","n0"],["n0","n2"],["n2","n0"]]}
               {"type":"fault","fault":0,"kind":"partition","step":"proven"}
               {"type":"role","node":"n1","term":5,"term_with_role":true}"#,
            r#"{"type":"fault","fault":0,"kind":"partition","step":"reproven"}
               {"type":"fault","fault":0,"kind":"partition","step":"healed"}"#,
        ],
        ..Long::of(|n| rounds(n, |at| call(1 + at % 2, "write", json!(at % 7), json!(at), Null)))
    }),
    comparisons: Ok(&[("split-brain", differ)]),
};

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A call as the test made it. Indices are those of its records; a reply at `u64::MAX` never came.
#[derive(Clone, Debug)]
struct Made {
    node: usize,
    f: &'static str,
    workload: &'static str,
    key: Value,
    input: Value,
    output: Value,
    outcome: Outcome,
    call: u64,
    reply: u64,
}

/// A cut, with the indices between which it was certainly in force.
#[derive(Clone, Debug)]
struct Cut {
    cut: BTreeSet<(usize, usize)>,
    certain: Option<(u64, u64)>,
}

/// A claim of leadership.
#[derive(Clone, Debug)]
struct Claim {
    node: usize,
    term: Option<i64>,
    trusted: bool,
}

/// What was drawn.
struct Case {
    history: History,
    calls: Vec<Made>,
    cuts: Vec<Cut>,
    claims: Vec<Claim>,
    sides: Sides,
}

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for number in 0..count {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let case = make(&mut rng);
        stats.histories += 1;
        stats.invalid += u64::from(compare(&case).map_err(|difference| {
            let Case { calls, cuts, claims, sides, .. } = &case;
            let calls: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
            format!("history {number}: {difference}\nsides {sides:?}\n{cuts:?}\n{claims:?}\n{}", calls.join("\n"))
        })?);
    }
    Ok(stats)
}

/// Records a step of a fault.
fn fault(random: &mut ScriptedHistory, fault: u64, step: FaultStep, cut: &BTreeSet<(usize, usize)>) -> u64 {
    let name = |node: usize| NODES[node].to_owned();
    let cut: Vec<(String, String)> = cut.iter().map(|&(from, to)| (name(from), name(to))).collect();
    random.push(|index, time| {
        let (what, nodes, detail) = (String::new(), Vec::new(), Vec::new());
        let kind = "partition".into();
        Record::Fault(FaultEvent {
            index,
            time,
            fault,
            kind,
            step,
            what,
            nodes,
            cut,
            detail,
            ended: None,
            problem: None,
            name: String::new(),
            entry: None,
            damages: false,
        })
    })
}

fn random_cut(rng: &mut Rng) -> BTreeSet<(usize, usize)> {
    let side: Vec<u64> = NODES.iter().map(|_| rng.below(2)).collect();
    let mut cut = BTreeSet::new();
    for from in 0..NODES.len() {
        for to in 0..NODES.len() {
            // Now and then a link survives, or only one direction of it is cut.
            if side[from] != side[to] && rng.percent(96) {
                cut.insert((from, to));
            }
        }
    }
    cut
}

/// A call without its reply; written values are small, so that they meet again.
fn random_call(rng: &mut Rng, node: usize) -> Made {
    let f = *rng.pick(&["write", "write", "add", "read", "read", "acquire", "release", "txn", "cas", "swap"]);
    let value = Value::Int(1 + rng.below(6) as i64);
    let part = |name: &str, key: u64, value: Value| Value::list([Value::text(name), Value::Int(key as i64), value]);
    let (input, output) = match f {
        "read" if rng.percent(20) => (Value::Nil, Value::list([value, Value::Int(1 + rng.below(6) as i64)])),
        "read" => (Value::Nil, value),
        "acquire" | "release" => (Value::Nil, if rng.percent(85) { Value::Bool(true) } else { Value::Bool(false) }),
        "cas" => {
            let from = Value::Int(1 + rng.below(6) as i64);
            (Value::list([from, value]), if rng.percent(70) { Value::Bool(true) } else { Value::Bool(false) })
        }
        "txn" => {
            let key = rng.below(2);
            match rng.percent(60) {
                true => (Value::list([part("w", key, value.clone())]), Value::list([part("w", key, value)])),
                false => (Value::list([part("r", key, Value::Nil)]), Value::list([part("r", key, value)])),
            }
        }
        "swap" => (value, Value::Int(1 + rng.below(6) as i64)),
        _ => (value, Value::Nil),
    };
    let outcome = match rng.below(10) {
        0 => Outcome::Fail,
        1 | 2 => Outcome::Info,
        _ => Outcome::Ok,
    };
    let key = match f {
        "txn" => Value::Nil,
        // Of an unknown function the key may stand in the argument.
        "swap" if rng.percent(15) => Value::Nil,
        _ => Value::Int(rng.below(4) as i64),
    };
    let workload = if rng.percent(85) { "w" } else { "v" };
    Made { node, f, workload, key, input, output, outcome, call: 0, reply: u64::MAX }
}

fn make(rng: &mut Rng) -> Case {
    let mut random = ScriptedHistory::on(&NODES);
    let mut calls: Vec<Made> = Vec::new();
    let mut open: Vec<(usize, u64)> = Vec::new();
    let mut claims: Vec<Claim> = Vec::new();
    let mut cuts: Vec<Cut> = Vec::new();
    let mut process = 0;
    // Functions of one history are few, so that some are clean.
    let few: Vec<&str> = ["write", "add", "read", "acquire", "release", "txn", "cas", "swap"]
        .into_iter()
        .filter(|_| rng.percent(50))
        .collect();
    for round in 0..1 + rng.below(2) {
        let cut = random_cut(rng);
        let lengths = [rng.below(6), 8 + rng.below(24), rng.below(4)];
        let mut proven = None;
        for (stretch, length) in lengths.into_iter().enumerate() {
            match stretch {
                1 => {
                    fault(&mut random, round, FaultStep::Resolved, &cut);
                    fault(&mut random, round, FaultStep::Begun, &cut);
                    proven = rng.percent(95).then(|| fault(&mut random, round, FaultStep::Proven, &cut));
                }
                2 => {
                    let end = match rng.percent(95) {
                        true => Some(fault(&mut random, round, FaultStep::Reproven, &cut)),
                        false => {
                            fault(&mut random, round, FaultStep::Lapsed, &cut);
                            None
                        }
                    };
                    fault(&mut random, round, FaultStep::Healed, &cut);
                    cuts.push(Cut { cut: cut.clone(), certain: proven.zip(end) });
                }
                _ => {}
            }
            for _ in 0..length {
                step(rng, &mut random, &mut calls, &mut open, &mut claims, &mut process, &few);
            }
        }
    }
    let sides = *rng.pick(&[Sides::Conflicting, Sides::Conflicting, Sides::Evidence, Sides::Violation]);
    Case { history: random.finish(), calls, cuts, claims, sides }
}

/// A call begins or comes back, or a node says that it leads.
fn step(
    rng: &mut Rng,
    random: &mut ScriptedHistory,
    calls: &mut Vec<Made>,
    open: &mut Vec<(usize, u64)>,
    claims: &mut Vec<Claim>,
    process: &mut u64,
    few: &[&str],
) {
    if rng.percent(6) {
        let node = rng.below(NODES.len() as u64) as usize;
        let (term, trusted) = (rng.percent(80).then(|| rng.below(6) as i64), rng.percent(50));
        random.push(|index, time| {
            Record::Role(RoleClaim {
                index,
                time,
                sent_index: index,
                sent_time: time,
                node: NODES[node].into(),
                role: "leader".into(),
                leads: None,
                term,
                term_with_role: trusted,
                source: "probe".into(),
                detail: String::new(),
            })
        });
        claims.push(Claim { node, term, trusted });
        return;
    }
    if !open.is_empty() && rng.percent(50) {
        let (at, process) = open.swap_remove(rng.below(open.len() as u64) as usize);
        let Made { outcome, output, .. } = calls[at].clone();
        let value = if outcome == Outcome::Ok { output } else { Value::Nil };
        calls[at].reply = random.reply(process, outcome, value);
        return;
    }
    let node = rng.below(NODES.len() as u64) as usize;
    let mut call = random_call(rng, node);
    if !few.is_empty() && !few.contains(&call.f) {
        return;
    }
    *process += 1;
    call.call = random.push(|index, time| {
        Record::Invoke(Invoke {
            index,
            time,
            worker: *process as u32,
            process: *process,
            node: NODES[node].into(),
            workload: call.workload.into(),
            f: call.f.into(),
            key: call.key.clone(),
            value: call.input.clone(),
            settle: false,
        })
    });
    open.push((calls.len(), *process));
    calls.push(call);
}

/// The side of each node under a cut: the closure of the links of which a direction survives.
fn sides(cut: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let mut side: Vec<usize> = (0..NODES.len()).collect();
    for _ in NODES {
        for one in 0..NODES.len() {
            for other in 0..NODES.len() {
                if !(cut.contains(&(one, other)) && cut.contains(&(other, one))) {
                    let least = side[one].min(side[other]);
                    (side[one], side[other]) = (least, least);
                }
            }
        }
    }
    side
}

impl Made {
    fn answered(&self) -> bool {
        self.outcome == Outcome::Ok && self.reply != u64::MAX
    }

    /// A list of one micro-operation: its name and key.
    fn part(&self) -> Option<(Value, Value)> {
        let Value::List(parts) = &self.input else { return None };
        let Some(Value::List(part)) = parts.first() else { return None };
        Some((part[0].clone(), part[1].clone()))
    }

    fn changes(&self) -> bool {
        match self.f {
            "read" => false,
            "txn" => self.part().is_some_and(|(name, _)| name == Value::text("w")),
            _ => true,
        }
    }

    /// What it certainly writes: workload, key, key within a transaction.
    fn object(&self) -> (&'static str, Value, Value) {
        let within = self.part().filter(|_| self.f == "txn").map(|(_, key)| key);
        (self.workload, self.key.clone(), within.unwrap_or_default())
    }

    fn writes(&self) -> bool {
        matches!(self.f, "write" | "cas") || (self.f == "txn" && self.changes())
    }

    /// What it tries to write, if that can be told.
    fn written(&self) -> Option<Value> {
        let list = |value: &Value, at: usize| match value {
            Value::List(items) => Some(items[at].clone()),
            _ => None,
        };
        match self.f {
            "write" | "add" => Some(self.input.clone()),
            "cas" => list(&self.input, 1),
            "txn" if self.changes() => list(&self.input, 0).and_then(|part| list(&part, 2)),
            _ => None,
        }
    }

    /// What its answer shows of its object.
    fn seen(&self) -> Vec<Value> {
        let all = |value: &Value| match value {
            Value::List(items) => items.to_vec(),
            other => vec![other.clone()],
        };
        match (self.f, &self.input, &self.output) {
            _ if !self.answered() => Vec::new(),
            ("read" | "swap" | "release", _, output) => all(output),
            ("cas", Value::List(pair), output) if *output != Value::Bool(false) => vec![pair[0].clone()],
            ("txn", _, Value::List(parts)) if !self.changes() => match parts.first() {
                Some(Value::List(part)) => vec![part[2].clone()],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worst {
    Nothing,
    Commuting,
    Possible,
    Conflict,
}

/// What two calls acknowledged on two sides are to each other.
fn pair(case: &Case, one: &Made, other: &Made) -> Worst {
    let (writes, adds) = (one.writes() || other.writes(), |call: &Made| call.writes() || call.f == "add");
    if adds(one) && adds(other) && one.object() == other.object() {
        return if writes { Worst::Conflict } else { Worst::Commuting };
    }
    if one.f == "acquire" && other.f == "acquire" && one.object() == other.object() {
        let (first, second) = (one.reply.min(other.reply), one.reply.max(other.reply));
        let given_back = case.calls.iter().any(|call| {
            let failed = call.outcome == Outcome::Fail && call.reply != u64::MAX;
            call.f == "release" && call.object() == one.object() && !failed && first < call.call && call.call < second
        });
        return if given_back { Worst::Possible } else { Worst::Conflict };
    }
    let may = |call: &Made| matches!(call.f, "swap" | "release");
    let touches = one.key == Value::Nil || other.key == Value::Nil || one.key == other.key;
    if (may(one) || may(other)) && one.workload == other.workload && touches { Worst::Possible } else { Worst::Nothing }
}

/// What a cut shows.
struct Shown {
    busy: usize,
    worst: Worst,
    leaked: bool,
}

fn shown(case: &Case, cut: &Cut) -> Option<Shown> {
    let (from, to) = cut.certain.filter(|_| !cut.cut.is_empty())?;
    let side = sides(&cut.cut);
    if side.iter().all(|of| *of == side[0]) {
        return None;
    }
    let inside = |call: &&Made| from < call.call && call.reply < to;
    let took = |call: &&Made| call.answered() && call.output != Value::Bool(false) && call.changes();
    let calls: Vec<&Made> = case.calls.iter().filter(inside).filter(took).collect();
    let busy: BTreeSet<usize> = calls.iter().map(|call| side[call.node]).collect();
    let pairs = calls.iter().flat_map(|one| calls.iter().map(move |other| (*one, *other)));
    let apart = pairs.filter(|(one, other)| side[one.node] != side[other.node]);
    let worst = apart.map(|(one, other)| pair(case, one, other)).max().unwrap_or(Worst::Nothing);
    let leaked = case.calls.iter().filter(inside).any(|seer| {
        seer.seen().iter().any(|value| {
            let attempts: Vec<&Made> = case
                .calls
                .iter()
                .filter(|call| call.written().as_ref() == Some(value) && seen_object(seer) == call.object())
                .filter(|call| call.call < to && !(call.outcome == Outcome::Fail && call.reply != u64::MAX))
                .collect();
            let Some(first) = attempts.iter().map(|call| call.call).min() else { return false };
            let known = case.calls.iter().any(|call| {
                call.reply < first && seen_object(call) == seen_object(seer) && call.seen().contains(value)
            });
            let writers: BTreeSet<usize> =
                attempts.iter().filter(|call| call.call < seer.reply).map(|call| side[call.node]).collect();
            // A sum may be equal to a number that was added.
            let element = matches!(seer.output, Value::List(_)) && seer.f != "txn" && seer.f != "cas";
            let shows = element || attempts.iter().any(|call| call.f != "add");
            let elsewhere = writers.len() == 1 && !writers.contains(&side[seer.node]);
            first > from && !known && elsewhere && shows
        })
    });
    Some(Shown { busy: busy.len(), worst, leaked: leaked && !busy.is_empty() })
}

/// The object of which an answer shows the values.
fn seen_object(call: &Made) -> (&'static str, Value, Value) {
    call.object()
}

/// Whether the history is invalid; the error is a difference.
fn compare(case: &Case) -> Result<bool, String> {
    let checker = SplitBrain { sides: case.sides, ..SplitBrain::default() };
    let verdict = crate::random::shown(&case.history, checker.check(&case.history, &Budget::unlimited()));
    let mut leaders: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
    for claim in case.claims.iter().filter(|claim| claim.trusted) {
        leaders.entry(claim.term.unwrap_or(-1)).or_default().insert(claim.node);
    }
    leaders.remove(&-1);
    let doubled = leaders.values().filter(|nodes| nodes.len() > 1).count();
    let (mut doubt, mut judged) = (false, leaders.len());
    let mut expected: BTreeSet<(&str, bool, u64)> = BTreeSet::new();
    for (fault, cut) in (0..).zip(&case.cuts) {
        let Some(shown) = shown(case, cut) else { continue };
        let violation = match shown.worst {
            Worst::Conflict => case.sides != Sides::Evidence,
            Worst::Commuting => case.sides == Sides::Violation,
            Worst::Possible | Worst::Nothing => false,
        };
        if shown.busy > 1 {
            let kind = match shown.worst {
                Worst::Nothing => "both-sides-acknowledged-different-keys",
                _ => "both-sides-acknowledged",
            };
            expected.insert((kind, violation && !shown.leaked, fault));
            let unclear = match shown.worst {
                Worst::Possible => case.sides != Sides::Evidence,
                Worst::Commuting => case.sides == Sides::Conflicting,
                Worst::Conflict | Worst::Nothing => false,
            };
            doubt |= if shown.leaked { violation } else { unclear };
        }
        if shown.leaked {
            expected.insert(("leaking-cut", false, fault));
        }
        judged += usize::from(shown.busy > 0 && !shown.leaked);
    }
    let invalid = doubled > 0 || expected.iter().any(|(_, violation, _)| *violation);
    let validity = match (invalid, doubt, judged) {
        (true, ..) => Validity::Invalid,
        (false, true, _) | (false, false, 0) => Validity::Unknown,
        (false, false, _) => Validity::Valid,
    };
    if verdict.validity != validity {
        return Err(format!("{:?}, expected {validity:?}: {}", verdict.validity, verdict.summary));
    }
    let of_cuts = verdict.findings.iter().filter(|finding| {
        matches!(
            finding.kind.as_str(),
            "both-sides-acknowledged" | "both-sides-acknowledged-different-keys" | "leaking-cut"
        )
    });
    let told: BTreeSet<(&str, bool, u64)> = of_cuts
        .map(|finding| (finding.kind.as_str(), finding.severity == Severity::Violation, finding.faults[0]))
        .collect();
    if told != expected {
        return Err(format!("findings {told:?}, expected {expected:?}"));
    }
    let found = verdict.findings.iter().filter(|finding| finding.kind == "two-leaders-in-one-term").count();
    if found != doubled.min(crate::verdict::FINDINGS_MAX) {
        return Err(format!("{found} terms with two leaders, expected {doubled}"));
    }
    certified(case, &verdict)?;
    Ok(invalid)
}

/// Each violation of a cut shows two calls that are one.
fn certified(case: &Case, verdict: &Verdict) -> Result<(), String> {
    let accused = verdict
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Violation && finding.kind == "both-sides-acknowledged");
    for finding in accused {
        let cut = &case.cuts[finding.faults[0] as usize];
        let side = sides(&cut.cut);
        let calls: Vec<&Made> = case.calls.iter().filter(|call| finding.ops.contains(&call.call)).collect();
        let least = if case.sides == Sides::Violation { Worst::Commuting } else { Worst::Conflict };
        let shows = calls.iter().any(|one| {
            calls.iter().any(|other| {
                let worst = pair(case, one, other);
                side[one.node] != side[other.node] && (worst == Worst::Conflict || worst == least)
            })
        });
        if !shows {
            return Err(format!("the operations {:?} show nothing: {}", finding.ops, finding.title));
        }
    }
    Ok(())
}

/// The operations of the history are those that were made.
#[cfg(test)]
fn same(case: &Case) -> bool {
    let recorded: Vec<u64> = case.history.ops().iter().map(|op| op.call).collect();
    recorded == case.calls.iter().map(|call| call.call).collect::<Vec<u64>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checker_agrees_with_its_definition_on_random_histories() {
        let stats = differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories, "{stats:?}");
        assert!((0..50).all(|seed| same(&make(&mut Rng::new(seed)))), "the records are those that were drawn");
    }
}
