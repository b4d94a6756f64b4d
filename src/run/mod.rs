//! One run from beginning to end: connect, deploy, load and break, heal, settle, collect, tear down, judge, report.
//!
//! Each step has a deadline and runs even if the previous one failed. Judging and drawing read the run's files only.
mod claims;
mod clients;
mod clocks;
mod deaths;
pub mod driver;
mod export;
pub mod hosts;
mod job;
pub mod journal;
mod last_heal;
mod load;
mod members;
mod multi_client;
pub mod needs;
pub mod nemesis;
mod phases;
pub(crate) mod prepared;
pub mod progress;
pub mod reach;
pub mod recorder;
pub mod roles;
pub mod settle;
mod signals;
pub mod stop;

pub use export::read_back;
pub use job::{Job, NODE_DIR};

use crate::cluster::Node;
use crate::error::LeftAtOnce;
use crate::plan::Plan;
use crate::plan::schedule::ScheduleFile;
use crate::store::{self, RunDir, RunInfo, RunVerdict};
use crate::targets::recipe::FinalReads;
use crate::targets::{self, Convergence, Deployment, NotReady, Target};
use crate::{judge, report, secrets};
use anyhow::{Result, anyhow};
use dsfuzz_checkers::history::{ProcessEvent, ProcessStep, standstill};
use dsfuzz_checkers::{History, Phase};
use dsfuzz_nemesis::Timetable;
use dsfuzz_workloads::{ClientWorkload, Connect, Workload};
use hosts::Hosts;
use phases::Phases;
use progress::Progress;
use recorder::Recorder;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stop::{StopRequest, Urgency};
use tokio::sync::watch;

const CLIENTS: Duration = Duration::from_secs(300);
/// A session gives up after 60 s ([`crate::cluster::ConnectOptions`]) and names its node and its step.
const CONNECT: Duration = Duration::from_secs(70);
const HEAL: Duration = Duration::from_secs(30);
const INSTALL: Duration = Duration::from_secs(600);
/// Deadline of making tables, queues and streams.
const SETUP: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(120);
const COLLECT: Duration = Duration::from_secs(60);
const TEAR_DOWN: Duration = Duration::from_secs(60);
/// How long a connection that is lost at the end may take to return.
const RECONNECT: Duration = Duration::from_secs(15);
/// Starts of a process after the last heal, with a pause between them, until it stays alive.
const START_ATTEMPTS: u32 = 3;
const START_AGAIN: Duration = Duration::from_secs(1);
/// Bytes to collect of each log.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// The outcome of a run.
pub struct FinishedRun {
    /// Its `run.json`.
    pub info: RunInfo,
    /// Its verdict.
    pub verdict: RunVerdict,
    /// The judged history.
    pub history: History,
}

/// Runs a job. An error is a failure before anything could be judged; later failures are part of the verdict.
pub async fn execute(job: Job, progress: Arc<dyn Progress>, stop: watch::Receiver<StopRequest>) -> Result<FinishedRun> {
    let target = targets::load(&job.plan.target, &job.plan_folder, &job.plan.options)?
        .under(job.plan.all_workloads())
        .defining(&job.plan.own_faults());
    let workloads = workloads(&job.plan);
    let nodes: Vec<Node> = job.nodes.iter().map(|(node, _)| node.clone()).collect();
    secrets::keep(nodes.iter().map(|node| &*node.name));
    let connect = connect(&target, &workloads, &nodes, &job.dir)?;
    let timetable = job.timetable(&target);
    if let Some(drawn) = &timetable.swarm {
        progress.line(&format!("swarm: this run {drawn}"));
    }
    let made_from = job.keep_inputs(&target)?;
    let mut run = Run {
        phases: Phases::new(job.info(&target, &timetable, made_from), job.dir.clone(), progress.clone()),
        halt: halt_on(stop.clone(), Urgency::Stop),
        stop,
        progress,
        target,
        workloads,
        connect,
        timetable,
        old_logs: claims::EarlierLogs::default(),
        deaths: Arc::default(),
        job,
    };
    let mut leave = run.stop.clone();
    tokio::select! {
        () = run.all() => run.finish(),
        signal = stop::left(&mut leave) => {
            let cure = run.job.plan.cluster.cure_of_left_faults();
            Err(LeftAtOnce { signal, dir: run.job.dir.path().display().to_string(), cure }.into())
        }
    }
}

