//! [`Phases`]: the phases of a run, with their durations and problems. `run.json` is written after each.
//!
//! A failed phase does not stop the next one; the caller decides.
use super::progress::Progress;
use crate::store::{PhaseInfo, RunDir, RunInfo};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The phases of a run in progress.
pub(super) struct Phases {
    /// The content of `run.json`.
    pub(super) info: RunInfo,
    dir: RunDir,
    progress: Arc<dyn Progress>,
}

impl Phases {
    pub(super) fn new(info: RunInfo, dir: RunDir, progress: Arc<dyn Progress>) -> Phases {
        let phases = Phases { info, dir, progress };
        phases.save();
        phases
    }

    /// Runs a phase under its deadline. None if it failed or ran out of time; the problem is kept.
    pub(super) async fn run<T, E: Display>(
        &mut self,
        name: &str,
        deadline: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        self.progress.phase(name, Some(deadline));
        tracing::info!(phase = name, "begins");
        let began = Instant::now();
        let (result, problem) = match tokio::time::timeout(deadline, work).await {
            Ok(Ok(value)) => (Some(value), String::new()),
            Ok(Err(error)) => (None, error.to_string()),
            Err(_) => (None, format!("not done after {} s", deadline.as_secs())),
        };
        self.ended(name, began, problem);
        result
    }

    /// Adds a finished phase.
    pub(super) fn ended(&mut self, name: &str, began: Instant, problem: String) {
        let problem = self.said_once(&problem);
        if problem.is_empty() {
            tracing::info!(phase = name, took_ms = began.elapsed().as_millis() as u64, "done");
        } else {
            tracing::info!(phase = name, %problem, "failed");
            // A run that does not begin ends with this sentence alone.
            if name != CONNECT {
                self.progress.line(&format!("{name}: {problem}"));
            }
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.info.phases.push(PhaseInfo { name: name.to_string(), took_ms, problem });
        self.save();
    }

    /// A failure of the harness itself: no verdict may rest on this run.
    pub(super) fn harness_failed(&mut self, sentence: impl Display) {
        let sentence = self.said_once(&sentence.to_string());
        // The problem of a phase has been reported already.
        if self.info.phases.iter().any(|phase| !phase.problem.is_empty() && sentence.contains(&phase.problem)) {
            tracing::info!("{sentence}");
        } else {
            tracing::error!("{sentence}");
        }
        self.info.harness_failures.push(sentence);
        self.save();
    }

    /// Another run took over a node, which comes first in this run's failures. Records after `time` (nanoseconds since the start
    /// of the record; none without a record) do not belong to this run.
    pub(super) fn evicted(&mut self, sentence: String, time: Option<u64>) {
        tracing::error!("{sentence}");
        self.info.harness_failures.insert(0, sentence);
        self.info.judged_until = time.or(self.info.judged_until);
        self.save();
    }

    /// Adds a failure of the harness in front of all others.
    pub(super) fn failed_first(&mut self, sentence: String) {
        tracing::error!("{sentence}");
        self.info.harness_failures.insert(0, sentence);
        self.save();
    }

    /// The text with each node's name once in front of its problem, and without repetitions.
    fn said_once(&self, text: &str) -> String {
        said_once(text, self.info.nodes.iter().map(|node| node.name.as_str()))
    }

    /// Adds an unseen part of the end, which makes a pass unknown.
    pub(super) fn unseen(&mut self, sentence: impl Into<String>) {
        let sentence = self.said_once(&sentence.into());
        self.info.unseen.push(sentence);
        self.save();
    }

    /// The problem of the last phase that failed.
    pub(super) fn last_problem(&self) -> String {
        let problem = self.info.phases.iter().rev().find(|phase| !phase.problem.is_empty());
        problem.map(|phase| format!("{}: {}", phase.name, phase.problem)).unwrap_or_default()
    }

    /// Writes `run.json` atomically.
    pub(super) fn save(&self) {
        if let Err(error) = self.info.save(&self.dir) {
            tracing::error!("run.json cannot be written: {error}");
        }
    }
}

/// The phase in which nodes are claimed.
pub(super) const CONNECT: &str = "connect";

/// `n1: n1: lost; n1: lost` is `n1: lost`.
fn said_once<'a>(text: &str, nodes: impl Iterator<Item = &'a str>) -> String {
    let mut text = text.to_owned();
    for node in nodes {
        let twice = format!("{node}: {node}: ");
        while text.contains(&twice) {
            text = text.replace(&twice, &format!("{node}: "));
        }
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split("; ") {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_once_and_nothing_is_said_twice() {
        let nodes = || ["n1", "n2"].into_iter();
        let text = "n1: n1: n1: connection lost: x; n1: connection lost: x; n2: n2: y";
        assert_eq!(said_once(text, nodes()), "n1: connection lost: x; n2: y");
        assert_eq!(said_once("a plain reason", nodes()), "a plain reason");
    }
}
