//! The nemesis at work: carries out a timetable on real agents and tells what happened as events of the history.
//!
//! One harm at a time: resolve, look before, act, prove, wait, prove again, heal, prove the heal. Every step has a
//! deadline, so that nothing keeps a heal waiting. Never: a draw, a judgement, a retry of an act (only of a heal).
mod heal;
mod links;
mod paths;
mod proof;
mod remotes;
mod report;
mod story;
#[cfg(test)]
mod tests;

pub use heal::NodeHeal;
pub use links::{Wall, WallKind};
pub use remotes::{FixedRemotes, Remotes};
pub use report::HarmReport;

use crate::cluster::RemoteError;
use dsfuzz_checkers::history::{FaultEvent, FaultStep, Mark};
use dsfuzz_nemesis::harm::Link;
use dsfuzz_nemesis::protocol::Ask;
use dsfuzz_nemesis::{Harm, NodeView, PlannedHarm, Timetable, View, resolve};
use dsfuzz_workloads::BoxFuture;
use links::Open;
use proof::Since;
use remotes::everywhere;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use story::{Stories, Story};
use tokio::sync::watch;
use tokio::time::Instant;

/// Writes an event into the journal; fills in its index and time and says which.
pub type Log = Arc<dyn Fn(FaultEvent) -> Mark + Send + Sync>;
/// The cluster as it is now. True: a fault is aimed at the leader, which is worth waiting for an election; false: with
/// the leader that is known, at once.
pub type Views = Arc<dyn Fn(bool) -> BoxFuture<'static, View> + Send + Sync>;
/// Nanoseconds on the control node's clock, as the journal counts them.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The view of the cluster.
    pub view: Duration,
    /// An act on a node.
    pub act: Duration,
    /// A look at a node: a proof, a list of services.
    pub look: Duration,
    /// One round of datagrams.
    pub round: Duration,
    /// From the acts to the proof.
    pub prove: Duration,
    /// One undo on a node.
    pub undo: Duration,
    /// From the first undo to the last retry.
    pub heal: Duration,
    /// Until every link is heard again after a heal.
    pub heal_proof: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            view: Duration::from_secs(1),
            act: Duration::from_secs(5),
            look: Duration::from_secs(1),
            round: Duration::from_millis(500),
            prove: Duration::from_secs(2),
            undo: Duration::from_secs(5),
            heal: Duration::from_secs(15),
            heal_proof: Duration::from_secs(3),
        }
    }
}

/// A fault that begins so much later than the timetable says is told.
const SLIP_TOLD: Duration = Duration::from_millis(100);

/// Carries out timetables.
pub struct Executor {
    remotes: Arc<dyn Remotes>,
    run: String,
    view: Views,
    now: Now,
    limits: Limits,
    stories: Stories,
    rounds: AtomicU64,
    /// The nodes as the plan and the recipe know them.
    nodes: Mutex<Vec<NodeView>>,
}

impl Executor {
    /// An executor for the run of this name (the name its agents were greeted with).
    pub fn new(remotes: Arc<dyn Remotes>, run: impl Into<String>, log: Log, view: Views, now: Now) -> Executor {
        Executor {
            remotes,
            run: run.into(),
            view,
            now,
            limits: Limits::default(),
            stories: Stories::new(log),
            rounds: AtomicU64::new(0),
            nodes: Mutex::default(),
        }
    }

    /// With other limits.
    pub fn with_limits(mut self, limits: Limits) -> Executor {
        self.limits = limits;
        self
    }

    /// Carries out a timetable whose load begins at `start`, until it is done or `stop` turns true. Whatever is in
    /// force then is healed at once. Afterwards [`Executor::heal_all`] makes sure that nothing is left.
    pub async fn run(&self, timetable: &Timetable, start: Instant, mut stop: watch::Receiver<bool>) -> Vec<HarmReport> {
        for planned in &timetable.harms {
            self.stories.planned(planned);
        }
        let quiet_from = start + timetable.quiet_from.0;
        let mut reports = Vec::new();
        let mut late_acts = Vec::new();
        for planned in &timetable.harms {
            let mut report = HarmReport::of(planned);
            if wait(start + planned.at.0, &mut stop).await == Wake::Stopped {
                report.problems.push("stopped before it began".to_owned());
            } else if Instant::now() >= quiet_from {
                let why = "no time was left: what came before it took too long".to_owned();
                self.stories.of(planned).tell(FaultStep::Unproven, vec![why.clone()]);
                report.problems.push(why);
            } else {
                self.undo_late(&mut late_acts).await;
                let due = start + planned.at.0;
                late_acts = self.one(planned, (due, quiet_from), &mut stop, &mut report).await;
            }
            reports.push(report);
        }
        self.undo_late(&mut late_acts).await;
        reports
    }

