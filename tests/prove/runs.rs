//! Whole runs with many seeds, and runs that are interrupted.
use crate::results::{Case, CaseResult};
use dsfuzz::run::journal;
use dsfuzz::store::RunVerdict;
use dsfuzz_checkers::{Finding, History, Severity};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `dsfuzz run --json` prints.
#[derive(Deserialize)]
pub(crate) struct Printed {
    /// The run's folder.
    pub(crate) dir: PathBuf,
    /// The answer.
    pub(crate) verdict: RunVerdict,
}

/// The released program, or another that `DSFUZZ_PROGRAM` names.
pub(crate) fn program() -> PathBuf {
    let released = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/dsfuzz");
    std::env::var_os("DSFUZZ_PROGRAM").map_or_else(released, PathBuf::from)
}

/// The program with this project as its folder.
pub(crate) fn dsfuzz() -> Command {
    let mut command = Command::new(program());
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

/// Says whether a run is as claimed: its exit code, its answer, its history.
pub(crate) type Judge = fn(i32, &Printed, &History) -> CaseResult;

/// One case for each seed.
pub(crate) fn cases(line: &str, seeds: &[u64]) -> Vec<Case> {
    let (plan, judge): (&'static str, Judge) = match line {
        "valid" => ("examples/etcd-register.yaml", valid),
        "serializable" => ("examples/etcd-serializable.yaml", serializable),
        _ => ("examples/redis-sentinel/plan.yaml", redis),
    };
    let case = |seed: u64| Case { name: format!("seed-{seed:02}"), show: Box::new(move || run(plan, seed, judge)) };
    seeds.iter().map(|seed| case(*seed)).collect()
}

/// One run of the plan.
pub(crate) fn run(plan: &str, seed: u64, judge: Judge) -> CaseResult {
    run_with(plan, &[], seed, judge)
}

/// One run of the plan with these changes.
pub(crate) fn run_with(
    plan: &str,
    set: &[String],
    seed: u64,
    judge: impl Fn(i32, &Printed, &History) -> CaseResult,
) -> CaseResult {
    let output = dsfuzz()
        .args(["run", plan, "--seed", &seed.to_string(), "--json"])
        .args(set.iter().flat_map(|change| ["--set", change]))
        .stderr(Stdio::null())
        .output()
        .expect("the program starts");
    let exit = output.status.code().unwrap_or(-1);
    let printed = match serde_json::from_slice::<Printed>(&output.stdout) {
        Ok(printed) => printed,
        Err(error) => return CaseResult { as_claimed: false, seen: format!("exit {exit}, no document: {error}") },
    };
    match journal::read(&printed.dir.join("journal")) {
        Ok(history) => judge(exit, &printed, &history),
        Err(error) => CaseResult { as_claimed: false, seen: format!("exit {exit}, no history: {error}") },
    }
}

fn valid(exit: i32, printed: &Printed, history: &History) -> CaseResult {
    let proven = history.faults.iter().filter(|fault| fault.proven.is_some()).count();
    let healed = history.faults.iter().filter(|fault| fault.healed.is_some()).count();
    let planned = history.faults.len();
    let moved = measured(&printed.verdict, "leader_changes");
    let as_claimed = exit == 0 && planned > 0 && proven == planned && healed == planned && moved >= 1.0;
    let mut seen = format!(
        "exit {exit}, {} ops, {planned} faults planned, {proven} proven, {healed} healed, {moved} changes of leader",
        history.ops().len()
    );
    if exit != 0 {
        seen.push_str(&format!(": {}", printed.verdict.sentence));
    }
    CaseResult { as_claimed, seen }
}

fn serializable(exit: i32, printed: &Printed, _: &History) -> CaseResult {
    let violations = violations(&printed.verdict);
    let smallest = violations.iter().min_by_key(|finding| finding.ops.len());
    match smallest {
        Some(finding) => CaseResult {
            as_claimed: exit == 1 && (1..=6).contains(&finding.ops.len()),
            seen: format!("exit {exit}, {} operations: {}", finding.ops.len(), finding.title),
        },
        None => {
            CaseResult { as_claimed: false, seen: format!("exit {exit}, no violation: {}", printed.verdict.sentence) }
        }
    }
}

fn redis(exit: i32, printed: &Printed, history: &History) -> CaseResult {
    let violations = violations(&printed.verdict);
    let Some(lost) = violations.iter().find(|finding| finding.kind == "lost-write") else {
        return CaseResult {
            as_claimed: false,
            seen: format!("exit {exit}, no lost write: {}", printed.verdict.sentence),
        };
    };
    let two = two_leaders(history);
    let named = !lost.nodes.is_empty() && !lost.faults.is_empty() && !lost.ops.is_empty();
    CaseResult {
        as_claimed: exit == 1 && two && named,
        seen: format!("exit {exit}, two primaries {}: {}", if two { "seen" } else { "NOT seen" }, lost.title),
    }
}

/// Whether the stretches overlap in which two nodes claimed to lead, on and on: from a first claim to the last before
/// another role. A question without an answer says nothing.
fn two_leaders(history: &History) -> bool {
    let mut stretches: Vec<(&str, u64, u64)> = Vec::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for claim in history.roles.iter().filter(|claim| !claim.role.is_empty() && &*claim.source != "log") {
        match open.get(&*claim.node).copied() {
            Some(at) if &*claim.role == "leader" => stretches[at].2 = claim.sent_index,
            Some(_) => drop(open.remove(&*claim.node)),
            None if &*claim.role == "leader" => {
                open.insert(&claim.node, stretches.len());
                stretches.push((&claim.node, claim.index, claim.index));
            }
            None => {}
        }
    }
    let overlap =
        |one: &(&str, u64, u64), other: &(&str, u64, u64)| one.0 != other.0 && one.1 < other.2 && other.1 < one.2;
    stretches.iter().any(|one| stretches.iter().any(|other| overlap(one, other)))
}

/// The findings that break a promise.
pub(crate) fn violations(verdict: &RunVerdict) -> Vec<&Finding> {
    let all = verdict.promises.iter().flat_map(|promise| &promise.findings);
    all.filter(|finding| finding.severity == Severity::Violation).collect()
}

/// What was measured under this name of evidence; 0 where it was not.
pub(crate) fn measured(verdict: &RunVerdict, name: &str) -> f64 {
    verdict.evidence.iter().find(|evidence| evidence.name == name).map_or(0.0, |evidence| evidence.measured)
}

/// Runs that are stopped with Ctrl-C at random moments: one where nothing is wrong, one that is already invalid.
pub(crate) fn interrupts(repeat: u64) -> Vec<Case> {
    let case = |plan: &'static str, after: &'static str, round: u64| Case {
        name: format!("{after}-{round:02}"),
        show: Box::new(move || interrupt(plan, after, round)),
    };
    let valid = (1..=repeat).map(|round| case("examples/etcd-register.yaml", "exit-130", round));
    let invalid = (1..=repeat).map(|round| case("examples/etcd-serializable.yaml", "exit-1", round));
    valid.chain(invalid).collect()
}

fn interrupt(plan: &str, name: &str, seed: u64) -> CaseResult {
    let wanted = if name == "exit-1" { 1 } else { 130 };
    let mut rng = dsfuzz_rng::Rng::new(seed, name, 0);
    // A serializable read is stale as soon as a fault has separated a node, so the invalid run is given longer.
    let after = std::time::Duration::from_secs(if wanted == 1 { 35 } else { 8 })
        + std::time::Duration::from_millis(rng.below(10_000));
    let child = dsfuzz()
        .args(["run", plan, "--seed", &seed.to_string(), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(after);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let output = child.wait_with_output().expect("the program ends");
    let exit = output.status.code().unwrap_or(-1);
    let Ok(printed) = serde_json::from_slice::<Printed>(&output.stdout) else {
        return CaseResult { as_claimed: false, seen: format!("exit {exit}, no document ({interrupted:?})") };
    };
    let Ok(history) = journal::read(&printed.dir.join("journal")) else {
        return CaseResult { as_claimed: false, seen: format!("exit {exit}, no history") };
    };
    let begun = history.faults.iter().filter(|fault| fault.begun.is_some());
    let unhealed = begun.filter(|fault| fault.healed.is_none()).count();
    let collected = printed.dir.join("nodes").is_dir() && printed.dir.join("report.html").is_file();
    CaseResult {
        as_claimed: exit == wanted && unhealed == 0 && collected,
        seen: format!(
            "stopped after {:.1} s: exit {exit}, {} ops, {unhealed} faults not healed, {}: {}",
            after.as_secs_f64(),
            history.ops().len(),
            if collected { "collected" } else { "NOT collected" },
            printed.verdict.sentence
        ),
    }
}
