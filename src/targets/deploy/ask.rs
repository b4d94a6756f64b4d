//! Asks nodes for their roles, and whether the replicas have converged.
use super::super::join_all::join_all;
use super::super::layout::NodeLayout;
use super::super::node_commands;
use super::super::recipe::{AtOnce, Authority, Converged, RoleProbe};
use super::{Deployment, converged, listening};
use crate::cluster::Remote;
use dsfuzz_checkers::history::leads_by_name;
use dsfuzz_workloads::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A node's answer to a role probe: the claim holds at some instant between the question and this answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleAnswer {
    /// `leader`, `follower` or the target's own word; empty without an answer.
    pub role: String,
    /// Whether a node in this role leads.
    pub leads: bool,
    /// Its term.
    pub term: Option<i64>,
    /// Whether the node read term and role at one moment, so that the term is trustworthy.
    pub term_with_role: bool,
    /// The node's own words, or the error.
    pub detail: String,
}

/// Whether the replicas hold the same data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Convergence {
    /// They do.
    Converged,
    /// They do not, or some could not be asked: one sentence for each reason.
    NotYet(Vec<String>),
    /// The recipe has no `converged`.
    NotAsked,
}

impl Deployment {
    /// Asks a node for its role, once. Without an answer the role is empty.
    pub async fn role(&self, node: &str, deadline: Duration) -> RoleAnswer {
        let Some((plan, remote)) = self.at(node) else {
            return RoleAnswer { detail: format!("no node {node}"), ..RoleAnswer::default() };
        };
        role(plan, remote.as_ref(), deadline).await
    }

    /// Whether the recipe has a role probe.
    pub fn has_roles(&self) -> bool {
        self.role_probe().is_some()
    }

    /// Time between two questions for the role of a node, and the deadline of one.
    pub fn role_pace(&self) -> Option<(Duration, Duration)> {
        self.role_probe().map(|probe| (probe.every.0, probe.deadline.0))
    }

    /// Whether several nodes lead at once by the target's design.
    pub fn leads_in_shards(&self) -> bool {
        self.role_probe().is_some_and(|probe| probe.leaders == AtOnce::Several)
    }

    fn role_probe(&self) -> Option<&RoleProbe> {
        self.layout.nodes.first().and_then(|plan| plan.role.as_ref())
    }

    /// The nodes that say now that they lead, in the plan's order.
    pub(super) async fn leaders(&self) -> Vec<Arc<str>> {
        let Some((_, deadline)) = self.role_pace() else { return Vec::new() };
        let questions = self.layout.nodes.iter().zip(&self.remotes).map(|(plan, remote)| {
            let question: BoxFuture<'_, _> = Box::pin(role(plan, remote.as_ref(), deadline));
            question
        });
        let answers = join_all(questions.collect()).await;
        let leads = self.layout.nodes.iter().zip(answers).filter(|(_, answer)| answer.leads);
        leads.map(|(plan, _)| plan.node.name.clone()).collect()
    }

    /// Whether a role of this name leads, if the name alone would not say so correctly.
    pub fn leads(&self, role: &str) -> Option<bool> {
        let rules = self.role_probe().map(|probe| &probe.roles);
        let rule = rules.into_iter().flatten().find(|rule| rule.name == role)?;
        (rule.leads() != leads_by_name(role)).then(|| rule.leads())
    }

    /// Asks every node whether the replicas have converged, once; by the next rules of the recipe if the first do not hold.
    pub async fn converged(&self) -> Convergence {
        let mut rules: Vec<&Converged> = self.layout.nodes.iter().filter_map(|plan| plan.converged.as_ref()).collect();
        if rules.is_empty() {
            return Convergence::NotAsked;
        }
        let mut reasons = Vec::new();
        while !rules.is_empty() {
            let found = self.why_not(&rules).await;
            if found.is_empty() {
                return Convergence::Converged;
            }
            let first = reasons.is_empty();
            reasons.extend(found.into_iter().map(|why| if first { why } else { format!("by other rules: {why}") }));
            rules = rules.into_iter().filter_map(|rules| rules.or.as_deref()).collect();
        }
        Convergence::NotYet(reasons)
    }