/// The workloads of a plan.
fn workloads(plan: &Plan) -> Vec<Arc<dyn Workload>> {
    plan.all_workloads().map(|options| Arc::from(options.build())).collect()
}

fn connect(target: &Target, workloads: &[Arc<dyn Workload>], nodes: &[Node], dir: &RunDir) -> Result<Arc<dyn Connect>> {
    let (mut by_workload, folder) = (BTreeMap::new(), dir.path().join("clients"));
    let run = dir.path().file_name().unwrap_or_default().to_string_lossy();
    for workload in workloads {
        let name = workload.name();
        by_workload.insert(name.clone(), target.connect(&ClientWorkload::of(&**workload), nodes, &folder, &run)?);
    }
    Ok(multi_client::MultiConnect::of(by_workload))
}

/// Does the work; a request to stop cancels it.
async fn unless<T>(mut halt: watch::Receiver<bool>, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = driver::turned_true(&mut halt) => Err(anyhow!("stopped by a signal")),
    }
}

/// True as soon as the one is, or the other has ended. Its task ends with the last receiver.
fn either(
    mut first: watch::Receiver<bool>,
    second: impl Future<Output = ()> + Send + 'static,
) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            () = driver::turned_true(&mut first) => {}
            () = second => {}
            () = sender.closed() => return,
        }
        sender.send_replace(true);
        // Kept open, so that waiting receivers see the value and not a closed channel.
        sender.closed().await;
    });
    receiver
}

/// True as soon as a stop of this urgency is requested.
fn halt_on(mut stop: watch::Receiver<StopRequest>, urgency: Urgency) -> watch::Receiver<bool> {
    let (halt, halted) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            asked = stop.wait_for(|stop| stop.urgency >= urgency) => {
                if asked.is_ok() {
                    halt.send_replace(true);
                }
            }
            () = halt.closed() => return,
        }
        // Kept open, so that waiting receivers see the value and not a closed channel.
        halt.closed().await;
    });
    halted
}

/// A run in progress.
struct Run {
    job: Job,
    target: Target,
    workloads: Vec<Arc<dyn Workload>>,
    connect: Arc<dyn Connect>,
    timetable: Timetable,
    phases: Phases,
    /// The lengths of the logs before this run.
    old_logs: claims::EarlierLogs,
    deaths: Arc<deaths::DeathRecorder>,
    progress: Arc<dyn Progress>,
    stop: watch::Receiver<StopRequest>,
    halt: watch::Receiver<bool>,
}

impl Run {
    fn asked_to(&self, urgency: Urgency) -> bool {
        self.stop.borrow().urgency >= urgency
    }

    /// The steps that need the nodes.
    async fn all(&mut self) {
        let base = self.job.node_dir();
        let connecting = Hosts::connect(self.job.nodes.clone(), self.job.name(), self.job.take_over);
        let connecting = unless(self.halt.clone(), connecting);
        let Some(hosts) = self.phases.run("connect", CONNECT, connecting).await else {
            let why = self.phases.last_problem();
            return self.phases.harness_failed(why);
        };
        self.note_hosts(&hosts);
        let progress = self.progress.clone();
        let watching = hosts.watch(move |text| progress.line(text));
        self.halt = either(self.halt.clone(), hosts.clone().lost());
        let healed = self.phases.run("heal leftovers", HEAL, hosts.heal()).await;
        for why in healed.map_or_else(|| vec![self.phases.last_problem()], |healed| hosts::left_behind(&healed)) {
            self.progress.line(&why);
            self.phases.unseen(format!("what an earlier run left on the nodes may have been in force: {why}"));
        }
        let gone = unless(self.halt.clone(), hosts.clients_gone());
        match (self.phases.run("earlier clients", HEAL, gone).await, self.target.deployment(hosts.remotes(), &base)) {
            (None, _) if self.asked_to(Urgency::Stop) => {}
            (None, _) => {
                let why = self.phases.last_problem();
                self.phases.harness_failed(why);
            }
            (_, Err(error)) => self.phases.harness_failed(error),
            (Some(unknown), Ok(deployment)) => {
                for sentence in unknown {
                    self.progress.line(&sentence);
                    self.phases.unseen(format!("calls of another run may be among those recorded: {sentence}"));
                }
                let deployment = {
                    let plan = &self.job.plan;
                    deployment.with_disk_layers(plan.needs_disk_layers(), plan.needs_disk_copies())
                };
                if self.able(&hosts, &deployment).await {
                    self.deployed(&hosts, deployment).await;
                }
            }
        }
        if let Some(eviction) = hosts.eviction()
            && self.phases.info.judged_until.is_none()
        {
            hosts.gone().await;
            self.phases.evicted(eviction.sentence, None);
        }
        if let Some(sentence) = hosts.vanished() {
            self.phases.failed_first(sentence);
        }
        drop(watching);
        hosts.bye(!self.job.leave_running).await;
    }

