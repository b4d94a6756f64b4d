//! The catalogue of faults, measured: for each form of a fault the time from its begin to its proof, the time from the begin of
//! its heal to the proof of that, and the verification.
use crate::plain_user::{Map, PlainUser};
use crate::results::{Case, CaseResult, Only, StoredResults};
use crate::variants::{VARIANTS, Variant};
use dsfuzz::run::journal;
use dsfuzz_checkers::History;
use dsfuzz_checkers::history::{Fault, Mark};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Forms that damage a file of the target: a Redis that then refuses it shows the damage, not something left of the fault.
pub(crate) const DAMAGING: [&str; 3] = ["disk-bit-flip", "disk-truncate", "power-loss-torn"];

/// dsfuzz with these arguments, as it is started for these nodes.
type Program = Arc<dyn Fn(&[&str]) -> Command + Send + Sync>;

/// The nodes that faults are measured on.
#[derive(Clone)]
pub(crate) struct Nodes {
    /// Their name in the table.
    pub(crate) name: String,
    /// The plan's `cluster`.
    pub(crate) cluster: String,
    pub(crate) program: Program,
    /// The folder of plans and results, and the user to whom they belong.
    pub(crate) home: (PathBuf, Option<u32>),
    /// Faults of a run.
    pub(crate) faults: u64,
    /// Seconds from one fault to the next; the first half of them a fault is in force.
    pub(crate) every: u64,
}

/// The names of nodes in the lab of a user without root, with the users that a node has.
const ROOTLESS: [(&str, Map); 2] = [("rootless", Map::Range), ("one-user", Map::Single)];

/// Seconds of a load that has room for a fault whose form says how long it lasts.
const LONG: u64 = 28;

/// The columns of the table: the name of nodes, and the words for them.
const COLUMNS: [(&str, &str); 4] =
    [("lab", "lab"), ("rootless", "lab without root"), ("one-user", "the same with one user alone"), ("vm", "VM")];

impl Nodes {
    /// Nodes that root reaches with this program.
    pub(crate) fn new(name: &str, cluster: String, program: Program) -> Nodes {
        Nodes { name: name.to_owned(), cluster, program, home: (std::env::temp_dir(), None), faults: 6, every: 4 }
    }

    /// The nodes of this name in a lab of a user without root, who has the programs beside this one; nothing if it is another's name.
    pub(crate) fn rootless(name: &str, program: &Path) -> Option<Nodes> {
        let (_, map) = ROOTLESS.into_iter().find(|(known, _)| *known == name)?;
        let programs = program.parent().unwrap_or(Path::new("."));
        let user = PlainUser::new(map, programs, &["dsfuzz", "dsfuzz-agent", "dsfuzz-client-redis"]);
        let home = (user.path("home"), Some(user.uid));
        // The device of FUSE is open to users, as the rules of udev have it; on a machine without udev it is not.
        let device = user.path("fuse").display().to_string();
        let made = Command::new("mknod").args(["-m", "666", &device, "c", "10", "229"]).status();
        assert!(made.is_ok_and(|made| made.success()), "mknod {device}");
        let before = format!("[ ! -e /dev/fuse ] || mount --bind {device} /dev/fuse");
        let program: Program = Arc::new(move |arguments| user.command(&before, arguments));
        Some(Nodes { home, ..Nodes::new(name, "{lab: 3}".to_owned(), program) })
    }
}

/// A case for each form of a fault that is chosen, and each seed.
pub(crate) fn cases(seeds: &[u64], only: &Only, nodes: &Nodes) -> Vec<Case> {
    let forms = VARIANTS.iter().filter(|variant| only.chooses(variant.name));
    let of_form = |variant: &'static Variant| {
        seeds.iter().map(move |seed| {
            let (seed, nodes) = (*seed, nodes.clone());
            let name = format!("{}.{}-seed-{seed:02}", variant.name, nodes.name);
            let show =
                move || show(&nodes, variant, seed).unwrap_or_else(|seen| CaseResult { as_claimed: false, seen });
            Case { name, show: Box::new(show) }
        })
    };
    forms.flat_map(|variant| of_form(variant).collect::<Vec<_>>()).collect()
}

fn plan(nodes: &Nodes, variant: &Variant) -> String {
    // A Redis that refuses its damaged file does not run for a second fault.
    let faults = if DAMAGING.contains(&variant.name) { 1 } else { nodes.faults };
    let Variant { kind, options, .. } = variant;
    // A fault with a duration of its own comes once.
    let (every, time) = (nodes.every, (2 + faults * nodes.every).max(if options.contains("for: ") { LONG } else { 0 }));
    format!(
        "name: catalogue\ncluster: {}\ntarget: lone-redis/recipe.yaml\nworkload: {{set: {{}}}}\n\
         load: {{clients: 3, rate: 30/s, time: {time}s}}\n\
         nemesis: {{every: {every}s, for: {}ms, quiet_start: 1s, quiet_end: 1s, faults: [{{{kind}: {options}}}]}}\n",
        nodes.cluster,
        every * 500,
    )
}

