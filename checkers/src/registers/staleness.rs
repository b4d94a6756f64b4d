//! `staleness`: how far behind reads were, measured; a promise only where it is asked for.
//!
//! Reads `read`, `write` and `cas` with `[from, to]` of a workload on registers whose written values are unique for their
//! key; a compare-and-set counts as a write. A write is **certainly newer** than another when it was called after the other had
//! certainly taken effect: been acknowledged or read. For each read: Δ, from the first end of a write certainly newer than
//! what it returned to its call (0 if there is none); and k, how many writes that had certainly taken effect before the read
//! are certainly newer. Told for each node and kind of fault. Final reads count like all others.
//!
//! With `k_max`, every read returns one of the last `k_max` values (k-atomicity): exact for 1 and 2, for more a read with so
//! many newer writes breaks it and nothing proves it. With `delta_max`, the key would be linearizable if reads had been
//! called so much earlier (Δ-atomicity): exact. Findings: `thin-air-read`, `stale-read` (evidence without a limit),
//! `not-k-atomic`, `not-delta-atomic`. Unknown: no real time, no acknowledged read, repeated values.
use super::accesses::{NONE, Parsed, Run, beginnings, parse, workloads};
use super::delta::{Cluster, smallest};
use super::explain::{Words, shrink, violation};
use super::k_atomic::two_atomic;
use super::measure::{Behind, Table, measure};
use super::observed::key_seen;
use super::order::Path;
use super::patterns::{Bad, Stop, thin_air};
use super::{Answer, Needs, Part, verdict};
use crate::history::{History, NameId, Op};
use crate::initial::{Beginnings, FromInitial, Initial};
use crate::value::Value;
use crate::verdict::certificate::{Claim, Edge};
use crate::verdict::{Budget, Finding, Verdict, Violation};
use serde_json::json;

/// Measures staleness, and judges it where limits are set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staleness {
    /// Every read returns one of this many last values; 1 is linearizability.
    pub(super) k_max: Option<u64>,
    /// Linearizable if reads had been called this many milliseconds earlier.
    pub(super) delta_ms_max: Option<u64>,
}

/// The accesses of each key, by call.
fn by_key(run: &Run) -> Vec<Vec<u32>> {
    let mut keys = vec![Vec::new(); run.keys as usize];
    for at in 0..run.len() as u32 {
        keys[run.at(at).key as usize].push(at);
    }
    keys
}

/// Clusters of one key by time: those of its writes, and that of the initial value if it was read.
fn clusters(history: &History, run: &Run, accesses: &[u32], by_index: bool) -> Vec<Cluster> {
    let mut of_write: std::collections::HashMap<u32, usize> = std::collections::HashMap::new();
    let mut clusters: Vec<Cluster> = Vec::new();
    for &at in accesses {
        let access = run.at(at);
        let op = history.ops().at(access.op as usize);
        let (call, end) = if by_index { (access.call + 1, access.end) } else { (op.call_time, op.reply_time) };
        let end = if access.end == Op::OPEN { Op::OPEN } else { end };
        let end = if by_index && end != Op::OPEN { end + 1 } else { end };
        let write = if access.writes == NONE { run.source(at) } else { at };
        let place = *of_write.entry(write).or_insert_with(|| {
            let first_end = if write == NONE { 0 } else { Op::OPEN };
            clusters.push(Cluster { first_end, write_call: 0, last_read_call: 0 });
            clusters.len() - 1
        });
        let cluster = &mut clusters[place];
        cluster.first_end = cluster.first_end.min(end);
        if access.writes == NONE {
            cluster.last_read_call = cluster.last_read_call.max(call);
        } else {
            cluster.write_call = call;
        }
    }
    clusters
}

/// The smallest Δ of all keys, nanoseconds.
fn delta(history: &History, run: &Run) -> u64 {
    by_key(run).iter().map(|key| smallest(&mut clusters(history, run, key, false))).max().unwrap_or(0)
}

fn k_atomic(history: &History, run: &Run, k: u64, budget: &Budget) -> Result<Option<bool>, Stop> {
    let mut all = true;
    for key in by_key(run) {
        all &= match k {
            1 => smallest(&mut clusters(history, run, &key, true)) == 0,
            2 => two_atomic(run, &key, budget)?,
            _ => return Ok(None),
        };
    }
    Ok(Some(all))
}

fn reason(kind: &str) -> &'static str {
    match kind {
        "thin-air-read" => "a read returned a value that no call wrote",
        "not-k-atomic" => "reads returned values older than allowed, whatever the order of concurrent writes was",
        "not-delta-atomic" => "reads returned values that had been replaced for longer than allowed",
        _ => "the stalest read",
    }
}

impl Staleness {
    fn words(&self) -> Words {
        fn claim(bad: &Bad, _: Vec<Edge>) -> Claim {
            Claim::Rule { rule: bad.kind.to_owned(), subject: Value::Nil }
        }
        Words { reason, claim, versions: false }
    }