    fn note_hosts(&mut self, hosts: &Hosts) {
        for node in &mut self.phases.info.nodes {
            if let Some(hello) = hosts.hello(&node.name) {
                node.kernel = hello.kernel;
                node.boot_id = hello.boot_id;
            }
        }
        self.phases.save();
    }

    /// From the installation to the collected logs.
    async fn deployed(&mut self, hosts: &Arc<Hosts>, deployment: Deployment) {
        let up = self.bring_up(hosts, &deployment).await;
        let mut recorder = None;
        if up && !self.asked_to(Urgency::Stop) {
            let names: Vec<String> = self.job.nodes.iter().map(|(node, _)| node.name.to_string()).collect();
            let now = chrono::Utc::now();
            self.old_logs.wall = Some(now);
            let wall = now.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
            match Recorder::create(&self.job.dir.journal(), &names, wall) {
                Ok(created) => recorder = Some(created),
                Err(error) => self.phases.harness_failed(format!("the journal cannot be made: {error}")),
            }
        }
        if let Some(recorder) = &recorder {
            for sentence in &self.phases.info.unseen {
                recorder.note("", sentence);
            }
            self.measured(hosts, &deployment, recorder).await;
            self.last_looks(hosts, recorder).await;
        }
        let vanished = hosts.vanished().is_some();
        let mut unsearched = Vec::new();
        let collecting = async {
            if vanished {
                return Err("no node can be reached".to_owned());
            }
            let (dir, recorder) = (&self.job.dir, recorder.as_deref());
            claims::collect(&deployment, dir, recorder, LOG_BYTES_MAX, &self.old_logs, &mut unsearched).await
        };
        if self.phases.run("collect", COLLECT, collecting).await.is_none() && recorder.is_some() {
            let why = self.phases.last_problem();
            self.phases.unseen(format!("not every log was read, so that claims of leadership may be missing: {why}"));
        }
        unsearched.into_iter().for_each(|sentence| self.phases.unseen(sentence));
        if let Some(recorder) = recorder {
            recorder.end();
            if let Some(why) = recorder.failure() {
                self.phases.harness_failed(format!("recording failed: {why}"));
            }
        }
        if !self.job.leave_running && !vanished {
            self.phases.run("teardown", TEAR_DOWN, async { deployment.wipe().await }).await;
        }
    }

    /// Whether the target serves on every node.
    async fn bring_up(&mut self, hosts: &Arc<Hosts>, deployment: &Deployment) -> bool {
        let install = unless(self.halt.clone(), async { Ok(deployment.install().await?) });
        let installed = self.phases.run("install", INSTALL, install).await.is_some();
        let deaths = self.deaths.clone();
        let start = unless(self.halt.clone(), async {
            deployment.wipe().await?;
            let old_logs = claims::lengths(deployment).await?;
            if let Some(problem) = deaths.forget_earlier(hosts.as_ref()).await.into_iter().next() {
                return Err(anyhow!(problem));
            }
            deployment.start(START).await?;
            deployment.await_ready(START).await?;
            Ok(old_logs)
        });
        let started = if installed { self.phases.run("start", START + START, start).await } else { None };
        let Some(old_logs) = started else {
            let why = self.phases.last_problem();
            if !self.asked_to(Urgency::Stop) {
                self.phases.harness_failed(why);
            }
            return false;
        };
        self.old_logs.start = old_logs;
        // A target without a version is still tested.
        if let Ok(versions) = deployment.versions().await {
            let versions = versions.into_iter().filter(|(_, version)| !version.is_empty());
            self.phases.info.target_versions = versions.map(|(node, version)| (node.to_string(), version)).collect();
            self.phases.save();
        }
        true
    }

