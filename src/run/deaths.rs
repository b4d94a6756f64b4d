//! Watches the target's processes: unrequested ends, kills by the out-of-memory killer and core files become records, each with
//! its interval.
//!
//! The agents keep their observations, so that a failed look loses nothing. Never: judges.
use super::nemesis::Remotes;
use super::recorder::Recorder;
use crate::targets::join_all;
use dsfuzz_checkers::history::{ProcessEvent, ProcessStep};
use dsfuzz_nemesis::protocol::{CoreFile, Death, Request, Response};
use dsfuzz_workloads::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(500);
const DEADLINE: Duration = Duration::from_secs(2);
/// Time between two searches for core files, which read folders.
const CORES_DEADLINE: Duration = Duration::from_secs(10);

/// Records deaths once each, and none of an earlier life.
#[derive(Default)]
pub(super) struct DeathRecorder {
    known: Mutex<ReportedDeaths>,
}

#[derive(Default)]
struct ReportedDeaths {
    /// Node, process id and start.
    dead: BTreeSet<(String, u32, u64)>,
    /// Recorded out-of-memory kills since its start, by node and service.
    oom_kills: BTreeMap<(String, String), u64>,
    /// Node and path.
    cores: BTreeSet<(String, String)>,
}

/// The report of a node's agent, and the interval of the question on the control node's clock.
struct AgentReport {
    node: String,
    deaths: Vec<Death>,
    oom_kills: BTreeMap<String, u64>,
    cores: Vec<CoreFile>,
    now_ns: u64,
    asked: u64,
    answered: u64,
}

impl AgentReport {
    /// An interval of the node's clock on the control node's clock, as narrow as the response time allows.
    fn between(&self, earliest_ns: u64, latest_ns: u64) -> (u64, u64) {
        let ago = |ns: u64| self.now_ns.saturating_sub(ns);
        (self.asked.saturating_sub(ago(earliest_ns)), self.answered.saturating_sub(ago(latest_ns)))
    }
}

impl DeathRecorder {
    /// Marks all present observations of the agents as recorded. Returns a sentence for each silent node.
    pub(super) async fn forget_earlier(&self, remotes: &dyn Remotes) -> Vec<String> {
        let (said, problems) = ask(remotes, true, || 0).await;
        for said in said {
            self.news(said);
        }
        problems
    }

    /// Records that the processes are watched from here on, on every node. A node with a lost connection counts too: its agent
    /// keeps its observations, and observations missing at the end of the run are reported as unseen.
    pub(super) fn begin(&self, remotes: &dyn Remotes, recorder: &Recorder) {
        for node in remotes.names() {
            recorder.process(event(&node, "", ProcessStep::Watched));
        }
    }

