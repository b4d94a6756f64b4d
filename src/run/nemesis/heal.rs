//! Healing: undo everywhere, again and again until it is shown or the deadline is over; and what nodes undid themselves.
use super::links::Open;
use super::remotes::{everywhere, unexpected};
use super::story::Story;
use super::{Executor, HarmReport, millis};
use dsfuzz_checkers::history::FaultStep;
use dsfuzz_nemesis::harm::Link;
use dsfuzz_nemesis::protocol::{Ask, SelfHeal, Told};
use dsfuzz_nemesis::{Harm, Showing};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LONGEST: Duration = Duration::from_millis(500);

/// What became of undoing everything on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHeal {
    /// The node.
    pub node: String,
    /// Its agent showed that nothing is left.
    pub healed: bool,
    /// What was seen, or why not.
    pub detail: Vec<String>,
}

impl Executor {
    /// Undoes everything in every agent's journal, with proof, and tells the heal of faults that were still open. At
    /// the end of a run, and on a signal.
    pub async fn heal_all(&self) -> Vec<NodeHeal> {
        let names = self.remotes.names();
        let outcomes = self.undo_until_shown(&names, || Ask::UndoAll).await;
        let heals: Vec<NodeHeal> = names.iter().map(|node| node_heal(node, &outcomes)).collect();
        let mut nobody = None;
        self.tell_self_heals(names, &mut nobody).await;
        let healed: Vec<String> = heals.iter().filter(|heal| heal.healed).map(|heal| heal.node.clone()).collect();
        self.stories.all_healed_on(&healed);
        heals
    }

    /// Heals one harm on every node that was asked to act, whether its act had succeeded or not.
    pub(super) async fn heal(&self, story: &Story<'_>, (harm, open): (&Harm, &Open), report: &mut HarmReport) {
        let begun = Instant::now();
        story.tell(FaultStep::HealBegun, Vec::new());
        let nodes: Vec<String> = harm.acts.iter().map(|(node, _)| node.clone()).collect();
        let fault = story.fault();
        let outcomes = self.undo_until_shown(&nodes, || Ask::Undo { fault }).await;
        let mut problems: Vec<String> =
            outcomes.values().filter_map(|outcome| outcome.as_ref().err()).flatten().cloned().collect();
        if let (true, Showing::Links { silent, alive }) = (problems.is_empty(), &harm.showing) {
            problems = self.unheard_after_heal(silent, alive, open).await;
        }
        // A session that was lost and came back: its old agent may have healed before it was asked.
        self.report_self_heals(nodes, report).await;
        if problems.is_empty() {
            let took_ms = millis(begun.elapsed());
            (report.healed, report.heal_ms) = (true, Some(took_ms));
            let seen = outcomes.iter().filter_map(|(node, outcome)| Some(shown(node, outcome.as_ref().ok()?)));
            let links = matches!(harm.showing, Showing::Links { .. }).then(|| "every link is heard again".to_owned());
            let took = format!("healed and proven in {took_ms} ms");
            story.tell(FaultStep::Healed, seen.chain(links).chain([took]).collect());
        } else {
            report.problems.extend(problems.iter().cloned());
            story.tell(FaultStep::Unhealed, problems);
        }
    }

    /// Undoes once more where an act had no answer in time: it may have happened after the undo.
    pub(super) async fn undo_late(&self, late: &mut Vec<(u64, String)>) {
        let asks = late.drain(..).map(|(fault, node)| (node, Ask::Undo { fault })).collect();
        everywhere(&self.remotes, asks, self.limits.look).await;
    }

