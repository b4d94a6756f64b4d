//! `dsfuzz run`: deploy, load, break, heal, collect, judge, report.
use super::arguments::RESULTS;
use super::cluster_source::{self, ClusterSource};
use super::progress::TerminalProgress;
use super::stored::{self, PlannedOrNot};
use super::{Output, PlanArgs, logs, signals};
use crate::error::{Exit, Failure};
use crate::plan::{LabPlan, Overrides, fit};
use crate::report;
use crate::run::progress::Progress;
use crate::run::{FinishedRun, Job, execute, read_back};
use crate::secrets;
use crate::store::{self, FORMAT_VERSION, RunDir, RunInfo, RunLock, RunVerdict, StoredRun};
use clap::Args;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// Arguments of `run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// The plan and its overrides.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Leave the target running at the end (faults are healed all the same) [env: DSFUZZ_LEAVE_RUNNING]
    #[arg(long, alias = "leave-db-running")]
    pub leave_running: bool,
    /// End the run that uses the nodes, if there is one; without this flag, a node in use ends this run (exit 255)
    #[arg(long)]
    pub take_over: bool,
    /// Run the plan without its faults: what the load alone brings out
    #[arg(long)]
    pub without_faults: bool,
    /// Close the folder of the run to other users of this machine (mode 0700) [env: DSFUZZ_PRIVATE]
    #[arg(long)]
    pub private: bool,
}

impl RunArgs {
    /// The flag, or the environment.
    pub fn leaves_running(&self) -> bool {
        self.leave_running || is_set("DSFUZZ_LEAVE_RUNNING")
    }

    pub(super) fn faults(&self) -> PlannedOrNot {
        if self.without_faults { PlannedOrNot::Without } else { PlannedOrNot::Planned }
    }

    /// The flag, or the environment.
    fn is_private(&self) -> bool {
        self.private || is_set("DSFUZZ_PRIVATE")
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "no"))
}

/// The folder of a new run.
fn new_folder(args: &RunArgs, plan: &str, out: &Output) -> Result<RunDir, Failure> {
    let dir = store::create(&out.results, plan, chrono::Utc::now())?;
    if args.is_private() {
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(dir.path(), closed)
            .map_err(|error| Failure::harness(format!("{} cannot be made private: {error}", dir.path().display())))?;
    }
    Ok(dir)
}

pub(super) fn main(args: &RunArgs, out: &mut Output) -> Result<Exit, Failure> {
    let args = &RunArgs { plan: stored::resolved(&args.plan, &out.results)?, ..args.clone() };
    let mut made = PartialRun::default();
    let done = run(args, out, &mut made);
    if let Err(failure) = &done {
        keep_failure(args, failure, made.dir.clone(), out);
    }
    // Until here no other process reads or changes the folder.
    drop(made);
    done
}

/// The parts of a run that exist already.
#[derive(Default)]
struct PartialRun {
    dir: Option<RunDir>,
    claim: Option<RunLock>,
}