    /// A violation whose rule is about this limit.
    fn limited<'h>(&self, history: &'h History, run: &Run, bad: &Bad, limit: u64) -> Violation<'h> {
        let subject = Value::Int(i64::try_from(limit).unwrap_or(i64::MAX));
        let mut violation = violation(history, run, bad, &self.words());
        if let Some(certificate) = &mut violation.certificate {
            certificate.claim = Claim::Rule { rule: bad.kind.to_owned(), subject };
        }
        violation
    }

    /// What breaks a limit, as few operations as possible.
    fn broken(
        &self,
        history: &History,
        run: &Run,
        table: &Table,
        budget: &Budget,
    ) -> Result<(Vec<Finding>, Option<String>), Stop> {
        let mut findings = Vec::new();
        let mut undecided = None;
        let everything: Vec<u32> = (0..run.len() as u32).collect();
        if let Some(k) = self.k_max {
            let behind = table.reads.iter().filter(|read| read.k >= k).max_by_key(|read| read.k);
            let found = match behind {
                // Of the certainly newer writes as many as the limit are enough.
                Some(read) => Some(read.support(run, k as usize)),
                None => match k_atomic(history, run, k, budget)? {
                    Some(true) => None,
                    Some(false) => Some(everything.clone()),
                    None => {
                        undecided = Some(format!("no read is certainly {k} writes behind, but that proves nothing"));
                        None
                    }
                },
            };
            let find = |run: &Run| {
                let far = measure(history, run).reads.iter().any(|read| read.k >= k);
                let broken = far || matches!(k_atomic(history, run, k, budget), Ok(Some(false)));
                broken.then(|| Bad::new("not-k-atomic", Path::new(), 0..run.len() as u32))
            };
            let small = |support: Vec<u32>| shrink(run, &support, &find).or_else(|| shrink(run, &everything, &find));
            if let Some((small, bad)) = found.and_then(small) {
                findings.push(self.limited(history, &small, &bad, k).finding(history));
            }
        }
        if let Some(limit) = self.delta_ms_max {
            let limit_ns = limit.saturating_mul(1_000_000);
            if delta(history, run) > limit_ns {
                let find = |run: &Run| {
                    let broken = delta(history, run) > limit_ns;
                    broken.then(|| Bad::new("not-delta-atomic", Path::new(), 0..run.len() as u32))
                };
                let stalest = table.reads.iter().filter(|read| read.delta > limit_ns).max_by_key(|read| read.delta);
                let support = stalest.map_or(everything.clone(), |read: &Behind| read.support(run, 1));
                let small = shrink(run, &support, &find).or_else(|| shrink(run, &everything, &find));
                if let Some((small, bad)) = small {
                    // It is about times, which operations do not carry.
                    let violation = self.limited(history, &small, &bad, limit).with_certificate(None);
                    findings.push(violation.finding(history));
                }
            }
        }
        Ok((findings, undecided))
    }

    fn answer(&self, history: &History, parsed: &Parsed, table: &Table, budget: &Budget) -> Answer {
        let run = &parsed.run;
        if !history.realtime {
            return Answer::Unknown("the history says nothing about real time".to_owned());
        }
        if let Some(bad) = thin_air(run) {
            let alone = run.subset(&bad.support);
            let bad = Bad { support: vec![0], ..bad };
            return Answer::Broken(vec![violation(history, &alone, &bad, &self.words()).finding(history)]);
        }
        if (budget.expired)() {
            return Answer::Unknown("the time ran out".to_owned());
        }
        if table.reads.is_empty() {
            let unread = || "no read was acknowledged whose value could be used".to_owned();
            return Answer::Unknown(parsed.strange.clone().unwrap_or_else(unread));
        }
        let (findings, undecided) = match self.broken(history, run, table, budget) {
            Err(stop) => return Answer::Unknown(stop.words().to_owned()),
            Ok(found) => found,
        };
        if !findings.is_empty() {
            return Answer::Broken(findings);
        }
        let stalest = table.reads.iter().filter(|read| read.k > 0).max_by_key(|read| (read.delta, read.k));
        let evidence: Vec<Finding> = stalest.into_iter().map(|read| self.stalest(history, run, read)).collect();
        match undecided {
            Some(why) => Answer::Doubtful(why, evidence),
            None => Answer::Measured(evidence),
        }
    }

    fn stalest(&self, history: &History, run: &Run, read: &Behind) -> Finding {
        let support = read.support(run, 1);
        let small = run.subset(&support);
        let bad = Bad::new("stale-read", Path::new(), 0..small.len() as u32);
        let title = format!(
            "the stalest read returned a value that had been replaced for at least {} ms, by at least {} writes",
            read.delta / 1_000_000,
            read.k
        );
        let violation = violation(history, &small, &bad, &self.words());
        Violation { title, ..violation }.evidence().with_certificate(None).finding(history)
    }
}

impl FromInitial for Staleness {
    fn name(&self) -> &str {
        "staleness"
    }

    fn measures_only(&self) -> bool {
        self.k_max.is_none() && self.delta_ms_max.is_none()
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads(history)
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let mut tables = Vec::new();
        let mut deltas = Vec::new();
        let mut parts = Vec::new();
        for workload in workloads(history) {
            let parsed = parse(history, workload, initial);
            let table = if history.realtime { measure(history, &parsed.run) } else { Table::default() };
            let answer = self.answer(history, &parsed, &table, budget);
            if history.realtime {
                deltas.push(delta(history, &parsed.run));
            }
            tables.push(table);
            parts.push(Part { workload, parsed, answer });
        }
        let mut verdict = {
            let needs = Needs { seen: &key_seen, missing: "No key was both written and read" };
            verdict(self.name(), "as fresh as promised", needs, history, parts)
        };
        let reads: Vec<&Behind> = tables.iter().flat_map(|table| &table.reads).collect();
        verdict.numbers.extend(Table::numbers(history, &reads));
        verdict.numbers.insert(
            "delta_ms_min".to_owned(),
            json!(deltas.iter().max().filter(|ns| **ns < u64::MAX).map(|ns| *ns as f64 / 1e6)),
        );
        verdict
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        beginnings(history, false)
    }
}
