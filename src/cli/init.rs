//! `dsfuzz init`: a commented plan to begin with.
use super::Output;
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::names;
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
    let (isolate, paused) = if fitting.leads { (", isolate-leader", "leader") } else { ("", "one") };
    Ok(text.replace("@ISOLATE@", isolate).replace("@PAUSED@", paused))
}

/// What fits a target.
struct Fitting {
    /// The first workload that it carries.
    workload: &'static str,
    /// Whether one of its nodes leads.
    leads: bool,
}

impl Fitting {
    /// Of a built-in target; a recipe of one's own is not read.
    fn of(target: Option<&str>) -> Fitting {
        let loaded = target.and_then(|name| targets::load(name, Path::new(""), &BTreeMap::new()).ok());
        let carried = |target: &Target| WORKLOADS.iter().find(|doc| target.carries(doc.name, doc.object));
        Fitting {
            workload: loaded.as_ref().and_then(carried).map_or(WORKLOADS[0].name, |doc| doc.name),
            leads: loaded.is_none_or(|target| target.recipe().has_leaders()),
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
            let target = targets::load(name, Path::new(""), &BTreeMap::new()).expect("a target");
            let mistakes = fit::mistakes(&plan, &target).into_iter();
            // Whether the client's program is built is not asked here.
            let mistakes: Vec<String> = mistakes.filter(|words| !words.contains("is not beside dsfuzz")).collect();
            assert_eq!(mistakes, [""; 0], "{name}");
        }
    }
}