/// The run. `made` has its folder as soon as it exists, for the files that are written when the run fails.
fn run(args: &RunArgs, out: &mut Output, made: &mut PartialRun) -> Result<Exit, Failure> {
    let (mut plan, overrides) = args.plan.load_with(args.faults())?;
    let repeats = stored::run_in(&args.plan.file)?;
    let repeats = repeats.map(|run| StoredRun { faults: stored::faults(&run, &plan, &overrides), ..run });
    let seed = plan.draw_seed();
    let dir = new_folder(args, &plan.name, out)?;
    made.dir = Some(dir.clone());
    made.claim = dir.claim().map_err(|error| Failure::harness(format!("{}: {error}", dir.path().display())))?;
    if made.claim.is_none() {
        out.note(format!(
            "{} lies on a file system without record locks: other commands cannot see that this run goes on; do not judge it \
             before its end",
            dir.path().display()
        ));
    }
    logs::to_file(&dir.log()).map_err(|error| Failure::harness(format!("{}: {error}", dir.log().display())))?;
    let target = args.plan.target(&plan)?;
    let again = again(args, &overrides, seed, &out.results);
    let begun = RunInfo { seed, target: target.name().into(), again: again.clone(), ..new_info(&plan.name) };
    begun.save(&dir).map_err(|error| Failure::harness(format!("{}: {error}", dir.info().display())))?;
    out.note(format!("plan {}, target {}, seed {seed}", plan.name, target.name()));
    if let Some(LabPlan::Nodes(count)) = &plan.cluster.lab {
        out.note(format!("lab of {count} {}", if *count == 1 { "node" } else { "nodes" }));
    }
    if let Some(run) = &repeats {
        stored::differences(run, &overrides).iter().for_each(|difference| out.note(difference));
    }
    fit::warnings(&plan, &target, Some(seed)).iter().for_each(|warning| out.note(format!("plan: {warning}")));
    let source = ClusterSource::find(&plan.cluster, args.leaves_running())?;
    let job = Job {
        seed,
        dir: dir.clone(),
        plan_folder: args.plan.folder().to_path_buf(),
        nodes: source.nodes.clone(),
        leave_running: args.leaves_running(),
        take_over: args.take_over,
        again,
        repeats,
        plan,
    };
    let runtime = cluster_source::runtime()?;
    let progress = Arc::new(TerminalProgress::on_stderr());
    let telling = progress.clone();
    let finished = runtime.block_on(async {
        let stop = signals::listen(move |stop| telling.line(stop.sentence()));
        let stop = stop.map_err(|error| anyhow::anyhow!("signals cannot be heard: {error}"))?;
        execute(job, progress.clone(), stop).await
    });
    runtime.shutdown_background();
    progress.finish();
    if let Some(lab) = source.own_lab().filter(|_| args.leaves_running()) {
        out.note(format!("left running in the lab {lab}; `dsfuzz lab down {lab}` ends it"));
    }
    // The verdict is shown before anything else can fail.
    let answer = finished.map_err(Failure::from).and_then(|finished| show(&finished, &dir, out));
    after_cleaning_up(answer, source.leave(), out)
}

/// The verdict with the outcome of the clean-up. A failed clean-up is reported and never hides the verdict.
fn after_cleaning_up(
    answer: Result<Exit, Failure>,
    cleaned: Result<(), Failure>,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let Err(failure) = cleaned else { return answer };
    out.note(format!("the lab could not be taken down: {failure} (`dsfuzz lab list` lists labs)"));
    answer.map(|exit| Exit::worst([exit, Exit::Harness]))
}

/// Writes the files of a run that ended without a verdict, so that CI finds the reason in them. A file that cannot be
/// written is reported on stderr; the command still ends with the failure of the run.
fn keep_failure(args: &RunArgs, failure: &Failure, dir: Option<RunDir>, out: &mut Output) {
    let dir = dir.map_or_else(|| new_folder(args, &plan_name(&args.plan.file), out), Ok);
    let written = dir.map_err(anyhow::Error::from).and_then(|dir| {
        if dir.verdict().exists() {
            return Ok(());
        }
        let text = secrets::redact(&failure.to_string()).into_owned();
        let exit = i32::from(failure.exit().code());
        let mut info = RunInfo::load(&dir).unwrap_or_else(|_| RunInfo {
            again: format!("dsfuzz run {}", quoted(&args.plan.file.display().to_string())),
            ..new_info(&dir.plan_name())
        });
        info.ended = chrono::Local::now().to_rfc3339();
        info.exit = Some(exit);
        if !info.harness_failures.contains(&text) {
            info.harness_failures.push(text.clone());
        }
        info.save(&dir)?;
        let history = read_back(&dir).unwrap_or_default();
        let verdict = RunVerdict::failed(&text, exit);
        report::write_all(&dir, &history, &info, &verdict)?;
        let lines = report::publish_to_github(&dir, &history, &info, &verdict, |name| std::env::var(name).ok())?;
        if !out.json {
            lines.iter().for_each(|line| out.line(line));
        }
        // A bad plan gives its error alone, as in every other command.
        if failure.exit() != Exit::Usage {
            out.note(format!("the files of this run are in {}", dir.path().display()));
        }
        Ok(())
    });
    if let Err(error) = written {
        out.note(format!("this end of the run could not be kept: {error:#}"));
    }
}