    /// The recorded steps: load and faults, heal, recovery, final reads.
    async fn measured(&mut self, hosts: &Arc<Hosts>, deployment: &Deployment, recorder: &Arc<Recorder>) {
        self.deaths.begin(hosts.as_ref(), recorder);
        match claims::lengths(deployment).await {
            Ok(lengths) => self.old_logs.load = lengths,
            // Then the log lines of the deployment count too.
            Err(error) => tracing::warn!("the logs' lengths before the load: {error}"),
        }
        let watching = tokio::spawn(self.deaths.clone().watch(hosts.clone(), recorder.clone()));
        let load = load::Load::new(self, hosts, deployment, recorder);
        let trying = unless(self.halt.clone(), async { load.try_clients().await.map_err(|why| anyhow!(why)) });
        if self.phases.run("clients", CLIENTS, trying).await.is_none() {
            if !self.asked_to(Urgency::Stop) {
                let why = self.phases.last_problem();
                self.phases.harness_failed(why);
            }
            watching.abort();
            return;
        }
        let preparing = unless(self.halt.clone(), async {
            load.set_up().await.map_err(|why| anyhow!(why))?;
            // What was made without a sync before the load is no matter of the target's promises.
            Ok(deployment.keep_disks().await?)
        });
        if self.phases.run("setup", SETUP * 2, preparing).await.is_none() {
            if !self.asked_to(Urgency::Stop) {
                let why = self.phases.last_problem();
                self.phases.harness_failed(why);
            }
            watching.abort();
            return;
        }
        self.progress.phase("clients", Some(prepared::READY_WITHIN));
        let (dir, progress, time) = (self.job.dir.clone(), self.progress.clone(), self.job.plan.load.time.0);
        let begins = move || {
            if let Err(error) = store::become_latest(&dir) {
                progress.line(&format!("{error:#}"));
            }
            progress.phase("load", Some(time));
        };
        let Some(ran) = load.run(&self.progress, self.halt.clone(), begins).await else {
            self.phases.unseen("the run was stopped before its load began, while its clients opened");
            if hosts.eviction().is_some() {
                hosts.gone().await;
            }
            watching.abort();
            return;
        };
        let load::FinishedLoad { began, readiness, summary, faults, probing } = ran;
        self.phases.info.readiness = Some(readiness);
        self.phases.info.timetable_slip_ms = faults.slip_ms;
        let mut as_measured = faults.schedule.clone();
        self.job.plan.nemesis.iter().for_each(|nemesis| nemesis.define(&mut as_measured));
        let as_measured = ScheduleFile::of(&self.job.plan, &self.timetable, &as_measured).to_yaml();
        if let Err(error) = std::fs::write(self.job.dir.schedule(), &*secrets::redact(&as_measured)) {
            self.progress.line(&format!("the faults could not be stored as a schedule: {error}"));
        }
        let problem = match &summary.stopped {
            driver::StopReason::Recorder(why) => why.clone(),
            _ => String::new(),
        };
        self.phases.ended("load", began, problem);
        if summary.stopped == driver::StopReason::Signal {
            let planned = self.job.plan.load.time.0.as_secs();
            let ran = began.elapsed().as_secs();
            self.phases.unseen(format!("the load was stopped by a signal after {ran} s of {planned} s"));
        }
        let at_fault = match &summary.stopped {
            driver::StopReason::PermanentErrors(sentence) => Some(sentence),
            _ => None,
        };
        for sentence in at_fault.into_iter().chain(&summary.harness) {
            self.phases.harness_failed(sentence);
        }
        if hosts.eviction().is_some() {
            // All clients are closed here; the run that took over the nodes waits for this report.
            hosts.gone().await;
        }
        recorder.phase(Phase::Recover);
        let healing = load.heal_all(self.halt.clone());
        let longest = HEAL.max(load.longest_heal());
        let healed = hosts.vanished().is_none() && self.phases.run("heal", longest, healing).await.is_some();
        if hosts.vanished().is_none() && !healed {
            let why = self.phases.last_problem();
            let cure = self.job.plan.cluster.cure_of_left_faults();
            self.phases.harness_failed(format!("faults may be left on the nodes ({cure}): {why}"));
        }
        if hosts.are_lost() || at_fault.is_some() {
            // Later reads would belong to another run, or fail as all others did.
        } else if !self.asked_to(Urgency::Hurry) {
            self.recover(deployment, recorder).await;
            self.settle(&load, recorder, &summary).await;
        } else {
            self.phases.unseen("the run was hurried to its end: no final reads were made");
        }
        probing.stop().await;
        watching.abort();
    }

