//! `dsfuzz run`: deploy, load, break, heal, collect, judge, report.
use super::place::{self, Place};
use super::progress::Progress;
use super::{Output, PlanArgs, logs, signals};
use crate::error::{Exit, Failure};
use crate::plan::{LabPlan, Overrides, Plan};
use crate::report;
use crate::run::{Finished, Job, execute};
use crate::store::{self, RunDir};
use clap::Args;
use std::path::Path;
use std::sync::Arc;

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The plan and what is changed in it.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Leave the target running at the end (faults are healed all the same) [env: DSFUZZ_LEAVE_RUNNING]
    #[arg(long, alias = "leave-db-running")]
    pub leave_running: bool,
    /// End the run that uses the nodes, if one does; without this, a node that is in use ends this run (exit 255)
    #[arg(long)]
    pub take_over: bool,
}

impl RunArgs {
    /// The flag, or the environment.
    pub fn leaves_running(&self) -> bool {
        let set = |value: String| !matches!(value.as_str(), "" | "0" | "false" | "no");
        self.leave_running || std::env::var("DSFUZZ_LEAVE_RUNNING").is_ok_and(set)
    }
}

pub(super) fn main(args: &RunArgs, out: &mut Output) -> Result<Exit, Failure> {
    let (mut plan, overrides) = args.plan.load()?;
    let seed = plan.draw_seed();
    let target = args.plan.target(&plan)?;
    let again = again(&args.plan.file, &overrides, seed, args.leaves_running());
    out.note(format!("plan {}, target {}, seed {seed}", plan.name, target.name()));
    if let Some(LabPlan::Nodes(count)) = &plan.cluster.lab {
        out.note(format!("lab of {count} {}", if *count == 1 { "node" } else { "nodes" }));
    }
    let place = Place::find(&plan.cluster, args.leaves_running())?;
    check_names(&plan, &place)?;
    let dir = store::create(&out.results, &plan.name, chrono::Utc::now())?;
    logs::to_file(&dir.log()).map_err(|error| Failure::harness(format!("{}: {error}", dir.log().display())))?;
    let job = Job {
        seed,
        dir: dir.clone(),
        plan_folder: args.plan.folder().to_path_buf(),
        nodes: place.nodes.clone(),
        leave_running: args.leaves_running(),
        take_over: args.take_over,
        again,
        plan,
    };
    let runtime = place::runtime()?;
    let progress = Arc::new(Progress::on_stderr());
    let telling = progress.clone();
    let finished = runtime.block_on(async {
        let stop = signals::listen(move |stop| telling.line(stop.sentence()));
        let stop = stop.map_err(|error| anyhow::anyhow!("signals cannot be heard: {error}"))?;
        execute(job, progress.clone(), stop).await
    });
    runtime.shutdown_background();
    progress.finish();
    if let Some(lab) = place.own_lab().filter(|_| args.leaves_running()) {
        out.note(format!("left running in the lab {lab}; `dsfuzz lab down {lab}` ends it"));
    }
    place.leave()?;
    show(&finished?, &dir, out)
}

/// Faults may name nodes; only now is it known which there are.
fn check_names(plan: &Plan, place: &Place) -> Result<(), Failure> {
    let names: Vec<String> = place.nodes.iter().map(|(node, _)| node.name.to_string()).collect();
    let mistakes = plan.nemesis.as_ref().map(|nemesis| nemesis.mistakes(&names)).unwrap_or_default();
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::Usage(mistakes.join("\n"))) }
}

fn again(plan: &Path, overrides: &Overrides, seed: u64, leave_running: bool) -> String {
    let mut words = vec!["dsfuzz".to_string(), "run".into(), plan.display().to_string()];
    let mut changes = overrides.arguments().into_iter().peekable();
    while let Some(word) = changes.next() {
        if word == "--seed" {
            changes.next();
        } else if !word.starts_with("--seed=") {
            words.push(word);
        }
    }
    words.extend(["--seed".into(), seed.to_string()]);
    if leave_running {
        words.push("--leave-running".into());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// As one word of a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Prints what came of a run, for people, for programs and for CI.
pub(super) fn show(finished: &Finished, dir: &RunDir, out: &mut Output) -> Result<Exit, Failure> {
    let Finished { info, verdict, history } = finished;
    let lines = report::publish_to_github(dir, history, info, verdict, |name| std::env::var(name).ok());
    match lines {
        Ok(lines) if !out.json => lines.iter().for_each(|line| out.line(line)),
        Ok(_) => {}
        Err(error) => out.note(format!("{error:#}")),
    }
    if out.json {
        out.document(&serde_json::json!({"dir": dir.path(), "run": info, "verdict": verdict}))?;
    } else {
        let color = out.stdout_color();
        out.line(report::terminal(info, verdict, history, dir, color).trim_end());
    }
    Ok(Exit::of_code(verdict.exit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_runs_it_again_has_the_seed_once() {
        let mut overrides = Overrides::none();
        overrides.set("load.time=9s").unwrap();
        overrides.set("name=two words").unwrap();
        let command = again(Path::new("p.yaml"), &overrides, 7, false);
        assert!(command.starts_with("dsfuzz run p.yaml"), "{command}");
        assert!(command.contains("load.time=9s") && command.contains("'name=two words'"), "{command}");
        assert_eq!(command.matches("--seed").count(), 1);
        assert!(command.ends_with("--seed 7"), "{command}");
    }
}
