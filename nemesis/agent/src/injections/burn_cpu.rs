//! Runs busy processes of the agent beside some services, which compete with them for the CPUs of the node.
use super::{Context, Inject, new_proof, note};
use crate::abilities;
use crate::journal::UndoEntry;
use crate::{process, sys};
use dsfuzz_nemesis::protocol::Proof;
use std::time::{Duration, Instant};

/// How long a proof watches the busy processes.
const WATCH: Duration = Duration::from_millis(300);

/// Runs this number of busy processes beside these services.
pub(super) struct BurnCpu<'a> {
    pub(super) services: &'a [String],
    pub(super) processes: u32,
}

impl BurnCpu<'_> {
    /// How long the tasks of the services have waited for a CPU, if the kernel counts it.
    fn waited_ns(&self, context: &Context<'_>) -> Option<u64> {
        let pids = self.services.iter().flat_map(|name| context.services.processes(name));
        pids.filter_map(process::waited_for_cpu_ns).reduce(u64::saturating_add)
    }
}

impl Inject for BurnCpu<'_> {
    fn refusal(&self, context: &Context<'_>) -> Option<String> {
        if self.processes == 0 {
            return Some("0 busy processes change nothing: at least 1".to_owned());
        }
        if let Some(reason) = abilities::size().too_busy(self.processes) {
            return Some(reason);
        }
        let idle = self.services.iter().find(|name| context.services.processes(name).is_empty());
        idle.map(|name| format!("service {name}: it does not run, so nothing competes with it"))
    }

    fn perform(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Result<Vec<String>, String> {
        context.services.burn(entry.seq, self.processes)?;
        Ok(vec![format!("{} busy processes run beside {}", self.processes, self.services.join(", "))])
    }

    fn prove(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let pids = context.services.burning(entry.seq);
        let all = u32::try_from(pids.len()) == Ok(self.processes);
        note(&mut proof, all, format!("{} of {} busy processes run: {pids:?}", pids.len(), self.processes));
        for name in self.services.iter().filter(|name| context.services.processes(name).is_empty()) {
            note(&mut proof, false, format!("service {name}: it does not run, so nothing competes with it"));
        }
        let used = |pids: &[u32]| pids.iter().map(|pid| sys::cpu_ns(*pid).unwrap_or(0)).collect::<Vec<u64>>();
        let (before, waited) = (used(&pids), self.waited_ns(context));
        let begin = Instant::now();
        std::thread::sleep(WATCH);
        let grown: Vec<u64> = used(&pids).iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect();
        let time = begin.elapsed();
        let waited = waited.zip(self.waited_ns(context)).map(|(before, now)| now.saturating_sub(before) / 1_000_000);
        let each = grown.iter().all(|ns| *ns > 0);
        let cpus = grown.iter().sum::<u64>() as f64 / time.as_nanos() as f64;
        let waits = waited.map(|ms| format!("; its tasks waited {ms} ms for a CPU")).unwrap_or_default();
        note(
            &mut proof,
            each,
            format!(
                "beside {} they used {cpus:.2} CPUs within {} ms, {}{waits}",
                self.services.join(", "),
                time.as_millis(),
                if each { "each of them some" } else { "and not each of them" }
            ),
        );
        proof
    }

    fn undo(&self, entry: &UndoEntry, context: &mut Context<'_>) -> Proof {
        let mut proof = new_proof();
        let left = context.services.end_burners(entry.seq);
        let detail = match left.is_empty() {
            true => "no busy process is left".to_owned(),
            false => format!("busy processes {left:?} do not end"),
        };
        note(&mut proof, left.is_empty(), detail);
        proof
    }
}
