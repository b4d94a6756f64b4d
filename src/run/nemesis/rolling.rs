//! Rolling faults: the nodes are taken one after the other, each when the one before is ready again.
use super::fault_log::FaultLog;
use super::heal::Stopping;
use super::links::OpenPaths;
use super::proof::{CountedFrom, LookBefore};
use super::{Executor, FaultOutcome, Injected, grace, is_custom, millis};
use dsfuzz_checkers::history::FaultStep;
use dsfuzz_nemesis::ResolvedFault;
use dsfuzz_nemesis::protocol::Request;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a node may take to be ready again, if the fault's own end leaves so long.
const READY: Duration = Duration::from_secs(120);

impl Executor {
    /// Injects, verifies and undoes the fault on each node, and waits until the node is ready. Proven with the first node, and
    /// proven again when all nodes were taken before `end`. Returns the nodes whose injections had no response in time.
    pub(super) async fn roll(
        &self,
        log: &FaultLog<'_>,
        fault: &ResolvedFault,
        before: LookBefore,
        (decided, end): (Instant, Instant),
        stop: &mut watch::Receiver<bool>,
        outcome: &mut FaultOutcome,
    ) -> Vec<(u64, String)> {
        let open = OpenPaths::default();
        let (mut late, mut taken, mut detail) = (Vec::new(), 0, Vec::new());
        let mut last = Duration::ZERO;
        let mut untaken: Vec<String> = fault.injections.iter().map(|(node, _)| node.clone()).collect();
        let mut problems = before.problems;
        for (node, injection) in fault.injections.clone() {
            if !problems.is_empty() {
                break;
            }
            let left = end.saturating_duration_since(Instant::now());
            if *stop.borrow() || left.is_zero() {
                problems.push(format!("no time was left for {}, so make `for` longer", untaken.join(", ")));
                break;
            }
            // A custom fault ends with its `for`, so that a node which would take longer is not begun.
            if is_custom(fault) && left < last {
                let (left, last) = (left.as_millis(), last.as_millis());
                problems.push(format!(
                    "{left} ms were left for {}, and a node took {last} ms, so make `for` longer",
                    untaken.join(", ")
                ));
                break;
            }
            untaken.retain(|other| *other != node);
            let begun = Instant::now();
            let part = ResolvedFault { injections: vec![(node.clone(), injection)], ..fault.clone() };
            let Injected { failed, late: silent, .. } = self.inject(log.id(), &part).await;
            late.extend(silent.into_iter().map(|node| (log.id(), node)));
            problems.extend(failed);
            if problems.is_empty() {
                let left = end.saturating_duration_since(Instant::now());
                let deadline = match is_custom(&part) {
                    true => self.limits_of(&part).prove.min(left),
                    false => self.limits_of(&part).prove + grace(&part),
                };
                match self.verify(log.id(), (&part, &open), CountedFrom::Injection, deadline).await {
                    Ok(seen) if taken == 0 => {
                        let took_ms = millis(decided.elapsed());
                        outcome.prove_ms = Some(took_ms);
                        let took = format!("proven {took_ms} ms after the decision");
                        outcome.proven = Some(log.record(FaultStep::Proven, [seen, vec![took]].concat()));
                    }
                    Ok(seen) => detail.extend(seen),
                    Err(why) => problems.extend(why),
                }
            }
            let id = log.id();
            let (limits, stopping) = (self.limits_of(&part), (&mut *stop, Stopping::Leaves(id)));
            let undone = self
                .undo_until_gone(std::slice::from_ref(&node), || Request::Undo { fault: id }, limits, stopping)
                .await;
            problems.extend(undone.is_empty().then(|| format!("{node}: the load ended in its undo")));
            problems.extend(undone.into_values().filter_map(Result::err).map(|not_undone| not_undone.why));
            if problems.is_empty() {
                let left = end.saturating_duration_since(Instant::now()).min(READY);
                match self.await_ready(&node, left, stop).await {
                    Ok(()) => {
                        taken += 1;
                        last = begun.elapsed();
                        detail.push(format!("{node}: ready again {} ms after its end began", millis(begun.elapsed())));
                    }
                    Err(why) => problems.push(format!("{node} is not ready again, so that the next node waits: {why}")),
                }
            }
        }
        let unreached =
            if untaken.is_empty() { String::new() } else { format!(", not reached: {}", untaken.join(", ")) };
        let all = format!("{taken} of {} nodes were taken{unreached}", fault.injections.len());
        self.close_roll(log, all, (detail, problems), outcome);
        self.heal(log, (fault, &open), stop, outcome).await;
        late
    }

    async fn await_ready(
        &self,
        node: &str,
        deadline: Duration,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), String> {
        let Some(ready) = &self.ready else { return Ok(()) };
        tokio::select! {
            biased;
            () = super::stopped(stop) => Err("stopped".to_owned()),
            ready = ready(node, deadline) => ready,
        }
    }

    /// Records whether every node was taken.
    fn close_roll(
        &self,
        log: &FaultLog<'_>,
        all: String,
        (detail, problems): (Vec<String>, Vec<String>),
        outcome: &mut FaultOutcome,
    ) {
        let all = vec![all];
        outcome.problems.extend(problems.iter().cloned());
        match (problems.is_empty(), outcome.proven.is_some()) {
            (true, _) => outcome.reproven = Some(log.record(FaultStep::Reproven, [detail, all].concat())),
            (false, true) => {
                log.record(FaultStep::Lapsed, [all, problems].concat());
            }
            (false, false) => {
                log.record(FaultStep::Unproven, [problems, all].concat());
            }
        }
    }
}