fn show(nodes: &Nodes, variant: &Variant, seed: u64) -> Result<CaseResult, String> {
    let failed = |error: std::io::Error| error.to_string();
    let (home, owner) = &nodes.home;
    let folder = tempfile::Builder::new().prefix("catalogue-").tempdir_in(home).map_err(failed)?;
    let (path, recipe) = (folder.path().join("plan.yaml"), folder.path().join("lone-redis"));
    fs::create_dir(&recipe).map_err(failed)?;
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prove/lone-redis/recipe.yaml");
    fs::copy(ours, recipe.join("recipe.yaml")).map_err(failed)?;
    fs::write(&path, plan(nodes, variant)).map_err(failed)?;
    chown(folder.path(), *owner, *owner).map_err(failed)?;
    let (plan, results) = (path.display().to_string(), folder.path().join("results").display().to_string());
    let run = (nodes.program)(&["run", &plan, "--seed", &seed.to_string(), "--results", &results]).output();
    let run = run.map_err(failed)?;
    let history = journal::read(&Path::new(&results).join("catalogue/latest/journal"));
    match history {
        Ok(history) if !history.faults.is_empty() => Ok(measured(&history)),
        _ => {
            let (said, missing) = (String::from_utf8_lossy(&run.stderr), missing(nodes, &plan)?);
            match missing.first() {
                Some(reason) => Ok(CaseResult { as_claimed: true, seen: format!("{CANNOT}{reason}") }),
                None => Err(format!("no fault, exit {:?}: {}", run.status.code(), said.trim())),
            }
        }
    }
}

/// The begin of the words about a form that is impossible on these nodes.
const CANNOT: &str = "cannot: ";

/// The abilities that the plan's faults need and a node does not have, as `doctor` says them.
fn missing(nodes: &Nodes, plan: &str) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct NodeCheck {
        what: String,
        able: bool,
        needed: bool,
        detail: String,
    }
    let said = (nodes.program)(&["doctor", plan, "--json"]).output().map_err(|error| error.to_string())?;
    let checks: Vec<NodeCheck> = serde_json::from_slice(&said.stdout)
        .map_err(|error| format!("doctor says no document ({error}): {}", String::from_utf8_lossy(&said.stderr)))?;
    let missing = checks.into_iter().filter(|check| check.needed && !check.able);
    Ok(missing.map(|check| format!("{}: {}", check.what, check.detail)).collect())
}

fn measured(history: &History) -> CaseResult {
    let all = history.faults.len();
    let between = |from: Option<Mark>, to: Option<Mark>| Some((to?.time.saturating_sub(from?.time)) as f64 / 1e6);
    let effects = history.faults.iter().filter_map(|fault| between(fault.begun, fault.proven));
    let undos = history.faults.iter().filter_map(|fault| between(fault.heal_begun, fault.healed));
    let (effects, undos): (Vec<f64>, Vec<f64>) = (effects.collect(), undos.collect());
    let twice = history.faults.iter().filter(|fault| fault.certain().is_some()).count();
    let as_claimed = all > 0 && twice == all && undos.len() == all;
    let wrong = history.faults.iter().find(|fault| fault.certain().is_none() || fault.healed.is_none());
    let example = match wrong {
        Some(fault) => format!("WRONG: {}", fault.detail.join(", ")),
        None => history.faults.iter().find_map(first_proof).unwrap_or_default(),
    };
    CaseResult {
        as_claimed,
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

/// The table of all results that are kept as a page.
pub(crate) fn page(results: &StoredResults) -> String {
    let mut page = String::from(
        "# The faults, measured\n\n\
         Each form of a fault on three nodes with a Redis each: how many faults were shown to be in force when they began and again \
         before their heal, and were shown to be healed; the time from the first injection to that proof (effect), and from the first \
         undo to the proof of the heal (undo; each the median, least, most); and what one proof said. A lab is root's, or that of a user \
         without root; a VM has a kernel of its own. *cannot* gives the reason of `dsfuzz doctor`. This page is written by \
         `make prove ARGS=\"--lines catalogue --write docs/catalogue.md\"` from the runs that it keeps under `results/prove/catalogue/`; \
         `--as rootless` and `make test-vm ARGS=\"--only catalogue\"` add those of the other columns.\n\n| fault |",
    );
    for (_, words) in COLUMNS {
        page.push_str(&format!(" {words} |"));
    }
    page.push_str(&format!(" one proof |\n|---|{}---|\n", "---|".repeat(COLUMNS.len())));
    let kept = results.kept("catalogue");
    for variant in VARIANTS {
        page.push_str(&row(variant, &kept));
    }
    page
}

fn row(variant: &Variant, kept: &BTreeMap<String, CaseResult>) -> String {
    let mut row = format!("| `{}: {}` |", variant.kind, variant.options.replace('|', "\\|"));
    let mut proof = "";
    for (nodes, _) in COLUMNS {
        let beginning = format!("{}.{nodes}-seed-", variant.name);
        let of_column = kept.iter().filter(|(name, _)| name.starts_with(&beginning));
        let mut cells = Vec::new();
        for (_, CaseResult { as_claimed, seen }) in of_column {
            // The last part is one proof, which may have the sign itself.
            let parts: Vec<&str> = seen.splitn(4, "; ").collect();
            let (numbers, words) = parts.split_at(parts.len().min(3));
            if *as_claimed && proof.is_empty() {
                proof = words.first().copied().unwrap_or_default();
            }
            cells.push(if *as_claimed { numbers.join("; ") } else { parts.join("; ") });
        }
        row.push_str(&format!(
            " {} |",
            if cells.is_empty() { "not run".into() } else { cells.join("<br>").replace('|', "\\|") }
        ));
    }
    format!("{row} {} |\n", proof.replace('|', "\\|"))
}
