//! [`RunSignals`]: what a schedule waits for: roles by the prober and by the targets' logs, log lines, and the number of Ok calls.
//!
//! Each log is followed by the agent on its node. Never: decides what a fault does.
use super::hosts::Hosts;
use super::nemesis::{Fired, Remotes, Signals, Views};
use super::recorder::Recorder;
use crate::targets::Deployment;
use dsfuzz_checkers::history::{RoleClaim, leads_by_name};
use dsfuzz_nemesis::aim::Aim;
use dsfuzz_nemesis::protocol::{FollowedLine, Request, Response};
use dsfuzz_nemesis::schedule::Trigger;
use dsfuzz_nemesis::{ClusterView, Timetable};
use dsfuzz_rng::Rng;
use dsfuzz_workloads::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long an agent waits for a line before it answers that there is none.
const FOLLOW: Duration = Duration::from_secs(2);
/// How much later the answer may come.
const GRACE: Duration = Duration::from_secs(2);
/// Time between two attempts to ask a node whose agent does not answer.
const AGAIN: Duration = Duration::from_millis(100);
/// Time between two looks at the number of calls.
const COUNT: Duration = Duration::from_millis(2);

/// An observation on a node.
#[derive(Clone, Debug)]
struct Observation {
    node: String,
    seen: Instant,
    what: Observed,
}

#[derive(Clone, Debug)]
enum Observed {
    /// It took a role.
    Role { role: String, leads: bool, detail: String },
    /// It logged a line, in which the pattern at this position is found.
    Line { pattern: usize, line: String },
}

/// The last role of a node.
struct LastRole {
    role: String,
    /// On the journal's clock: answers to questions from before are older than the role.
    logged: u64,
}

#[derive(Default)]
struct State {
    observations: Vec<Observation>,
    roles: BTreeMap<String, LastRole>,
}

/// The log lines to be observed.
struct Pattern {
    regex: String,
    /// The role that the node takes which logs such a line; none of a trigger's own pattern.
    role: Option<(String, bool)>,
}

