//! Carries out a schedule: each fault waits for its own begin, and they may be in force at the same time.
use super::fault_log::FaultLog;
use super::links::OpenPaths;
use super::proof::LookBefore;
use super::signals::Fired;
use super::{Executor, FaultOutcome, HEAL_AGAIN, InForceUntil, SLIP_NOTED, WaitEnd, stopped, wait};
use dsfuzz_checkers::history::FaultStep;
use dsfuzz_nemesis::facts::VerifiedBy;
use dsfuzz_nemesis::schedule::{Trigger, TriggerStep};
use dsfuzz_nemesis::{
    BoundFault, ClusterView, PlannedFault, ResolvedFault, Timetable, Verification, resolve, schedule,
};
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long before its begin a fault is bound and the nodes are looked at, so that it begins in time.
const AHEAD_LINKS: Duration = Duration::from_millis(100);
/// The same for a fault that each agent verifies on its own node.
const AHEAD_STATE: Duration = Duration::from_millis(30);

/// A fault that is bound, with the looks at the nodes before it.
struct Ready {
    fault: ResolvedFault,
    open: OpenPaths,
    before: LookBefore,
    leaders: Vec<String>,
    /// The nodes that voted then.
    voters: Vec<String>,
}

/// How long a fault for which the budget has no nodes waits until it is looked at again.
const BUDGET_AGAIN: Duration = Duration::from_millis(250);

/// A fault that is bound, with the nodes that lead and that vote.
struct BoundView {
    fault: ResolvedFault,
    leaders: Vec<String>,
    voters: Vec<String>,
}

impl Executor {
    /// All faults of a schedule, each by its own begin.
    pub(super) async fn run_schedule(
        &self,
        timetable: &Timetable,
        start: Instant,
        stop: &watch::Receiver<bool>,
    ) -> Vec<FaultOutcome> {
        let faults = &timetable.faults;
        if faults.iter().any(|planned| planned.facts().verified_by != VerifiedBy::State) {
            self.look_at_all_links().await;
        }
        let lives = faults.iter().map(|planned| self.scheduled(planned, timetable, start, stop.clone()));
        all(lives.map(Box::pin).collect()).await
    }

    async fn scheduled(
        &self,
        planned: &PlannedFault,
        timetable: &Timetable,
        start: Instant,
        mut stop: watch::Receiver<bool>,
    ) -> FaultOutcome {
        let mut outcome = FaultOutcome::of(planned);
        let quiet_from = start + timetable.quiet_from.0;
        let log = self.logs.of(planned);
        let fired = match planned.trigger() {
            None => None,
            Some(trigger) => match self.await_trigger(planned, trigger, timetable, start, &mut stop).await {
                Ok(fired) => {
                    log.record(FaultStep::Triggered, vec![fired.detail.clone()]);
                    Some(fired)
                }
                Err(why) => {
                    log.record(FaultStep::NotTriggered, vec![why.clone()]);
                    outcome.problems.push(why);
                    return outcome;
                }
            },
        };
        let due = fired.as_ref().map_or(start, |fired| fired.seen) + planned.at.0;
        if due + planned.lasts.0 > quiet_from {
            let why = "no time was left: it would not end before the quiet end of the load".to_owned();
            log.record(FaultStep::Missed, vec![why.clone()]);
            outcome.problems.push(why);
            return outcome;
        }
        let ahead = match planned.facts().verified_by {
            VerifiedBy::Links | VerifiedBy::Packets => AHEAD_LINKS,
            VerifiedBy::State => AHEAD_STATE,
        };
        let early = due.checked_sub(ahead).unwrap_or(due);
        if wait(early, &mut stop).await == WaitEnd::Stopped {
            outcome.problems.push("stopped before it began".to_owned());
            return outcome;
        }
        let decided = early.max(Instant::now());
        self.heal_the_unhealed().await;
        // Too little time for a round of datagrams. The rules' counters show that packets came on every path.
        let short = fired.is_some() && planned.at.0 < ahead;
        let ready = match self.ready(planned, fired.as_ref(), short).await {
            Ok(ready) => ready,
            Err(why) => return not_begun(&log, planned, outcome, not_bound(planned, why)),
        };
        if wait(due, &mut stop).await == WaitEnd::Stopped {
            outcome.problems.push("stopped before it began".to_owned());
            return outcome;
        }
        let ready = match self.still_bound(planned, fired.as_ref(), ready, short).await {
            Ok(ready) => ready,
            Err(why) => return not_begun(&log, planned, outcome, not_bound(planned, why)),
        };
        let latest = quiet_from.checked_sub(planned.lasts.0).unwrap_or(due).max(due + SLIP_NOTED);
        let keeps = timetable.keeps_quorum;
        let ready = match self.await_turn(planned, fired.as_ref(), (ready, latest, keeps), &mut stop).await {
            Ok(ready) => ready,
            Err(why) => return not_begun(&log, planned, outcome, why),
        };
        let Ready { fault, open, before, .. } = ready;
        let log = log.resolved(&fault);
        let due_at = due.saturating_duration_since(start);
        log.bound(&schedule::measured(planned, &fault, (due_at, planned.lasts.0), timetable.quiet_from.0));
        let times = InForceUntil { start, due, decided, quiet_from };
        let mut late = self.in_force(planned, log, (fault, open, before), times, &mut stop, &mut outcome).await;
        self.undo_late(&mut late).await;
        if outcome.healed {
            self.budget.give_back(planned.id);
        }
        outcome
    }

