//! The catalogue of faults, measured: for each form of a fault the time from its begin to its proof, the time from the begin of
//! its heal to the proof of that, and the verification.
use crate::results::{Case, CaseResult, StoredResults};
use crate::runs::dsfuzz;
use crate::variants::VARIANTS;
use dsfuzz::run::journal;
use dsfuzz_checkers::History;
use dsfuzz_checkers::history::{Fault, Mark};
use std::path::Path;
use std::process::Stdio;

/// The nodes that faults are measured on.
#[derive(Clone)]
pub(crate) struct Nodes {
    /// Their name in the table.
    pub(crate) name: String,
    /// The plan's `cluster`.
    pub(crate) cluster: String,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes { name: "lab".to_owned(), cluster: "{lab: 3}".to_owned() }
    }
}

/// A case for each form of a fault whose name contains `only`, and each seed.
pub(crate) fn cases(seeds: &[u64], only: &str, nodes: &Nodes) -> Vec<Case> {
    let forms = VARIANTS.iter().filter(|variant| variant.name.contains(only));
    let of_form = |variant: &'static crate::variants::Variant| {
        seeds.iter().map(move |seed| {
            let (seed, plan) = (*seed, plan(nodes, variant.kind, variant.options));
            let show = move || show(&plan, seed).unwrap_or_else(|seen| CaseResult { as_claimed: false, seen });
            Case { name: format!("{}.{}-seed-{seed:02}", variant.name, nodes.name), show: Box::new(show) }
        })
    };
    forms.flat_map(|variant| of_form(variant).collect::<Vec<_>>()).collect()
}

fn plan(nodes: &Nodes, kind: &str, options: &str) -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/lone-redis");
    format!(
        "name: catalogue\ncluster: {}\ntarget: {}\nworkload: {{set: {{}}}}\n\
         load: {{clients: 3, rate: 60/s, time: 30s}}\n\
         nemesis: {{every: 4s, for: 2s, quiet_start: 1s, quiet_end: 2s, faults: [{{{kind}: {options}}}]}}\n",
        nodes.cluster,
        target.display()
    )
}

fn show(plan: &str, seed: u64) -> Result<CaseResult, String> {
    let results = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = results.path().join("plan.yaml");
    std::fs::write(&path, plan).map_err(|error| error.to_string())?;
    let run = dsfuzz()
        .arg("run")
        .arg(&path)
        .args(["--seed", &seed.to_string()])
        .env("DSFUZZ_RESULTS", results.path())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let dir = results.path().join("catalogue/latest");
    let history = journal::read(&dir.join("journal")).map_err(|error| {
        format!("no history ({error}), exit {:?}: {}", run.status.code(), String::from_utf8_lossy(&run.stderr))
    })?;
    Ok(measured(&history))
}

fn measured(history: &History) -> CaseResult {
    let all = history.faults.len();
    let between = |from: Option<Mark>, to: Option<Mark>| Some((to?.time.saturating_sub(from?.time)) as f64 / 1e6);
    let effects = history.faults.iter().filter_map(|fault| between(fault.begun, fault.proven));
    let undos = history.faults.iter().filter_map(|fault| between(fault.heal_begun, fault.healed));
    let (effects, undos): (Vec<f64>, Vec<f64>) = (effects.collect(), undos.collect());
    let twice = history.faults.iter().filter(|fault| fault.certain().is_some()).count();
    let example = history.faults.iter().find_map(first_proof).unwrap_or_default();
    CaseResult {
        as_claimed: all > 0 && twice == all && undos.len() == all,
        seen: format!(
            "{twice} of {all} proven twice, {} healed; effect {}; undo {}; {example}",
            undos.len(),
            spread(effects),
            spread(undos)
        ),
    }
}

/// The median with the least and the most, in milliseconds.
fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    match (times.first(), times.get(times.len() / 2), times.last()) {
        (Some(least), Some(median), Some(most)) => format!("{median:.0} ms ({least:.0} to {most:.0})"),
        _ => "never".to_owned(),
    }
}

/// The last observation of a fault's first proof. The sentence with its time follows it.
fn first_proof(fault: &Fault) -> Option<String> {
    let time = fault.detail.iter().position(|sentence| sentence.starts_with("proven "))?;
    fault.detail.get(time.checked_sub(1)?).cloned()
}

/// The table of all results as a page.
pub(crate) fn page(results: &StoredResults) -> String {
    let mut page = String::from(
        "# The faults, measured\n\n\
         Each form of a fault on three nodes with a Redis each: whether it was shown to be in force when it began and again before its \
         heal; the time from the first injection to that proof, and from the first undo to the proof of the heal (median, least, \
         most); and what one proof said. This page is written by `make prove ARGS=\"--lines catalogue --write \
         docs/catalogue.md\"` from the runs that it keeps under `results/prove/catalogue/`.\n\n\
         | fault | nodes | seen |\n|---|---|---|\n",
    );
    for variant in VARIANTS {
        let seen = results.named("catalogue", &format!("{}.", variant.name));
        let fault = format!("`{}: {}`", variant.kind, variant.options.replace('|', "\\|"));
        if seen.is_empty() {
            page.push_str(&format!("| {fault} | | not run |\n"));
        }
        for (name, words) in seen {
            let nodes =
                name.rsplit_once('.').and_then(|(_, rest)| rest.split_once("-seed-")).map_or("", |(nodes, _)| nodes);
            page.push_str(&format!("| {fault} | {nodes} | {} |\n", words.replace('|', "\\|")));
        }
    }
    page
}
