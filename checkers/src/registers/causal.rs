//! The checkers `causal` and `pram`. `causal`: a process that sees an operation also sees everything that came causally before
//! it, which is what the operation's process had seen or done until then. `pram`: each process sees the writes of every other
//! process in the order in which that process made them.
//!
//! Variants of `causal` (Bouajjani et al., POPL 2017): `cc` is weak causal consistency. `ccv` is causal convergence: all
//! processes also agree on one order of concurrent writes. `cm` is causal memory: for each process, one order also explains
//! all that it saw.
//!
//! Input: `read`, `write` and `cas` with `[from, to]` of a workload on registers, all keys together. A session is a process.
//! Real-time order plays no role. Exact where every written value is unique for its key. Reads of repeated values are left
//! out, and then valid becomes unknown. A refused compare-and-set is left out, because what it saw is not known.
//!
//! Findings: `thin-air-read`, `cyclic-co`, `write-co-init-read`, `write-co-read`; of `ccv` `cyclic-cf`; of `cm` and `pram`
//! `write-hb-init-read`, `cyclic-hb`. [`super::patterns`] looks for the first five, [`super::memory`] for the last two; this
//! file says which of them a variant forbids, and why (`reason`). Unknown: nothing acknowledged, repeated values, unknown
//! functions, or the budget ran out.
use super::accesses::{Parsed, Run, beginnings, parse, workloads};
use super::explain::{Words, shrink, violation};
use super::memory::{Base, causal_view, pram_clocks, pram_path};
use super::observed::written_seen;
use super::order::{Causal, KeyWrites};
use super::patterns::{Bad, Converges, Stop, convergence, thin_air, weak};
use super::{Answer, Needs, Part, verdict};
use crate::history::{History, NameId};
use crate::initial::{Beginnings, FromInitial, Initial};
use crate::value::Value;
use crate::verdict::certificate::{Claim, Edge};
use crate::verdict::{Budget, FINDINGS_MAX, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The promise that is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Variant {
    /// Causal consistency.
    #[default]
    #[serde(rename = "cc")]
    Weak,
    /// Causal convergence: all agree on one order of writes.
    #[serde(rename = "ccv")]
    Convergence,
    /// Causal memory.
    #[serde(rename = "cm")]
    Memory,
    /// PRAM (pipelined RAM), which is a checker of its own.
    #[serde(skip)]
    Pram,
}

/// Judges causal consistency in one of its variants, or PRAM.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CausalChecker {
    pub(super) variant: Variant,
}

/// The patterns that break the promise in this run; empty if it is kept. [`Stop`] says which part of the budget ran out.
pub(crate) fn judge(run: &Run, variant: Variant, budget: &Budget) -> Result<Vec<Bad>, Stop> {
    if let Some(bad) = thin_air(run) {
        return Ok(vec![bad]);
    }
    let writes = KeyWrites::new(run);
    if variant == Variant::Pram {
        return pram(run, &writes, budget);
    }
    let causal = match Causal::new(run, budget)? {
        Ok(causal) => causal,
        Err(cycle) => return Ok(vec![Bad::new("cyclic-co", cycle, [])]),
    };
    let found = weak(run, &writes, &causal, budget)?;
    if !found.is_empty() || variant == Variant::Weak {
        return Ok(found);
    }
    let ranks = match convergence(run, &writes, &causal, budget)? {
        Converges::Cyclic(bad) if variant == Variant::Convergence => return Ok(vec![bad]),
        Converges::Ranks(_) if variant == Variant::Convergence => return Ok(Vec::new()),
        Converges::Cyclic(_) => None,
        Converges::Ranks(ranks) => Some(ranks),
    };
    let path = |first: u32, second: u32| causal.path(run, first, second);
    let (clocks, clock) = (&causal.clocks, &causal.clock);
    let base = Base { run, writes: &writes, clocks, clock, transitive: true, ranks: ranks.as_deref(), path: &path };
    let mut scratch = vec![0; run.sessions.len()];
    let mut found = Vec::new();
    for session in 0..run.sessions.len() as u32 {
        found.extend(causal_view(&base, session, &mut scratch, budget)?);
        if found.len() == FINDINGS_MAX {
            break;
        }
    }
    Ok(found)
}

