//! `dsfuzz replay`: runs a stored run again and again, and says how often its finding comes back.
use super::stored::{self, PlannedOrNot};
use super::{Output, OverrideArgs, Paint, PlanArgs, cluster_source, signals};
use crate::error::{Exit, Failure};
use crate::plan::Overrides;
use crate::replay::{self, Attempt, Outcome, Ran, Rate, Runner, Signature, Wanted};
use crate::run::stop::StopRequest;
use crate::store::{Inputs, ReplayFaults, RunDir, RunVerdict, StoredRun};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::sync::watch;

/// Most runs of a replay.
const RUNS_MAX: i64 = 10_000;

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The stored run: `latest`, PLAN, PLAN/TIME, its folder, or its archive (`dsfuzz pack`)
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: PathBuf,
    /// The changes to its plan.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// Runs with faults that must count
    #[arg(short = 'n', long = "runs", default_value_t = 10, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=RUNS_MAX as u64))]
    pub runs: u64,
    /// Runs without faults that must count [default: as many as with faults; 0 if the run had no faults]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=RUNS_MAX as u64))]
    pub control: Option<u64>,
    /// The finding that is to come back, as CHECKER/KIND [default: the first one of the run's verdict]
    #[arg(long, value_name = "CHECKER/KIND")]
    pub finding: Option<String>,
    /// Count only runs of this command: earlier replays of the same run are not counted again
    #[arg(long)]
    pub fresh: bool,
}

pub(super) fn main(args: &ReplayArgs, out: &mut Output) -> Result<Exit, Failure> {
    let plan = PlanArgs { file: args.run.clone(), overrides: args.overrides.clone() };
    let plan = stored::resolved(&plan, &out.results)?;
    super::runs::has_ended(&RunDir::at(plan.file.canonicalize().unwrap_or_else(|_| plan.file.clone())))?;
    let Some(run) = stored::run_in(&plan.file)? else {
        return Err(Failure::Usage(format!(
            "{} is no stored run: `dsfuzz runs` lists them, and `dsfuzz run PLAN` makes one",
            plan.file.display()
        )));
    };
    let findings = findings(&run)?;
    let finding = chosen(args, &run, &findings)?;
    let (planned, overrides) = plan.load()?;
    let faults = planned.nemesis.is_some();
    let control = args.control.unwrap_or(if faults { args.runs } else { 0 });
    if control > 0 && !faults {
        return Err(Failure::Usage(format!(
            "--control {control}: the run has no faults, so that every replay is without"
        )));
    }
    let wanted = Wanted { finding, findings, runs: args.runs, control };
    stored::differences(&run, &overrides).iter().for_each(|difference| out.note(difference));
    let done = if args.fresh { Vec::new() } else { earlier(&plan, &run, out)? };
    let counted = |control| done.iter().filter(|run| run.control == control && run.not_counted.is_none()).count();
    let (with, without) = (counted(false), counted(true));
    if with + without > 0 {
        out.note(format!(
            "{with} earlier {} with faults and {without} without are counted again (--fresh starts anew)",
            if with == 1 { "run" } else { "runs" }
        ));
    }
    let runtime = cluster_source::runtime()?;
    let listening = runtime.block_on(async { signals::listen(|stop| super::progress::aside(reaction(stop))) });
    let stop = listening.map_err(|error| Failure::harness(format!("signals cannot be heard: {error}")))?;
    let mut runner =
        Programs { runtime: &runtime, arguments: arguments(&run, &overrides, out), stop, verbose: out.verbose };
    let outcome = replay::repeat(&wanted, done, &mut runner, &mut |attempt, rate| {
        super::progress::aside(&line(attempt, rate, &wanted));
    })?;
    show(&run, &wanted, &outcome, out)?;
    Ok(outcome.exit())
}

fn findings(run: &StoredRun) -> Result<Vec<Signature>, Failure> {
    let path = run.dir.verdict();
    let verdict = RunVerdict::load(&run.dir)
        .map_err(|error| Failure::Usage(format!("{}: {error}: `dsfuzz check` judges the run first", path.display())))?;
    let found = Signature::of(&verdict);
    if found.is_empty() {
        return Err(Failure::Usage(format!(
            "the run in {} broke no promise, so that nothing can come back: {}",
            run.dir.path().display(),
            verdict.sentence
        )));
    }
    Ok(found)
}

