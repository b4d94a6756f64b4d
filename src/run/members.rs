//! Asks who the members of the cluster are, again and again: aims such as `minority` are counted over those that vote. Never: judges.
use super::recorder::Recorder;
use super::roles::Leaders;
use crate::targets::Deployment;
use dsfuzz_nemesis::Members;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// The members by the last answer. None: the recipe does not ask.
pub(super) type KnownMembers = watch::Receiver<Option<Members>>;

/// Asks one node at a time: the leader, else the first that answers.
pub(super) struct MembersProber {
    pub(super) deployment: Deployment,
    pub(super) nodes: Vec<String>,
    pub(super) leaders: Leaders,
    pub(super) recorder: Arc<Recorder>,
    pub(super) every: Duration,
}

impl MembersProber {
    /// Asks until it is aborted. Each change is noted in the record.
    pub(super) async fn run(self, known: watch::Sender<Option<Members>>) {
        let mut ticks = tokio::time::interval(self.every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some((node, members)) = self.asked().await else { continue };
            let changed = known.send_if_modified(|known| {
                let changed = known.as_ref() != Some(&members);
                *known = Some(members.clone());
                changed
            });
            if changed {
                self.recorder.note(&node, &words(&members));
            }
        }
    }

    async fn asked(&self) -> Option<(String, Members)> {
        let leaders = self.leaders.borrow().now.clone();
        let others = self.nodes.iter().filter(|node| !leaders.contains(node));
        for node in leaders.iter().chain(others) {
            match self.deployment.members(node).await {
                Ok(members) => return Some((node.clone(), members)),
                Err(why) => tracing::debug!("members: {why}"),
            }
        }
        None
    }
}

fn words(members: &Members) -> String {
    let learners = match members.learners.is_empty() {
        true => String::new(),
        false => format!("; without a vote: {}", members.learners.join(" ")),
    };
    format!("members that vote: {}{learners}", members.voters.join(" "))
}
