//! Rounds of datagrams between the agents: which directed links carry packets.
//!
//! Silence proves nothing by itself: it counts only in a round in which every link that was left alone was heard.
use super::Executor;
use super::remotes::{everywhere, unexpected};
use dsfuzz_nemesis::harm::Link;
use dsfuzz_nemesis::protocol::{Ask, Told};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Datagrams to each peer in a round: more than one, so that a stray loss does not read as silence.
const COUNT: u32 = 3;
const POLL_FIRST: Duration = Duration::from_millis(2);
const POLL_LONGEST: Duration = Duration::from_millis(50);

/// What a round showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    /// Links that should be heard and were not.
    pub(super) unheard: Vec<Link>,
    /// Links that should be silent and were not.
    pub(super) heard: Vec<Link>,
    /// Requests that failed.
    pub(super) errors: Vec<String>,
}

impl Round {
    /// What contradicts the expectation, one sentence each; empty where it was met.
    pub(super) fn problems(&self) -> Vec<String> {
        let unheard = self.unheard.iter().map(|(from, to)| format!("{to} does not hear {from}"));
        let heard = self.heard.iter().map(|(from, to)| format!("{to} hears {from}, though the link is cut"));
        self.errors.iter().cloned().chain(unheard).chain(heard).collect()
    }
}

impl Executor {
    /// One round: every node of these links sends to all others, and then the receivers are asked until the `alive`
    /// links are all heard or the deadline is over. `silent` links are judged by one more look after that, so that
    /// their datagrams had at least as long.
    pub(super) async fn round(&self, silent: &[Link], alive: &[Link], deadline: Duration) -> Round {
        let end = Instant::now() + deadline;
        let round = self.rounds.fetch_add(1, Ordering::Relaxed) + 1;
        let nodes: BTreeSet<&str> =
            silent.iter().chain(alive).flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        let mut outcome = Round::default();
        self.send(round, &nodes, deadline, &mut outcome.errors).await;
        if !outcome.errors.is_empty() {
            return outcome;
        }
        let mut pause = POLL_FIRST;
        loop {
            let (heard, errors) = self.heard(round, &nodes, deadline).await;
            outcome.unheard = alive.iter().filter(|link| !heard.contains(*link)).cloned().collect();
            outcome.errors = errors;
            if outcome.unheard.is_empty() || !outcome.errors.is_empty() || Instant::now() + pause >= end {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_LONGEST);
        }
        if !silent.is_empty() && outcome.errors.is_empty() {
            let (heard, errors) = self.heard(round, &nodes, deadline).await;
            outcome.heard = silent.iter().filter(|link| heard.contains(*link)).cloned().collect();
            outcome.errors = errors;
        }
        outcome
    }

    async fn send(&self, round: u64, nodes: &BTreeSet<&str>, deadline: Duration, errors: &mut Vec<String>) {
        let mut asks = Vec::new();
        for from in nodes {
            let mut to = Vec::new();
            for peer in nodes.iter().filter(|peer| *peer != from) {
                match self.remotes.ping_address(peer) {
                    Some(address) => to.push(address),
                    None => errors.push(format!("{peer}: not known where its agent hears datagrams")),
                }
            }
            asks.push(((*from).to_owned(), Ask::Ping { round, from: (*from).to_owned(), to, count: COUNT }));
        }
        errors.dedup();
        let answers = everywhere(&self.remotes, asks, deadline).await;
        errors.extend(answers.into_iter().filter_map(|(_, answer)| answer.err()).map(|error| error.to_string()));
    }

    /// The links that were heard so far.
    async fn heard(&self, round: u64, nodes: &BTreeSet<&str>, deadline: Duration) -> (BTreeSet<Link>, Vec<String>) {
        let asks = nodes.iter().map(|node| ((*node).to_owned(), Ask::Heard { round })).collect();
        let (mut links, mut errors) = (BTreeSet::new(), Vec::new());
        for (node, answer) in everywhere(&self.remotes, asks, deadline).await {
            match answer {
                Ok(Told::Heard(senders)) => {
                    let heard = senders.into_iter().filter(|(_, count)| *count > 0);
                    links.extend(heard.map(|(from, _)| (from, node.clone())));
                }
                Ok(other) => errors.push(unexpected(&node, &other)),
                Err(error) => errors.push(error.to_string()),
            }
        }
        (links, errors)
    }
}