    /// Records the last deaths of the target's processes, and whether the nodes belonged to this run to the end.
    async fn last_looks(&mut self, hosts: &Arc<Hosts>, recorder: &Arc<Recorder>) {
        let lost = hosts.settled(RECONNECT).await;
        if let Some(eviction) = hosts.eviction() {
            let before =
                recorder.now().saturating_sub(u64::try_from(eviction.before.elapsed().as_nanos()).unwrap_or(u64::MAX));
            return self.phases.evicted(eviction.sentence, Some(before));
        }
        if !lost.is_empty() {
            let lost = lost.join(", ");
            self.phases
                .unseen(format!("no connection to {lost} at the end: whether another run took it over is not known"));
        }
        for problem in self.deaths.look(hosts.as_ref(), recorder, true).await {
            self.phases.unseen(format!("how processes of the target ended was not asked: {problem}"));
        }
    }

    /// Waits until every node serves. Dead processes are started again, with a note. A node that does not come back is a finding
    /// about the target, not a failure of the harness.
    async fn recover(&mut self, deployment: &Deployment, recorder: &Arc<Recorder>) {
        let deadline = self.job.plan.load.recovery.0;
        let end = Instant::now() + deadline;
        let recovering = unless(self.hurry(), async {
            let mut attempts = 0;
            loop {
                for (node, process) in deployment.restart_dead().await? {
                    recorder.process(deaths::event(&node, &process, ProcessStep::Restarted));
                }
                let not_ready = deployment.not_ready(end.saturating_duration_since(Instant::now())).await?;
                attempts += 1;
                if not_ready.is_empty() || attempts == START_ATTEMPTS || Instant::now() + START_AGAIN >= end {
                    return Ok(not_ready);
                }
                tokio::time::sleep(START_AGAIN).await;
            }
        });
        let recovered = self.phases.run("recover", deadline + Duration::from_secs(30), recovering).await;
        match recovered {
            Some(not_ready) => not_ready.into_iter().for_each(|process| self.not_back(recorder, process)),
            None => {
                let why = self.phases.last_problem();
                self.phases.unseen(format!("not every node served again after the last heal: {why}"));
            }
        }
        let converging = unless(self.hurry(), async {
            match deployment.await_converged(deadline).await {
                Convergence::NotYet(why) => Err(anyhow!(why.join("; "))),
                Convergence::Converged => Ok(true),
                Convergence::NotAsked => Ok(false),
            }
        });
        // Checkers see the history only, so it gets the probe's answer.
        match self.phases.run("converge", deadline + Duration::from_secs(10), converging).await {
            Some(true) => drop(recorder.note("", standstill::CONVERGED)),
            Some(false) => {}
            None => {
                let problem = format!("{}: {}", standstill::NOT_CONVERGED, self.phases.last_problem());
                recorder.note("", &problem);
                self.phases.unseen(problem);
            }
        }
    }