fn chosen(args: &ReplayArgs, run: &StoredRun, findings: &[Signature]) -> Result<Signature, Failure> {
    let meant = match &args.finding {
        None => findings.first(),
        Some(name) => findings.iter().find(|finding| finding.to_string() == *name),
    };
    meant.cloned().ok_or_else(|| {
        let known: Vec<String> = findings.iter().map(Signature::to_string).collect();
        Failure::Usage(format!(
            "--finding {}: the run in {} has no such finding; it has {}",
            args.finding.as_deref().unwrap_or_default(),
            run.dir.path().display(),
            known.join(", ")
        ))
    })
}

/// Runs of earlier commands that are the same in everything that matters.
fn earlier(plan: &PlanArgs, run: &StoredRun, out: &Output) -> Result<Vec<Attempt>, Failure> {
    let mut found = Vec::new();
    for faults in [PlannedOrNot::Planned, PlannedOrNot::Without] {
        let (planned, overrides) = plan.load_with(faults)?;
        let inputs = Inputs::of(&plan.target(&planned)?);
        let repeated = StoredRun { faults: stored::faults(run, &planned, &overrides), ..run.clone() };
        let replay = repeated.replay(&planned.without_target().map_err(Failure::harness)?, &inputs);
        let control = faults == PlannedOrNot::Without;
        let attempts = replay::earlier(&out.results, &replay)?;
        found.extend(attempts.into_iter().map(|attempt| Attempt { control, ..attempt }));
        // Without faults both arms are the same.
        if repeated.faults == ReplayFaults::None {
            break;
        }
    }
    Ok(found)
}

/// The arguments of one run.
fn arguments(run: &StoredRun, overrides: &Overrides, out: &Output) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["run".into(), run.dir.path().into()];
    words.extend(overrides.arguments().into_iter().map(OsString::from));
    words.extend(["--json".into(), "--results".into(), out.results.clone().into()]);
    words
}

/// Runs each time a process of this program: a lab is entered by a process, and never left.
struct Programs<'a> {
    runtime: &'a tokio::runtime::Runtime,
    arguments: Vec<OsString>,
    stop: watch::Receiver<StopRequest>,
    verbose: bool,
}

impl Runner for Programs<'_> {
    fn run(&mut self, control: bool) -> Result<Ran, Failure> {
        if self.stop.borrow().asked() {
            return Ok(Ran::Stopped(self.stop.borrow().signal, None));
        }
        let failed = |error: std::io::Error| Failure::harness(format!("dsfuzz cannot be started: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let output = self.runtime.block_on(async {
            let mut command = tokio::process::Command::new(program);
            command.args(&self.arguments).args(control.then_some("--without-faults"));
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            command.stderr(if self.verbose { Stdio::inherit() } else { Stdio::null() });
            // In a group of its own, so that it hears of each signal once, from here.
            let child = command.process_group(0).spawn()?;
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
            let mut stop = self.stop.clone();
            let mut ended = std::pin::pin!(child.wait_with_output());
            loop {
                tokio::select! {
                    output = &mut ended => return output,
                    Ok(()) = stop.changed() => {
                        // A run that has just ended is heard of above.
                        let _ = pid.map(|pid| kill(pid, Signal::SIGINT));
                    }
                }
            }
        });
        let output = output.map_err(failed)?;
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let path = document["dir"].as_str().map(PathBuf::from);
        let stop = *self.stop.borrow();
        if stop.asked() {
            return Ok(Ran::Stopped(stop.signal, path));
        }
        let error =
            document["error"].as_str().map_or_else(|| format!("it ended with {}", output.status), str::to_owned);
        match (path, document["exit"].as_u64()) {
            (Some(path), _) => Ok(Ran::Ended(Ok(path))),
            (None, Some(254)) => Err(Failure::Usage(error)),
            (None, _) => Ok(Ran::Ended(Err(error))),
        }
    }
}