    /// The reasons why the replicas have not converged by these rules, each of its node.
    async fn why_not(&self, rules: &[&Converged]) -> Vec<String> {
        let asked = self.layout.nodes.iter().zip(&self.remotes).zip(rules);
        let questions = asked.map(|((plan, remote), rules)| {
            let question: BoxFuture<'_, _> = Box::pin(rules.ask.ask(remote.as_ref(), plan, rules.deadline.0));
            question
        });
        let answers = join_all(questions.collect()).await;
        let nodes: Vec<&str> = self.layout.nodes.iter().map(|plan| &*plan.node.name).collect();
        converged::why_not(&nodes, &answers, rules)
    }

    /// Waits until the replicas have converged. Returns the last observation if they have not by the deadline.
    pub async fn await_converged(&self, deadline: Duration) -> Convergence {
        let end = Instant::now() + deadline;
        let rules = self.layout.nodes.first().and_then(|plan| plan.converged.as_ref());
        let pause = rules.map_or(Duration::ZERO, |rules| rules.every.0);
        loop {
            match self.converged().await {
                Convergence::NotYet(_) if Instant::now() + pause < end => sleep(pause).await,
                Convergence::NotYet(reasons) => return Convergence::NotYet(self.with_hints(reasons).await),
                last => return last,
            }
        }
    }

    /// Adds a hint to the error of a node that accepts no connections from outside.
    async fn with_hints(&self, mut reasons: Vec<String>) -> Vec<String> {
        for (plan, remote) in self.layout.nodes.iter().zip(&self.remotes) {
            let start = format!("{}: ", plan.node.name);
            if let Some(rules) = &plan.converged
                && let Some(reason) = reasons.iter_mut().find(|reason| reason.starts_with(&start))
                && let Some(hint) = listening::hint(remote.as_ref(), &rules.ask, &plan.ports).await
            {
                reason.push_str("; ");
                reason.push_str(&hint);
            }
        }
        reasons
    }

    /// The authoritative node of final reads, by its role claim; none if every node is, or if not exactly one claims it.
    pub async fn authority(&self, deadline: Duration) -> Option<Arc<str>> {
        let Authority::Role(wanted) = &self.layout.authority else { return None };
        let questions = self.layout.nodes.iter().zip(&self.remotes).map(|(plan, remote)| {
            let question: BoxFuture<'_, _> =
                Box::pin(async move { (plan.node.name.clone(), role(plan, remote.as_ref(), deadline).await) });
            question
        });
        let mut claims = join_all(questions.collect()).await.into_iter().filter(|(_, answer)| answer.role == *wanted);
        match (claims.next(), claims.next()) {
            (Some((node, _)), None) => Some(node),
            _ => None,
        }
    }
}

async fn role(plan: &NodeLayout, remote: &dyn Remote, deadline: Duration) -> RoleAnswer {
    let Some(probe) = &plan.role else {
        return RoleAnswer { detail: "the recipe has no role probe".to_owned(), ..RoleAnswer::default() };
    };
    let answer = match probe.ask.ask(remote, plan, deadline).await {
        Ok(answer) => answer,
        Err(problem) => return RoleAnswer { detail: problem, ..RoleAnswer::default() },
    };
    let fits =
        |conditions: &[super::super::probe::Condition]| conditions.iter().all(|condition| condition.holds(&answer));
    let rule = probe.roles.iter().find(|rule| fits(&rule.conditions));
    RoleAnswer {
        role: rule.map(|rule| rule.name.clone()).unwrap_or_default(),
        leads: rule.is_some_and(|rule| rule.leads()),
        term: probe.term.as_ref().and_then(|part| part.of(&answer)?.parse().ok()),
        term_with_role: probe.term_with_role,
        detail: node_commands::head(&answer),
    }
}