/// The facts of a run at its begin.
fn new_info(plan: &str) -> RunInfo {
    RunInfo {
        format: FORMAT_VERSION,
        dsfuzz: store::VERSION.into(),
        revision: store::REVISION.into(),
        plan: plan.into(),
        started: chrono::Local::now().to_rfc3339(),
        ..RunInfo::default()
    }
}

/// The folder of a plan that could not be read: named by its file, or by the stored run.
fn plan_name(file: &Path) -> String {
    if let Ok(Some(run)) = stored::run_in(file) {
        return run.info.plan;
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.trim_start_matches('.').chars().take(64).map(plain).collect();
    if name.is_empty() { "plan".into() } else { name }
}

fn again(args: &RunArgs, overrides: &Overrides, seed: u64, results: &Path) -> String {
    let mut words = vec!["dsfuzz".to_string(), "run".into(), args.plan.file.display().to_string()];
    let mut changes = overrides.arguments().into_iter().peekable();
    while let Some(word) = changes.next() {
        if word == "--seed" {
            changes.next();
        } else if !word.starts_with("--seed=") {
            words.push(word);
        }
    }
    if results != Path::new(RESULTS) {
        words.extend(["--results".into(), results.display().to_string()]);
    }
    words.extend(["--seed".into(), seed.to_string()]);
    if args.without_faults {
        words.push("--without-faults".into());
    }
    if args.leaves_running() {
        words.push("--leave-running".into());
    }
    words.iter().map(|word| quoted(&secrets::redact(word))).collect::<Vec<_>>().join(" ")
}

/// As one word of a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_string() } else { crate::cluster::quoted(word) }
}

/// Prints the outcome of a run, for people, for programs and for CI.
pub(super) fn show(finished: &FinishedRun, dir: &RunDir, out: &mut Output) -> Result<Exit, Failure> {
    let FinishedRun { info, verdict, history } = finished;
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
    fn a_clean_up_that_fails_hides_no_answer() {
        let arguments = <crate::cli::Cli as clap::Parser>::parse_from(["dsfuzz", "list"]);
        let mut out = Output::new(&arguments.global);
        let mut end = |answer: Result<Exit, Failure>| {
            after_cleaning_up(answer, Err(Failure::harness("read-only file system")), &mut out)
        };
        assert_eq!(end(Ok(Exit::Invalid)).unwrap(), Exit::Invalid);
        assert_eq!(end(Ok(Exit::Valid)).unwrap(), Exit::Harness);
        assert_eq!(end(Ok(Exit::Unknown)).unwrap(), Exit::Harness);
        let failed = end(Err(Failure::harness("no history"))).unwrap_err();
        assert_eq!(failed.to_string(), "no history");
    }

    #[test]
    fn the_folder_of_a_plan_that_cannot_be_read_is_named_by_its_file() {
        assert_eq!(plan_name(Path::new("a/my plan.v2.yaml")), "my-plan.v2");
        assert_eq!(plan_name(Path::new("..")), "plan");
    }

    #[test]
    fn the_command_that_runs_it_again_has_the_seed_once() {
        let mut overrides = Overrides::none();
        overrides.set("load.time=9s").unwrap();
        overrides.set("name=two words").unwrap();
        let arguments = <crate::cli::Cli as clap::Parser>::parse_from(["dsfuzz", "run", "p.yaml"]);
        let crate::cli::Command::Run(args) = arguments.command else { panic!("a run") };
        let command = again(&args, &overrides, 7, Path::new(RESULTS));
        assert!(command.starts_with("dsfuzz run p.yaml"), "{command}");
        assert!(command.contains("load.time=9s") && command.contains("'name=two words'"), "{command}");
        assert_eq!(command.matches("--seed").count(), 1);
        assert!(command.ends_with("--seed 7") && !command.contains("--results"), "{command}");
        let elsewhere = again(&args, &Overrides::none(), 7, Path::new("/tmp/my runs"));
        assert_eq!(elsewhere, "dsfuzz run p.yaml --results '/tmp/my runs' --seed 7");
    }
}