/// What a signal does, for people.
fn reaction(stop: StopRequest) -> &'static str {
    match stop.urgency {
        crate::run::stop::Urgency::None | crate::run::stop::Urgency::Stop => {
            "stopping: the run under way heals and ends; it does not count (again: it ends sooner)"
        }
        _ => stop.sentence(),
    }
}

/// One run, in a line.
fn line(attempt: &Attempt, rate: Rate, wanted: &Wanted) -> String {
    let (how, of) = if attempt.control { ("without faults", wanted.control) } else { ("with faults", wanted.runs) };
    let path = attempt.path.display();
    if let Some(why) = &attempt.not_counted {
        return format!("{how}: not counted: {why} {path}");
    }
    let what = match (attempt.has(&wanted.finding), attempt.found.first(), attempt.validity) {
        (true, ..) => "reproduced".to_owned(),
        (false, Some(other), _) => format!("not reproduced, but {other}"),
        (false, None, Some(dsfuzz_checkers::Validity::Unknown)) => "not reproduced, and unknown".to_owned(),
        (false, None, _) => "not reproduced".to_owned(),
    };
    format!("{how} {} of {of}: {what}: {path}", rate.runs)
}

fn show(run: &StoredRun, wanted: &Wanted, outcome: &Outcome, out: &mut Output) -> Result<(), Failure> {
    let rates = outcome.rates(wanted);
    let remarks = remarks(run, wanted, outcome);
    if out.json {
        return out.document(&serde_json::json!({
            "run": run.dir.path(),
            "finding": wanted.finding,
            "sentence": outcome.sentence(wanted),
            "wanted": {"with_faults": wanted.runs, "control": wanted.control},
            "rates": rates,
            "runs": outcome.with_faults.attempts.iter().chain(&outcome.control.attempts).collect::<Vec<_>>(),
            "stopped_by": outcome.stopped,
            "gave_up": outcome.gave_up,
            "remarks": remarks,
            "exit": outcome.exit().code(),
        }));
    }
    if rates.len() > 1 {
        let row = |rates: &replay::FindingRates| {
            let other = if rates.stored { "" } else { " (not in the stored run)" };
            let control = if wanted.control > 0 { rates.control.to_string() } else { "-".to_owned() };
            vec![
                format!("{}{other}", rates.finding),
                rates.with_faults.to_string(),
                rates.with_faults.interval(),
                control,
            ]
        };
        out.table(&["finding", "with faults", "95 %", "without"], &rates.iter().map(row).collect::<Vec<_>>());
    }
    remarks.iter().for_each(|remark| out.line(remark));
    let sentence = outcome.sentence(wanted);
    let hits = outcome.with_faults.rate(&wanted.finding).hits;
    let sentence = out.paint(if hits > 0 { Paint::Bad } else { Paint::Strong }, &sentence);
    out.line(sentence);
    Ok(())
}

/// What a reader of the rate must know, one sentence each.
fn remarks(run: &StoredRun, wanted: &Wanted, outcome: &Outcome) -> Vec<String> {
    let mut remarks = Vec::new();
    let unknown = [(&outcome.with_faults, "with faults"), (&outcome.control, "without faults")];
    for (arm, how) in unknown.into_iter().filter(|(arm, _)| arm.unknown() > 0) {
        remarks.push(format!(
            "{} of {} runs {how} are unknown: too little was seen in them",
            arm.unknown(),
            arm.counted()
        ));
    }
    let (stored, mut now) = (replay::versions(&run.info), Vec::new());
    for version in outcome.with_faults.attempts.iter().flat_map(|attempt| &attempt.target_versions) {
        if !stored.contains(version) && !now.contains(version) {
            now.push(version.clone());
        }
    }
    if !stored.is_empty() && !now.is_empty() {
        remarks.push(format!(
            "the target is of another version than in the stored run: {} (was {})",
            now.join(", "),
            stored.join(", ")
        ));
    }
    if outcome.stopped.is_some() {
        let left = wanted.runs + wanted.control - outcome.with_faults.counted() - outcome.control.counted();
        let noun = if left == 1 { "run" } else { "runs" };
        remarks.push(format!("stopped with {left} {noun} to go: the same command goes on from here"));
    }
    if let Some(why) = &outcome.gave_up {
        remarks.push(format!("given up: several runs one after the other did not count; the last: {why}"));
    }
    remarks
}