    fn not_back(&mut self, recorder: &Recorder, not_ready: NotReady) {
        let NotReady { node, process, waited, waiting_for, log } = not_ready;
        let how = format!("{waiting_for}; it was waited for {}", humantime::format_duration(waited));
        self.progress.line(&format!("recover: {process} on {node} did not come back: {how}"));
        self.phases.unseen(format!("{process} on {node} did not serve again after the last heal: {how}"));
        let now = recorder.now();
        recorder.process(ProcessEvent {
            how,
            between: Some((now, now)),
            detail: log.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect(),
            ..deaths::event(&node, &process, ProcessStep::DidNotComeBack)
        });
    }

    async fn settle(&mut self, load: &load::Load, recorder: &Arc<Recorder>, summary: &driver::DriverSummary) {
        let options = load.settle_options(self.job.plan.load.settle.0, summary);
        let limit = options.time + options.deadline + Duration::from_secs(10);
        let halt = self.hurry();
        let settling = settle::settle(recorder.clone(), self.connect.clone(), &self.workloads, options, halt);
        let settled = self.phases.run("settle", limit, async { Ok::<_, String>(settling.await) }).await;
        let Some(settled) = settled else {
            let why = self.phases.last_problem();
            return self.phases.unseen(format!("the final reads did not end: {why}"));
        };
        for sentence in &settled.harness {
            self.phases.harness_failed(sentence);
        }
        let mut silent: BTreeMap<String, (usize, &str)> = BTreeMap::new();
        for missed in &settled.missed {
            let reads = silent.entry(missed.node.to_string()).or_default();
            *reads = (reads.0 + 1, &missed.error);
        }
        for (node, (reads, error)) in silent {
            let noun = if reads == 1 { "read" } else { "reads" };
            let why = if error.is_empty() { "its turn never came" } else { error };
            self.phases.unseen(format!("{reads} final {noun} on {node} never succeeded, the last one because: {why}"));
        }
        if let Some(failed) = settled.failed().filter(|_| !settled.missed.is_empty()) {
            self.phases.unseen(failed);
        }
    }

    /// The nodes that must answer the final reads, by the plan, else by the recipe.
    fn final_reads(&self) -> FinalReads {
        self.job.final_reads(&self.target)
    }

    /// True after the second signal.
    fn hurry(&self) -> watch::Receiver<bool> {
        halt_on(self.stop.clone(), Urgency::Hurry)
    }

    /// Export, read back, judge, draw.
    fn finish(mut self) -> Result<FinishedRun> {
        let stop = *self.stop.borrow();
        if stop.asked() {
            self.phases.info.stopped_by = Some(if stop.signal == 15 { "SIGTERM" } else { "SIGINT" }.into());
        }
        self.progress.phase("check", Some(self.job.plan.budget.time.0));
        let began = Instant::now();
        let history = if self.job.dir.journal().is_dir() {
            match read_back(&self.job.dir) {
                Ok(history) => history,
                Err(error) => {
                    self.phases.harness_failed(format!("{error:#}"));
                    History::default()
                }
            }
        } else {
            History::default()
        };
        let rules = judge::Rules::of_plan(&self.job.plan, &self.phases.info.facts);
        let verdict = judge::judge(&history, &rules, &self.phases.info);
        let verdict = secrets::redacted(&verdict).unwrap_or_else(|why| {
            self.phases.harness_failed(format!("the verdict: {why}"));
            verdict.bare(&why)
        });
        self.phases.ended("check", began, String::new());
        self.phases.info.ended = chrono::Local::now().to_rfc3339();
        self.phases.info.exit = Some(verdict.exit);
        self.phases.save();
        // A broken promise is reported even if `run.json` cannot be written.
        self.phases.info = secrets::redacted(&self.phases.info).unwrap_or_else(|why| {
            tracing::error!("the run's account: {why}");
            let harness_failures = vec![format!("the run's account: {why}")];
            RunInfo { exit: Some(verdict.exit), harness_failures, ..RunInfo::default() }
        });
        if let Err(error) = report::write_all(&self.job.dir, &history, &self.phases.info, &verdict) {
            self.progress.line(&format!("the report could not be drawn whole: {error:#}"));
        }
        self.progress.finish();
        Ok(FinishedRun { info: self.phases.info, verdict, history })
    }
}