    /// Looks again and again, until aborted.
    pub(super) async fn watch(self: Arc<Self>, remotes: Arc<dyn Remotes>, recorder: Arc<Recorder>) {
        loop {
            self.look(remotes.as_ref(), &recorder, false).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks once and records new events. Returns a sentence for each silent node.
    pub(super) async fn look(&self, remotes: &dyn Remotes, recorder: &Recorder, cores: bool) -> Vec<String> {
        let (said, problems) = ask(remotes, cores, || recorder.now()).await;
        for said in said {
            for event in self.news(said) {
                tracing::warn!(node = %event.node, process = %event.process, step = event.step.name(), how = %event.how, "target");
                recorder.process(event);
            }
        }
        problems
    }

    /// The new events of a report.
    fn news(&self, said: AgentReport) -> Vec<ProcessEvent> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        // A lower count is that of a restarted service.
        for (service, count) in &said.oom_kills {
            let recorded = known.oom_kills.entry((said.node.clone(), service.clone())).or_default();
            *recorded = (*recorded).min(*count);
        }
        for death in &said.deaths {
            if !known.dead.insert((said.node.clone(), death.pid, death.start)) {
                continue;
            }
            let mut event = ended(&said, death);
            if let Some(count) = said.oom_kills.get(&death.service).filter(|_| event.step == ProcessStep::OutOfMemory) {
                // The count of the cgroup has the same kill; the record of its process is enough.
                let recorded = known.oom_kills.entry((said.node.clone(), death.service.clone())).or_default();
                event.times = u64::from(*recorded < *count);
                *recorded = (*recorded + 1).min(*count);
            }
            events.push(event);
        }
        for (service, count) in &said.oom_kills {
            let recorded = known.oom_kills.entry((said.node.clone(), service.clone())).or_default();
            if *count > *recorded {
                let times = *count - *recorded;
                *recorded = *count;
                let between = Some((said.asked.saturating_sub(as_ns(EVERY * 2)), said.answered));
                events.push(ProcessEvent { times, between, ..event(&said.node, service, ProcessStep::OutOfMemory) });
            }
        }
        for core in &said.cores {
            if known.cores.insert((said.node.clone(), core.path.clone())) {
                let between = Some(said.between(core.written_ns, core.written_ns));
                let how = format!("{} ({} bytes)", core.path, core.bytes);
                events.push(ProcessEvent { how, between, ..event(&said.node, &core.service, ProcessStep::CoreFile) });
            }
        }
        events
    }
}

fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An event about a process of a node, with all other fields empty.
pub(super) fn event(node: &str, process: &str, step: ProcessStep) -> ProcessEvent {
    ProcessEvent {
        index: 0,
        time: 0,
        node: node.into(),
        process: process.into(),
        step,
        between: None,
        how: String::new(),
        again: false,
        ran_ms: None,
        times: 1,
        detail: Vec::new(),
    }
}

fn ended(said: &AgentReport, death: &Death) -> ProcessEvent {
    // The out-of-memory killer sends SIGKILL. The service's count or the process's number shows whether it did.
    let signal_9 = death.how.starts_with("signal 9") && death.oom_kills > 0;
    let killed = signal_9 && !death.oom_of_machine;
    let mut detail = death.log.clone();
    if signal_9 && death.oom_of_machine {
        let kills = death.oom_kills;
        detail.push(format!(
            "(meanwhile the kernel killed {kills} processes on this machine for want of memory; whether this is one of them is \
             not known)"
        ));
    }
    let core = if death.core { ", core dumped" } else { "" };
    ProcessEvent {
        between: Some(said.between(death.earliest_ns, death.latest_ns)),
        how: format!("{}{core}", death.how),
        again: death.again,
        ran_ms: Some(death.ran_ms),
        detail,
        ..event(&said.node, &death.service, if killed { ProcessStep::OutOfMemory } else { ProcessStep::Ended })
    }
}

/// Asks all nodes at once.
async fn ask(remotes: &dyn Remotes, cores: bool, now: impl Fn() -> u64 + Sync) -> (Vec<AgentReport>, Vec<String>) {
    let deadline = if cores { CORES_DEADLINE } else { DEADLINE };
    let now = &now;
    let asks = remotes.names().into_iter().map(|node| {
        let remote = remotes.get(&node);
        let asking: BoxFuture<'_, Result<AgentReport, String>> = Box::pin(async move {
            let remote = remote.ok_or_else(|| format!("{node}: no session with its agent"))?;
            let asked = now();
            match remote.ask(Request::Deaths { cores }, Vec::new(), deadline).await {
                Ok((Response::Deaths { deaths, oom_kills, cores, now_ns }, _)) => {
                    Ok(AgentReport { node, deaths, oom_kills, cores, now_ns, asked, answered: now() })
                }
                Ok((other, _)) => Err(format!("{node}: an answer of another kind: {other:?}")),
                Err(error) => Err(error.to_string()),
            }
        });
        asking
    });
    let (mut said, mut problems) = (Vec::new(), Vec::new());
    for answer in join_all(asks.collect()).await {
        match answer {
            Ok(answer) => said.push(answer),
            Err(problem) => problems.push(problem),
        }
    }
    (said, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(deaths: Vec<Death>, oom: u64) -> AgentReport {
        let oom_kills = [("db".to_owned(), oom)].into();
        AgentReport {
            node: "n1".into(),
            deaths,
            oom_kills,
            cores: Vec::new(),
            now_ns: 900,
            asked: 2_000,
            answered: 2_010,
        }
    }

    fn death(pid: u32, how: &str, oom_kills: u64) -> Death {
        Death {
            service: "db".into(),
            pid,
            how: how.into(),
            earliest_ns: 700,
            latest_ns: 750,
            oom_kills,
            ..Death::default()
        }
    }

    #[test]
    fn each_death_is_recorded_once_with_the_time_as_seen_from_here() {
        let deaths = DeathRecorder::default();
        let recorded = deaths.news(said(vec![death(7, "signal 6 (SIGABRT)", 0)], 0));
        assert_eq!(recorded.len(), 1);
        assert_eq!((recorded[0].step, recorded[0].between), (ProcessStep::Ended, Some((1_800, 1_860))));
        assert!(deaths.news(said(vec![death(7, "signal 6 (SIGABRT)", 0)], 0)).is_empty());
        let recorded = deaths.news(said(vec![death(8, "signal 9 (SIGKILL)", 0)], 0));
        assert_eq!(recorded[0].step, ProcessStep::Ended, "who killed it is not known");
        let foreign = Death { oom_of_machine: true, ..death(9, "signal 9 (SIGKILL)", 3) };
        let recorded = deaths.news(said(vec![foreign], 0));
        assert_eq!(recorded[0].step, ProcessStep::Ended, "a count of the machine names no process");
        assert!(recorded[0].detail[0].contains("not known"), "{:?}", recorded[0].detail);
    }

    #[test]
    fn kills_for_want_of_memory_are_counted_from_start_to_start() {
        let deaths = DeathRecorder::default();
        let times = |oom: u64| deaths.news(said(Vec::new(), oom)).iter().map(|event| event.times).collect::<Vec<_>>();
        assert_eq!((times(0), times(2), times(2), times(3)), (vec![], vec![2], vec![], vec![1]));
        // The service was restarted, so its count begins at 0.
        assert_eq!((times(0), times(1)), (vec![], vec![1]));
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_once() {
        let all = |recorded: &[ProcessEvent]| -> Vec<(ProcessStep, u64)> {
            recorded.iter().map(|event| (event.step, event.times)).collect()
        };
        // The killed process and the count of its cgroup come in one look, ..
        let deaths = DeathRecorder::default();
        let killed = || death(7, "signal 9 (SIGKILL)", 1);
        assert_eq!(all(&deaths.news(said(vec![killed()], 1))), [(ProcessStep::OutOfMemory, 1)]);
        assert!(deaths.news(said(vec![killed()], 1)).is_empty());
        // .. with a child that was killed beside it, ..
        let recorded = deaths.news(said(vec![killed(), death(8, "signal 9 (SIGKILL)", 2)], 3));
        assert_eq!(all(&recorded), [(ProcessStep::OutOfMemory, 1), (ProcessStep::OutOfMemory, 1)]);
        // .. or the count first: then the end adds nothing to it.
        let deaths = DeathRecorder::default();
        assert_eq!(all(&deaths.news(said(Vec::new(), 1))), [(ProcessStep::OutOfMemory, 1)]);
        assert_eq!(all(&deaths.news(said(vec![killed()], 1))), [(ProcessStep::OutOfMemory, 0)]);
    }
}