    /// Waits until no fault is being healed beside which an agent would refuse this one, and until the budget has nodes for it beside those
    /// that are in force or not proven to be healed. What has waited is bound again. An error: no time is left.
    async fn await_turn(
        &self,
        planned: &PlannedFault,
        fired: Option<&Fired>,
        (mut ready, latest, keeps_quorum): (Ready, Instant, bool),
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Ready, String> {
        let (mut waited, mut unbound) = (false, None);
        loop {
            let (why, pause) = if let Some(why) = unbound.take() {
                (not_bound(planned, why), BUDGET_AGAIN)
            } else if self.in_force.is_excluded_by_healing(&ready.fault) {
                self.await_excluding_heals(&ready.fault, latest, stop).await;
                ("no time was left: an earlier fault was still being healed".to_owned(), HEAL_AGAIN)
            } else if let Err(why) =
                self.budget.take(planned, &ready.fault, keeps_quorum.then_some(ready.voters.as_slice()))
            {
                (why, BUDGET_AGAIN)
            } else {
                break;
            };
            let again = Instant::now() + pause;
            if again > latest {
                return Err(why);
            }
            if wait(again, stop).await == WaitEnd::Stopped {
                return Err("stopped before it began".to_owned());
            }
            waited = true;
            self.heal_the_unhealed().await;
            match self.bind(planned, fired, false).await {
                Ok(BoundView { fault, leaders, voters }) => ready = Ready { fault, leaders, voters, ..ready },
                Err(why) => unbound = Some(why),
            }
        }
        if waited {
            (ready.open, ready.before) = self.look_before(planned.id, &ready.fault).await;
        }
        Ok(ready)
    }

    async fn await_excluding_heals(&self, fault: &ResolvedFault, end: Instant, stop: &mut watch::Receiver<bool>) {
        while self.in_force.is_excluded_by_healing(fault) && Instant::now() < end {
            if wait(Instant::now() + HEAL_AGAIN, stop).await == WaitEnd::Stopped {
                return;
            }
        }
    }

    /// Binds a fault to the present nodes, and looks at them. Where time is `short`, what was seen before the load is taken for the
    /// paths between them.
    async fn ready(&self, planned: &PlannedFault, fired: Option<&Fired>, short: bool) -> Result<Ready, String> {
        let baseline = short.then(|| self.baseline.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let baseline = baseline.filter(|open| !open.paths.is_empty());
        let BoundView { fault, leaders, voters } = self.bind(planned, fired, baseline.is_some()).await?;
        let (open, before) = match (baseline, &fault.verification) {
            (Some(open), Verification::Links { .. }) => (open, LookBefore::default()),
            _ => self.look_before(planned.id, &fault).await,
        };
        Ok(Ready { fault, open, before, leaders, voters })
    }

    /// The same, or bound again where leadership has moved since.
    async fn still_bound(
        &self,
        planned: &PlannedFault,
        fired: Option<&Fired>,
        ready: Ready,
        short: bool,
    ) -> Result<Ready, String> {
        let moved = planned.needs_leader() && {
            let view = self.schedule_view(planned, fired, (self.view)(false).await);
            view.leaders != ready.leaders
        };
        if moved { self.ready(planned, fired, short).await } else { Ok(ready) }
    }

    /// Binds with what is known now; only if that is not enough, waits for an election. A drawn fault that needs a leader waits for one
    /// first, as it does alone: another node may stand in for the leader.
    async fn bind(&self, planned: &PlannedFault, fired: Option<&Fired>, short: bool) -> Result<BoundView, String> {
        let mut refused = String::new();
        let drawn = [planned.needs_leader()];
        let waits: &[bool] = if is_drawn(planned) { &drawn } else { &[false, true] };
        for may_wait in waits.iter().copied() {
            let view = tokio::time::timeout(self.limits.view, (self.view)(may_wait)).await;
            let view =
                view.map_err(|_| format!("no view of the cluster within {} ms", self.limits.view.as_millis()))?;
            self.remember(&view);
            let mut view = self.schedule_view(planned, fired, view);
            match resolve(planned, &view) {
                Ok(_) if planned.facts().verified_by == VerifiedBy::State => {}
                Ok(_) if short => self.known_addresses(&mut view),
                Ok(_) => self.learn_addresses(&mut view).await,
                Err(why) if planned.needs_leader() => {
                    refused = why.to_string();
                    continue;
                }
                Err(why) => return Err(why.to_string()),
            }
            let fault = resolve(planned, &view).map_err(|why| why.to_string())?;
            let bound = BoundFault {
                nodes: fault.nodes.clone(),
                leaders: view.leaders.clone(),
                former_leaders: view.former_leaders.clone(),
                trigger: fired.and_then(|fired| fired.node.clone()),
            };
            self.bound.lock().unwrap_or_else(PoisonError::into_inner).insert(planned.name(), bound);
            let voters = view.voters();
            return Ok(BoundView { fault, leaders: view.leaders, voters });
        }
        Err(refused)
    }

    /// The view for a fault of a schedule: nothing stands in for what is not known, and the node of the trigger counts. For a drawn fault
    /// it is the view of a fault that comes alone.
    fn schedule_view(&self, planned: &PlannedFault, fired: Option<&Fired>, view: ClusterView) -> ClusterView {
        let mut view = ClusterView { exact: !is_drawn(planned), ..view };
        view.bound.clone_from(&self.bound.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(node) = fired.and_then(|fired| fired.node.clone()) {
            // The prober may not have seen yet that this node leads.
            let knows = |fired: &Fired| fired.leads && fired.seen.elapsed() < TRIGGER_KNOWS;
            if fired.is_some_and(knows) && !view.leaders.contains(&node) {
                view.former_leaders.retain(|former| *former != node);
                view.former_leaders.splice(0..0, std::mem::take(&mut view.leaders));
                view.leaders = vec![node.clone()];
            }
            let own = view.bound.entry(planned.name()).or_default();
            own.trigger = Some(node);
            (own.leaders, own.former_leaders) = (view.leaders.clone(), view.former_leaders.clone());
        }
        view
    }

    /// Completes the view by the addresses that the nodes had before the load.
    fn known_addresses(&self, view: &mut ClusterView) {
        let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for node in &mut view.nodes {
            if let Some(others) = known.get(&node.name) {
                node.others.clone_from(others);
            }
        }
    }

    async fn await_trigger(
        &self,
        planned: &PlannedFault,
        trigger: &Trigger,
        timetable: &Timetable,
        start: Instant,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Fired, String> {
        let longest = timetable.quiet_from.0.saturating_sub(planned.lasts.0 + planned.at.0);
        let unless_by = planned.entry.as_ref().and_then(|entry| entry.unless_by);
        let latest = unless_by.map_or(longest, |by| by.0.min(longest));
        tokio::select! {
            biased;
            () = stopped(stop) => Err(format!("the load ended before {trigger}")),
            fired = self.fired(trigger, timetable) => Ok(fired),
            () = tokio::time::sleep_until(start + latest) => {
                Err(format!("within {} of the load there was no sign of: {trigger}", dsfuzz_nemesis::Span(latest)))
            }
        }
    }

    async fn fired(&self, trigger: &Trigger, timetable: &Timetable) -> Fired {
        let Trigger::Fault { fault, step } = trigger else {
            return self.signals.fired(trigger.clone(), self.view.clone()).await;
        };
        let id = timetable.faults.iter().find(|planned| planned.name() == *fault).map(|planned| planned.id);
        let step = match step {
            TriggerStep::Begun => FaultStep::Begun,
            TriggerStep::Proven => FaultStep::Proven,
            TriggerStep::Healed => FaultStep::Healed,
        };
        let mut steps = self.logs.steps();
        let Some(id) = id else { return std::future::pending().await };
        if steps.wait_for(|steps| steps.contains(&(id, step))).await.is_err() {
            return std::future::pending().await;
        }
        Fired { node: None, seen: Instant::now(), detail: trigger.to_string(), leads: false }
    }
}

/// How long after its trigger a fault takes the trigger's node for the leader although the prober does not say so.
const TRIGGER_KNOWS: Duration = Duration::from_secs(1);

/// Whether it was drawn beside others, and stands in no schedule.
fn is_drawn(planned: &PlannedFault) -> bool {
    planned.entry.is_none()
}

/// The reason of a fault whose nodes are not known.
fn not_bound(planned: &PlannedFault, why: String) -> String {
    if is_drawn(planned) { super::not_resolved(&why) } else { why }
}

/// The end of a fault that never begins: of a schedule `missed`, of drawn faults `unproven`.
fn not_begun(log: &FaultLog<'_>, planned: &PlannedFault, mut outcome: FaultOutcome, why: String) -> FaultOutcome {
    let step = if is_drawn(planned) { FaultStep::Unproven } else { FaultStep::Missed };
    log.record(step, vec![why.clone()]);
    outcome.problems.push(why);
    outcome
}

/// Drives all of these to their ends at the same time.
async fn all<F: Future + Unpin>(mut lives: Vec<F>) -> Vec<F::Output> {
    let mut ended: Vec<Option<F::Output>> = lives.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (life, end) in lives.iter_mut().zip(&mut ended) {
            if end.is_none()
                && let Poll::Ready(output) = Pin::new(life).poll(context)
            {
                *end = Some(output);
            }
        }
        if ended.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ended.into_iter().flatten().collect()
}
