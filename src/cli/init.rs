//! `dsfuzz init`: a commented plan to begin with.
use super::Output;
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::{names, on_one_line};
use crate::targets::recipe::FirstPlan;
use crate::targets::{self, Target};
use anyhow::Context as _;
use clap::Args;
use dsfuzz_workloads::WORKLOADS;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("init.yaml");

/// Arguments of `init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// A built-in target, or the path to your recipe
    pub target: String,
    /// Write the plan to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "output")]
    pub force: bool,
}

pub(super) fn main(args: &InitArgs, out: &mut Output) -> Result<Exit, Failure> {
    let text = template(&args.target)?;
    let Some(file) = &args.output else {
        out.bytes(text.as_bytes());
        return Ok(Exit::Valid);
    };
    // `create_new` so that a file that appears in between is not lost either.
    let mut options = OpenOptions::new();
    options.write(true).truncate(args.force).create(args.force).create_new(!args.force);
    let written = options.open(file).and_then(|mut file| file.write_all(text.as_bytes()));
    if written.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists) {
        return Err(Failure::Usage(format!("{} is there already; --force replaces it", file.display())));
    }
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    out.note(format!("{} is written; `dsfuzz plan {0}` shows what it would do", file.display()));
    Ok(Exit::Valid)
}

fn template(target: &str) -> Result<String, Failure> {
    let known: Vec<String> = names::targets().into_iter().map(|entry| entry.name).collect();
    let is_path = target.contains('/') || target.ends_with(".yaml") || target.ends_with(".yml");
    if !is_path && !known.iter().any(|name| name == target) {
        let meant = did_you_mean(target, known.iter().map(String::as_str));
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        let known = known.join(", ");
        return Err(Failure::Usage(format!(
            "no built-in target {target}{meant} (built in: {known}; a recipe of your own is named by its path)"
        )));
    }
    let stem = Path::new(target).file_stem().unwrap_or_default().to_string_lossy();
    let name: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let name = if name.is_empty() { "plan".to_owned() } else { name };
    let quoted = serde_json::Value::from(target).to_string();
    let target = if is_path { quoted } else { target.to_owned() };
    let fitting = Fitting::of(known.contains(&target).then_some(target.as_str()));
    let text = TEMPLATE.replace("@NAME@", &name).replace("@TARGET@", &target);
    let text = text.replace("@WORKLOAD@", fitting.workload).replace("@OPTIONS@", fitting.options());
    let text = text.replace("@NODES@", &fitting.first_plan.nodes.unwrap_or(5).to_string());
    let text = text.replace("@TARGET_OPTIONS@", &fitting.options_of(&target));
    let text = text.replace("@LOAD@", &lines(LOAD, &fitting.first_plan.load));
    let text = text.replace("@PACE@", &lines(PACE, &fitting.first_plan.nemesis));
    let (isolate, paused) = if fitting.leads { (", isolate-leader", "leader") } else { ("", "one") };
    Ok(text.replace("@ISOLATE@", isolate).replace("@PAUSED@", paused))
}

/// What fits a target.
struct Fitting {
    /// The first workload that it carries.
    workload: &'static str,
    /// Whether one of its nodes leads.
    leads: bool,
    /// What its recipe wants.
    first_plan: FirstPlan,
}

/// A key of a plan, its value, and what stands behind it.
type KeyLine = (&'static str, &'static str, &'static str);

const LOAD: &[KeyLine] = &[
    ("clients", "2n", "2n is two for each node"),
    ("on_leader", "", "this share of them follows the leader, the others stay at their nodes"),
    ("rate", "400/s", "all clients together; left out: as fast as possible"),
    ("time", "60s", ""),
];
const PACE: &[KeyLine] = &[("every", "10s", ""), ("for", "", "longer than the target needs to go on without a node")];

/// The lines of keys with the recipe's values; one without a value is left out.
fn lines(keys: &[KeyLine], given: &BTreeMap<String, serde_json::Value>) -> String {
    let line = |(key, default, comment): &KeyLine| {
        let value = given.get(*key).map_or_else(|| (*default).to_owned(), on_one_line);
        let line = format!("  {key}: {value}");
        match (value.is_empty(), comment.is_empty()) {
            (true, _) => String::new(),
            (_, true) => format!("{line}\n"),
            _ => format!("{line:<31} # {comment}\n"),
        }
    };
    keys.iter().map(line).collect()
}

impl Fitting {
    /// Of a built-in target; a user's own recipe is not read.
    fn of(target: Option<&str>) -> Fitting {
        let loaded = target.and_then(|name| targets::load(name, Path::new(""), &BTreeMap::new()).ok());
        let carried = |target: &Target| WORKLOADS.iter().find(|doc| target.carries(doc.name, doc.object));
        Fitting {
            workload: loaded.as_ref().and_then(carried).map_or(WORKLOADS[0].name, |doc| doc.name),
            leads: loaded.as_ref().is_none_or(|target| target.recipe().has_leaders()),
            first_plan: loaded.map(|target| target.recipe().first_plan.clone()).unwrap_or_default(),
        }
    }

    /// The plan's options of the target.
    fn options_of(&self, target: &str) -> String {
        match self.first_plan.options.is_empty() {
            true => String::new(),
            false => format!("options:\n  {target}: {}\n", on_one_line(&serde_json::json!(self.first_plan.options))),
        }
    }

    fn options(&self) -> &'static str {
        if self.workload == "register" { "{keys: 8, mix: {read: 5, write: 3, cas: 2}}" } else { "{}" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, fit};

    #[test]
    fn a_first_plan_fits_its_target() {
        for name in targets::builtin() {
            let text = template(name).expect("a plan");
            let plan = Plan::from_yaml_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            let target = targets::load(name, Path::new(""), &plan.options).expect("a target");
            let mistakes = fit::mistakes(&plan, &target).into_iter().map(|mistake| mistake.to_string());
            // Whether the client's program is built is not asked here.
            let mistakes: Vec<String> = mistakes.filter(|words| !words.contains("is not beside dsfuzz")).collect();
            assert_eq!(mistakes, [""; 0], "{name}");
            let FirstPlan { load, nemesis, .. } = &target.recipe().first_plan;
            for (keys, given) in [(LOAD, load), (PACE, nemesis)] {
                let unwritten: Vec<&String> =
                    given.keys().filter(|key| keys.iter().all(|(known, ..)| known != key)).collect();
                assert!(unwritten.is_empty(), "{name}: {unwritten:?}");
            }
            assert!(!text.contains('@'), "{name}: {text}");
        }
    }
}
