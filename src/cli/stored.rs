//! The plan of a stored run, from its folder, so that it can be run again on any machine.
use super::PlanArgs;
use crate::document::{self, DocumentError};
use crate::error::Failure;
use crate::pack::{is_archive, unpack};
use crate::plan::{LabPlan, Overrides, Plan};
use crate::secrets::REDACTED;
use crate::store::{self, FORMAT_VERSION, Inputs, REVISION, ReplayFaults, RunDir, RunInfo, StoredRun, VERSION};
use crate::targets::{self, Target};
use dsfuzz_nemesis::{ScheduledFault, kind_of};
use serde_json::Value;
use std::path::Path;

/// Whether a plan is run with its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlannedOrNot {
    /// With them.
    Planned,
    /// Without any (`--without-faults`).
    Without,
}

/// The stored run in this folder; None if it is no folder of a run.
pub(super) fn run_in(path: &Path) -> Result<Option<StoredRun>, Failure> {
    let dir = RunDir::at(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    if !path.is_dir() || !dir.info().exists() {
        return Ok(None);
    }
    let unread = |error| Failure::Usage(format!("{}: {error}: this run cannot be run again", dir.info().display()));
    let text = std::fs::read(dir.info()).map_err(|error| unread(error.to_string()))?;
    let tree: Value = serde_json::from_slice(&text).map_err(|error| unread(error.to_string()))?;
    // Before anything else is read: a later format may have other types.
    let format = tree["format"].as_u64().unwrap_or_default();
    if format > u64::from(FORMAT_VERSION) {
        return Err(Failure::Usage(format!(
            "the run in {} is of format {format}, made by dsfuzz {}; this is dsfuzz {}, which reads formats up to \
             {FORMAT_VERSION}: run it again with that dsfuzz, or a newer one",
            path.display(),
            tree["dsfuzz"].as_str().unwrap_or("of a later version"),
            this_version(),
        )));
    }
    let info: RunInfo = serde_json::from_value(tree).map_err(|error| unread(error.to_string()))?;
    if !dir.plan().is_file() {
        return Err(Failure::Usage(format!(
            "{} has no plan.yaml: the run ended before its plan was stored, and cannot be run again from its folder; it was `{}`",
            path.display(),
            info.again
        )));
    }
    Ok(Some(StoredRun { dir, info, faults: ReplayFaults::Drawn }))
}

/// The plan's file; or the folder of the stored run that is named as other commands name one (`latest`, PLAN/TIME), or by its
/// archive, which is unpacked among the results.
pub(super) fn resolved(args: &PlanArgs, results: &Path) -> Result<PlanArgs, Failure> {
    let spec = args.file.to_string_lossy();
    let found = if is_archive(&args.file) {
        Some(unpack(&args.file, results).map_err(|error| Failure::Usage(format!("{error:#}")))?)
    } else if args.file.exists() {
        None
    } else {
        let of_results = args.file.strip_prefix(results).map_or(spec.clone(), |spec| spec.to_string_lossy());
        match store::find(results, &spec).or_else(|_| store::find(results, &of_results)) {
            Ok(run) => Some(run),
            // Such a file would be a plan.
            Err(_) if args.file.extension().is_some_and(|end| end == "yaml" || end == "yml") => None,
            Err(error) => return Err(Failure::Usage(format!("there is no file or folder {spec}, and {error:#}"))),
        }
    };
    let file = found.map_or_else(|| args.file.clone(), |run| run.path().to_owned());
    Ok(PlanArgs { file, ..args.clone() })
}

/// The faults with which a stored run is repeated by this plan.
pub(super) fn faults(run: &StoredRun, plan: &Plan, overrides: &Overrides) -> ReplayFaults {
    match &plan.nemesis {
        None => ReplayFaults::None,
        Some(_) if overrides.write("nemesis") || measured(run).is_none() => ReplayFaults::Drawn,
        Some(_) => ReplayFaults::Measured,
    }
}

/// The measured faults of a run whose faults were drawn. A schedule of the plan's own is kept: its triggers say more than times.
fn measured(run: &StoredRun) -> Option<Value> {
    let text = std::fs::read_to_string(run.dir.schedule()).ok()?;
    let measured = document::parse("schedule.yaml", &text).ok()?;
    let plan = std::fs::read_to_string(run.dir.plan()).ok()?;
    let plan = document::parse("plan.yaml", &plan).ok()?;
    let has = |schedule: &Value| schedule.as_array().is_some_and(|faults| !faults.is_empty());
    let schedule = measured.pointer("/nemesis/schedule").filter(|schedule| has(schedule))?;
    let own = plan.pointer("/nemesis/schedule").is_some_and(has);
    (!own).then(|| schedule.clone())
}

/// The plan of a stored run with the changes of the user.
pub(super) fn plan(run: &StoredRun, overrides: &Overrides, faults: PlannedOrNot) -> Result<Plan, Failure> {
    let mut base = Overrides::none();
    let text = std::fs::read_to_string(run.dir.plan())
        .map_err(|error| Failure::Usage(format!("{}: {error}", run.dir.plan().display())))?;
    let as_stored = Plan::from_yaml_str(&text).map_err(|error| of_another_version(run, error))?;
    if !overrides.write("target") {
        let target = recipe(run, &as_stored)?;
        base.fixed("the stored recipe", &["target"], Some(target.into()));
    }
    if let Some(LabPlan::Named(_)) = as_stored.cluster.lab {
        base.fixed("the stored run", &["cluster", "lab"], Some(run.info.nodes.len().into()));
    }
    if let Some(schedule) = measured(run).filter(|_| !overrides.write("nemesis")) {
        // What shapes the drawing of faults says nothing of those that were drawn.
        for key in ["faults", "overlap", "budget", "quiet", "swarm"] {
            base.fixed("schedule.yaml of the run", &["nemesis", key], None);
        }
        for (key, kind) in thresholds_without_fault(&as_stored, &schedule) {
            base.fixed("schedule.yaml of the run", &["evidence", key, &kind], None);
        }
        base.fixed("schedule.yaml of the run", &["nemesis", "schedule"], Some(schedule));
    }
    let all = changed(base.then(overrides.clone()), faults);
    let plan = Plan::load_stored(&run.dir.plan(), &all).map_err(|error| of_another_version(run, error))?;
    missing_secrets(run, &plan)?;
    Ok(plan)
}

/// The thresholds of evidence for custom faults that are not in this schedule: they never began, and every fault of a schedule is
/// asked for by itself.
fn thresholds_without_fault(plan: &Plan, schedule: &Value) -> Vec<(&'static str, String)> {
    let schedule: Vec<ScheduledFault> = serde_json::from_value(schedule.clone()).unwrap_or_default();
    let came: Vec<String> = schedule.iter().map(|entry| entry.fault.counted_as()).collect();
    let (proven, ok) = (&plan.evidence.proven_per_kind_min, &plan.evidence.ok_during_fault_min);
    let named = proven.kinds().map(|kind| ("proven_per_kind_min", kind.to_owned()));
    let named = named.chain(ok.kinds().map(|kind| ("ok_during_fault_min", kind.to_owned())));
    named.filter(|(_, kind)| kind_of(kind) != *kind && !came.contains(kind)).collect()
}

/// The changes with the plan's faults left out, if they shall be.
pub(super) fn changed(mut overrides: Overrides, faults: PlannedOrNot) -> Overrides {
    if faults == PlannedOrNot::Without {
        let source = "--without-faults";
        overrides.fixed(source, &["nemesis"], None);
        // Thresholds by kinds of faults that no longer come.
        overrides.fixed(source, &["evidence", "proven_per_kind_min"], None);
        overrides.fixed(source, &["evidence", "ok_during_fault_min"], None);
    }
    overrides
}

/// Differences between the dsfuzz that made the run and this one, and files that the run did not store, one sentence each.
pub(super) fn differences(run: &StoredRun, overrides: &Overrides) -> Vec<String> {
    let mut found = Vec::new();
    let made_by = version(&run.info.dsfuzz, &run.info.revision);
    if made_by != this_version() {
        found.push(format!("the run was made by dsfuzz {made_by}; this is dsfuzz {}", this_version()));
    }
    if overrides.write("target") {
        return found;
    }
    match &run.info.inputs {
        None => found.push(format!(
            "dsfuzz {made_by} stored no recipe with the run: that of {} is used as it is now",
            run.info.target
        )),
        Some(inputs) => {
            let absent = inputs.absent.iter();
            found.extend(absent.map(|what| format!("not stored with the run: {what}")));
            let differs = |text: &str| !Target::is_builtin(&inputs.builtin, text);
            if !inputs.builtin.is_empty() && stored_recipe(run, inputs).is_some_and(|text| differs(&text)) {
                let name = &inputs.builtin;
                found.push(format!("the built-in recipe of {name} is another one now: the stored one is used"));
            }
        }
    }
    found
}

/// What names the target of a stored run: a built-in recipe that is still the same, or the path of the stored one.
fn recipe(run: &StoredRun, plan: &Plan) -> Result<String, Failure> {
    let by = version(&run.info.dsfuzz, &run.info.revision);
    let Some(inputs) = &run.info.inputs else {
        let known = targets::builtin().contains(&plan.target.as_str());
        return match known || Path::new(&plan.target).exists() {
            true => Ok(plan.target.clone()),
            false => Err(Failure::Usage(format!(
                "dsfuzz {by} stored no recipe with the run in {}, and its recipe {} is not on this machine; name the recipe \
                 with --set target=PATH",
                run.dir.path().display(),
                plan.target
            ))),
        };
    };
    if !inputs.redacted.is_empty() {
        return Err(Failure::Usage(format!(
            "secrets were taken out of {} when the run in {} was stored or packed; name the recipe with --set target=PATH",
            inputs.redacted.join(", "),
            run.dir.path().display()
        )));
    }
    if let Some(damage) = inputs.damage(&run.dir) {
        return Err(Failure::Usage(format!(
            "the stored files of the run are damaged: {damage}; name the recipe with --set target=PATH"
        )));
    }
    match stored_recipe(run, inputs) {
        Some(text) if Target::is_builtin(&inputs.builtin, &text) => Ok(inputs.builtin.clone()),
        _ => Ok(run.dir.inputs().join(&inputs.recipe).display().to_string()),
    }
}

fn stored_recipe(run: &StoredRun, inputs: &Inputs) -> Option<String> {
    std::fs::read_to_string(run.dir.inputs().join(&inputs.recipe)).ok()
}

/// Secrets are not stored, so that the user must give them again.
fn missing_secrets(run: &StoredRun, plan: &Plan) -> Result<(), Failure> {
    let options = plan
        .options
        .iter()
        .flat_map(|(target, group)| group.iter().map(move |(name, value)| (format!("options.{target}.{name}"), value)));
    let missing = options.filter(|(_, value)| value.to_string().contains(REDACTED)).map(|(path, _)| path);
    let missing: Vec<String> = missing.collect();
    let of_plan = plan.own_faults().into_iter().filter(|own| format!("{own:?}").contains(REDACTED));
    if let Some(own) = of_plan.map(|own| own.name).next() {
        return Err(Failure::Usage(format!(
            "secrets are not stored with a run, and a command of its custom fault {own} has one, so that the run in {} cannot be \
             run again with its faults: in the plan let the command use an option of the target (`{{{{ options.NAME }}}}`), or run \
             it again with --without-faults",
            run.dir.path().display()
        )));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let again: Vec<String> = missing.iter().map(|path| format!("--set {path}=VALUE")).collect();
    Err(Failure::Usage(format!(
        "secrets are not stored with a run: {} of the run in {} must be given again: {}",
        missing.join(", "),
        run.dir.path().display(),
        again.join(" ")
    )))
}

fn of_another_version(run: &StoredRun, error: DocumentError) -> Failure {
    let made_by = version(&run.info.dsfuzz, &run.info.revision);
    if made_by == this_version() {
        return error.into();
    }
    error.help(format!("the run was made by dsfuzz {made_by}; this is dsfuzz {}", this_version())).into()
}

fn this_version() -> String {
    version(VERSION, REVISION)
}

fn version(version: &str, revision: &str) -> String {
    if revision.is_empty() { version.to_owned() } else { format!("{version} ({revision})") }
}