    /// One harm from beginning to end, with when it was due and from when on it is quiet. Returns where acts had no
    /// answer in time: they may still happen.
    async fn one(
        &self,
        planned: &PlannedHarm,
        (due, quiet_from): (Instant, Instant),
        stop: &mut watch::Receiver<bool>,
        report: &mut HarmReport,
    ) -> Vec<(u64, String)> {
        let decided = Instant::now();
        let story = self.stories.of(planned);
        let harm = match self.resolve(planned).await {
            Ok(harm) => harm,
            Err(why) => {
                story.tell(FaultStep::Unproven, vec![format!("not resolved: {why}")]);
                report.problems.push(format!("not resolved: {why}"));
                return Vec::new();
            }
        };
        let story = story.resolved(&harm);
        report.what.clone_from(&harm.what);
        report.nodes.clone_from(&harm.nodes);
        story.tell(FaultStep::Resolved, Vec::new());

        let (open, before) = self.look_before(&harm).await;
        let begun = Instant::now();
        let slip = begun.saturating_duration_since(due);
        report.slip_ms = Some(millis(slip));
        report.begun = Some(story.begin((slip >= SLIP_TOLD).then_some(slip)));
        let (failed, late) = self.act(planned.id, &harm).await;
        let acted = failed.is_empty();
        self.prove(&story, (&harm, &open), [before, failed].concat(), decided, stop, report).await;
        if acted {
            wait((begun + planned.lasts.0).min(quiet_from), stop).await;
        }
        if report.proven {
            self.prove_again(&story, (&harm, &open), report).await;
        }
        self.report_self_heals(harm.acts.iter().map(|(node, _)| node.clone()).collect(), report).await;
        self.heal(&story, (&harm, &open), report).await;
        late.into_iter().map(|node| (planned.id, node)).collect()
    }

    async fn resolve(&self, planned: &PlannedHarm) -> Result<Harm, String> {
        let view = tokio::time::timeout(self.limits.view, (self.view)(planned.aims_at_leader())).await;
        let mut view =
            view.map_err(|_| format!("no view of the cluster within {} ms", self.limits.view.as_millis()))?;
        self.remember(&view);
        if planned.kind() == "partition" {
            self.learn_addresses(&mut view).await;
        }
        resolve(planned, &view).map_err(|why| why.to_string())
    }

    /// Completes the view by the addresses that the nodes have now. Where a node does not say them, the look before the
    /// fault tells why.
    async fn learn_addresses(&self, view: &mut View) {
        let names: Vec<&str> = view.names().collect();
        let links: Vec<Link> = names
            .iter()
            .flat_map(|from| {
                names.iter().filter(move |to| *to != from).map(move |to| (from.to_string(), to.to_string()))
            })
            .collect();
        if let Ok(peers) = self.peers(&links, self.limits.look).await {
            view.nodes.iter_mut().for_each(|node| node.others = peers.others(&node.name));
        }
    }

    fn remember(&self, view: &View) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&view.nodes);
    }

    /// A node as the last view had it.
    fn seen(&self, node: &str) -> Option<NodeView> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().find(|view| view.name == node).cloned()
    }

    /// Acts on all nodes at once. Returns what went wrong, and the nodes whose answer did not come.
    async fn act(&self, fault: u64, harm: &Harm) -> (Vec<String>, Vec<String>) {
        let asks = harm.acts.iter().map(|(node, act)| (node.clone(), Ask::Act { fault, act: act.clone() }));
        let (mut failed, mut late) = (Vec::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks.collect(), self.limits.act).await {
            if let Err(error) = answer {
                failed.push(format!("the act failed: {error}"));
                if !matches!(error, RemoteError::Refused { .. }) {
                    late.push(node);
                }
            }
        }
        (failed, late)
    }

    /// Tells whether it is in force, now that the acts were asked for and with these problems so far.
    async fn prove(
        &self,
        story: &Story<'_>,
        (harm, open): (&Harm, &Open),
        problems: Vec<String>,
        decided: Instant,
        stop: &mut watch::Receiver<bool>,
        report: &mut HarmReport,
    ) {
        let shown = if problems.is_empty() {
            tokio::select! {
                biased;
                () = stopped(stop) => Err(vec!["stopped before it was proven".to_owned()]),
                shown = self.show(story.fault(), (harm, open), Since::Act, self.limits.prove) => shown,
            }
        } else {
            Err(problems)
        };
        match shown {
            Ok(detail) => {
                let took_ms = millis(decided.elapsed());
                (report.proven, report.prove_ms) = (true, Some(took_ms));
                story.tell(
                    FaultStep::Proven,
                    [detail, vec![format!("proven {took_ms} ms after the decision")]].concat(),
                );
            }
            Err(problems) => {
                report.problems.extend(problems.iter().cloned());
                story.tell(FaultStep::Unproven, problems);
            }
        }
    }

    async fn prove_again(&self, story: &Story<'_>, (harm, open): (&Harm, &Open), report: &mut HarmReport) {
        match self.show(story.fault(), (harm, open), Since::Round, self.limits.prove).await {
            Ok(detail) => {
                report.reproven = true;
                story.tell(FaultStep::Reproven, detail);
            }
            Err(problems) => {
                report.problems.extend(problems.iter().cloned());
                story.tell(FaultStep::Lapsed, problems);
            }
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Time,
    Stopped,
}

async fn wait(until: Instant, stop: &mut watch::Receiver<bool>) -> Wake {
    tokio::select! {
        biased;
        () = stopped(stop) => Wake::Stopped,
        () = tokio::time::sleep_until(until) => Wake::Time,
    }
}

/// Ends when somebody asked to stop; never, when nobody is left who could.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