/// Observes the run.
pub(super) struct RunSignals {
    recorder: Arc<Recorder>,
    hosts: Arc<Hosts>,
    /// By node: its logs.
    logs: BTreeMap<String, Vec<String>>,
    patterns: Vec<Pattern>,
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

impl RunSignals {
    /// Signals for the triggers of this timetable.
    pub(super) fn new(
        timetable: &Timetable,
        hosts: &Arc<Hosts>,
        deployment: &Deployment,
        recorder: &Arc<Recorder>,
    ) -> RunSignals {
        let triggers = || timetable.faults.iter().filter_map(|planned| planned.trigger());
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut logs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let waits_for_role = triggers().any(|trigger| matches!(trigger, Trigger::Role { .. }));
        for node in &deployment.layout().nodes {
            let paths = logs.entry(node.node.name.to_string()).or_default();
            for log in &node.logs {
                paths.push(log.path.clone());
                let claims = log.patterns.iter().filter(|_| waits_for_role);
                for claim in claims {
                    let regex = regex_of(&claim.text);
                    if patterns.iter().all(|known| known.regex != regex) {
                        let leads = deployment.leads(&claim.role).unwrap_or_else(|| leads_by_name(&claim.role));
                        patterns.push(Pattern { regex, role: Some((claim.role.clone(), leads)) });
                    }
                }
            }
        }
        for trigger in triggers() {
            if let Trigger::Log { pattern, .. } = trigger
                && patterns.iter().all(|known| known.role.is_some() || known.regex != *pattern)
            {
                patterns.push(Pattern { regex: pattern.clone(), role: None });
            }
        }
        RunSignals {
            recorder: recorder.clone(),
            hosts: hosts.clone(),
            logs,
            patterns,
            state: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self, observation: Observation) {
        let mut state = self.state();
        state.observations.push(observation);
        let count = state.observations.len();
        drop(state);
        self.count.send_replace(count);
    }

    /// Begins to follow the logs. The task ends when it is dropped.
    pub(super) fn follow(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if !self.patterns.is_empty() {
            for (node, logs) in &self.logs {
                tasks.spawn(self.clone().follow_node(node.clone(), logs.clone()));
            }
        }
        tasks
    }

    /// From now on observations count.
    pub(super) fn load_begins(&self) {
        self.state().observations.clear();
        self.count.send_replace(0);
    }

    async fn follow_node(self: Arc<Self>, node: String, logs: Vec<String>) {
        let regexes: Vec<String> = self.patterns.iter().map(|pattern| pattern.regex.clone()).collect();
        let wait_ms = u64::try_from(FOLLOW.as_millis()).unwrap_or(u64::MAX);
        let mut positions = None;
        loop {
            let ask = Request::Follow {
                logs: logs.clone(),
                patterns: regexes.clone(),
                positions: positions.clone(),
                wait_ms,
            };
            let answer = match self.hosts.get(&node) {
                Some(remote) => remote.ask(ask, Vec::new(), FOLLOW + GRACE).await.ok(),
                None => None,
            };
            match answer {
                Some((Response::Followed { lines, positions: reached }, _)) => {
                    positions = Some(reached);
                    lines.into_iter().for_each(|line| self.line(&node, line));
                }
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    fn line(&self, node: &str, FollowedLine { pattern, line, .. }: FollowedLine) {
        let seen = Instant::now();
        let Some(known) = self.patterns.get(pattern) else { return };
        let what = match &known.role {
            None => Observed::Line { pattern, line },
            Some((role, leads)) => {
                let last = LastRole { role: role.clone(), logged: self.recorder.now() };
                let before = self.state().roles.insert(node.to_owned(), last);
                // The prober, or another line of the same election, said so before.
                if before.is_some_and(|before| before.role == *role) {
                    return;
                }
                Observed::Role { role: role.clone(), leads: *leads, detail: format!("{node} logged: {line}") }
            }
        };
        self.observe(Observation { node: node.to_owned(), seen, what });
    }

    /// Takes in an answer of the prober.
    pub(super) fn probed(&self, claim: &RoleClaim) {
        if claim.role.is_empty() {
            return;
        }
        let mut state = self.state();
        let node = claim.node.to_string();
        let before = state.roles.get(&node);
        if before.is_some_and(|before| claim.sent_time < before.logged || before.role == *claim.role) {
            return;
        }
        let new = before.is_some();
        state.roles.insert(node.clone(), LastRole { role: claim.role.to_string(), logged: 0 });
        drop(state);
        // The first answer of a node says nothing about when it took the role.
        if new {
            let detail = format!("{node} answered a probe: {}", claim.role);
            let what = Observed::Role { role: claim.role.to_string(), leads: claim.is_leader(), detail };
            self.observe(Observation { node, seen: Instant::now(), what });
        }
    }

    /// Waits for the `nth` observation on such a node that `fits`.
    async fn nth(
        &self,
        (nth, node, view): (u32, Option<Aim>, Views),
        fits: impl Fn(&Observed) -> Option<(String, bool)>,
    ) -> Fired {
        let mut counts = self.count.subscribe();
        let (mut at, mut left) = (0, nth);
        loop {
            let next = self.state().observations.get(at).cloned();
            let Some(observation) = next else {
                // The sender is a part of this.
                let _ = counts.changed().await;
                continue;
            };
            at += 1;
            let Some((detail, leads)) = fits(&observation.what) else { continue };
            if let Some(aim) = &node
                && !is_among(aim, &observation.node, &view(false).await)
            {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Fired { node: Some(observation.node), seen: observation.seen, detail, leads };
            }
        }
    }

    async fn observed(self: Arc<Self>, trigger: Trigger, view: Views) -> Fired {
        match trigger {
            Trigger::Role { role, node, nth } => {
                let fits = |observed: &Observed| match observed {
                    Observed::Role { role: seen, leads, detail } if *seen == role || (*leads && role == "leader") => {
                        Some((detail.clone(), *leads))
                    }
                    _ => None,
                };
                self.nth((nth, node, view), fits).await
            }
            Trigger::Log { pattern, node, nth } => {
                let own = self.patterns.iter().position(|known| known.role.is_none() && known.regex == pattern);
                let fits = |observed: &Observed| match observed {
                    Observed::Line { pattern, line } if Some(*pattern) == own => {
                        Some((format!("logged: {line}"), false))
                    }
                    _ => None,
                };
                self.nth((nth, node, view), fits).await
            }
            Trigger::Ok { calls } => loop {
                let ok = self.recorder.counters().ok;
                if ok >= calls {
                    let detail = format!("{ok} calls were Ok");
                    return Fired { node: None, seen: Instant::now(), detail, leads: false };
                }
                tokio::time::sleep(COUNT).await;
            },
            Trigger::Fault { .. } => std::future::pending().await,
        }
    }
}

/// Signals as the executor has them.
pub(super) struct Observers(pub(super) Arc<RunSignals>);

impl Signals for Observers {
    fn fired(&self, trigger: Trigger, view: Views) -> BoxFuture<'static, Fired> {
        Box::pin(self.0.clone().observed(trigger, view))
    }
}

/// Whether the node is among those of an aim without a draw.
fn is_among(aim: &Aim, node: &str, view: &ClusterView) -> bool {
    let planned = aim.draw(&mut Rng::new(0, "trigger", 0), view.nodes.len());
    let bound = planned.bind(view);
    bound.is_ok_and(|bound| bound.positions.iter().any(|position| view.nodes[*position].name == node))
}

/// The regular expression of a recipe's pattern, in which `{term}` is a number and any other hole a word.
fn regex_of(pattern: &str) -> String {
    let mut regex = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((hole, after)) = after.split_once('}') else { break };
        regex.push_str(&regex_lite::escape(before));
        regex.push_str(if hole == "term" { "[0-9]+" } else { "[-\\w.:/]+" });
        rest = after;
    }
    regex.push_str(&regex_lite::escape(rest));
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_recipes_become_regular_expressions() {
        let found = |pattern: &str, line: &str| regex_lite::Regex::new(&regex_of(pattern)).expect("one").is_match(line);
        assert!(found("{any} became leader at term {term}", "raft: 8e9e became leader at term 12"));
        assert!(!found("became leader at term {term}", "became leader at term x"));
        assert!(found("+switch-master", "# +switch-master m 1 2") && !found("+switch-master", "switch-master"));
        assert!(found("a.b {any}", "a.b x/1") && !found("a.b {any}", "axb x"));
    }
}
