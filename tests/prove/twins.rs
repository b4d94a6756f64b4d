//! Twins: a system with a setting that keeps its promise, and the same with one that does not.
use crate::results::{Case, CaseResult};
use crate::runs::{self, Judge, Printed};
use dsfuzz_checkers::History;

/// For each seed the runs of the system that is named.
pub(crate) fn cases(line: &str, seeds: &[u64]) -> Vec<Case> {
    let plans: &[(&'static str, &'static str, Judge)] = match line {
        "galera" => &[
            ("register", "examples/galera/register.yaml", kept),
            ("register-stale", "examples/galera/register-stale.yaml", stale),
            ("set", "examples/galera/set.yaml", kept),
        ],
        "patroni" => &[
            ("sync", "examples/patroni/sync.yaml", kept_by_another_leader),
            ("async", "examples/patroni/async.yaml", lost),
        ],
        "rabbitmq" => &[
            ("quorum", "examples/rabbitmq/quorum.yaml", kept_by_another_leader),
            ("mirrored", "examples/rabbitmq/mirrored.yaml", lost),
        ],
        _ => &[
            ("replicas", "examples/redis-sentinel/replicas.yaml", kept),
            ("failover", "examples/redis-sentinel/plan.yaml", lost),
        ],
    };
    let case = |seed: u64, (name, plan, judge): (&'static str, &'static str, Judge)| Case {
        name: format!("{name}-seed-{seed:02}"),
        show: Box::new(move || runs::run(plan, seed, judge)),
    };
    seeds.iter().flat_map(|seed| plans.iter().map(move |plan| case(*seed, *plan))).collect()
}

/// Valid, and every fault was in force and healed.
pub(crate) fn kept(exit: i32, printed: &Printed, history: &History) -> CaseResult {
    let planned = history.faults.len();
    let proven = history.faults.iter().filter(|fault| fault.proven.is_some()).count();
    let healed = history.faults.iter().filter(|fault| fault.healed.is_some()).count();
    let seen = format!(
        "exit {exit}, {} ops, {planned} {} planned, {proven} proven, {healed} healed: {}",
        history.ops().len(),
        if planned == 1 { "fault" } else { "faults" },
        printed.verdict.sentence
    );
    CaseResult { as_claimed: exit == 0 && planned > 0 && proven == planned && healed == planned, seen }
}

/// As [`kept`], and leadership moved.
fn kept_by_another_leader(exit: i32, printed: &Printed, history: &History) -> CaseResult {
    let moved = runs::measured(&printed.verdict, "leader_changes");
    let shown = kept(exit, printed, history);
    let seen = format!("{moved} changes of leader, {}", shown.seen);
    CaseResult { as_claimed: shown.as_claimed && moved >= 1.0, seen }
}

/// Acknowledged elements are lost, and the finding names who acknowledged them.
fn lost(exit: i32, printed: &Printed, _: &History) -> CaseResult {
    broken(exit, printed, &["lost-write"])
}

/// A read returned what had been replaced before.
fn stale(exit: i32, printed: &Printed, _: &History) -> CaseResult {
    broken(exit, printed, &["stale-read"])
}

/// A promise is broken in one of these ways, and the finding names nodes and operations.
pub(crate) fn broken(exit: i32, printed: &Printed, kinds: &[impl AsRef<str>]) -> CaseResult {
    let kinds: Vec<&str> = kinds.iter().map(AsRef::as_ref).collect();
    let violations = runs::violations(&printed.verdict);
    match violations.iter().find(|finding| kinds.contains(&finding.kind.as_str())) {
        Some(finding) => CaseResult {
            as_claimed: exit == 1 && !finding.nodes.is_empty() && !finding.ops.is_empty(),
            seen: format!("exit {exit}: {}", finding.title),
        },
        None => CaseResult {
            as_claimed: false,
            seen: format!("exit {exit}, no {}: {}", kinds.join(" or "), printed.verdict.sentence),
        },
    }
}
