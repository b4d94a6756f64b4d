//! Findings that others have published, found again, each beside a safe twin that passes. The rows stand in
//! `examples/findings.yaml`; the page `docs/findings.md` is written from the results.
use crate::results::{Case, CaseResult, Only, StoredResults};
use crate::{runs, twins};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

/// A published finding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// A short name, such as `galera-stale-read`.
    name: String,
    /// The system, with its version.
    system: String,
    /// What is promised.
    promise: String,
    /// Who has published it, and where.
    source: String,
    /// The run that must fail. Left out: the published result is that it passes.
    #[serde(default)]
    fails: Option<FailingRun>,
    /// The run that must pass. Left out: no setting of the system keeps the promise.
    #[serde(default)]
    passes: Option<PassingRun>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailingRun {
    /// The setting that breaks the promise.
    setting: String,
    /// Its plan.
    plan: String,
    /// Changes to the plan, as `--set` takes them.
    #[serde(default)]
    set: Vec<String>,
    /// The kinds of finding that show it, one of which must come.
    kinds: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PassingRun {
    /// The setting that keeps the promise.
    setting: String,
    /// Its plan.
    plan: String,
    /// Changes to the plan, as `--set` takes them.
    #[serde(default)]
    set: Vec<String>,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/findings.yaml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// For each seed the failing and the passing run of each chosen row.
pub(crate) fn cases(seeds: &[u64], only: &Only) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in rows().into_iter().filter(|row| only.chooses(&row.name)) {
        for seed in seeds.iter().copied() {
            if let Some(FailingRun { plan, set, kinds, .. }) = row.fails.clone() {
                let show =
                    move || runs::run_with(&plan, &set, seed, |exit, printed, _| twins::broken(exit, printed, &kinds));
                cases.push(Case { name: format!("{}.fails-seed-{seed:02}", row.name), show: Box::new(show) });
            }
            if let Some(PassingRun { plan, set, .. }) = row.passes.clone() {
                let show = move || runs::run_with(&plan, &set, seed, kept);
                cases.push(Case { name: format!("{}.passes-seed-{seed:02}", row.name), show: Box::new(show) });
            }
        }
    }
    cases
}

/// Valid, and every fault of the plan was in force and healed.
fn kept(exit: i32, printed: &runs::Printed, history: &dsfuzz_checkers::History) -> CaseResult {
    match history.faults.is_empty() {
        true => CaseResult {
            as_claimed: exit == 0,
            seen: format!("exit {exit}, {} ops, no faults: {}", history.ops().len(), printed.verdict.sentence),
        },
        false => twins::kept(exit, printed, history),
    }
}

/// The page of all rows with what was seen.
pub(crate) fn page(results: &StoredResults) -> String {
    let mut page = String::from(
        "# Findings, found again\n\n\
         What others have published about these systems, run again: each row has a setting that breaks the promise and one that \
         keeps it. This page is written by `make prove ARGS=\"--lines findings --write docs/findings.md\"` from the runs that \
         it keeps under `results/prove/findings/`; `examples/findings.yaml` has the rows.\n",
    );
    for row in rows() {
        let _ =
            write!(page, "\n## {}\n\n{}. Promise: {}. Source: {}.\n\n", row.name, row.system, row.promise, row.source);
        page.push_str("| setting | plan | expected | seen | an example |\n|---|---|---|---|---|\n");
        if let Some(fails) = &row.fails {
            let expected = format!("invalid, `{}`", fails.kinds.join("` or `"));
            line(&mut page, results, (&row.name, "fails"), (&fails.setting, &fails.plan, &expected));
        }
        if let Some(passes) = &row.passes {
            line(&mut page, results, (&row.name, "passes"), (&passes.setting, &passes.plan, "valid"));
        }
    }
    page
}

fn line(page: &mut String, results: &StoredResults, case: (&str, &str), row: (&str, &str, &str)) {
    let seen = results.of("findings", &format!("{}.{}-", case.0, case.1));
    let good = seen.iter().filter(|(as_claimed, ..)| *as_claimed).count();
    let example = seen.iter().find(|(as_claimed, ..)| *as_claimed).or(seen.first());
    let example = example.map_or_else(|| "not run".to_owned(), |(_, words, _)| words.replace('|', "\\|"));
    let (setting, plan, expected) = row;
    let _ = writeln!(page, "| {setting} | `{plan}` | {expected} | {good} of {} runs | {example} |", seen.len());
}