fn pram(run: &Run, writes: &KeyWrites, budget: &Budget) -> Result<Vec<Bad>, Stop> {
    let (clocks, clock) = match pram_clocks(run, budget)? {
        Ok(made) => made,
        Err(bad) => return Ok(vec![bad]),
    };
    let mut scratch = vec![0; run.sessions.len()];
    let mut found = Vec::new();
    for session in 0..run.sessions.len() as u32 {
        let path = |first: u32, second: u32| pram_path(run, session, first, second);
        let base = Base { run, writes, clocks: &clocks, clock: &clock, transitive: false, ranks: None, path: &path };
        found.extend(causal_view(&base, session, &mut scratch, budget)?);
        if found.len() == FINDINGS_MAX {
            break;
        }
    }
    Ok(found)
}

/// Why a pattern of this kind breaks the promise.
fn reason(kind: &str) -> &'static str {
    match kind {
        "thin-air-read" => "a read returned a value that no call wrote",
        "cyclic-co" => "operations cause each other in a circle",
        "write-co-init-read" => "a read returned the initial value, and a write of the key is causally before it",
        "write-co-read" => {
            "a read returned a value that was overwritten, and the overwriting write is causally before it"
        }
        "cyclic-cf" => "no order of the writes explains what all processes saw",
        "write-hb-init-read" => "a process read the initial value after a write of the key that it must have seen",
        _ => "no order of the writes explains what one process saw",
    }
}

/// What `dsfuzz verify` checks again. The edges alone prove some kinds; for the others the verifier applies the kind's rule.
fn claim(bad: &Bad, edges: Vec<Edge>) -> Claim {
    let edges_suffice = matches!(bad.kind, "cyclic-co" | "write-co-init-read");
    match edges_suffice {
        true => Claim::cycle(bad.kind, edges),
        false => Claim::Rule { rule: bad.kind.to_owned(), subject: rule_subject(bad, "cm") },
    }
}

fn pram_claim(bad: &Bad, _: Vec<Edge>) -> Claim {
    Claim::Rule { rule: bad.kind.to_owned(), subject: rule_subject(bad, "pram") }
}

/// The variant, for rules about the causal view of a process, which `cm` and `pram` define differently.
fn rule_subject(bad: &Bad, variant: &str) -> Value {
    if matches!(bad.kind, "write-hb-init-read" | "cyclic-hb") { Value::text(variant) } else { Value::Nil }
}

impl FromInitial for CausalChecker {
    fn name(&self) -> &str {
        if self.variant == Variant::Pram { "pram" } else { "causal" }
    }

    /// Causality follows from sessions and from the write that each read returned.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let part = |workload| {
            let parsed: Parsed = parse(history, workload, initial);
            let quick = Budget::unlimited();
            let answer = match judge(&parsed.run, self.variant, budget) {
                Err(stop) => Answer::Unknown(stop.words().to_owned()),
                Ok(found) if found.is_empty() => Answer::Kept,
                Ok(found) => {
                    let find = |run: &Run| judge(run, self.variant, &quick).ok()?.into_iter().next();
                    let small = found.iter().filter_map(|bad| shrink(&parsed.run, &bad.support, &find));
                    let claim = if self.variant == Variant::Pram { pram_claim } else { claim };
                    let words = Words { reason, claim, versions: false };
                    let finding = |(run, bad)| violation(history, &run, &bad, &words).finding(history);
                    Answer::Broken(small.map(finding).collect())
                }
            };
            Part { workload, parsed, answer }
        };
        let promise = match self.variant {
            Variant::Weak => "causally consistent (cc)",
            Variant::Convergence => "causally convergent (ccv)",
            Variant::Memory => "causal memory (cm)",
            Variant::Pram => "PRAM",
        };
        let needs = Needs { seen: &written_seen, missing: "No written value was ever read" };
        verdict(self.name(), promise, needs, history, workloads(history).into_iter().map(part).collect())
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        beginnings(history, false)
    }
}