    /// Asks until every node showed that it is gone, with back-off. By node: what it saw, or why not.
    async fn undo_until_shown(
        &self,
        nodes: &[String],
        ask: impl Fn() -> Ask,
    ) -> BTreeMap<String, Result<Vec<String>, Vec<String>>> {
        let end = Instant::now() + self.limits.heal;
        let mut outcomes = BTreeMap::new();
        let mut left = nodes.to_vec();
        let mut pause = RETRY_FIRST;
        loop {
            let asks = left.iter().map(|node| (node.clone(), ask())).collect();
            let deadline = self.limits.undo.min(end.saturating_duration_since(Instant::now())).max(RETRY_FIRST);
            for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
                let outcome = match answer {
                    Ok(Told::Proof(proof)) if proof.holds => Ok(proof.detail),
                    Ok(Told::Proof(proof)) => Err(vec![format!("{node}: not gone: {}", proof.detail.join("; "))]),
                    Ok(other) => Err(vec![unexpected(&node, &other)]),
                    Err(error) => {
                        let hope = format!("{node}: if its agent does not hear from here, its lease heals it");
                        Err(vec![error.to_string(), hope])
                    }
                };
                outcomes.insert(node, outcome);
            }
            left.retain(|node| outcomes.get(node).is_none_or(Result::is_err));
            if left.is_empty() || Instant::now() + pause >= end {
                return outcomes;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    async fn unheard_after_heal(&self, silent: &[Link], alive: &[Link], open: &Open) -> Vec<String> {
        let all: Vec<Link> = silent.iter().chain(alive).cloned().collect();
        let end = Instant::now() + self.limits.heal_proof;
        loop {
            let problems = self.closed_paths(&all, open, self.limits.round).await;
            if problems.is_empty() || Instant::now() + RETRY_FIRST >= end {
                return problems;
            }
            tokio::time::sleep(RETRY_FIRST).await;
        }
    }

    /// Tells what these nodes undid without being asked, into the journal and this report.
    pub(super) async fn report_self_heals(&self, nodes: Vec<String>, report: &mut HarmReport) {
        self.tell_self_heals(nodes, &mut Some(report)).await;
    }

    async fn tell_self_heals(&self, nodes: Vec<String>, report: &mut Option<&mut HarmReport>) {
        let asks = nodes.into_iter().map(|node| (node, Ask::Undone)).collect();
        let sent = (self.now)();
        for (node, answer) in everywhere(&self.remotes, asks, self.limits.look).await {
            let Ok(Told::Undone { by_itself, now_ns, .. }) = answer else { continue };
            let received = (self.now)();
            for heal in by_itself.iter().filter(|heal| heal.run == self.run) {
                let ended = on_control_clock(heal, now_ns, sent, received);
                let proof =
                    if heal.holds { "and showed that it is gone" } else { "but could not show that it is gone" };
                let detail = format!("{node} undid it by itself ({}) {proof}", heal.why);
                let new = self.stories.self_healed(&node, heal.fault, heal.earliest_ns, ended, detail);
                if let (true, Some(report)) = (new, report.as_deref_mut()) {
                    report.self_healed.push((node.clone(), ended.0, ended.1));
                }
            }
        }
    }
}

/// When a node healed, on the control node's clock. The node looked at its own clock at some moment between the
/// question and the answer, so the interval is widened by that much, never narrowed.
fn on_control_clock(heal: &SelfHeal, node_now_ns: u64, sent: u64, received: u64) -> (u64, u64) {
    let earliest = sent.saturating_sub(node_now_ns.saturating_sub(heal.earliest_ns));
    let latest = received.saturating_sub(node_now_ns.saturating_sub(heal.latest_ns));
    (earliest, latest)
}

fn node_heal(node: &str, outcomes: &BTreeMap<String, Result<Vec<String>, Vec<String>>>) -> NodeHeal {
    let (healed, detail) = match outcomes.get(node) {
        Some(Ok(seen)) => (true, seen.clone()),
        Some(Err(why)) => (false, why.clone()),
        None => (false, vec![format!("{node}: was not asked")]),
    };
    NodeHeal { node: node.to_owned(), healed, detail }
}

fn shown(node: &str, seen: &[String]) -> String {
    if seen.is_empty() { format!("{node}: gone") } else { format!("{node}: {}", seen.join("; ")) }
}
