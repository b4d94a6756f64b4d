//! Gives the processes of some services at most a share of one CPU: by `cpu.max` of their cgroup, else they are stopped and
//! continued in turns by a thread of the agent.
//!
//! The thread dies with the agent. The guardian, or the next agent, then continues what it left stopped.
use super::{Context, Inject, new_proof, note, pause};
use crate::cgroup::Cgroup;
use crate::journal::UndoEntry;
use dsfuzz_nemesis::protocol::{Injection, Proof};
use std::time::Duration;

/// How long a proof watches the services.
const WATCH: Duration = Duration::from_millis(500);
/// The period of `cpu.max`, in microseconds.
const PERIOD_US: u64 = 100_000;
const MAX: &str = "cpu.max";

/// Limits the CPU time of these services.
pub(super) struct LimitCpu<'a> {
    pub(super) services: &'a [String],
    pub(super) percent: u32,
}

/// The reason not to stop processes: a limit of their CPU time continues them.
pub(super) fn in_turns(services: &[String], context: &Context<'_>) -> Option<String> {
    let limits = |injection: &Injection| {
        matches!(injection, Injection::LimitCpu { .. })
            && injection.services().is_some_and(|names| names.iter().any(|name| services.contains(name)))
    };
    let other = context.others.iter().find(|other| limits(&other.injection))?;
    Some(format!("fault {} limits the CPU time of its processes, which stops and continues them", other.fault))
}

impl LimitCpu<'_> {
    fn quota(&self) -> String {
        format!("{} {PERIOD_US}", u64::from(self.percent) * PERIOD_US / 100)
    }

    /// The reason not to take turns: they would continue what another fault has stopped.
    fn stopped(&self, context: &Context<'_>) -> Option<String> {
        let stops = |injection: &Injection| {
            matches!(injection, Injection::Pause { .. } | Injection::PauseProcesses { .. })
                && injection.services().is_some_and(|names| names.iter().any(|name| self.services.contains(name)))
        };
        let other = context.others.iter().find(|other| stops(&other.injection))?;
        Some(format!("fault {} has stopped processes of {}", other.fault, self.services.join(", ")))
    }

    /// The cgroup that limits a service, if the injection was made by it.
    fn limited(&self, name: &str, context: &Context<'_>) -> Option<Cgroup> {
        context.services.cgroup(name).filter(|cgroup| cgroup.get(MAX) == self.quota())
    }
}

impl Inject for LimitCpu<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        let idle = self.services.iter().find(|name| context.services.processes(name).is_empty());
        let idle = idle.map(|name| format!("service {name}: it does not run, so its CPU time cannot be limited"));
        let paused = self.services.iter().find(|name| context.services.paused(name));
        let paused = paused.map(|name| format!("service {name}: it is paused and uses no CPU time"));
        idle.or(paused).or_else(|| self.stopped(context)).or_else(|| in_turns(self.services, context))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        let (mut detail, mut turns) = (Vec::new(), Vec::new());
        for name in self.services {
            let limit = |cgroup: Cgroup| cgroup.enable("cpu").and_then(|()| cgroup.set(MAX, &self.quota()));
            match context.services.cgroup(name).ok_or_else(|| "it has no cgroup".to_owned()).and_then(limit) {
                Ok(()) => detail.push(format!("service {name}: {MAX} is {}", self.quota())),
                Err(reason) => {
                    detail.push(format!("service {name}: stopped and continued in turns, as {reason}"));
                    turns.push(name.clone());
                }
            }
        }
        context.services.throttle(entry.seq, &turns, self.percent)?;
        Ok(detail)
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        for (name, turns) in self.services.iter().zip(context.services.watch_turns(self.services, WATCH)) {
            let cgroup = self.limited(name, context);
            if cgroup.is_none() && !context.services.throttles_by(entry.seq) {
                note(&mut proof, false, format!("service {name}: nothing stops its processes"));
                continue;
            }
            let by_group = cgroup.map(|_| format!("{MAX} is {}; ", self.quota()));
            let holds = !turns.pids.is_empty()
                && turns.used_at_most(self.percent)
                && (by_group.is_some() || turns.stopped_for(self.percent));
            note(&mut proof, holds, format!("service {name}: {}{}", by_group.unwrap_or_default(), turns.words()));
        }
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        context.services.end_throttle(entry.seq);
        let mut proof = new_proof();
        for name in self.services {
            let Some(cgroup) = context.services.cgroup(name).filter(|cgroup| !cgroup.get(MAX).is_empty()) else {
                continue;
            };
            let lifted = cgroup.set(MAX, "max");
            let read = cgroup.get(MAX);
            let detail = lifted.err().unwrap_or_else(|| format!("{MAX} is {read}"));
            note(&mut proof, read.starts_with("max "), format!("service {name}: {detail}"));
        }
        let running = pause::Pause { services: self.services }.undo(entry, context);
        proof.holds &= running.holds;
        proof.detail.extend(running.detail);
        proof
    }
}
